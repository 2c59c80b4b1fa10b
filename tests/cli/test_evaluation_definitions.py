"""The definitions as a user meets them: `atrkit eval` with judgements, protocols, cut-offs, ties and duplicates."""

import csv
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from typer.main import get_command

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.store import save_scores

COMMAND = get_command(app)
CLIPS = ("rain.wav", "dog.wav", "sea.wav")


def run(*words, code=0):
    result = CliRunner().invoke(COMMAND, ["eval", *map(str, words)], env={"COLUMNS": "80"})
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def record(*words):
    return json.loads(run(*words, "--json").stdout)


def rows_of(screen):
    """Labels of the rows below the two directions."""
    return re.findall(r"^  (\S+)", screen, flags=re.MULTILINE)


def write_scores(path, scores_AC, owners, scoring="cosine"):
    clips = [f"clip {a}" for a in range(len(scores_AC))]
    matrix = ScoreMatrix(
        np.array(scores_AC, float), clips, [f"caption {c}" for c in range(len(owners))], [clips[a] for a in owners]
    )
    save_scores(path, matrix, {"scoring": scoring})
    return path


def write_truth(path, texts, owners):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("caption_id", "clip_id", "caption")]
            + [
                (f"caption {c}", f"clip {owner}", text)
                for c, (text, owner) in enumerate(zip(texts, owners, strict=True))
            ]
        )
    return path


@pytest.fixture
def scores(tmp_path):
    """Four clips with five captions each; every score of a caption but one is tied."""
    rng = np.random.default_rng(0)
    owners = np.repeat(range(4), 5)
    return write_scores(tmp_path / "scores.h5", rng.integers(0, 2, (4, 20)) + (owners == np.arange(4)[:, None]), owners)


@pytest.fixture
def judged(tmp_path):
    path = tmp_path / "graded.qrels"
    path.write_text(
        "caption%200 0 clip%200 100\ncaption%200 0 clip%201 40\ncaption%200 0 clip%202 0\n"
        "caption%207 0 clip%203 80\ncaption%207 0 sea 90\ncaption%209 0 clip%201 20\nelsewhere 0 clip%200 100\n"
    )
    return path


# ---- worked examples


@pytest.mark.parametrize(
    ("losses", "owners", "raw", "scaled"),
    [
        ([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]], [0, 1, 2], 1 / 3, 1),  # paper 004, table 3
        ([[1, 5], [2, 9]], [0, 1], 1 / 2, 1 / 2),  # caption 0 is first for both: equal after scaling, the lower loss
        ([[3, 1], [3, 2]], [1, 0], 1 / 2, 1 / 2),  # caption 0 has one loss for all: last for both
    ],
)
def test_g5_losses_before_and_after_scaling(tmp_path, losses, owners, raw, scaled):
    path = write_scores(tmp_path / "losses.h5", -np.array(losses), owners, "cross_entropy")
    unscaled, minmax = record("--scores", path, "--scaling", "none,minmax", "-k", "1")
    assert unscaled["audio_to_text"]["R@1"] == pytest.approx(raw)
    assert minmax["audio_to_text"]["R@1"] == pytest.approx(scaled)
    assert minmax["audio_to_text_raw"] == unscaled["audio_to_text"]
    assert minmax["text_to_audio"] == unscaled["text_to_audio"]
    if len(losses) == 3:
        assert unscaled["text_to_audio"]["R@1"] == 1
        distinct = [each["hubness"]["audio_to_text"]["distinct_at_rank_1"] for each in (unscaled, minmax)]
        assert distinct == [1, 3]


@pytest.mark.parametrize("place", [(0, 0), (2, 4)])
def test_g7_a_nan_is_an_error_that_names_it_and_no_table(tmp_path, place):
    scores_AC = np.random.default_rng(0).random((3, 5))
    scores_AC[place] = np.nan
    np.savez(
        tmp_path / "scores.npz",
        scores=scores_AC,
        clip_ids=[f"clip {a}" for a in range(3)],
        caption_ids=[f"caption {c}" for c in range(5)],
        clip_of_caption=["clip 0", "clip 1", "clip 2", "clip 0", "clip 1"],
    )
    result = run("--scores", tmp_path / "scores.npz", code=8)
    assert result.stdout == ""
    assert (
        f"1 of 15 scores are NaN, the first at (clip, caption) ('clip {place[0]}', 'caption {place[1]}')"
        in result.stderr
    )


# ---- protocols


def test_protocols_stand_below_ours_with_what_makes_them_differ(scores):
    shown = run("--scores", scores, "--protocol", "wavcaps,koepke", "--protocol", "laion").stdout
    assert max(map(len, shown.splitlines())) <= 80
    table = shown[shown.index("The same scores as other code bases compute them") :]
    assert rows_of(table) == 2 * ["wavcaps", "laion", "koepke"]
    assert "never mix figures of two protocols in one table" in table
    assert "wavcaps: MedR is rounded down; A2T AP is divided by 5" in table
    assert "*" in table


def test_protocols_rank_captions_by_scaled_columns_where_ours_do(tmp_path):
    losses = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])  # paper 004, table 3
    path = write_scores(tmp_path / "losses.h5", -losses, [0, 1, 2], "cross_entropy")
    raw, scaled = record("--scores", path, "--scaling", "none,minmax", "--protocol", "mteb")
    assert raw["protocols"][0]["audio_to_text"]["hit_rate_at_1"] == pytest.approx(1 / 3)
    assert scaled["protocols"][0]["audio_to_text"]["hit_rate_at_1"] == 1
    assert scaled["protocols"][0]["text_to_audio"] == raw["protocols"][0]["text_to_audio"]


def test_protocols_in_json_have_their_own_names(scores):
    found = record("--scores", scores, "--protocol", "all")
    assert [each["protocol"] for each in found["protocols"]] == ["wavcaps", "laion", "dcase23", "mteb", "koepke"]
    assert set(found["protocols"][0]["audio_to_text"]) == {"r1", "r5", "r10", "r50", "medr", "meanr", "mAP10"}
    assert found["protocols"][3]["audio_to_text"]["hit_rate_at_1"] == found["audio_to_text"]["R@1"]
    assert all(each["why"] for each in found["protocols"])
    assert "protocols" not in record("--scores", scores)


# ---- judgements


def test_judged_captions_are_the_queries(scores, judged):
    found = record("--scores", scores, "--qrels", judged, "-k", "1,2")
    assert found["audio_to_text"] is None
    about = {name: value for name, value in found["relevance"].items() if not name.startswith("unjudged")}
    assert about == {
        "name": "graded.qrels",
        "queries": 2,
        "judgements": 5,
        "relevant": 2,
        "least_grade": 50,
        "highest_grade": 100,
        "graded": True,
        "unknown_queries": 1,
        "queries_without_relevant": 1,
        "judgements_of_unknown_clips": 1,
    }
    assert found["relevance"]["unjudged_in_top_10"] == pytest.approx((1 + 3 + 3) / 12), "four clips fill the top 10"
    to_audio = found["text_to_audio"]
    assert (to_audio["queries"], to_audio["nDCG_queries"]) == (2, 3)
    assert {"nDCG@1", "nDCG@2", "nDCG@10", "chance_nDCG@10", "mAP@16", "fractional_R@2"} <= to_audio.keys()


def test_a_lower_grade_makes_more_relevant_and_leaves_ndcg_alone(scores, judged):
    strict, mild = (record("--scores", scores, "--qrels", judged, "--min-grade", grade) for grade in (50, 20))
    assert (strict["relevance"]["relevant"], mild["relevance"]["relevant"]) == (2, 4)
    assert strict["text_to_audio"]["nDCG@10"] == mild["text_to_audio"]["nDCG@10"]
    assert mild["relevance"]["least_grade"] == 20


def test_the_screen_says_whose_judgements_and_what_they_leave_out(scores, judged):
    result = run("--scores", scores, "--qrels", judged, "--full", "--ties")
    assert "judgements: graded.qrels, 4 captions" in result.stderr
    for line in (
        "relevant by graded.qrels: 2 clips to 2 captions (grade 50 of 100, half of the",
        "nDCG@10 over 3 captions, by all grades above 0",
        "not judged: 58.3 % of the top 10; it counts as not relevant",
        "1 judged captions have no relevant clip here: no query",
        "1 judged captions are not among these captions",
        "1 judgements are of clips that are not among these",
    ):
        assert line in result.stdout
    assert rows_of(result.stdout)[:6] == ["share", "mAP@16", "nDCG@k", "chance", "optimistic", "pessimistic"]
    assert "nDCG@10" in result.stdout and "\naudio to text" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-grade", "2"], "--min-grade is of --qrels"),
        (["--qrels", "x", "--dedup", "text"], "--qrels says what is relevant, and so does --dedup text"),
        (["--qrels", "x", "--protocol", "mteb"], "know each caption's own clip alone; leave out --qrels"),
        (["--dedup", "text", "--protocol", "mteb"], "know each caption's own clip alone; leave out --dedup text"),
        (["--protocol", "ours"], "--protocol 'ours': there are wavcaps, laion, dcase23, mteb, koepke, all"),
        (["-k", "1,0"], "-k 1,0: cut-offs are positive whole numbers"),
        (["--qrels", "nowhere"], "--qrels nowhere: no such file"),
    ],
)
def test_what_contradicts_itself_is_refused(scores, words, message):
    result = run("--scores", scores, *words, code=2)
    assert message in result.stderr and result.stdout == ""


# ---- duplicates, cut-offs, ties


def test_captions_with_the_same_words_are_found_by_each_others_clips(tmp_path):
    owners = [0, 1, 2]
    path = write_scores(tmp_path / "scores.h5", [[0.9, 0.9, 0.1], [0.8, 0.8, 0.2], [0.1, 0.1, 0.9]], owners)
    truth = write_truth(tmp_path / "truth.csv", ["A dog barks.", "a dog barks", "The sea"], owners)
    plain, dedup = (record("--scores", path, "--truth", truth, "-k", "1", *more) for more in ([], ["--dedup", "text"]))
    assert (plain["text_to_audio"]["R@1"], dedup["text_to_audio"]["R@1"]) == (pytest.approx(2 / 3), 1)
    assert dedup["audio_to_text"]["R@1"] == 1
    assert dedup["text_to_audio"]["chance_R@1"] == pytest.approx((2 + 2 + 1) / 9)
    assert plain["duplicate_captions"]["ceiling_text_to_audio_R1"] == pytest.approx(2 / 3)
    assert dedup["duplicate_captions"]["ceiling_text_to_audio_R1"] == 1
    assert dedup["text_to_audio"]["queries"] == 3 and dedup["dedup"] == "text"
    assert "cannot pass 66.7 %" in run("--scores", path, "--truth", truth).stdout
    shown = run("--scores", path, "--truth", truth, "--dedup", "text").stdout
    assert "relevant to each other's clips (--dedup text)" in shown
    assert "captions shared by clips: 2 of 3" in shown and "cannot pass" not in shown


def test_any_cut_offs_are_columns_and_80_columns_are_enough(scores):
    shown = run("--scores", scores, "-k", "50,2,1,3,5,10", "--full", "--ties", "--ci").stdout
    header = next(line for line in shown.splitlines() if "R@1" in line)
    assert header.split() == ["R@1", "R@2", "R@3", "R@5", "R@10", "R@50", "mAP@10", "MedR", "MnR"]
    assert max(map(len, shown.splitlines())) <= 80
    rows = ["95", "share", "mAP@16", "chance", "optimistic", "pessimistic"]
    assert rows_of(shown) == 2 * rows
