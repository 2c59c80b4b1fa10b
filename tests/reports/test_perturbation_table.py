"""The perturbation table as people see it: 80 columns, no colour."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from atrkit.reports.perturbation_table import perturbation_table

NOTHING = {"ties": 0, "several_words": 0, "without_word": 0, "nothing_to_swap": 0, "unchanged": 0}


def counted_test(kind, set_name, accuracy, n, **counts):
    measured = {"accuracy": accuracy, "ci_low": accuracy - 0.02, "ci_high": accuracy + 0.0213} if n else {}
    return {"kind": kind, "set_name": set_name, "n": n, "clips": n // 2, **NOTHING, **measured, **counts}


TESTS = [
    counted_test("replace", "before_after", 0.768, 155, without_word=5070, several_words=4),
    counted_test("replace", "seq2sup", 0.8249, 636, without_word=4589, several_words=73, ties=1),
    counted_test("replace", "sup2seq", 0.903, 1280, without_word=3945, several_words=35),
    counted_test("invert", "before_after", 0.892, 138, without_word=5070, several_words=3, nothing_to_swap=17),
    counted_test("invert", "seq", 0.906, 618, without_word=4589, nothing_to_swap=18, unchanged=1),
    counted_test("invert", "sup", 0.9787, 1190, without_word=3945, nothing_to_swap=90),
]
RESULT = {
    "run": "cnext_trans/clotho/seed-1",
    "dataset": "clotho",
    "split": "eval",
    "scoring": "cross_entropy",
    "target": None,
    "perturbation": {"seed": 0, "captions": 5225, "clips": 1045, "tests": TESTS},
}
# paper 004, table 5
TARGET = {
    "paper": "004",
    "table": 2,
    "row": "CL CNext-trans",
    "values": {
        "text_to_audio": {"R@1": 13.7},
        "replace": {"before_after": 76.8, "seq2sup": 82.5, "sup2seq": 90.3},
        "invert": {"before_after": 89.2, "seq": 90.6, "sup": 77.8},
    },
}

GOLDEN = """\
cnext_trans/clotho/seed-1 on clotho/eval
5,225 captions, 1,045 clips, perturbed; scores: cross_entropy; accuracy in %
type      set            accuracy   95 % interval       n   chance
------------------------------------------------------------------
replace   before_after       76.8    [74.8, 78.9]     155     50.0
          seq2sup            82.5    [80.5, 84.6]     636     50.0
          sup2seq            90.3    [88.3, 92.4]   1,280     50.0

invert    before_after       89.2    [87.2, 91.3]     138     50.0
          seq                90.6    [88.6, 92.7]     618     50.0
          sup                97.9   [95.9, 100.0]   1,190     50.0

replace: no word of the set, left out: before_after 5,070, seq2sup 4,589,
sup2seq 3,945
replace: several words of the set, the first taken: before_after 4, seq2sup 73,
sup2seq 35
replace: equal scores, half a hit each: seq2sup 1
invert: no word of the set, left out: before_after 5,070, seq 4,589, sup 3,945
invert: begins or ends with the word, left out: before_after 17, seq 18, sup 90
invert: the same after swapping, left out: seq 1
invert: several words of the set, the first taken: before_after 3
"""


def rendering_of(result, **options):
    """What a console of 80 columns prints, without the blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=80, **options)
    console.print(perturbation_table(result))
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def test_the_whole_table():
    assert rendering_of(RESULT) == GOLDEN


def test_the_papers_figures_stand_beside_the_measured_ones():
    lines = rendering_of({**RESULT, "target": TARGET}).splitlines()
    assert lines[2].endswith("chance   paper 004")
    assert [line.split()[-1] for line in lines[4:7] + lines[8:11]] == ["76.8", "82.5", "90.3", "89.2", "90.6", "77.8"]
    assert max(map(len, lines)) <= 80


def test_a_figure_that_the_paper_does_not_have_stays_empty():
    target = {"paper": "004", "values": {"replace": {"seq2sup": 82.5}}}
    lines = rendering_of({**RESULT, "target": target}).splitlines()
    assert lines[4].endswith("50.0")
    assert lines[5].endswith("50.0        82.5")


@pytest.mark.parametrize(
    "target", [None, {"paper": "002", "values": None}, {"paper": "001", "values": {"text_to_audio": {"R@1": 30.1}}}]
)
def test_a_target_about_something_else_adds_no_column(target):
    assert rendering_of({**RESULT, "target": target}) == GOLDEN


def test_a_set_whose_words_no_caption_has_is_a_row_without_accuracy():
    empty = {**counted_test("invert", "sup", 0, 0, without_word=10), "accuracy": None, "ci_low": None, "ci_high": None}
    result = {**RESULT, "perturbation": {**RESULT["perturbation"], "tests": [empty]}}
    assert rendering_of(result).splitlines()[4].split() == ["invert", "sup", "-", "-", "0", "50.0"]


def test_colours_add_nothing_that_cannot_be_read_without():
    coloured = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor")
    with coloured.capture() as capture:
        coloured.print(perturbation_table(RESULT))
    lines = Text.from_ansi(capture.get()).plain.splitlines()
    assert "".join(f"{line.rstrip()}\n" for line in lines) == GOLDEN


def test_names_are_not_mistaken_for_markup():
    assert rendering_of({**RESULT, "run": "[red]run[/]", "dataset": ":smile:"}).startswith(
        "[red]run[/] on :smile:/eval\n"
    )
