"""Tables of several runs as people see them: 80 columns, no colour."""

import io

import pytest
from rich.console import Console

from atrkit.errors import UsageError
from atrkit.reports.seeds_table import runs_table
from atrkit.workflows.several_runs import summarise_seeds


def figures(r1, **changes):
    own = {"R@1": r1, "R@5": 0.6, "R@10": 0.8, "mAP@10": 0.4, "MedR": 3.0, "MnR": 9.5}
    chance = {f"chance_{name}": 0.01 for name in own}
    return {**own, **chance, "queries": 5225, "candidates": 1045, "tied_queries": 0, **changes}


def result(run, r1, **changes):
    return {
        "metric": "recall",
        "run": run,
        "dataset": "clotho",
        "split": "eval",
        "scoring": "cosine",
        "precision": "fp32",
        "column_scaling": "none",
        "pool_id": "1a2b3c4d5e6f",
        "text_to_audio": figures(r1),
        "audio_to_text": figures(r1 + 0.01),
        "twin_order": None,
        "target": None,
        **changes,
    }


def lines_of(renderable, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


RELEVANCE = {
    "name": "graded.qrels",
    "queries": 50,
    "relevant": 175,
    "least_grade": 2,
    "highest_grade": 3,
    "graded": True,
    "unknown_queries": 0,
    "queries_without_relevant": 0,
    "judgements_of_unknown_clips": 0,
}
SEEDS = [result(f"context/clotho/cnn14_netrvlad/seed-{n}", r1) for n, r1 in ((1, 0.29), (2, 0.293), (10, 0.296))]
TARGET = {"paper": "003", "table": 4, "row": "Ours", "values": {"text_to_audio": {"R@1": 13.1, "MedR": 13.0}}}


def test_seeds_end_in_their_mean_as_papers_print_it_beside_the_published_row():
    seeds = [{**each, "target": TARGET} for each in SEEDS]
    lines = lines_of(runs_table(seeds, [summarise_seeds(seeds, [1, 2, 10])]))
    assert lines[0] == "context/clotho/cnn14_netrvlad on clotho/eval"
    assert lines[1] == "5,225 captions, 1,045 clips, pool 1a2b3c4d; scores: cosine; R@k, mAP in %"
    rows = [line.split() for line in lines]
    assert ["seed", "10", "29.6", "60.0", "80.0", "40.0", "3.0"] in rows
    mean = "mean, n = 3 29.3 ± 0.3 60.0 ± 0.0 80.0 ± 0.0 40.0 ± 0.0 3.0 ± 0.0"
    assert mean.split() in rows and mean.replace("29.3", "30.3").split() in rows
    assert ["paper", "003", "13.1", "13.0"] in rows
    assert ["difference", "+16.2", "-10.0"] in rows
    assert "difference: measured - published, in points" in lines
    assert "mean ± sample standard deviation over n seeds (n - 1 in the denominator)" in lines
    assert "the recipe aims at paper 003, table 4, row Ours" in lines


@pytest.mark.parametrize("width", [80, 120])
def test_other_recipes_stand_beside_each_other_and_have_no_mean(width):
    others = [result("moee/seed-1", 0.2), result("ridge/seed-1", 0.1)]
    lines = lines_of(runs_table([*SEEDS, *others], [summarise_seeds(SEEDS, [1, 2, 10])], ["a remark"]), width)
    assert lines[0] == "5 runs on clotho/eval" and lines[-1] == "a remark"
    assert sum("mean, n = 3" in line for line in lines) == 2
    assert sum(line.startswith("moee/seed-1") for line in lines) == 2


def test_figures_of_different_pools_stand_in_different_tables():
    lines = lines_of(runs_table([result("a/seed-1", 0.1), result("b/seed-1", 0.2, pool_id="ffff0000", split="val")]))
    assert [line for line in lines if " on clotho/" in line] == ["a/seed-1 on clotho/eval", "b/seed-1 on clotho/val"]
    assert sum(line.startswith("chance") for line in lines) == 4


def test_scalings_that_differ_stand_beside_the_names():
    scaled = result("cap/seed-1", 0.2, scoring="cross_entropy", column_scaling="minmax")
    text = " ".join(" ".join(lines_of(runs_table([result("a/seed-1", 0.1), scaled]), 120)).split())
    assert "a/seed-1 (cosine)" in text and "cap/seed-1 (cross_entropy, minmax)" in text
    assert "scores: " not in text


def test_one_seed_has_no_deviation():
    lines = lines_of(runs_table(SEEDS[:1], [summarise_seeds(SEEDS[:1], [1])]))
    assert any(" ".join(line.split()) == "mean, n = 1 29.0 60.0 80.0 40.0 3.0" for line in lines)
    assert "one seed has no deviation: train more with --seeds" in lines and "±" not in "".join(lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pool_id": "ffff"}, "pool_id is 1a2b3c4d5e6f and ffff"),
        ({"column_scaling": "minmax"}, "column_scaling is none and minmax"),
        ({"split": "val"}, "split is eval and val"),
        ({"scoring": "cross_entropy"}, "scoring is cosine and cross_entropy"),
    ],
)
def test_what_cannot_be_compared_is_not_averaged(changes, message):
    with pytest.raises(UsageError, match=f"no mean over a/seed-1 and a/seed-2: {message}"):
        summarise_seeds([result("a/seed-1", 0.1), result("a/seed-2", 0.1, **changes)], [1, 2])


def test_twin_order_is_averaged_where_every_seed_has_it():
    twins = [{**each, "twin_order": {"accuracy": a}} for each, a in zip(SEEDS, (0.7, 0.72, 0.74), strict=True)]
    summary = summarise_seeds(twins, [1, 2, 10])
    assert summary["twin_order_accuracy"]["mean"] == pytest.approx(0.72)
    assert "twin order 72.0 ± 2.0 %, n = 3 (chance 50.0 %)" in lines_of(runs_table(twins, [summary]))
    assert summarise_seeds([*twins[:2], SEEDS[2]], [1, 2, 10])["twin_order_accuracy"] is None


def test_where_columns_are_scaled_the_unscaled_mean_stands_below():
    scaled = [
        result(f"cap/seed-{n}", r1, scoring="cross_entropy", column_scaling="minmax", audio_to_text_raw=figures(r1 / 4))
        for n, r1 in ((1, 0.2), (2, 0.24))
    ]
    summary = summarise_seeds(scaled, [1, 2])
    assert summary["audio_to_text_raw"]["R@1"]["mean"] == pytest.approx(0.055)
    lines = lines_of(runs_table(scaled, [summary]))
    (row,) = [line for line in lines if line.startswith("    unscaled")]
    assert " ".join(row.split()) == "unscaled 5.5 ± 0.7 60.0 ± 0.0 80.0 ± 0.0 40.0 ± 0.0 3.0 ± 0.0"


RERANK = {
    "run": "context/first/seed-1",
    "k": 100,
    "mean_clips": 120.3,
    "mean_captions": 310.2,
    "share_of_pairs": 0.12,
    "text_to_audio_recall": 0.912,
    "audio_to_text_recall": 0.955,
}


@pytest.mark.parametrize("width", [80, 120])
def test_what_runs_have_in_common_is_said_once_and_else_with_their_names(width):
    by = {"clips_trained_on": 3, "clips_trained_on_by": {"first stage context/first/seed-1": 3}}
    seeds = [{**each, "rerank": {**RERANK, "seconds": n}, **by} for n, each in enumerate(SEEDS)]
    summary = summarise_seeds(seeds, [1, 2, 10])
    text = " ".join(" ".join(lines_of(runs_table(seeds, [summary]), width)).split())
    reranked = (
        "re-ranked: the 100 best of context/first/seed-1, 120.3 clips per caption and 310.2 captions per clip (12.0 % "
        "of all pairs) shortlist recall 91.2 % text to audio, 95.5 % audio to text: R@K up to 100 cannot pass it"
    )
    assert text.count(reranked) == 1 and "(re-ranked)" not in text
    assert text.count("trained on 3 of these clips (first stage context/first/seed-1: 3): figures") == 1
    assert summary["rerank"] == {"run": "context/first/seed-1", "k": 100}
    others = [*seeds[:2], result("moee/seed-1", 0.2)]
    text = " ".join(" ".join(lines_of(runs_table(others, []), width)).split())
    assert text.count("seed-1 (re-ranked)") == 2 and "moee/seed-1 20.0" in text
    of_both = "context/clotho/cnn14_netrvlad/seed-1, context/clotho/cnn14_netrvlad/seed-2: "
    assert text.count(f"{of_both}re-ranked: ") == text.count(f"{of_both}NOTE: trained on 3") == 1


def test_seeds_by_judgements_have_one_direction_their_cut_offs_and_whose_judgements():
    relevance = {"name": "graded2023", "relevant": 900, "queries": 190, "least_grade": 50, "highest_grade": 100}
    to_audio = {"mAP@10": 0.2, "MedR": 9.0, "MnR": 30.0, "queries": 190, "candidates": 1045, "tied_queries": 0}
    judged = [
        result(
            f"dual/seed-{seed}",
            0.2,
            text_to_audio=to_audio | {"R@3": r3},
            audio_to_text=None,
            relevance={**RELEVANCE, **relevance, "unjudged_in_top_10": None},
        )
        for seed, r3 in ((1, 0.3), (2, 0.5))
    ]
    lines = lines_of(runs_table(judged, [summarise_seeds(judged, [1, 2])]))
    rows = [line.split() for line in lines]
    mean = "mean, n = 2 40.0 ± 14.1 20.0 ± 0.0 9.0 ± 0.0"
    assert ["R@3", "mAP@10", "MedR"] in rows and mean.split() in rows
    assert "text to audio" in lines and "audio to text" not in lines
    assert any(line.startswith("relevant by graded2023: 900 clips to 190 captions (grade 50 of 100") for line in lines)


def judged_result(run, r1, unjudged):
    """As `eval --qrels` with graded judgements."""
    twins = {"accuracy": 0.9, "ci_low": 0.8, "ci_high": 1.0, "n": 8, "p": 0.01}
    graded = {"nDCG@10": r1 + 0.1, "nDCG@5": r1, "chance_nDCG@10": 0.02, "nDCG_queries": 48, "queries": 50}
    to_audio = figures(r1, **graded, tied_queries=round(100 * r1) - 29)
    relevance = {**RELEVANCE, "unjudged_in_top_10": unjudged}
    return result(run, r1, text_to_audio=to_audio, audio_to_text=None, relevance=relevance, twin_order=twins)


def test_graded_judgements_have_their_measure_and_its_mean():
    seeds = [judged_result(f"a/seed-{n}", r1, share) for n, r1, share in ((1, 0.29, 0.8), (2, 0.31, 0.75))]
    summary = summarise_seeds(seeds, [1, 2])
    assert summary["text_to_audio"]["nDCG@10"]["mean"] == pytest.approx(0.4)
    assert summary["text_to_audio"]["nDCG@5"]["deviation"] == pytest.approx(0.02 / 2**0.5)
    text = " ".join(" ".join(lines_of(runs_table(seeds, [summary]))).split())
    assert "R@10 mAP@10 nDCG@10 MedR" in text
    assert "seed 2 31.0 60.0 80.0 40.0 41.0 3.0" in text
    assert "mean, n = 2 30.0 60.0 80.0 40.0 40.0 3.0 ±1.4 ±0.0 ±0.0 ±0.0 ±1.4 ±0.0" in text, "80 columns are enough"


def test_what_eval_says_of_the_pool_is_said_once_for_all_runs():
    seeds = [judged_result(f"a/seed-{n}", r1, share) for n, r1, share in ((1, 0.29, 0.8), (2, 0.31, 0.75))]
    text = " ".join(" ".join(lines_of(runs_table(seeds, [summarise_seeds(seeds, [1, 2])]))).split())
    for note in (
        "50 judged captions, 1,045 clips",
        "ties: 0 to 2 of 50 text-to-audio queries (at expectation)",
        "not judged: 75.0 to 80.0 % of the top 10; it counts as not relevant",
        "nDCG@10 over 48 captions",
        "no audio to text: clips were judged for captions",
    ):
        assert text.count(note) == 1, note
    assert "twin order" not in text, "it is of all captions"
    shared = {"captions": 20, "of": 5225, "ceiling_text_to_audio_R1": 0.991}
    of_all = lines_of(runs_table([{**each, "duplicate_captions": shared} for each in SEEDS]))
    assert [line for line in of_all if "cannot pass" in line] == [
        "captions shared by clips: 20 of 5,225; text-to-audio R@1 cannot pass 99.1 %"
    ]
