"""Perturbation tests from captions to figures and table, with scorers whose accuracy is known."""

import csv
import json

import numpy as np
import pytest

from atrkit.errors import DivergedError, ResourceError
from atrkit.reports.perturbation_table import perturbation_table
from atrkit.workflows.perturbation import perturbation_result


class Clips:
    """Two clips with two captions and four; the same caption on both, and one without a relation word."""

    captions = (
        ("rain falls then a dog barks", "a dog barks after rain falls"),
        (
            "a bell rings while wind blows",
            "rain falls then a dog barks",
            "wind and a bell",
            "a bell rings while wind blows",
        ),
    )
    caption_ids = ("rain, dog#1", "rain, dog#2", "bell#1", "bell#2", "bell#3", "bell#4")
    clip_of_caption = ("rain, dog", "rain, dog", "bell", "bell", "bell", "bell")


class Scorer:
    """Scores pairs by a rule, and remembers what it was asked."""

    def __init__(self, rule):
        self.rule = rule
        self.calls = []

    def __call__(self, clip_index_N, captions_N):
        self.calls.append(list(zip(clip_index_N.tolist(), captions_N, strict=True)))
        return np.array([self.rule(*pair) for pair in self.calls[-1]], dtype=np.float32)


def knows_originals(clip, caption):
    return -1.0 if caption in Clips.captions[clip] else -2.5


def run(scorer, folder, clips=None, seed=0):
    result = perturbation_result(clips or Clips(), scorer, seed=seed, csv_path=folder / "perturbed_captions.csv")
    rows = list(csv.DictReader((folder / "perturbed_captions.csv").open(encoding="utf-8", newline="")))
    return result, rows


def accuracy_of(result):
    return {(test["kind"], test["set_name"]): test["accuracy"] for test in result["tests"]}


def test_a_scorer_that_knows_the_originals_is_always_right(tmp_path):
    result, rows = run(Scorer(knows_originals), tmp_path)
    assert (result["captions"], result["clips"], result["seed"]) == (6, 2, 0)
    assert set(accuracy_of(result).values()) == {1.0}
    assert {row["hit"] for row in rows} == {"1"}


def test_a_bag_of_words_cannot_tell_sides_apart(tmp_path):
    result, rows = run(Scorer(lambda clip, caption: float(sum(map(len, caption.split())))), tmp_path)
    assert {value for (kind, _), value in accuracy_of(result).items() if kind == "invert"} == {0.5}
    assert {row["hit"] for row in rows if row["kind"] == "invert"} == {"0.5"}
    assert {test["ties"] == test["n"] for test in result["tests"] if test["kind"] == "invert"} == {True}


def test_captions_are_scored_on_their_own_clip(tmp_path):
    """The caption that both clips have is right on the first and wrong on the second."""
    result, rows = run(Scorer(lambda clip, caption: (1 - 2 * clip) * knows_originals(clip, caption)), tmp_path)
    hits = {row["caption_id"]: row["hit"] for row in rows}
    assert (hits["rain, dog#1"], hits["bell#2"]) == ("1", "0")
    assert accuracy_of(result)["invert", "seq"] == pytest.approx(2 / 3)


def test_every_pair_is_scored_once_in_one_call(tmp_path):
    scorer = Scorer(knows_originals)
    run(scorer, tmp_path)
    (pairs,) = scorer.calls
    assert len(pairs) == len(set(pairs))
    originals = {(clip, caption) for clip, captions in enumerate(Clips.captions) for caption in captions}
    assert set(pairs) & originals == originals - {(1, "wind and a bell")}


def test_the_table_says_what_was_compared(tmp_path):
    result, rows = run(Scorer(knows_originals), tmp_path)
    assert list(rows[0]) == [
        *("kind", "set", "clip", "caption_id", "original", "perturbed"),
        *("score_original", "score_perturbed", "hit"),
    ]
    assert len(rows) == sum(test["n"] for test in result["tests"])
    swapped = next(row for row in rows if (row["set"], row["caption_id"]) == ("seq", "rain, dog#1"))
    assert swapped == {
        "kind": "invert",
        "set": "seq",
        "clip": "rain, dog",
        "caption_id": "rain, dog#1",
        "original": "rain falls then a dog barks",
        "perturbed": "a dog barks then rain falls",
        "score_original": "-1.0",
        "score_perturbed": "-2.5",
        "hit": "1",
    }


def test_the_result_is_json_and_can_be_shown(tmp_path):
    result, _ = run(Scorer(knows_originals), tmp_path)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    about = {"run": "r", "dataset": "d", "split": "s", "scoring": "cosine"}
    assert perturbation_table({**about, "perturbation": result})


def test_counts_of_what_was_left_out_stand_beside_the_figures(tmp_path):
    result, _ = run(Scorer(knows_originals), tmp_path)
    sequence = next(test for test in result["tests"] if (test["kind"], test["set_name"]) == ("invert", "seq"))
    assert (sequence["n"], sequence["clips"], sequence["without_word"]) == (3, 2, 3)


def test_same_seed_same_result_and_same_bytes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    results = [run(Scorer(knows_originals), folder, seed=5)[0] for folder in (first, second)]
    assert results[0] == results[1]
    assert (first / "perturbed_captions.csv").read_bytes() == (second / "perturbed_captions.csv").read_bytes()


def test_the_seed_draws_the_words_that_are_put_in(tmp_path):
    drawn = set()
    for seed in range(20):
        _, rows = run(Scorer(knows_originals), tmp_path, seed=seed)
        drawn |= {row["perturbed"] for row in rows if (row["set"], row["caption_id"]) == ("sup2seq", "bell#1")}
    assert len(drawn) == 5


def test_captions_without_any_relation_word_need_no_scores(tmp_path):
    class Plain(Clips):
        captions = (("rain",), ("a bell",))
        caption_ids = ("rain#1", "bell#1")
        clip_of_caption = ("rain", "bell")

    scorer = Scorer(knows_originals)
    result, rows = run(scorer, tmp_path, Plain())
    assert (scorer.calls, rows) == ([], [])
    assert set(accuracy_of(result).values()) == {None}


def test_nan_names_the_caption_and_leaves_no_table(tmp_path):
    with pytest.raises(DivergedError, match="caption 'rain, dog#2'"):
        run(Scorer(lambda clip, caption: np.nan if "after" in caption else 0.0), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError):
        perturbation_result(Clips(), Scorer(knows_originals), seed=0, csv_path=tmp_path / "file" / "table.csv")


def test_scores_within_the_tolerance_are_half_a_hit(tmp_path):
    def almost_deaf(clip_index_N, captions):
        return np.array([1e-7 * (len(caption) % 3) for caption in captions])

    result = perturbation_result(Clips(), almost_deaf, seed=0, csv_path=tmp_path / "p.csv", tie_tolerance=1e-6)
    tests = [test for test in result["tests"] if test["n"]]
    assert tests and all(test["accuracy"] == 0.5 and test["ties"] == test["n"] for test in tests)
