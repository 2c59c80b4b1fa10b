"""Which tables stand below each other for one evaluation."""

import io

import numpy as np
import pytest
from rich.console import Console

from atrkit import ScoreMatrix
from atrkit.reports.evaluation_tables import evaluation_tables
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.retrieval_figures import FigureOptions, retrieval_figures

ABOUT = {"metric": "recall", "run": "dual/seed-1", "dataset": "own", "split": "eval", "scoring": "cross_entropy"}
GRADED = Judgements("ours", {"c0": {"clip 0": 3, "clip 1": 1}, "c5": {"clip 2": 2}})


def results(scalings, options, judgements=None):
    owners = np.repeat(range(4), 3)
    scores_AC = np.random.default_rng(0).random((4, 12))
    matrix = ScoreMatrix(
        scores_AC, [f"clip {a}" for a in range(4)], [f"c{c}" for c in range(12)], [f"clip {a}" for a in owners]
    )
    figures = retrieval_figures(matrix, matrix, caption_texts=None, options=options, judgements=judgements)
    about = {**ABOUT, "pool_id": matrix.pool_id}
    return [{**about, "column_scaling": scaling, **figures} for scaling in scalings]


def shown(results, **options):
    console = Console(file=io.StringIO(), width=80)
    console.print(evaluation_tables(results, **options))
    return console.file.getvalue()


def test_scalings_stand_side_by_side():
    text = shown(results(["none", "minmax"], FigureOptions()))
    assert text.count("dual/seed-1 on own/eval") == 1 and "distinct" in text


@pytest.mark.parametrize("options", [{"show_full": True}, {"show_tie_bounds": True}])
def test_more_rows_need_a_table_for_each_scaling(options):
    assert shown(results(["none", "minmax"], FigureOptions()), **options).count("dual/seed-1 on own/eval") == 2


def test_protocols_need_a_table_for_each_scaling():
    text = shown(results(["none", "minmax"], FigureOptions(protocols=("mteb",))))
    assert text.count("The same scores as other code bases compute them") == 2


def test_by_judgements_every_scaling_has_the_same_table_which_is_shown_once():
    text = shown(results(["none", "minmax"], FigureOptions(qrels="ours"), GRADED))
    assert text.count("dual/seed-1 on own/eval") == 1
    assert not any(line.startswith("audio to text") for line in text.splitlines()) and "nDCG@10" in text
    assert "relevant by ours: 2 clips to 2 captions (grade 2 of 3, half of the highest, or" in text
    assert "no audio to text: clips were judged for captions, not captions for clips" in text


def test_by_judgements_nothing_is_said_of_captions_that_were_not_judged():
    twins = {"accuracy": 0.9, "ci_low": 0.8, "ci_high": 1.0, "n": 8, "p": 0.01}
    (by_own_clip,) = results(["none"], FigureOptions())
    (judged,) = results(["none"], FigureOptions(qrels="ours"), GRADED)
    text = shown([{**judged, "twin_order": twins}])
    assert "2 judged captions, 4 clips, pool" in text
    assert "distinct at rank 1" not in text and "twin order" not in text
    of_all = shown([{**by_own_clip, "twin_order": twins}])
    assert "\n12 captions, 4 clips, pool" in of_all
    assert "distinct at rank 1" in of_all and "twin order" in of_all
