"""What other code bases compute, against their loops written again from what they do: five captions per clip, in order.

Matrices without ties go through those loops as they are. With ties, the loops run over many random orders, and ours is
the mean, but for koepke's, which settles ties itself.
"""

from itertools import permutations

import numpy as np
import pytest
import pytrec_eval

from atrkit import ScoreMatrix
from atrkit.metrics.protocols import PROTOCOLS, protocol_figures
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.tie_blocks import audio_to_text_ranks, text_to_audio_ranks

FIVE = 5


def five_captions_each(scores_AC) -> ScoreMatrix:
    clips = [f"clip {a}" for a in range(len(scores_AC))]
    owners = [clip for clip in clips for _ in range(FIVE)]
    return ScoreMatrix(scores_AC, clips, [f"{owner}#{n % FIVE}" for n, owner in enumerate(owners)], owners)


def figures_of(protocol, matrix):
    return protocol_figures(protocol, text_to_audio_ranks(matrix), audio_to_text_ranks(matrix))


def without_ties(rng, clips=13):
    scores_AC = rng.permutation(clips * clips * FIVE).reshape(clips, clips * FIVE).astype(float)
    return scores_AC + 200.5 * np.repeat(np.eye(clips), FIVE, axis=1)  # so that something is found


def order_of(scores, rng):
    """Positions from the best down, equal scores in random order."""
    return np.lexsort((rng.random(len(scores)), -scores))


# ---- the loops


def wavcaps_loops(scores_AC, rng):
    clips = len(scores_AC)
    firsts, precisions = [], []
    for clip in range(clips):
        inds = order_of(scores_AC[clip], rng)
        first, found = 1e20, []
        for caption in range(FIVE * clip, FIVE * clip + FIVE):
            place = np.where(inds == caption)[0][0]
            first = min(first, place)
            if place < 10:
                found.append(place + 1)
        found = np.sort(found)
        precisions.append(np.sum(np.arange(1, len(found) + 1) / found) / 5 if len(found) else 0.0)
        firsts.append(first)
    firsts = np.array(firsts)
    to_text = {f"r{k}": np.mean(firsts < k) for k in (1, 5, 10, 50)}
    to_text |= {"medr": np.floor(np.median(firsts)) + 1, "meanr": firsts.mean() + 1, "mAP10": np.mean(precisions)}
    places = [np.where(order_of(scores_AC[:, c], rng) == c // FIVE)[0][0] for c in range(FIVE * clips)]
    places = np.array(places)
    to_audio = {f"r{k}": np.mean(places < k) for k in (1, 5, 10, 50)}
    to_audio |= {"medr": np.floor(np.median(places)) + 1, "meanr": places.mean() + 1}
    to_audio["mAP10"] = np.sum(1 / (places[places < 10] + 1)) / len(places)
    return to_audio, to_text


def laion_loops(scores_AC, rng):
    clips = len(scores_AC)
    places = []
    for nth in range(FIVE):  # one caption of each clip at a time
        for clip in range(clips):
            ranking = order_of(scores_AC[:, clip * FIVE + nth], rng)
            places.append(np.where(ranking == clip)[0][0])
    places = np.array(places)
    to_audio = {"mean_rank": places.mean() + 1, "median_rank": np.floor(np.median(places)) + 1}
    to_audio |= {f"R@{k}": np.mean(places < k) for k in (1, 5, 10)}
    to_audio["mAP@10"] = np.mean(np.where(places < 10, 1 / (places + 1), 0.0))
    precisions, firsts = [], []
    for clip in range(clips):
        ranking = order_of(scores_AC[clip], rng)
        own = np.array([np.where(ranking == caption)[0][0] for caption in range(clip * FIVE, clip * FIVE + FIVE)])
        firsts.append(own.min())
        inside = own[own < 10]  # in the order of captions, not of places
        precisions.append(np.sum(np.arange(1, len(inside) + 1) / (inside + 1)) / 5)
    to_text = {"mAP@10": np.mean(precisions)} | {f"R@{k}": np.mean(np.array(firsts) < k) for k in (1, 5, 10)}
    return to_audio, to_text


def dcase23_loops(scores_AC, rng):
    def measure(queries):
        recalls, precisions = {1: [], 5: [], 10: []}, []
        for scores, targets in queries:
            targets = targets[order_of(scores, rng)]
            for k, values in recalls.items():
                values.append(targets[:k].sum() / targets.sum())
            positions = np.arange(1, 11, dtype=float)[: len(targets)][targets[:10]]
            precisions.append((np.arange(1, len(positions) + 1) / positions).sum() / targets.sum())
        return {"mAP": np.mean(precisions)} | {f"R{k}": np.mean(values) for k, values in recalls.items()}

    clips, owners = np.arange(len(scores_AC)), np.repeat(np.arange(len(scores_AC)), FIVE)
    to_audio = measure([(scores_AC[:, c], clips == owner) for c, owner in enumerate(owners)])
    return to_audio, measure([(scores_AC[a], owners == a) for a in clips])


def mteb_loops(scores_AC, rng):
    """What trec_eval makes of lists whose ties were settled by chance."""
    owners = np.repeat(np.arange(len(scores_AC)), FIVE)
    measures = {"success.1,5,10", "recall.1,5,10", "map_cut.10", "ndcg_cut.10"}
    names = {"success": "hit_rate_at", "recall": "recall_at", "map_cut": "map_at", "ndcg_cut": "ndcg_at"}

    def by_trec_eval(queries):
        qrels = {str(q): {str(d): 1 for d in np.flatnonzero(targets)} for q, (_, targets) in enumerate(queries)}
        run = {}
        for query, (scores, _) in enumerate(queries):
            run[str(query)] = {str(doc): float(-place) for place, doc in enumerate(order_of(scores, rng))}
        found = list(pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(run).values())
        means = {measure: np.mean([each[measure] for each in found]) for measure in found[0]}
        return {f"{names[m.rpartition('_')[0]]}_{m.rpartition('_')[2]}": value for m, value in means.items()}

    to_audio = by_trec_eval([(scores_AC[:, c], np.arange(len(scores_AC)) == a) for c, a in enumerate(owners)])
    return to_audio, by_trec_eval([(scores_AC[a], owners == a) for a in range(len(scores_AC))])


def koepke_loops(scores_AC, rng):
    def named(cols):
        cols = np.array(cols)
        metrics = {f"R{k}": np.sum(cols < k) / len(cols) for k in (5, 10, 50)} | {"R1": np.sum(cols == 0) / len(cols)}
        metrics |= {"MedR": np.median(cols) + 1, "MeanR": np.mean(cols) + 1}
        metrics["geometric_mean_R1-R5-R10"] = (metrics["R1"] * metrics["R5"] * metrics["R10"]) ** (1 / 3)
        return metrics

    clips = len(scores_AC)
    to_audio = []
    for caption in range(FIVE * clips):
        dists = -scores_AC[:, caption]
        to_audio.append(np.mean(np.where(np.sort(dists) - dists[caption // FIVE] == 0)[0]))
    to_text = []
    for clip in range(clips):
        dists, best = -scores_AC[clip], np.inf
        for caption in range(FIVE * clip, FIVE * clip + FIVE):
            best = min(best, np.where(np.sort(dists) - dists[caption] == 0)[0].mean())
        to_text.append(best)
    return named(to_audio), named(to_text)


LOOPS = {
    "wavcaps": wavcaps_loops,
    "laion": laion_loops,
    "dcase23": dcase23_loops,
    "mteb": mteb_loops,
    "koepke": koepke_loops,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(3))
def test_without_ties_figures_are_those_of_the_loops_under_the_same_names(protocol, seed):
    rng = np.random.default_rng(seed)
    scores_AC = without_ties(rng)
    ours = figures_of(protocol, five_captions_each(scores_AC))
    to_audio, to_text = LOOPS[protocol](scores_AC, rng)
    assert ours.protocol == protocol
    assert dict(ours.text_to_audio) == pytest.approx(to_audio, abs=1e-12)
    assert dict(ours.audio_to_text) == pytest.approx(to_text, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_koepke_settles_ties_by_itself(seed):
    rng = np.random.default_rng(seed)
    scores_AC = rng.integers(0, 4, size=(6, 30)).astype(float)
    ours = figures_of("koepke", five_captions_each(scores_AC))
    to_audio, to_text = koepke_loops(scores_AC, rng)
    assert dict(ours.text_to_audio) == pytest.approx(to_audio, abs=1e-12)
    assert dict(ours.audio_to_text) == pytest.approx(to_text, abs=1e-12)


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "koepke"])
def test_under_ties_figures_are_the_mean_over_random_orders(protocol):
    rng = np.random.default_rng(7)
    scores_AC = rng.integers(0, 3, size=(4, 20)) + np.repeat(np.eye(4), FIVE, axis=1)
    ours = figures_of(protocol, five_captions_each(scores_AC))
    drawn = [LOOPS[protocol](scores_AC, rng) for _ in range(250)]
    for exact, samples in ((ours.text_to_audio, [s[0] for s in drawn]), (ours.audio_to_text, [s[1] for s in drawn])):
        for name, value in exact.items():
            if name in ("medr", "median_rank"):  # of expected ranks, then rounded: no mean over orders
                continue
            values = np.array([sample[name] for sample in samples])
            assert abs(values.mean() - value) <= 5 * values.std() / np.sqrt(len(values)) + 1e-12, name


# ---- what makes them differ, each seen at work


def test_five_tied_captions_of_the_own_clip_count_against_each_other_in_koepke_alone():
    matrix = five_captions_each(np.repeat(np.eye(4), FIVE, axis=1))
    assert evaluate(matrix)["audio_to_text"]["R@1"] == 1
    assert figures_of("koepke", matrix).audio_to_text["R1"] == 0
    assert figures_of("koepke", matrix).audio_to_text["MedR"] == 3
    others = {"wavcaps": "r1", "laion": "R@1", "mteb": "hit_rate_at_1"}
    assert all(figures_of(protocol, matrix).audio_to_text[name] == 1 for protocol, name in others.items())


def test_laions_precision_goes_by_the_order_of_captions():
    rank_of_caption = np.array([5, 4, 3, 2, 1])  # the clip's captions, as stored
    scores_AC = np.zeros((2, 10))
    scores_AC[0, :5] = 10 - rank_of_caption
    stored = figures_of("laion", five_captions_each(scores_AC)).audio_to_text["mAP@10"]
    scores_AC[0, :5] = scores_AC[0, 4::-1]
    best_first = figures_of("laion", five_captions_each(scores_AC)).audio_to_text["mAP@10"]
    difference = (1 / 5 + 2 / 4 + 3 / 3 + 4 / 2 + 5 / 1) / 5 - 1  # the other clip's captions are all tied in both
    assert stored - best_first == pytest.approx(difference / 2)


@pytest.mark.parametrize(("better", "tied"), [(0, 14), (8, 4), (9, 3), (10, 2), (3, 9)])
def test_laions_precision_under_ties_is_the_mean_over_all_places_of_two_captions(better, tied):
    """One clip has two captions, tied with others; every other clip has its one caption last, and adds nothing."""
    captions = 14
    owners = ["a", "a", *(f"clip {n}" for n in range(captions - 2))]
    scores_AC = np.ones((captions - 1, captions))
    scores_AC[0, :] = [0.0] * tied + [1.0] * better + [-1.0] * (captions - tied - better)
    scores_AC[np.arange(1, captions - 1), np.arange(2, captions)] = 0
    matrix = ScoreMatrix(scores_AC, list(dict.fromkeys(owners)), [str(c) for c in range(captions)], owners)
    values = []
    for first, second in permutations(range(better + 1, better + tied + 1), 2):
        inside = [rank for rank in (first, second) if rank <= 10]
        values.append(sum(number / rank for number, rank in enumerate(inside, start=1)) / 5)
    expected = sum(values) / len(values) / (captions - 1)
    assert figures_of("laion", matrix).audio_to_text["mAP@10"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("protocol", "name"), [("wavcaps", "mAP10"), ("laion", "mAP@10")])
def test_precision_is_divided_by_five_whatever_and_that_is_said(protocol, name):
    owners = ["a"] * 3 + ["b"] * 5
    scores_AC = np.array([[owner == clip for owner in owners] for clip in "ab"], dtype=float)
    scores_AC += np.linspace(0.1, 0, 8)
    figures = figures_of(protocol, ScoreMatrix(scores_AC, ["a", "b"], [str(n) for n in range(8)], owners))
    assert figures.audio_to_text[name] == pytest.approx((3 / 5 + 1) / 2)
    assert figures.text_to_audio[name] == 1, "text to audio has one clip to find, and no five"
    assert "divided by 5, also for 1 clips with more or fewer captions" in figures.why


@pytest.mark.parametrize(("protocol", "name"), [("wavcaps", "medr"), ("laion", "median_rank")])
def test_median_rank_is_rounded_down(protocol, name):
    scores_AC = np.array([[1.0] * 5 + [1.0] * 5, [0.0] * 5 + [0.0] * 5])  # ranks 1 and 2, five times each
    assert evaluate(five_captions_each(scores_AC))["text_to_audio"]["MedR"] == 1.5
    assert figures_of(protocol, five_captions_each(scores_AC)).text_to_audio[name] == 1


def test_dcase23_and_mteb_recall_is_a_fraction_of_the_clips_captions():
    scores_AC = np.repeat(np.eye(3), FIVE, axis=1) + np.linspace(0.1, 0, 15)
    matrix = five_captions_each(scores_AC)
    assert figures_of("dcase23", matrix).audio_to_text["R1"] == pytest.approx(1 / 5)
    assert figures_of("mteb", matrix).audio_to_text["recall_at_1"] == pytest.approx(1 / 5)
    assert figures_of("mteb", matrix).audio_to_text["hit_rate_at_1"] == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_says_in_one_line_why_it_differs_and_cannot_be_changed(protocol):
    figures = figures_of(protocol, five_captions_each(np.eye(2).repeat(FIVE, axis=1)))
    assert figures.why and "\n" not in figures.why
    with pytest.raises(AttributeError):
        figures.why = "other"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ground_truth_is_by_id_where_that_code_goes_by_position(protocol):
    scores_AC = without_ties(np.random.default_rng(5), clips=6)
    matrix = five_captions_each(scores_AC)
    rows = np.random.default_rng(6).permutation(6)
    shuffled = ScoreMatrix(
        scores_AC[rows], [matrix.clip_ids[a] for a in rows], matrix.caption_ids, matrix.clip_of_caption
    )
    ours, theirs = figures_of(protocol, matrix), figures_of(protocol, shuffled)
    assert dict(theirs.text_to_audio) == pytest.approx(dict(ours.text_to_audio), abs=1e-12)
    assert dict(theirs.audio_to_text) == pytest.approx(dict(ours.audio_to_text), abs=1e-12)
