"""Intervals and published differences in the recall tables: 80 columns, numbers below numbers."""

import io

import pytest
from rich.console import Console

from atrkit.reports.recall_table import recall_table, scalings_table
from atrkit.reports.seeds_table import runs_table

CHANCE = {f"chance_{name}": 0.01 for name in ("R@1", "R@5", "R@10", "mAP@10", "MedR", "MnR")}
HUBS = {"distinct_at_rank_1": 20.0, "queries": 200, "candidates": 1000}


def direction(recall: float, queries: int, with_ci: bool = True) -> dict:
    figures = {"R@1": recall, "R@5": 0.4, "R@10": 1.0, "mAP@10": 0.3, "MedR": 9.5, "MnR": 1020.25}
    ends = {name: [0.9 * value, 1.1 * value] for name, value in figures.items()} if with_ci else None
    more = {"queries": queries, "candidates": 1200 - queries, "tied_queries": 0, "skipped_queries": 0}
    return {**figures, **CHANCE, **more, **({"ci": ends} if ends else {})}


def result(with_ci: bool = True, **more) -> dict:
    return {
        "run": "retrieval/seed-1",
        "dataset": "clotho",
        "split": "eval",
        "pool_id": "1a2b3c4d5e6f",
        "scoring": "cross_entropy",
        "column_scaling": "minmax",
        "text_to_audio": direction(0.2, 1000, with_ci),
        "audio_to_text": direction(0.25, 200, with_ci),
        **more,
    }


def shown(of: dict) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(recall_table([of]))
    return console.file.getvalue()


def test_few_clips_are_said_and_one_has_no_interval():
    of = result()
    of["audio_to_text"]["ci_clips"] = 12
    assert "12 clips: the interval is too narrow" in shown(of)
    of["audio_to_text"]["ci_clips"] = 30
    assert "too narrow" not in shown(of)
    of["text_to_audio"] |= {"ci": dict.fromkeys(of["text_to_audio"]["ci"]), "ci_clips": 1}
    rows = [line.split() for line in shown(of).splitlines() if line.split()[:1] in (["95"], ["to"])]
    assert rows[0] == ["95", "%", "interval", *6 * "-"]
    assert "1 clip: it says nothing about others, so no interval" in shown(of)


TARGET = {
    "paper": "004",
    "table": 2,
    "values": {
        "text_to_audio": {"R@1": 18.5, "R@5": 50.0},
        "audio_to_text": {"R@1": 25.5},
        "audio_to_text_raw": {"R@1": 3.8},
    },
}
DIFFERENCE = {
    "text_to_audio": {
        "R@1": {"published": 0.185, "difference": 0.015, "inside_ci": True},
        "R@5": {"published": 0.5, "difference": -0.1, "inside_ci": False},
    },
    "audio_to_text": {"R@1": {"published": 0.255, "difference": -0.0001, "inside_ci": True}},
    "audio_to_text_raw": {"R@1": {"published": 0.038, "difference": 0.002, "inside_ci": True}},
}

GOLDEN = """\
retrieval/seed-1 on clotho/eval
1,000 captions, 200 clips, pool 1a2b3c4d; scores: cross_entropy, column scaling
minmax; R@k, mAP in %
                     R@1      R@5    R@10   mAP@10   MedR       MnR
-------------------------------------------------------------------
text to audio       20.0     40.0   100.0     30.0    9.5   1,020.2
  95 % interval     18.0     36.0    90.0     27.0    8.6     918.2
             to     22.0     44.0   110.0     33.0   10.5   1,122.3
  chance             1.0      1.0     1.0      1.0    0.0       0.0
  paper 004         18.5     50.0
  difference        +1.5   -10.0*

audio to text       25.0     40.0   100.0     30.0    9.5   1,020.2
  95 % interval     22.5     36.0    90.0     27.0    8.6     918.2
             to     27.5     44.0   110.0     33.0   10.5   1,122.3
  unscaled           4.0     40.0   100.0     30.0    9.5   1,020.2
    95 % interval    3.6     36.0    90.0     27.0    8.6     918.2
               to    4.4     44.0   110.0     33.0   10.5   1,122.3
  chance             1.0      1.0     1.0      1.0    0.0       0.0
  paper 004         25.5
  difference         0.0
  paper, unscaled    3.8
  difference        +0.2

95 % interval: bootstrap over clips with their captions, 10,000 resamples
difference: measured - published, in points; *: the published value lies outside
the interval
the recipe aims at paper 004, table 2
"""


def rendering_of(table, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def test_intervals_and_differences_stand_below_what_they_are_of():
    full = result(target=TARGET, target_difference=DIFFERENCE, audio_to_text_raw=direction(0.04, 200))
    assert rendering_of(recall_table([full])) == GOLDEN


def test_without_intervals_there_are_no_rows_and_no_note():
    shown = rendering_of(recall_table([result(with_ci=False)]))
    assert "95 %" not in shown and "difference" not in shown


@pytest.mark.parametrize(
    ("inside", "note"),
    [
        (True, "in points; every published value lies inside the interval"),
        (None, "in points\n"),
        (False, "*: the published value lies outside the interval"),
    ],
)
def test_whether_the_published_value_lies_inside_is_said(inside, note):
    target = {"paper": "001", "values": {"text_to_audio": {"R@1": 18.5}}}
    differences = {"text_to_audio": {"R@1": {"published": 0.185, "difference": 0.015, "inside_ci": inside}}}
    shown = rendering_of(recall_table([result(target=target, target_difference=differences)]), width=120)
    assert note in shown and ("+1.5*" in shown) == (inside is False)


def test_several_scalings_have_an_interval_each():
    results = [result(column_scaling=name, hubness={"text_to_audio": HUBS, "audio_to_text": HUBS}) for name in
               ("none", "minmax")]  # fmt: skip
    shown = rendering_of(scalings_table(results))
    assert shown.count("95 % interval ") == 3 and shown.count("95 % interval:") == 1
    assert max(map(len, shown.splitlines())) <= 80


def test_each_of_several_runs_has_its_interval():
    shown = rendering_of(runs_table([result(), result(run="other/seed-1")]))
    assert shown.count("95 % interval ") == 4 and shown.count("95 % interval:") == 1
    assert max(map(len, shown.splitlines())) <= 80


def test_results_without_audio_to_text_can_have_intervals():
    shown = rendering_of(recall_table([result(audio_to_text=None)]))
    assert shown.count("95 % interval ") == 1
