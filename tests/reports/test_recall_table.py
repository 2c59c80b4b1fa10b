"""The recall table as people see it: 80 columns, no colour."""

import copy
import io

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from atrkit import ScoreMatrix
from atrkit.metrics.ranking import evaluate
from atrkit.reports.recall_table import recall_table, scalings_table

TO_AUDIO = {
    "R@1": 0.4201,
    "R@5": 0.793,
    "R@10": 0.9,
    "mAP@10": 0.5834,
    "MedR": 2.0,
    "MnR": 6.23,
    "queries": 1200,
    "candidates": 240,
    "chance_R@1": 1 / 240,
    "chance_R@5": 5 / 240,
    "chance_R@10": 10 / 240,
    "chance_mAP@10": 0.0122,
    "chance_MedR": 120.5,
    "chance_MnR": 120.5,
    "tied_queries": 0,
    "skipped_queries": 0,
}
TO_TEXT = {**TO_AUDIO, "R@1": 0.5212, "MedR": 1.5, "queries": 240, "candidates": 1200, "chance_R@1": 0.0002}

PLAIN_RESULT = {
    "run": "synthetic/retrieval/seed-1",
    "dataset": "synthetic",
    "split": "eval",
    "pool_id": "1a2b3c4d5e6f7a8b",
    "scoring": "cosine",
    "column_scaling": "none",
    "text_to_audio": TO_AUDIO,
    "audio_to_text": TO_TEXT,
}

FULL_RESULT = {
    **PLAIN_RESULT,
    "column_scaling": "minmax",
    "text_to_audio": {**TO_AUDIO, "tied_queries": 3},
    "audio_to_text": {**TO_TEXT, "skipped_queries": 2},
    "twin_order": {
        "accuracy": 0.723,
        "ci_low": 0.681,
        "ci_high": 0.762,
        "n": 800,
        "p": 0.00005,
        "groups": 80,
        "incomplete_groups": 1,
        "unpaired_captions": 4,
    },
    "hubness": {
        "text_to_audio": {"distinct_at_rank_1": 201.0, "queries": 1200, "candidates": 240},
        "audio_to_text": {"distinct_at_rank_1": 143.25, "queries": 240, "candidates": 1200},
    },
    "duplicate_captions": {"captions": 14, "of": 1200, "ceiling_text_to_audio_R1": 0.988},
    "target": {
        "paper": "004",
        "table": 2,
        "row": "CL CNext-trans",
        "values": {"text_to_audio": {"R@1": 18.3, "R@5": 42.1}, "audio_to_text": {"R@1": 14.8}},
    },
    "clips_trained_on": 5,
}

PLAIN_GOLDEN = """\
synthetic/retrieval/seed-1 on synthetic/eval
1,200 captions, 240 clips, pool 1a2b3c4d; scores: cosine; R@k, mAP in %
                 R@1    R@5   R@10   mAP@10    MedR     MnR
-----------------------------------------------------------
text to audio   42.0   79.3   90.0     58.3     2.0     6.2
  chance         0.4    2.1    4.2      1.2   120.5   120.5

audio to text   52.1   79.3   90.0     58.3     1.5     6.2
  chance        <0.1    2.1    4.2      1.2   120.5   120.5

"""

FULL_GOLDEN = """\
synthetic/retrieval/seed-1 on synthetic/eval
1,200 captions, 240 clips, pool 1a2b3c4d; scores: cosine, column scaling minmax;
R@k, mAP in %
                 R@1    R@5   R@10   mAP@10    MedR     MnR
-----------------------------------------------------------
text to audio   42.0   79.3   90.0     58.3     2.0     6.2
  chance         0.4    2.1    4.2      1.2   120.5   120.5
  paper 004     18.3   42.1

audio to text   52.1   79.3   90.0     58.3     1.5     6.2
  chance        <0.1    2.1    4.2      1.2   120.5   120.5
  paper 004     14.8

twin order 72.3 % [68.1, 76.2], n = 800, p < .0001 (chance 50.0 %)
  1 twin groups are incomplete: left out
  4 captions have no counterpart on the twin: left out
distinct at rank 1: 201 clips for 1,200 captions, 143.2 captions for 240 clips
ties: 3 of 1,200 text-to-audio, 0 of 240 audio-to-text queries (at expectation)
captions shared by clips: 14 of 1,200; text-to-audio R@1 cannot pass 98.8 %
2 clips without captions: only candidates, no query in audio to text
the recipe aims at paper 004, table 2, row CL CNext-trans
NOTE: trained on 5 of these clips: figures on them measure memory
"""

SCALED_RESULT = {
    **PLAIN_RESULT,
    "scoring": "cross_entropy",
    "column_scaling": "minmax",
    "audio_to_text_raw": {**TO_TEXT, "R@1": 0.3},
    "hubness": {
        "text_to_audio": {"distinct_at_rank_1": 201.0, "queries": 1200, "candidates": 240},
        "audio_to_text": {"distinct_at_rank_1": 237.0, "queries": 240, "candidates": 1200},
        "audio_to_text_raw": {"distinct_at_rank_1": 143.0, "queries": 240, "candidates": 1200},
    },
    "target": {
        "paper": "004",
        "values": {"audio_to_text": {"R@1": 14.8}, "audio_to_text_raw": {"R@1": 3.8}},
    },
}

SCALED_GOLDEN = """\
synthetic/retrieval/seed-1 on synthetic/eval
1,200 captions, 240 clips, pool 1a2b3c4d; scores: cross_entropy, column scaling
minmax; R@k, mAP in %
                     R@1    R@5   R@10   mAP@10    MedR     MnR
---------------------------------------------------------------
text to audio       42.0   79.3   90.0     58.3     2.0     6.2
  chance             0.4    2.1    4.2      1.2   120.5   120.5

audio to text       52.1   79.3   90.0     58.3     1.5     6.2
  unscaled          30.0   79.3   90.0     58.3     1.5     6.2
  chance            <0.1    2.1    4.2      1.2   120.5   120.5
  paper 004         14.8
  paper, unscaled    3.8

distinct at rank 1: 201 clips for 1,200 captions, 237 captions for 240 clips
(143 unscaled)
the recipe aims at paper 004
"""


def rendering_of(results, width=80, **options):
    """What a console prints, without the blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(recall_table(results))
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def test_a_result_with_nothing_special():
    assert rendering_of([PLAIN_RESULT]) == PLAIN_GOLDEN


def test_a_result_with_everything():
    assert rendering_of([FULL_RESULT]) == FULL_GOLDEN


def test_scaled_and_unscaled_columns_stand_side_by_side_each_with_its_published_row():
    assert rendering_of([SCALED_RESULT]) == SCALED_GOLDEN


def test_what_is_published_of_scaled_columns_is_no_row_beside_unscaled_ones():
    unscaled = {key: value for key, value in SCALED_RESULT.items() if key != "audio_to_text_raw"}
    rendering = rendering_of([unscaled | {"column_scaling": "none", "hubness": None}])
    assert "3.8" in rendering and "14.8" not in rendering


def test_several_results_stand_below_each_other():
    assert rendering_of([PLAIN_RESULT, FULL_RESULT]) == PLAIN_GOLDEN + "\n" + FULL_GOLDEN


def test_colours_add_nothing_that_cannot_be_read_without():
    coloured = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    with coloured.capture() as capture:
        coloured.print(recall_table([FULL_RESULT]))
    lines = Text.from_ansi(capture.get()).plain.splitlines()
    assert "".join(f"{line.rstrip()}\n" for line in lines) == FULL_GOLDEN


def test_no_number_is_cut_in_a_narrow_terminal():
    narrow = rendering_of([FULL_RESULT], width=60)
    assert "text to audio   42.0   79.3   90.0     58.3     2.0     6.2\n" in narrow


def test_names_are_not_mistaken_for_markup():
    result = {**PLAIN_RESULT, "run": "[red]run[/]", "dataset": ":smile:"}
    assert rendering_of([result]).startswith("[red]run[/] on :smile:/eval\n")


@pytest.mark.parametrize(
    ("p", "text"), [(1 / 10_001, "p < .0001"), (0.0312, "p = .0312"), (0.0001, "p = .0001"), (1.0, "p = 1.0000")]
)
def test_p_values(p, text):
    result = copy.deepcopy(FULL_RESULT)
    result["twin_order"]["p"] = p
    assert f"n = 800, {text} (chance 50.0 %)" in rendering_of([result])


def test_other_cut_offs_are_columns_in_rising_order():
    matrix = ScoreMatrix(np.eye(3), list("abc"), list("xyz"), list("abc"))
    result = {**PLAIN_RESULT, **evaluate(matrix, ks=(16, 2))}
    header = rendering_of([result]).splitlines()[2]
    assert header.split() == ["R@2", "R@16", "mAP@10", "MedR", "MnR"]


def test_a_target_without_figures_is_named_and_adds_no_row():
    result = {**PLAIN_RESULT, "target": {"paper": "002", "table": None, "row": None, "values": None}}
    assert rendering_of([result]) == PLAIN_GOLDEN + "the recipe aims at paper 002\n"


def test_what_evaluate_returns_can_be_shown():
    matrix = ScoreMatrix(np.zeros((2, 4)), ["a", "b"], list("wxyz"), ["a", "a", "b", "b"])
    shown = rendering_of([{**PLAIN_RESULT, **evaluate(matrix)}])
    assert "4 captions, 2 clips" in shown
    assert "ties: 4 of 4 text-to-audio, 2 of 2 audio-to-text queries (at expectation)" in shown


SCALINGS_GOLDEN = """\
synthetic/retrieval/seed-1 on synthetic/eval
1,200 captions, 240 clips, pool 1a2b3c4d; scores: cross_entropy; R@k, mAP in %
                 R@1    R@5   R@10   mAP@10    MedR     MnR   distinct
----------------------------------------------------------------------
text to audio   42.0   79.3   90.0     58.3     2.0     6.2
  chance         0.4    2.1    4.2      1.2   120.5   120.5

audio to text
  unscaled      30.0   79.3   90.0     58.3     1.5     6.2      143.0
  minmax        52.1   79.3   90.0     58.3     1.5     6.2      237.0
  pmi           52.1   79.3   90.0     58.3     1.5     6.2      237.0
  chance        <0.1    2.1    4.2      1.2   120.5   120.5

distinct: captions at rank 1 for 240 clips; minmax-calib and pmi compare with
100 training clips
the recipe aims at paper 004
"""


def test_several_scalings_of_one_matrix_stand_side_by_side():
    hubness = SCALED_RESULT["hubness"]
    raw = SCALED_RESULT | {
        "column_scaling": "none",
        "audio_to_text": SCALED_RESULT["audio_to_text_raw"],
        "hubness": {"text_to_audio": hubness["text_to_audio"], "audio_to_text": hubness["audio_to_text_raw"]},
    }
    del raw["audio_to_text_raw"]
    pmi = SCALED_RESULT | {"column_scaling": "pmi", "calibration_clips": 100}
    console = Console(file=io.StringIO(), width=80)
    console.print(scalings_table([raw, SCALED_RESULT, pmi]))
    assert "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines()) == SCALINGS_GOLDEN


def matrix_of(scores_AC):
    clips = [f"clip{a}" for a in range(len(scores_AC))]
    return ScoreMatrix(scores_AC, clips, [f"c{c}" for c in range(len(scores_AC[0]))], clips)


def test_distances_are_recognised_by_figures_below_chance():
    """All figures, in both directions: what is worse in some of them alone is a bad model."""
    distances_AC = np.arange(36.0).reshape(6, 6) * 0.001 - np.eye(6)
    result = {**PLAIN_RESULT, **evaluate(matrix_of(distances_AC))}
    assert "NOTE: below chance in every figure: are these distances? higher is better;" in rendering_of([result])
    for fine in (-distances_AC, np.zeros((6, 6)), np.where(np.arange(6) == 0, -distances_AC, distances_AC)):
        assert "below chance" not in rendering_of([{**PLAIN_RESULT, **evaluate(matrix_of(fine))}])
    of_lists = {**result, "audio_to_text": None, "text_to_audio": {**result["text_to_audio"], "MnR": None}}
    assert "below chance" in rendering_of([of_lists]), "what is not known does not hide it"


def test_where_ties_are_asked_for_and_there_are_none_that_is_said():
    def shown(result):
        console = Console(file=io.StringIO(), width=80)
        console.print(recall_table([result], show_tie_bounds=True))
        return console.file.getvalue()

    assert "ties: no tied query" in shown(PLAIN_RESULT)
    assert "no tied query" not in shown(FULL_RESULT) and "no tied query" not in rendering_of([PLAIN_RESULT])


def test_the_unit_of_a_long_title_is_not_torn():
    title = rendering_of([{**PLAIN_RESULT, "scoring": "challenge submission"}]).splitlines()[1:3]
    assert title[0].endswith("; scores: challenge submission;") and title[1] == "R@k, mAP in %"
