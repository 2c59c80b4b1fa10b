import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.models import Ragged
from atrkit.training.batches import (
    PairBatch,
    pairs_by_length,
    pairs_in_turn,
    pairs_of_epoch,
    words_with_padding_per_word,
)
from atrkit.training.data import TrainingData

CAPTIONS_PER_CLIP = st.lists(st.integers(1, 4), min_size=1, max_size=9)


def data_of(captions_per_clip: list[int]) -> TrainingData:
    frames = [np.full((2, 3), clip) for clip in range(len(captions_per_clip))]
    captions = tuple(tuple(f"c{clip} n{n}" for n in range(count)) for clip, count in enumerate(captions_per_clip))
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{clip}" for clip in range(len(frames))), captions)


def data_of_lengths(words: list[list[int]], frames: list[int] | None = None) -> TrainingData:
    """Clips with captions of these numbers of words, and of these numbers of frames."""
    frames = [1] * len(words) if frames is None else frames
    rows = Ragged.from_sequences([np.ones((length, 2)) for length in frames])
    captions = tuple(tuple(" ".join(["w"] * n) for n in counts) for counts in words)
    return TrainingData(rows, tuple(f"clip{clip}" for clip in range(len(words))), captions)


def pairs(data: TrainingData, batches: list[PairBatch]) -> list[tuple[int, str]]:
    return [
        (clip, data.all_captions[caption])
        for batch in batches
        for clip, caption in zip(batch.clip_index_B.tolist(), batch.caption_index_B.tolist(), strict=True)
    ]


@given(CAPTIONS_PER_CLIP, st.integers(2, 5), st.integers(0, 9), st.integers(1, 9))
def test_random_pairs_each_clip_once_with_a_caption_of_its_own(
    counts: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    data = data_of(counts)
    drawn = pairs(data, pairs_of_epoch(data, batch_size=batch_size, caption_choice="random", seed=seed, epoch=epoch))
    assert sorted(clip for clip, _ in drawn) == list(range(len(counts)))
    assert all(caption in data.captions[clip] for clip, caption in drawn)


@given(CAPTIONS_PER_CLIP, st.integers(2, 5), st.integers(0, 9), st.integers(1, 9))
def test_all_and_validation_show_every_pair_once(counts: list[int], batch_size: int, seed: int, epoch: int) -> None:
    data = data_of(counts)
    every_pair = sorted((clip, text) for clip, texts in enumerate(data.captions) for text in texts)
    epoch_batches = pairs_of_epoch(data, batch_size=batch_size, caption_choice="all", seed=seed, epoch=epoch)
    assert sorted(pairs(data, epoch_batches)) == every_pair
    assert sorted(pairs(data, pairs_in_turn(data, batch_size=batch_size))) == every_pair


@given(st.integers(1, 20), st.integers(2, 6))
def test_batches_are_full_and_none_is_a_single_pair(clips: int, batch_size: int) -> None:
    data = data_of([1] * clips)
    sizes = [len(b) for b in pairs_of_epoch(data, batch_size=batch_size, caption_choice="random", seed=1, epoch=1)]
    assert sum(sizes) == clips
    assert all(size == batch_size for size in sizes[:-1]) and sizes[-1] <= batch_size + 1
    assert clips == 1 or min(sizes) > 1


def test_validation_keeps_captions_of_a_clip_apart() -> None:
    data = data_of([2, 1, 3])
    order = pairs(data, pairs_in_turn(data, batch_size=3))
    assert order == [(0, "c0 n0"), (1, "c1 n0"), (2, "c2 n0"), (0, "c0 n1"), (2, "c2 n1"), (2, "c2 n2")]


def test_seed_and_epoch_alone_decide_what_is_drawn() -> None:
    data = data_of([5] * 30)

    def drawn(seed: int, epoch: int) -> list[tuple[int, str]]:
        return pairs(data, pairs_of_epoch(data, batch_size=8, caption_choice="random", seed=seed, epoch=epoch))

    assert drawn(1, 2) == drawn(1, 2)
    assert len({tuple(drawn(seed, epoch)) for seed in (1, 2) for epoch in (1, 2)}) == 4


def test_every_caption_is_drawn_in_the_long_run() -> None:
    data = data_of([1, 5])
    seen = {
        caption
        for epoch in range(1, 60)
        for _, caption in pairs(data, pairs_of_epoch(data, batch_size=2, caption_choice="random", seed=1, epoch=epoch))
    }
    assert seen == set(data.all_captions)


def test_an_unknown_caption_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="choose random or all"):
        pairs_of_epoch(data_of([1]), batch_size=2, caption_choice="first", seed=1, epoch=1)  # type: ignore[arg-type]


# --- buckets of like lengths ---

LENGTHS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=3), min_size=1, max_size=25)


def words_of_batches(data: TrainingData, batches: list[PairBatch]) -> list[list[int]]:
    return [[len(data.all_captions[c].split()) for c in batch.caption_index_B.tolist()] for batch in batches]


@given(LENGTHS, st.integers(1, 5), st.integers(1, 4), st.sampled_from(["random", "all"]), st.integers(1, 4))
def test_buckets_show_what_random_batches_show_in_batches_of_the_same_sizes(
    words: list[list[int]], batch_size: int, bucket_batches: int, caption_choice: str, epoch: int
) -> None:
    data = data_of_lengths(words)
    plain, bucketed = (
        pairs_of_epoch(
            data, batch_size=batch_size, caption_choice=caption_choice, seed=5, epoch=epoch, bucket_batches=count
        )
        for count in (1, bucket_batches)
    )
    assert sorted(pairs(data, bucketed)) == sorted(pairs(data, plain))
    assert sorted(map(len, bucketed)) == sorted(map(len, plain))
    assert [batch.key for batch in bucketed] == [(5, epoch, step) for step in range(1, len(plain) + 1)]


def test_a_pool_is_cut_by_words_and_then_by_frames() -> None:
    data = data_of_lengths([[3], [1], [3], [2], [1], [2]], frames=[9, 4, 5, 7, 6, 8])
    batches = pairs_of_epoch(data, batch_size=2, caption_choice="random", seed=1, epoch=1, bucket_batches=3)
    assert {tuple(batch.clip_index_B.tolist()) for batch in batches} == {(1, 4), (3, 5), (2, 0)}
    (whole,) = pairs_by_length(data, batch_size=6)
    assert whole.clip_index_B.tolist() == [1, 4, 3, 5, 2, 0]


def test_pools_are_drawn_at_random_and_keep_to_themselves() -> None:
    data = data_of_lengths([[n] for n in range(1, 41)])

    def sets(epoch: int) -> list[frozenset[int]]:
        batches = pairs_of_epoch(data, batch_size=5, caption_choice="all", seed=2, epoch=epoch, bucket_batches=2)
        return [frozenset(batch.clip_index_B.tolist()) for batch in batches]

    assert len({batch for epoch in range(1, 6) for batch in sets(epoch)}) == 40  # others in every epoch
    # in a pool of two batches the longest of one is below the shortest of the other; across pools they overlap
    below = {(a, b) for a, b in itertools.permutations(range(8), 2) if max(sets(1)[a]) < min(sets(1)[b])}
    assert all(any((a, b) in below or (b, a) in below for b in range(8)) for a in range(8))
    assert len(below) < 8 * 7 / 2


def test_batches_of_a_pool_come_in_random_order() -> None:
    data = data_of_lengths([[n] for n in range(1, 41)])
    firsts = set()
    for epoch in range(1, 30):
        batches = pairs_of_epoch(data, batch_size=5, caption_choice="all", seed=2, epoch=epoch, bucket_batches=8)
        firsts.add(int(batches[0].clip_index_B[0]))
    assert firsts == {0, 5, 10, 15, 20, 25, 30, 35}


def test_padding_is_counted_word_by_word_and_buckets_reduce_it() -> None:
    rng = np.random.default_rng(3)
    data = data_of_lengths([[int(n)] for n in 5 + rng.geometric(0.2, size=400)])
    padding = {}
    for bucket_batches in (1, 8):
        batches = pairs_of_epoch(
            data, batch_size=50, caption_choice="random", seed=1, epoch=1, bucket_batches=bucket_batches
        )
        words = words_of_batches(data, batches)
        computed = sum(len(batch) * (max(batch) + 1) for batch in words)  # each caption's end is predicted too
        padding[bucket_batches] = computed / sum(count + 1 for batch in words for count in batch)
        assert words_with_padding_per_word(data, batches) == pytest.approx(padding[bucket_batches], rel=1e-12)
    assert padding[8] < 1.25 < 2 < padding[1]


@given(LENGTHS, st.integers(1, 6))
def test_pairs_by_length_show_every_pair_once_the_shortest_first(words: list[list[int]], batch_size: int) -> None:
    data = data_of_lengths(words)
    batches = pairs_by_length(data, batch_size=batch_size)
    shown = [count for batch in words_of_batches(data, batches) for count in batch]
    assert shown == sorted(count for counts in words for count in counts)
    assert sorted(c for batch in batches for c in batch.caption_index_B.tolist()) == list(range(len(shown)))


def test_a_batch_draws_the_same_at_every_call_and_another_batch_something_else() -> None:
    data = data_of_lengths([[1]] * 6)
    keys = itertools.product((1, 2), (1, 2))
    batches = [
        batch
        for seed, epoch in keys
        for batch in pairs_of_epoch(data, batch_size=2, caption_choice="all", seed=seed, epoch=epoch)
    ]
    draws = [tuple(batch.generator().random(3)) for batch in batches]
    assert draws == [tuple(batch.generator().random(3)) for batch in batches]
    assert len(set(draws)) == 12


def test_single_pairs_are_batches_where_they_are_asked_for() -> None:
    batches = pairs_of_epoch(data_of([1] * 4), batch_size=1, caption_choice="random", seed=1, epoch=1)
    assert [len(batch) for batch in batches] == [1, 1, 1, 1]
