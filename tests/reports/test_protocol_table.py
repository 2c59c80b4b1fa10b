"""Other code bases' figures as people see them: 80 columns, no colour, a star where they are not ours."""

import io

import numpy as np
from rich.console import Console

from atrkit import ScoreMatrix
from atrkit.metrics.protocols import PROTOCOLS, protocol_figures
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.tie_blocks import audio_to_text_ranks, text_to_audio_ranks
from atrkit.reports.protocol_table import protocol_table

GOLDEN = """\
The same scores as other code bases compute them
                     R@1      R@5     R@10   mAP@10   MedR    MnR
-----------------------------------------------------------------
text to audio      100.0    100.0    100.0    100.0    1.0    1.0
  wavcaps          100.0    100.0    100.0    100.0    1.0    1.0
  laion            100.0    100.0    100.0    100.0    1.0    1.0
  dcase23          100.0    100.0    100.0    100.0
  mteb hit_rate    100.0    100.0    100.0    100.0
  mteb recall      100.0    100.0    100.0
  koepke           100.0    100.0    100.0             1.0    1.0

audio to text      100.0    100.0    100.0    100.0    1.0    1.0
  wavcaps          100.0    100.0    100.0    60.0*    1.0    1.0
  laion            100.0    100.0    100.0    73.3*
  dcase23          33.3*    100.0    100.0    100.0
  mteb hit_rate    100.0    100.0    100.0    100.0
  mteb recall      33.3*    100.0    100.0
  koepke            0.0*    100.0    100.0            2.0*   2.0*

* differs from ours; never mix figures of two protocols in one table
wavcaps: MedR is rounded down; A2T AP is divided by 5, also for 2 clips with
more or fewer captions
laion: MedR is rounded down; A2T AP goes by the stored order of captions and is
divided by 5, also for 2 clips with more or fewer captions
dcase23: A2T R@k is the fraction of a clip's captions in the top k, not whether
any is there
mteb: hit_rate is what we call R@k, recall the fraction of what is relevant
  its binary nDCG@10: 100.0 % text to audio, 100.0 % audio to text
koepke: ties take their mean rank, also those among a clip's own captions; R@k
counts such ranks within k
"""


def rendering_of(result):
    console = Console(file=io.StringIO(), width=80)
    console.print(protocol_table(result))
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def result_of(matrix, ks=(1, 5, 10), protocols=PROTOCOLS):
    ranks = text_to_audio_ranks(matrix), audio_to_text_ranks(matrix)
    figures = [protocol_figures(protocol, *ranks) for protocol in protocols]
    return {**evaluate(matrix, ks), "protocols": [vars(each) for each in figures]}


def three_perfect_tied_captions_each():
    scores_AC = np.repeat(np.eye(2), 3, axis=1)
    return ScoreMatrix(scores_AC, ["a", "b"], [str(c) for c in range(6)], ["a"] * 3 + ["b"] * 3)


def test_all_protocols_below_ours():
    assert rendering_of(result_of(three_perfect_tied_captions_each())) == GOLDEN


def test_where_ours_has_other_cut_offs_nothing_is_said_to_differ():
    shown = rendering_of(result_of(three_perfect_tied_captions_each(), ks=(2,), protocols=["dcase23"]))
    rows = [line.split() for line in shown.splitlines() if line.startswith("  dcase23")]
    assert rows[1] == ["dcase23", "33.3", "100.0", "100.0", "100.0"]


def test_cut_offs_that_were_asked_for_are_columns_too():
    matrix = three_perfect_tied_captions_each()
    shown = rendering_of(result_of(matrix, ks=(1, 5, 10, 50), protocols=["wavcaps", "laion"])).splitlines()
    assert shown[1].split() == ["R@1", "R@5", "R@10", "R@50", "mAP@10", "MedR", "MnR"]
    wavcaps, laion = (next(line for line in shown if line.startswith(f"  {name}")) for name in ("wavcaps", "laion"))
    assert wavcaps.split()[1:5] == ["100.0"] * 4, "that code has R@50"
    assert len(laion.split()) == 7, "that one has not, and nothing stands there"
    many = rendering_of(result_of(matrix, ks=(1, 2, 3, 5, 10, 50))).splitlines()
    assert all(len(line) <= 80 for line in many) and "R@50" in many[1]


def test_the_ndcg_of_mteb_is_shown():
    matrix = three_perfect_tied_captions_each()
    assert "its binary nDCG@10: 100.0 %" in rendering_of(result_of(matrix))
    assert "nDCG" not in rendering_of(result_of(matrix, protocols=["laion"]))
