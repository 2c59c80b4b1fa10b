from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.datasets.splits import assign_splits, check_split_spec
from atrkit.errors import UsageError


def clips(count):
    return [f"clip {i:04d}.wav" for i in range(count)]


@pytest.mark.parametrize(
    ("count", "spec", "sizes"),
    [
        (100, "80/10/10", {"dev": 80, "val": 10, "eval": 10}),
        (76, "80/20", {"dev": 61, "eval": 15}),
        (7, "50/25/25", {"dev": 3, "val": 2, "eval": 2}),
        (3, "98/1/1", {"dev": 1, "val": 1, "eval": 1}),
        (10, "98/1/1", {"dev": 8, "val": 1, "eval": 1}),
        (1000, "33.3/33.3/33.4", {"dev": 333, "val": 333, "eval": 334}),
        (5, "train", {"train": 5}),
    ],
)
def test_sizes(count, spec, sizes):
    assert Counter(assign_splits(clips(count), spec, seed=1).values()) == sizes


@given(st.integers(3, 300), st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100))
@settings(deadline=None)
def test_no_size_is_more_than_one_clip_off_and_none_is_empty(count, first_two):
    shares = (*first_two, 100 - sum(first_two))
    sizes = Counter(assign_splits(clips(count), "/".join(map(str, shares)), seed=0).values())
    for name, share in zip(("dev", "val", "eval"), shares, strict=True):
        assert sizes[name] >= 1
        assert abs(sizes[name] - count * share / 100) < 1 or count * min(shares) / 100 < 1


def test_the_order_of_the_clips_does_not_matter_and_the_seed_does():
    first = assign_splits(clips(50), "80/10/10", seed=1)
    assert assign_splits(reversed(clips(50)), "80/10/10", seed=1) == first
    assert assign_splits(clips(50), "80/10/10", seed=2) != first
    assert list(first) == clips(50)


def test_every_clip_can_come_into_every_split():
    evaluated = {
        clip for seed in range(40) for clip, split in assign_splits(clips(10), "70/30", seed).items() if split == "eval"
    }
    assert evaluated == set(clips(10))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("80/10/5", "sum to 95, not 100"),
        ("80/30", "sum to 110, not 100"),
        ("80/0/20", "none of them 0"),
        ("25/25/25/25", "80/10/10"),
        ("80", "80/10/10"),
        ("80/-10/30", "80/10/10"),
        ("80/10/", "80/10/10"),
        ("1e2/0", "80/10/10"),
        ("", "80/10/10"),
        ("../dev", "80/10/10"),
        ("dev eval", "80/10/10"),
    ],
)
def test_specs_that_mean_nothing_are_refused(spec, words):
    with pytest.raises(UsageError) as caught:
        assign_splits(clips(10), spec, seed=1)
    assert words in str(caught.value)
    with pytest.raises(UsageError):
        check_split_spec(spec)


@pytest.mark.parametrize(("count", "spec"), [(2, "80/10/10"), (1, "80/20"), (0, "80/20")])
def test_fewer_clips_than_splits_are_refused(count, spec):
    with pytest.raises(UsageError, match=f"{count} clips are too few for"):
        assign_splits(clips(count), spec, seed=1)
