"""Perturbation accuracy against a loop over captions, and its interval."""

from dataclasses import asdict
from itertools import product

import numpy as np
import pytest

from atrkit.errors import DivergedError
from atrkit.metrics.bootstrap import ratio_interval
from atrkit.metrics.perturbation import PerturbationAccuracy, hits_of, perturbation_accuracies
from atrkit.text.perturb import PERTURBATION_SETS, Perturbation, perturbations_of

CAPTIONS = ["rain falls then a dog barks", "a dog barks as rain falls", "wind blows before a bell rings"]


def accuracies_of(perturbations, original, perturbed, clips=("a", "b", "c"), seed=0, resamples=1000):
    return perturbation_accuracies(
        perturbations,
        original,
        perturbed,
        caption_ids=[f"{clip}#{number}" for number, clip in enumerate(clips)],
        clip_of_caption=clips,
        generator=np.random.default_rng(seed),
        resamples=resamples,
    )


def in_one_set(count):
    """Perturbations of `count` captions, all in one test."""
    return [Perturbation("invert", "seq", index, "a then b", "b then a") for index in range(count)]


def the_set(accuracies, kind="invert", set_name="seq"):
    return next(each for each in accuracies if (each.kind, each.set_name) == (kind, set_name))


def test_the_original_must_score_higher_and_equal_scores_are_half_a_hit():
    scores = np.array([-1.0, -2.0, -2.0, -np.inf, 0.0])
    perturbed = np.array([-2.0, -1.0, -2.0, -np.inf, -np.inf])
    assert hits_of(scores, perturbed).tolist() == [1, 0, 0.5, 0.5, 1]


def test_a_captioners_scores_are_its_negated_losses():
    perturbations, _ = perturbations_of(["a man speaks then a dog barks"])
    losses, perturbed_losses = np.full(len(perturbations), 2.1), np.full(len(perturbations), 3.4)
    result = accuracies_of(perturbations, -losses, -perturbed_losses)
    assert the_set(result).accuracy == 1


def test_one_hit_one_miss_and_a_tie():
    result = the_set(accuracies_of(in_one_set(3), [3.0, 1.0, 2.0], [1.0, 3.0, 2.0]))
    assert (result.accuracy, result.n, result.clips, result.ties) == (0.5, 3, 3, 1)


def test_every_test_equals_a_loop_over_captions():
    generator = np.random.default_rng(0)
    captions = [CAPTIONS[i] for i in generator.integers(len(CAPTIONS), size=60)]
    clips = [f"clip {i}" for i in generator.integers(15, size=60)]
    perturbations, _ = perturbations_of(captions)
    original, perturbed = generator.integers(4, size=(2, len(perturbations))).astype(np.float32)
    hits, clips_of_set, ties = {}, {}, dict.fromkeys(PERTURBATION_SETS, 0)
    for each, own, other in zip(perturbations, original, perturbed, strict=True):
        key = each.kind, each.set_name
        hits.setdefault(key, []).append(1 if own > other else 0.5 if own == other else 0)
        clips_of_set.setdefault(key, set()).add(clips[each.index])
        ties[key] += own == other
    for result in accuracies_of(perturbations, original, perturbed, clips):
        key = result.kind, result.set_name
        assert result.accuracy == pytest.approx(sum(hits[key]) / len(hits[key]))
        assert (result.n, result.clips, result.ties) == (len(hits[key]), len(clips_of_set[key]), ties[key])
        assert result.ci_low <= result.accuracy <= result.ci_high


def test_all_six_tests_are_there_in_order_and_an_empty_one_has_no_accuracy():
    results = accuracies_of(in_one_set(2), [1.0, 1.0], [0.0, 0.0])
    assert [(each.kind, each.set_name) for each in results] == list(PERTURBATION_SETS)
    assert results[0] == PerturbationAccuracy("replace", "before_after", None, None, None, n=0, clips=0, ties=0)


def test_the_result_is_ready_for_json():
    result = asdict(the_set(accuracies_of(in_one_set(2), np.float32([1, 1]), np.float32([0, 2]))))
    assert {key: type(value) for key, value in result.items()} == {
        "kind": str,
        "set_name": str,
        "accuracy": float,
        "ci_low": float,
        "ci_high": float,
        "n": int,
        "clips": int,
        "ties": int,
    }


def test_the_interval_takes_the_captions_of_a_clip_together():
    """40 clips with five captions that fall out alike: the interval is that of 40 draws, not of 200."""
    wins = np.repeat(np.random.default_rng(0).random(40) < 0.7, 5)
    clips = [f"clip {number // 5}" for number in range(200)]
    result = the_set(accuracies_of(in_one_set(200), wins.astype(float), 1.0 - wins, clips, resamples=10_000))
    half_width = 1.96 * np.sqrt(result.accuracy * (1 - result.accuracy) / 40)
    assert (result.ci_high - result.ci_low) / 2 == pytest.approx(half_width, rel=0.1)


def test_clips_with_more_captions_weigh_more():
    clips = ["a"] * 9 + ["b"]
    result = the_set(accuracies_of(in_one_set(10), [1.0] * 9 + [0.0], [0.5] * 10, clips))
    assert (result.accuracy, result.clips) == (0.9, 2)


def test_the_interval_is_that_of_every_way_to_draw_the_groups():
    hits, comparisons = np.array([9, 0, 3.5, 1, 2, 0]), np.array([9, 1, 5, 4, 2, 3])
    every_draw = np.array(list(product(range(6), repeat=6)))
    ratios = hits[every_draw].sum(axis=1) / comparisons[every_draw].sum(axis=1)
    interval = ratio_interval(hits, comparisons, np.random.default_rng(0), resamples=20_000)
    assert interval == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.01)


def test_order_of_captions_changes_nothing():
    generator = np.random.default_rng(1)
    clips = [f"clip {i}" for i in generator.integers(8, size=50)]
    original, perturbed = generator.normal(size=(2, 50))
    order = generator.permutation(50)
    shuffled = [in_one_set(50)[n] for n in order]
    straight = accuracies_of(in_one_set(50), original, perturbed, clips)
    assert accuracies_of(shuffled, original[order], perturbed[order], clips) == straight


def test_one_tests_interval_does_not_depend_on_the_captions_of_another():
    generator = np.random.default_rng(1)
    clips = [f"clip {i % 8}" for i in range(50)]
    others = [Perturbation("replace", "seq2sup", index, "a then b", "a as b") for index in range(20)]
    original, perturbed = generator.normal(size=(2, 70))
    alone = accuracies_of(in_one_set(50), original[:50], perturbed[:50], clips)
    together = accuracies_of([*in_one_set(50), *others], original, perturbed, clips)
    assert the_set(alone) == the_set(together)


def test_same_seed_same_interval_and_other_seed_another():
    generator = np.random.default_rng(2)
    clips = [f"clip {i % 30}" for i in range(100)]
    original, perturbed = generator.normal(size=(2, 100))
    first, again, other = (accuracies_of(in_one_set(100), original, perturbed, clips, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("where", ["original", "perturbed"])
def test_nan_names_the_caption_and_gives_no_figure(where):
    scores = {"original": [1.0, 1.0, 1.0], "perturbed": [0.0, 0.0, 0.0]}
    scores[where][0] = np.nan
    backwards = in_one_set(3)[::-1]
    with pytest.raises(DivergedError, match=r"1 of 3 .* first is caption 'c#2'") as error:
        accuracies_of(backwards, **scores)
    assert error.value.exit_code == 8
