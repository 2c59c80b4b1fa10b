"""Twin order accuracy: own caption against the reversed twin's, on the own clip."""

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics.twin_order import twin_order


class Twins:
    """Twin groups with a_then_b, b_then_a and a_with_b, some captions each, and a score for every pair."""

    def __init__(self, groups, captions_per_clip=5):
        self.relation = {f"{g}-{r}": r for g in range(groups) for r in ("a_then_b", "b_then_a", "a_with_b")}
        self.group = {clip: f"group {clip.split('-')[0]}" for clip in self.relation}
        self.clips = list(self.relation)
        self.owners = [clip for clip in self.clips for _ in range(captions_per_clip)]
        self.captions = [f"{clip}#{i % captions_per_clip + 1}" for i, clip in enumerate(self.owners)]
        self.scores_AC = np.zeros((len(self.clips), len(self.captions)))

    def set(self, clip, caption, score):
        self.scores_AC[self.clips.index(clip), self.captions.index(caption)] = score

    @property
    def matrix(self):
        return ScoreMatrix(self.scores_AC, self.clips, self.captions, self.owners)

    def order(self, seed=0, **options):
        return twin_order(self.matrix, self.group, self.relation, np.random.default_rng(seed), **options)


def oracle(twins):
    """Hits and comparisons, one caption at a time, by id."""
    hits = comparisons = 0
    for clip, relation in twins.relation.items():
        other = {"a_then_b": "b_then_a", "b_then_a": "a_then_b"}.get(relation)
        if other is None:
            continue
        row = twins.scores_AC[twins.clips.index(clip)]
        for own in (c for c, owner in zip(twins.captions, twins.owners, strict=True) if owner == clip):
            twin = own.replace(relation, other)
            difference = row[twins.captions.index(own)] - row[twins.captions.index(twin)]
            hits += 1 if difference > 0 else 0.5 if difference == 0 else 0
            comparisons += 1
    return hits / comparisons, comparisons


def test_a_scorer_deaf_to_order_gets_exactly_one_half_and_p_one():
    result = Twins(groups=20).order()
    assert (result.accuracy, result.ci_low, result.ci_high, result.p) == (0.5, 0.5, 0.5, 1.0)
    assert (result.n, result.groups) == (200, 20)


def test_a_scorer_that_hears_order_gets_one():
    twins = Twins(groups=20)
    for caption, owner in zip(twins.captions, twins.owners, strict=True):
        twins.set(owner, caption, 1.0)
    result = twins.order()
    assert (result.accuracy, result.ci_low, result.ci_high) == (1, 1, 1)
    assert result.p == 1 / 10_001, "the observed order is one of those it is compared with: never p = 0"


def test_one_hit_one_miss_and_a_tie():
    twins = Twins(groups=1, captions_per_clip=2)
    twins.set("0-a_then_b", "0-a_then_b#1", 0.9)  # hit
    twins.set("0-a_then_b", "0-b_then_a#2", 0.9)  # miss
    twins.set("0-b_then_a", "0-b_then_a#1", 0.9)  # hit; the second one ties
    assert twins.order().accuracy == (1 + 0 + 1 + 0.5) / 4


def test_accuracy_equals_a_loop_over_captions():
    twins = Twins(groups=12)
    twins.scores_AC = np.random.default_rng(0).integers(4, size=twins.scores_AC.shape).astype(float)
    result = twins.order()
    assert (result.accuracy, result.n) == pytest.approx(oracle(twins))
    assert result.ci_low < result.accuracy < result.ci_high


def test_overlapping_clips_take_no_part():
    twins = Twins(groups=4)
    for caption in twins.captions:
        twins.set("0-a_with_b", caption, 5.0)
    assert twins.order().n == 4 * 10


def test_order_of_rows_and_columns_changes_nothing():
    twins = Twins(groups=6, captions_per_clip=11)
    generator = np.random.default_rng(3)
    twins.scores_AC = generator.normal(size=twins.scores_AC.shape)
    straight = twins.order()
    rows, columns = generator.permutation(len(twins.clips)), generator.permutation(len(twins.captions))
    twins.scores_AC = twins.scores_AC[rows][:, columns]
    twins.clips = [twins.clips[row] for row in rows]
    twins.captions = [twins.captions[column] for column in columns]
    twins.owners = [twins.owners[column] for column in columns]
    assert twins.order() == straight


def test_same_seed_same_interval_and_other_seed_another():
    twins = Twins(groups=30)
    twins.scores_AC = np.random.default_rng(0).normal(size=twins.scores_AC.shape)
    assert twins.order(seed=1) == twins.order(seed=1)
    assert twins.order(seed=1) != twins.order(seed=2)


def test_interval_is_wider_than_one_that_takes_captions_of_a_group_as_independent():
    twins = Twins(groups=40)
    generator = np.random.default_rng(0)
    for group in range(40):  # all ten comparisons of a group fall out alike
        if generator.random() < 0.7:
            for clip in (f"{group}-a_then_b", f"{group}-b_then_a"):
                for k in range(1, 6):
                    twins.set(clip, f"{clip}#{k}", 1.0)
        else:
            for clip, twin in [("a_then_b", "b_then_a"), ("b_then_a", "a_then_b")]:
                for k in range(1, 6):
                    twins.set(f"{group}-{clip}", f"{group}-{twin}#{k}", 1.0)
    result = twins.order()
    clustered = 1.96 * np.sqrt(result.accuracy * (1 - result.accuracy) / 40)
    assert (result.ci_high - result.ci_low) / 2 == pytest.approx(clustered, rel=0.1)


def test_p_equals_the_full_enumeration_of_signs():
    twins = Twins(groups=6, captions_per_clip=1)
    for group in range(5):  # five groups all hits, one all misses
        for clip in (f"{group}-a_then_b", f"{group}-b_then_a"):
            twins.set(clip, f"{clip}#1", 1.0)
    twins.set("5-a_then_b", "5-b_then_a#1", 1.0)
    twins.set("5-b_then_a", "5-a_then_b#1", 1.0)
    as_extreme = 2 * (1 + 6)  # of 64 sign patterns: none or one against the rest, either way
    assert twins.order(resamples=50_000).p == pytest.approx(as_extreme / 64, abs=0.01)


def test_groups_and_captions_that_cannot_be_compared_are_counted():
    twins = Twins(groups=3, captions_per_clip=2)
    matrix = twins.matrix
    keep_clips = [a for a, clip in enumerate(twins.clips) if clip != "0-b_then_a"]
    keep_captions = [
        c for c, caption in enumerate(twins.captions) if "0-b_then_a" not in caption and caption != "1-a_then_b#2"
    ]
    smaller = ScoreMatrix(
        matrix.scores_AC[keep_clips][:, keep_captions],
        [twins.clips[a] for a in keep_clips],
        [twins.captions[c] for c in keep_captions],
        [twins.owners[c] for c in keep_captions],
    )
    result = twin_order(smaller, twins.group, twins.relation, np.random.default_rng(0))
    assert (result.groups, result.incomplete_groups, result.unpaired_captions, result.n) == (2, 1, 1, 6)


def test_without_twins_there_is_no_figure():
    matrix = ScoreMatrix([[1.0]], ["a"], ["a#1"], ["a"])
    assert twin_order(matrix, {}, {}, np.random.default_rng(0)) is None


def test_a_group_with_two_clips_of_one_relation_is_refused():
    twins = Twins(groups=2)
    twins.group["1-a_then_b"] = "group 0"
    with pytest.raises(UsageError, match="'group 0' has two clips with relation a_then_b, the second is '1-a_then_b'"):
        twins.order()
