"""Intervals and paired differences against plain loops that draw clips one by one."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics import bootstrap
from atrkit.metrics.bootstrap import drawn_counts, percentile_interval, ratio_interval
from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.significance import compare_systems, figure_intervals, measured_figures, resampled_figures

FIGURES = ("R@1", "mAP@10", "MedR")


def some_values(seed: int, clips: int = 9, shift: float = 0.0) -> QueryValues:
    """Queries of clips with one to four captions each, in mixed order; ranks with halves, as ties make them."""
    random = np.random.default_rng(seed)
    captions_A = random.permutation(np.arange(clips) % 4 + 1) if seed >= 0 else np.ones(clips, dtype=int)
    clip_Q = random.permutation(np.repeat(np.arange(clips), captions_A))
    rank_Q = random.integers(2, 30, len(clip_Q)) / 2 + shift
    values = {"R@1": (rank_Q <= 2).astype(float), "mAP@10": 1 / rank_Q}
    number_Q = [int(np.count_nonzero(clip_Q[:q] == clip)) for q, clip in enumerate(clip_Q)]
    query_ids = tuple(f"clip{clip}#{number}" for clip, number in zip(clip_Q, number_Q, strict=True))
    return QueryValues(query_ids, clip_Q, tuple(f"clip{a}" for a in range(clips)), values, rank_Q)


def same_queries(of: QueryValues, seed: int) -> QueryValues:
    """Another system's values of the same queries."""
    rank_Q = np.random.default_rng(seed).integers(2, 30, len(of.clip_Q)) / 2
    return dataclasses.replace(of, first_rank_Q=rank_Q, values={"R@1": (rank_Q <= 2) * 1.0, "mAP@10": 1 / rank_Q})


def permuted(values: QueryValues, seed: int) -> QueryValues:
    """The same queries of the same clips, both in another order."""
    random = np.random.default_rng(seed)
    order_Q, order_A = random.permutation(len(values.clip_Q)), random.permutation(len(values.clip_ids))
    return QueryValues(
        tuple(values.query_ids[q] for q in order_Q),
        np.argsort(order_A)[values.clip_Q[order_Q]],
        tuple(values.clip_ids[a] for a in order_A),
        {name: values_Q[order_Q] for name, values_Q in values.values.items()},
        values.first_rank_Q[order_Q],
    )


def by_plain_loop(values: QueryValues, seed: int, resamples: int) -> dict[str, list[float]]:
    """Draw clips by id, put all captions of each drawn clip on a list, and take numpy's mean and median of it."""
    generator = np.random.default_rng(seed)
    clips = sorted({values.clip_ids[clip] for clip in values.clip_Q})
    queries_of = {c: [q for q, a in enumerate(values.clip_Q) if values.clip_ids[a] == c] for c in clips}
    found: dict[str, list[float]] = {name: [] for name in (*values.values, "MedR", "MnR")}
    for _ in range(resamples):
        drawn = [clips[number] for number in generator.integers(len(clips), size=len(clips))]
        queries = [q for clip in drawn for q in queries_of[clip]]
        for name, values_Q in values.values.items():
            found[name].append(np.mean([values_Q[q] for q in queries]))
        found["MedR"].append(np.median([values.first_rank_Q[q] for q in queries]))
        found["MnR"].append(np.mean([values.first_rank_Q[q] for q in queries]))
    return found


@pytest.mark.parametrize("seed", [0, 1, 2, -1])
def test_resampled_figures_are_those_of_lists_of_captions_drawn_clip_by_clip(seed):
    values = some_values(seed + 10) if seed >= 0 else some_values(3, clips=1)
    (fast,) = resampled_figures([values], np.random.default_rng(5), resamples=60)
    slow = by_plain_loop(values, 5, 60)
    assert fast.keys() == slow.keys()
    assert fast["MedR"].tolist() == slow["MedR"]  # the median is a rank or the middle of two: no rounding
    for name, values_R in fast.items():
        np.testing.assert_allclose(values_R, slow[name], rtol=1e-12)


def test_intervals_are_percentiles_of_the_plain_loop():
    values = some_values(4)
    slow = by_plain_loop(values, 0, 300)
    for name, interval in figure_intervals(values, np.random.default_rng(0), resamples=300).items():
        np.testing.assert_allclose(interval, np.percentile(slow[name], [2.5, 97.5]), rtol=1e-12)


@given(st.integers(0, 1000), st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_the_order_of_clips_and_captions_changes_nothing(seed, clips):
    values = some_values(seed, clips)
    intervals = [figure_intervals(v, np.random.default_rng(1), resamples=40) for v in (values, permuted(values, seed))]
    assert intervals[0] == intervals[1]


def test_how_much_memory_is_taken_changes_nothing(monkeypatch):
    values = some_values(6)
    whole = figure_intervals(values, np.random.default_rng(1), resamples=101)
    monkeypatch.setattr(bootstrap, "_CELLS_AT_ONCE", 7 * (len(values.clip_Q) + 9))
    assert [len(block) for block in drawn_counts(9, np.random.default_rng(1), resamples=101)].count(101) == 0
    assert figure_intervals(values, np.random.default_rng(1), resamples=101) == whole


def test_captions_of_one_clip_move_together():
    """Five equal captions of a clip are one observation: the interval is that of the clips."""
    one = some_values(7, clips=30)
    one = dataclasses.replace(one, clip_Q=np.arange(len(one.clip_Q)), clip_ids=one.query_ids)
    five = QueryValues(
        tuple(f"{query}/{k}" for query in one.query_ids for k in range(5)),
        np.repeat(one.clip_Q, 5),
        one.clip_ids,
        {name: np.repeat(values_Q, 5) for name, values_Q in one.values.items()},
        np.repeat(one.first_rank_Q, 5),
    )
    expected = figure_intervals(one, np.random.default_rng(0), resamples=200)
    found = figure_intervals(five, np.random.default_rng(0), resamples=200)
    assert all(found[name] == pytest.approx(expected[name]) for name in expected)


def test_clips_without_a_query_are_not_drawn():
    values = some_values(8)
    more = dataclasses.replace(values, clip_ids=(*values.clip_ids, "a distractor", "zzz"))
    first, second = (figure_intervals(v, np.random.default_rng(0), resamples=50) for v in (values, more))
    assert first == second


def test_values_of_a_matrix_have_the_figures_of_its_evaluation_inside_their_intervals():
    random = np.random.default_rng(3)
    owner = np.repeat(np.arange(40), 5)
    scores_AC = random.normal(size=(40, 200)) + 2 * (np.arange(40)[:, None] == owner)
    ids = [f"clip{a}" for a in range(40)]
    matrix = ScoreMatrix(scores_AC, ids, [f"c{c}" for c in range(200)], [ids[a] for a in owner])
    figures = evaluate(matrix)
    for direction, values in (
        ("text_to_audio", text_to_audio_values(matrix)),
        ("audio_to_text", audio_to_text_values(matrix)),
    ):
        measured = measured_figures(values)
        assert measured == {name: figures[direction][name] for name in measured}
        intervals = figure_intervals(values, random, resamples=500)
        assert intervals.keys() == measured.keys()
        assert all(low <= measured[name] <= high for name, (low, high) in intervals.items())


def test_one_clip_says_nothing_about_others():
    values = text_to_audio_values(ScoreMatrix([[0.5, 0.1], [0.3, 0.3]], ["a", "b"], ["a#1", "a#2"], ["a", "a"]))
    assert set(figure_intervals(values, np.random.default_rng(0), resamples=9).values()) == {None}
    (found,) = compare_systems([[values], [values]], np.random.default_rng(0), resamples=9, flips=9)
    assert {difference.ci for difference in found.values()} == {None}


def test_clips_with_equal_beginnings_and_zeros_at_the_end_are_different_clips():
    ids = ["clip", "clip\0", "other"]  # numpy's strings lose zeros at the end
    values = QueryValues(("1", "2"), np.array([0, 1]), tuple(ids), {"R@1": np.array([0.0, 1.0])}, np.array([2.0, 1.0]))
    low, high = figure_intervals(values, np.random.default_rng(0), resamples=99)["R@1"]
    assert (low, high) == (0, 1)


def independent_captions(values: QueryValues) -> QueryValues:
    return dataclasses.replace(values, clip_Q=np.arange(len(values.query_ids)), clip_ids=values.query_ids)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """And would not, were captions drawn by themselves: clips differ more than captions of one clip do."""
    random, trials = np.random.default_rng(11), 200
    ids, clips = tuple(f"{q:03d}" for q in range(150)), tuple(f"{a:02d}" for a in range(30))
    held = {"clips": 0, "captions": 0}
    for _ in range(trials):
        difficulty_A = random.beta(1, 1, size=30)  # mean 1/2
        hits_Q = (random.random((30, 5)) < difficulty_A[:, None]).astype(float).ravel()
        values = QueryValues(ids, np.repeat(np.arange(30), 5), clips, {"R@1": hits_Q}, 2 - hits_Q)
        for drawn, of in (("clips", values), ("captions", independent_captions(values))):
            low, high = figure_intervals(of, random, resamples=200)["R@1"]
            held[drawn] += low <= 0.5 <= high
    assert 0.89 <= held["clips"] / trials <= 0.98
    assert held["captions"] / trials < 0.85


def paired_by_plain_loop(first: QueryValues, second: QueryValues, resamples: int) -> dict[str, list[float]]:
    one, other = (by_plain_loop(values, 2, resamples) for values in (first, second))
    return {name: (np.array(other[name]) - np.array(one[name])).tolist() for name in one}


def test_differences_are_paired_on_the_same_resamples():
    first = some_values(20)
    second = permuted(same_queries(first, 21), 5)
    (found,) = compare_systems([[first], [second]], np.random.default_rng(2), figures=FIGURES, resamples=80, flips=50)
    slow = paired_by_plain_loop(first, second, 80)
    for name in FIGURES:
        measured = measured_figures(second)[name] - measured_figures(first)[name]
        assert found[name].difference == pytest.approx(measured)
        assert found[name].ci == pytest.approx(percentile_interval(slow[name]))
    assert found["MedR"].p is None and found["R@1"].p is not None and found["R@1"].p_holm is None


def test_what_is_better_by_the_same_everywhere_is_surely_better():
    first = some_values(22, clips=30)
    better = dataclasses.replace(first, values={"mAP@10": first.values["mAP@10"] + 0.25})
    (found,) = compare_systems([[first], [better]], np.random.default_rng(0), figures=["mAP@10"], resamples=50)
    assert found["mAP@10"].ci == pytest.approx((0.25, 0.25))
    assert found["mAP@10"].p == 1 / 10_001


@given(st.integers(0, 500))
@settings(max_examples=15, deadline=None)
def test_a_system_does_not_differ_from_itself(seed):
    values = some_values(seed)
    (found,) = compare_systems([[values], [permuted(values, seed)]], np.random.default_rng(0), resamples=30, flips=20,
                               figures=FIGURES)  # fmt: skip
    for difference in found.values():
        assert difference.difference == 0 and difference.ci == (0, 0) and difference.p in (1.0, None)


@given(st.integers(0, 500), st.integers(3, 20))
@settings(max_examples=15, deadline=None)
def test_exchanging_two_systems_turns_every_sign(seed, clips):
    first = some_values(seed, clips)
    second = same_queries(first, seed + 1)
    (there,), (back,) = (
        compare_systems(pair, np.random.default_rng(0), figures=FIGURES, resamples=40, flips=100)
        for pair in ([[first], [second]], [[second], [first]])
    )
    for name in FIGURES:
        assert back[name].difference == pytest.approx(-there[name].difference)
        assert back[name].ci == pytest.approx((-there[name].ci[1], -there[name].ci[0]))
        assert back[name].p == there[name].p


def test_seeds_are_averaged_query_by_query_and_so_are_their_medians():
    first = some_values(30)
    seeds = [same_queries(first, 31), permuted(same_queries(first, 32), 1)]
    (found,) = compare_systems([[first], seeds], np.random.default_rng(2), figures=FIGURES, resamples=70, flips=64)
    slow = [paired_by_plain_loop(first, seed, 70) for seed in seeds]
    for name in FIGURES:
        assert found[name].ci == pytest.approx(percentile_interval(np.mean([each[name] for each in slow], axis=0)))
        mean = np.mean([measured_figures(seed)[name] for seed in seeds])
        assert found[name].difference == pytest.approx(mean - measured_figures(first)[name])


def test_several_systems_are_each_compared_with_the_first_and_corrected():
    first = some_values(40, clips=25)
    others = [[same_queries(first, seed)] for seed in (41, 42, 43)]
    found = compare_systems([[first], *others], np.random.default_rng(0), figures=FIGURES, resamples=30)
    assert len(found) == 3
    for name in ("R@1", "mAP@10"):
        p = [each[name].p for each in found]
        order = sorted(range(3), key=lambda s: p[s])
        corrected = [max((3 - place) * p[s] for place, s in enumerate(order[: rank + 1])) for rank, s in
                     enumerate(order)]  # fmt: skip
        assert [found[s][name].p_holm for s in order] == pytest.approx([min(1.0, each) for each in corrected])
    assert found[0]["MedR"].p_holm is None


@pytest.mark.parametrize("change", ["query_ids", "clip_ids"])
def test_other_queries_and_queries_of_other_clips_are_refused(change):
    first = some_values(50)
    ids = getattr(first, change)
    other = dataclasses.replace(first, **{change: ("another", *ids[1:])})
    with pytest.raises(UsageError, match="query by query, and these have other queries or clips"):
        compare_systems([[first], [other]], np.random.default_rng(0), figures=["R@1"], resamples=5)


def test_ratios_of_groups_are_those_of_lists_of_groups():
    random = np.random.default_rng(9)
    comparisons = random.integers(1, 9, 15)
    hits = random.integers(0, comparisons + 1) / 2
    generator, ratios = np.random.default_rng(4), []
    for _ in range(200):
        drawn = generator.integers(15, size=15)
        ratios.append(sum(hits[g] for g in drawn) / sum(comparisons[g] for g in drawn))
    found = ratio_interval(hits, comparisons, np.random.default_rng(4), resamples=200)
    assert found == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))
