"""Tables of compared systems: every format says the same figures, and can be pasted."""

import copy
import io
import re

import pytest
from rich.console import Console

from atrkit.reports.comparison_latex import comparison_latex
from atrkit.reports.comparison_markdown import comparison_markdown
from atrkit.reports.comparison_text import comparison_text

FIGURES = ("R@1", "R@5", "R@10", "mAP@10")
DIRECTIONS = ("text_to_audio", "audio_to_text")


def system(name: str, first: float, *, deviation: float | None = None, **more) -> dict:
    """Recalls that rise from `first`, a fraction, by a tenth each."""
    means = {figure: first + 0.1 * place for place, figure in enumerate(FIGURES)} | {"MedR": 3.5, "MnR": 9.0}
    figures = {figure: {"mean": mean, "deviation": deviation} for figure, mean in means.items()}
    about = {"n": 1 if deviation is None else 3, "scoring": "cosine", "column_scaling": "none", "runs": [name]}
    return {"name": name, **about, "text_to_audio": figures, "audio_to_text": figures, "clips_trained_on": 0, **more}


def difference(value: float, p: float | None, holm: float | None = None) -> dict:
    return {"difference": value, "ci": [value - 0.02, value + 0.03], "p": p, "p_holm": holm}


def comparison(name: str, value: float, holm: float | None = None) -> dict:
    found = {figure: difference(value, 0.0421, holm) for figure in FIGURES}
    found["MedR"] = {"difference": -1.5, "ci": [-2.0, 0.0], "p": None, "p_holm": None}
    return {"system": name, "baseline": "mean_pool", "text_to_audio": found, "audio_to_text": found}


RECORD = {
    "dataset": "clotho",
    "split": "eval",
    "pool_id": "14b78195aaaa",
    "clips": 1045,
    "captions": 5225,
    "queries": {"text_to_audio": 5225, "audio_to_text": 1045},
    "baseline": "mean_pool",
    "systems": [system("mean_pool", 0.1234), system("net & vlad", 0.1334, deviation=0.0046)],
    "comparisons": [comparison("net & vlad", 0.01)],
    "resamples": 10_000,
    "flips": 10_000,
    "holm_over": None,
    "target": None,
    "dedup": "none",
    "relevance": None,
    "left_out": None,
    "lists": [],
}
TARGET = {
    "paper": "004",
    "table": 2,
    "row": "CL CNext",
    "values": {"text_to_audio": {"R@1": 13.7, "R@5": 34.9}, "audio_to_text": {"R@1": 14.8}},
}


def as_text(record: dict, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(comparison_text(record))
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def markdown_tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, header first, without the ruler."""
    tables, rows = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            assert set("".join(rows[1])) <= set(":- ")
            tables.append([rows[0], *rows[2:]])
            rows = []
    return tables


def latex_tables(text: str) -> list[list[list[str]]]:
    """The cells of each row of each tabular, as LaTeX would split them."""
    tables = []
    for body in re.findall(r"\\begin\{tabular\}\{(l r*|lr+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        rows = [line.strip() for line in body[1].splitlines() if line.strip().endswith(r"\\")]
        tables.append([[cell.strip() for cell in re.split(r"(?<!\\)&", row.removesuffix(r"\\"))] for row in rows])
    return tables


TEXT_GOLDEN = """\
clotho/eval, 1,045 clips, 5,225 captions, pool 14b78195; R@k, mAP in %
                 T2A                       A2T
                 R@1   R@5  R@10  mAP@10   R@1   R@5  R@10  mAP@10
------------------------------------------------------------------
mean_pool       12.3  22.3  32.3    42.3  12.3  22.3  32.3    42.3
n = 1
net & vlad      13.3  23.3  33.3    43.3  13.3  23.3  33.3    43.3
n = 3           ±0.5  ±0.5  ±0.5    ±0.5  ±0.5  ±0.5  ±0.5    ±0.5

net & vlad - mean_pool
                difference   95 % interval       p
--------------------------------------------------
text to audio
  R@1                 +1.0    [-1.0, +4.0]   .0421
  R@5                 +1.0    [-1.0, +4.0]   .0421
  R@10                +1.0    [-1.0, +4.0]   .0421
  mAP@10              +1.0    [-1.0, +4.0]   .0421
  MedR                -1.5     [-2.0, 0.0]

audio to text
  R@1                 +1.0    [-1.0, +4.0]   .0421
  R@5                 +1.0    [-1.0, +4.0]   .0421
  R@10                +1.0    [-1.0, +4.0]   .0421
  mAP@10              +1.0    [-1.0, +4.0]   .0421
  MedR                -1.5     [-2.0, 0.0]

mean ± sample standard deviation over n seeds
scores: cosine
differences: system - mean_pool, in points, MedR in ranks; 95 % interval:
bootstrap over clips with their captions, 10,000 resamples, the same for all
systems
p: two-sided, signs of the clips' differences flipped 10,000 times; it is about
other clips, not about other seeds; p and intervals hold the gallery as it is,
and so err towards no difference
"""


def test_the_text_fits_eighty_columns():
    assert as_text(RECORD).rstrip("\n") == TEXT_GOLDEN.rstrip("\n")


def test_the_best_of_each_column_is_bold_and_what_reads_the_same_is_equally_good():
    record = {**RECORD, "systems": [system("a", 0.12341), system("b", 0.12339), system("c", 0.1)]}
    (rows, _) = markdown_tables(comparison_markdown(record))
    assert [row[1] for row in rows[1:]] == ["**12.3**", "**12.3**", "10.0"]
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    console.print(comparison_text(record))
    assert console.file.getvalue().count("\x1b[1m12.3\x1b[0m") == 4  # two systems, two directions


def test_markdown_holds_every_figure():
    text = comparison_markdown({**RECORD, "target": TARGET})
    systems, differences = markdown_tables(text)
    columns = [f"{direction} {figure}" for direction in ("T2A", "A2T") for figure in FIGURES]
    assert systems[0] == ["System", *columns]
    assert systems[1] == [r"mean\_pool (n = 1)", *2 * ["12.3", "22.3", "32.3", "42.3"]]
    best = ["**13.3 ± 0.5**", "**23.3 ± 0.5**", "**33.3 ± 0.5**", "**43.3 ± 0.5**"]
    assert systems[2] == ["net & vlad (n = 3)", *best, *best]
    assert systems[3] == ["*paper 004, table 2: CL CNext*", "13.7", "34.9", "", "", "14.8", "", "", ""]
    assert differences[0] == ["Figure", "Difference", "95 % interval", "p"]
    assert differences[1] == ["T2A R@1", "+1.0", r"\[-1.0, +4.0\]", ".0421"]
    assert differences[-1] == ["A2T MedR", "-1.5", r"\[-2.0, 0.0\]", ""]
    assert len(differences) == 11
    assert "1,045 clips, 5,225 captions, pool 14b78195" in text


def test_latex_holds_every_figure_in_complete_tables():
    text = comparison_latex({**RECORD, "target": TARGET})
    systems, differences = latex_tables(text)
    assert all(len(row) == 9 for row in systems[1:])
    assert systems[1] == ["System", *FIGURES, *FIGURES]
    assert systems[2] == [r"mean\_pool (n = 1)", *2 * ["12.3", "22.3", "32.3", "42.3"]]
    assert systems[3][:2] == [r"net \& vlad (n = 3)", r"\textbf{13.3 $\pm$ 0.5}"]
    assert systems[4] == ["paper 004, table 2: CL CNext", "13.7", "34.9", "", "", "14.8", "", "", ""]
    assert differences[0] == ["", "Difference", r"95 \% interval", "$p$"]
    assert differences[1] == [r"\multicolumn{4}{l}{net \& vlad - mean\_pool}"]
    assert differences[2] == ["Text to audio R@1", "$+$1.0", "{[$-$1.0, $+$4.0]}", ".0421"]
    for begin, end in (("table", 2), ("tabular", 2)):
        assert text.count(f"\\begin{{{begin}}}") == text.count(f"\\end{{{begin}}}") == end
    captions = [line for line in text.splitlines() if "\\caption{" in line]
    assert all("1,045 clips, 5,225 captions, pool 14b78195" in caption for caption in captions)
    assert "booktabs" in text.splitlines()[0]
    assert captions[0].strip() == (
        r"\caption{Retrieval on clotho/eval (1,045 clips, 5,225 captions, pool 14b78195), in \%, the best of each "
        r"column in bold; mean $\pm$ sample standard deviation over n seeds.}"
    )
    assert captions[1].strip() == (
        r"\caption{Differences to mean\_pool on clotho/eval (1,045 clips, 5,225 captions, pool 14b78195), in points "
        r"(MedR in ranks), with 95 \% intervals.}"
    )
    assert [line.strip() for line in text.splitlines() if "label" in line] == [
        r"\label{tab:systems}",
        r"\label{tab:differences}",
    ]
    assert_latex_is_sound(text)


def test_notes_stand_below_the_table_that_they_are_about_in_small_print():
    files = [system("mean_pool", 0.1), system("b.csv", 0.2, files=["b.csv"], clips_trained_on=None)]
    record = {**RECORD, "systems": files}
    of_systems, of_differences = re.findall(
        r"\\end\{tabular\}\n  \\par\\medskip\n  \\begin\{minipage\}\{\\linewidth\}\n    \\footnotesize"
        r"(.*?)\\end\{minipage\}\n\\end\{table\}",
        comparison_latex(record),
        re.DOTALL,
    )
    assert r"scores: cosine.\par" in of_systems and r"what was trained on is not known of b.csv.\par" in of_systems
    assert "bootstrap over clips" in of_differences and "two-sided" in of_differences
    assert "bootstrap" not in of_systems and "cosine" not in of_differences
    markdown = comparison_markdown(record)
    first, second = markdown.split("\nDifferences to ")
    assert "- scores: cosine" in first and "- p: two-sided" in second and "two-sided" not in first


def assert_latex_is_sound(text: str) -> None:
    """No special character but those that are meant, and as many braces open as close."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[#^~\"]", body)
    assert not re.search(r"(?<!\\)%", body)
    assert not re.search(r"(?<!\\)_", body)
    depth = 0
    for character in re.sub(r"\\[{}]", "", body):
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0 and body.count("$") % 2 == 0


NASTY = r"[a]_b|c*`d`<e>&f%g$h#i{j}k~l^m\n"


def test_names_with_special_characters_survive_everywhere():
    systems = [system(NASTY, 0.1), system("*star*", 0.2)]
    record = {**RECORD, "systems": systems, "baseline": NASTY, "comparisons": [comparison("*star*", 0.1)]}
    record["comparisons"][0]["baseline"] = NASTY
    latex = comparison_latex(record)
    assert_latex_is_sound(latex)
    rows = latex_tables(latex)[0]
    assert len(rows[2]) == len(rows[3]) == 9
    # a bracket or star behind \\ would be taken for an option of the line break
    assert rows[2][0].startswith("{[}a]") and rows[3][0].startswith("{*}star{*}")
    table, _ = markdown_tables(comparison_markdown(record))
    assert re.sub(r"\\(.)", r"\1", table[1][0]) == NASTY
    assert NASTY in as_text(record, width=200)


def test_several_systems_have_a_table_each_and_corrected_p():
    systems = [system("mean_pool", 0.1), system("b", 0.2), system("c", 0.3)]
    comparisons = [comparison("b", 0.1, holm=0.0842), comparison("c", 0.2, holm=0.0421)]
    record = {**RECORD, "systems": systems, "comparisons": comparisons, "holm_over": 2}
    _, first, second = markdown_tables(comparison_markdown(record))
    assert first[1][-2:] == [".0421", ".0842"] and second[1][-2:] == [".0421", ".0421"]
    assert "Holm: corrected for 2 systems, each figure by itself" in " ".join(as_text(record).split())
    assert latex_tables(comparison_latex(record))[1][2][-2:] == [".0421", ".0842"]


def test_one_direction_alone_has_half_the_columns():
    record = copy.deepcopy(RECORD)
    record |= {"queries": {"text_to_audio": 100}, "relevance": {"name": "experts", "least_grade": 2}}
    for each in (*record["systems"], *record["comparisons"]):
        del each["audio_to_text"]
    systems, differences = markdown_tables(comparison_markdown(record))
    assert len(systems[0]) == 5 and len(differences) == 6
    text = as_text(record)
    assert "A2T" not in text and "relevant: by experts, grade 2 or more" in text and "100 judged captions" in text
    assert len(latex_tables(comparison_latex(record))[0][2]) == 5


def test_figures_that_lists_do_not_tell_are_marked():
    record = copy.deepcopy(RECORD)
    for each in record["systems"]:
        each["text_to_audio"]["R@10"] = {"mean": None, "deviation": None}
    record["comparisons"][0]["text_to_audio"]["R@10"] = None
    record["lists"] = ["submission.csv"]
    systems, differences = markdown_tables(comparison_markdown(record))
    assert [row[3] for row in systems[1:]] == ["-", "-"]
    assert [row[0] for row in differences].count("T2A R@10") == 0
    assert "submission.csv: lists of the best clips" in as_text(record)


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"dedup": "text"}, "captions with the same words are relevant to each other's clips"),
        (
            {"left_out": {"a": {"clips": 1, "captions": 5}, "b": {"clips": 0, "captions": 0}}},
            "ranked again on what all share; left out: a 1 clip and 5 captions",
        ),
        (
            {
                "queries": {"text_to_audio": 50},
                "relevance": {"name": "graded.qrels", "least_grade": 2},
                "systems": [system("mean_pool", 0.1), system("b", 0.2)],
            },
            "relevant: by graded.qrels, grade 2 or more; no audio to text: clips were judged for captions",
        ),
        (
            {"systems": [system("mean_pool", 0.1, clips_trained_on=3), system("b", 0.2)]},
            "NOTE: mean_pool was trained on 3 of these clips: figures on them measure memory",
        ),
        (
            {"systems": [system("mean_pool", 0.1), system("b", 0.2, column_scaling="minmax", scoring="cross_entropy")]},
            "scores: cosine (mean_pool); cross_entropy, column scaling minmax (b)",
        ),
        (
            {"systems": [system("mean_pool", 0.1), system("b.csv", 0.2, files=["b.csv"], clips_trained_on=None)]},
            "what was trained on is not known of b.csv",
        ),
    ],
)
def test_what_must_be_known_to_believe_it_is_said(change, note):
    assert note in " ".join(as_text({**RECORD, **change}).split())


def test_what_is_judged_is_headed_by_the_judged_captions():
    record = {**RECORD, "queries": {"text_to_audio": 50}, "relevance": {"name": "graded.qrels", "least_grade": 2}}
    for text in (as_text(record), comparison_markdown(record), comparison_latex(record)):
        shown = " ".join(text.split())
        assert "50 judged captions" in shown and "5,225" not in shown


def test_an_interval_of_one_value_is_explained():
    """Not where a system is compared with itself, as nothing can differ there."""
    record = copy.deepcopy(RECORD)
    assert "of one value" not in as_text(record)
    record["comparisons"][0]["audio_to_text"]["MedR"] |= {"difference": -0.5, "ci": [-0.5, -0.5]}
    shown = " ".join(as_text(record).split())
    assert "one value (MedR): at least 95 % of the resamples give that difference, as medians move in steps" in shown
    record["comparisons"][0]["audio_to_text"]["MedR"] |= {"difference": 0.0, "ci": [0.0, 0.0]}
    assert "of one value" not in as_text(record)


def test_long_names_go_on_behind_a_slash():
    names = ["study/pooling/mean_over_all_frames/seed-1", "study/pooling/netvlad/seed-12", "x" * 60]
    shown = as_text({**RECORD, "systems": [system(name, 0.1) for name in names]})
    first_words = [line.split()[0] for line in shown.splitlines() if line.split()]
    assert max(map(len, shown.splitlines())) <= 80
    for part in ("mean_over_all_frames/", "study/pooling/netvlad/", "seed-12"):
        assert part in first_words, part
    wide = as_text({**RECORD, "systems": [system(name, 0.1) for name in names[:2]]}, width=120)
    assert f"\n{names[0]}  " in wide and f"\n{names[1]}  " in wide, "one line is enough"


@pytest.mark.parametrize(
    ("pair", "note"),
    [
        (["mean_pool", "mean_pool"], "mean_pool stands here twice: it does not differ from itself"),
        (["mean", "again"], "mean and again are the same: they do not differ"),
    ],
)
def test_what_stands_twice_is_said(pair, note):
    record = {**RECORD, "same_systems": [pair]}
    for text in (as_text(record), comparison_markdown(record), comparison_latex(record)):
        assert note in " ".join(text.replace("\\", "").split())


def test_unscaled_systems_stand_beside_what_is_published_of_unscaled_ones():
    target = {**TARGET, "values": {"audio_to_text": {"R@1": 14.8}, "audio_to_text_raw": {"R@1": 3.8}}}
    systems, _ = markdown_tables(comparison_markdown({**RECORD, "target": target}))
    assert systems[-1][5] == "3.8"
    scaled = [{**each, "column_scaling": "minmax"} for each in RECORD["systems"]]
    systems, _ = markdown_tables(comparison_markdown({**RECORD, "target": target, "systems": scaled}))
    assert systems[-1][5] == "14.8"


def test_an_interval_that_is_not_known_is_no_number():
    record = copy.deepcopy(RECORD)
    record["comparisons"][0]["text_to_audio"]["MedR"]["ci"] = None
    for text in (as_text(record), comparison_markdown(record), comparison_latex(record)):
        row = next(line for line in text.splitlines() if "MedR" in line)
        assert "[" not in row and "{[}" not in row
    record["resampled_clips"] = {"text_to_audio": 29, "audio_to_text": 40}
    assert "29 clips: the interval is too narrow" in as_text(record)
    record["resampled_clips"]["text_to_audio"] = 30
    assert "too narrow" not in as_text(record)


def test_the_median_rank_is_explained_where_it_is_shown():
    record = copy.deepcopy(RECORD)
    assert "in points, MedR in ranks" in as_text(record)
    for direction in ("text_to_audio", "audio_to_text"):
        record["comparisons"][0][direction]["MedR"] = None
    assert "in points;" in as_text(record) and "MedR" not in as_text(record)


def test_less_than_all_is_not_the_best_beside_all():
    record = copy.deepcopy(RECORD)
    for system, mean in zip(record["systems"], (0.9997, 1.0), strict=True):
        system["text_to_audio"]["R@10"]["mean"] = mean
    table = markdown_tables(comparison_markdown(record))[0]
    assert ">99.9" in table[1][3] and "**" not in table[1][3] and table[2][3].startswith("**100.0")
