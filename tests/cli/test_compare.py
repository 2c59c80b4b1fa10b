"""`atrkit compare` and `eval --ci` as a user types them: runs, seeds, score files, other pools."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.exchange.queries import query_scores
from atrkit.exchange.write_trec import write_trec_run
from atrkit.metrics.query_values import text_to_audio_values
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.significance import compare_systems, figure_intervals
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.store import load_scores, save_scores

RECIPE = """\
source: ours, small enough for a test
encoder: {name: logmel}
model:
  name: dual_encoder
  audio: {hidden_dims: [8], pooling: {name: mean}}
  text: {name: word_embeddings, dim: 8, pooling: {name: mean}}
  out_dim: 8
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 1, batch_size: 8, keep_best: last}
target: {paper: "000", table: 1, row: tiny, values: {text_to_audio: {R@1: 99.0, R@5: 45.0}}}
"""
FIGURES = ("R@1", "R@5", "R@10", "mAP@10", "MedR")
DIRECTIONS = ("text_to_audio", "audio_to_text")


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def compare(workspace, *words):
    return json.loads(run(workspace, "compare", *words, "--json").stdout)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Seeds 1 and 2 of `small` on short tones, and `scaled`: the first with scaled columns."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "sounds").mkdir()
    lines = ["file_name,caption_1,caption_2,split"]
    for number in range(24):
        wave_N = np.sin(np.arange(4000) * (0.02 + 0.02 * number)) * 0.3
        soundfile.write(root / f"sounds/{number:02}.wav", wave_N, 16000)
        lines.append(f"{number:02}.wav,Tone {number} sounds.,one tone,{'eval' if number < 12 else 'dev'}")
    (root / "sounds/captions.csv").write_text("\n".join(lines) + "\n")
    run(root, "import", root / "sounds", "--name", "tones")
    (root / "small.yaml").write_text(RECIPE)
    run(root, "train", root / "small.yaml", "--seeds", "1,2")
    shutil.copytree(root / "runs/small/seed-1", root / "runs/scaled/seed-1")
    recipe = root / "runs/scaled/seed-1/recipe.yaml"
    assert recipe.read_text().count("column_scaling: none") == 1
    recipe.write_text(recipe.read_text().replace("column_scaling: none", "column_scaling: minmax"))
    return root


def scores_of(workspace, name):
    run(workspace, "eval", "--run", name)
    return load_scores(workspace / "runs" / name / "scores.h5")


def random_matrix(clips=12, per_clip=3, seed=0, signal=1.5, first=0) -> ScoreMatrix:
    owners = np.repeat(np.arange(clips), per_clip)
    own_AC = np.arange(clips)[:, None] == owners
    scores_AC = np.random.default_rng(seed).normal(size=own_AC.shape) + signal * own_AC
    ids = [f"clip{a + first:02}" for a in range(clips)]
    captions = [f"{ids[a]}#{k % per_clip}" for k, a in enumerate(owners)]
    return ScoreMatrix(scores_AC.astype(np.float32), ids, captions, [ids[a] for a in owners])


@pytest.fixture
def files(tmp_path):
    """Two score files of one pool, the second in another order, and one of another pool."""
    save_scores(tmp_path / "one.h5", random_matrix(seed=1))
    other = random_matrix(seed=2, signal=3)
    rows, columns = np.random.default_rng(0).permutation(12), np.random.default_rng(1).permutation(36)
    shuffled = ScoreMatrix(
        other.scores_AC[np.ix_(rows, columns)],
        [other.clip_ids[row] for row in rows],
        [other.caption_ids[column] for column in columns],
        [other.clip_of_caption[column] for column in columns],
    )
    save_scores(tmp_path / "two.h5", shuffled)
    save_scores(tmp_path / "shifted.h5", random_matrix(seed=3, first=4))
    return tmp_path


def test_score_files_are_compared_query_by_query(files):
    record = compare(files, files / "one.h5", files / "two.h5")
    matrices = [load_scores(files / name) for name in ("one.h5", "two.h5")]
    figures = [evaluate(matrix) for matrix in matrices]
    assert (record["clips"], record["captions"], record["pool_id"]) == (12, 36, matrices[0].pool_id)
    assert [each["name"] for each in record["systems"]] == [str(files / "one.h5"), str(files / "two.h5")]
    (found,) = record["comparisons"]
    for direction in DIRECTIONS:
        for system, expected in zip(record["systems"], figures, strict=True):
            assert {name: system[direction][name]["mean"] for name in FIGURES} == {
                name: pytest.approx(expected[direction][name]) for name in FIGURES
            }
        for name in FIGURES:
            difference = figures[1][direction][name] - figures[0][direction][name]
            low, high = found[direction][name]["ci"]
            assert found[direction][name]["difference"] == pytest.approx(difference)
            assert low <= difference <= high and (found[direction][name]["p"] is None) == (name == "MedR")
    assert found["text_to_audio"]["R@1"]["p"] < 0.05 < 1


def test_resamples_and_flips_are_as_many_as_is_said(files):
    record = compare(files, files / "one.h5", files / "two.h5")
    values = [[text_to_audio_values(load_scores(files / name))] for name in ("one.h5", "two.h5")]
    many = {"resamples": record["resamples"], "flips": record["flips"]}
    (expected,) = compare_systems(values, np.random.default_rng(0), figures=FIGURES, **many)
    (found,) = record["comparisons"]
    assert {name: found["text_to_audio"][name]["ci"] for name in FIGURES} == {
        name: list(expected[name].ci) for name in FIGURES
    }
    assert {name: found["text_to_audio"][name]["p"] for name in FIGURES} == {name: expected[name].p for name in FIGURES}


def test_exchanged_files_have_exchanged_signs_and_a_file_does_not_differ_from_itself(files):
    (there,) = compare(files, files / "one.h5", files / "two.h5")["comparisons"]
    (back,) = compare(files, files / "two.h5", files / "one.h5")["comparisons"]
    (same,) = compare(files, files / "one.h5", files / "one.h5")["comparisons"]
    for direction in DIRECTIONS:
        for name in FIGURES:
            assert back[direction][name]["difference"] == pytest.approx(-there[direction][name]["difference"])
            assert back[direction][name]["p"] == there[direction][name]["p"]
            assert same[direction][name]["difference"] == 0 and same[direction][name]["ci"] == [0, 0]
            assert same[direction][name]["p"] in (1, None)


def test_other_pools_are_refused_unless_what_is_shared_is_ranked_again(files):
    words = [files / "one.h5", files / "shifted.h5"]
    refused = run(files, "compare", *words, code=2).stderr
    assert "clip 'clip00' is in" in refused and "and 7 more differ" in refused and "--intersect" in refused
    shared = run(files, "compare", *words, "--intersect", "--json")
    record = json.loads(shared.stdout)
    assert (record["clips"], record["captions"]) == (8, 24)
    assert {tuple(counts.items()) for counts in record["left_out"].values()} == {(("clips", 4), ("captions", 12))}
    assert "shared: 8 clips and 24 captions, ranked again" in shared.stderr
    assert "4 clips and 12 captions" in shared.stderr
    for system, rows, columns in zip(record["systems"], ((4, 12), (0, 8)), ((12, 36), (0, 24)), strict=True):
        whole = load_scores(system["files"][0])
        small = ScoreMatrix(
            whole.scores_AC[slice(*rows), slice(*columns)],
            whole.clip_ids[slice(*rows)],
            whole.caption_ids[slice(*columns)],
            whole.clip_of_caption[slice(*columns)],
        )
        expected = evaluate(small)
        for direction in DIRECTIONS:
            for name in FIGURES:
                assert system[direction][name]["mean"] == pytest.approx(expected[direction][name])


def test_audio_to_text_ranks_losses_by_scaled_columns_where_asked(files):
    hubs = random_matrix(seed=5, signal=4)
    hubs = ScoreMatrix(hubs.scores_AC + np.arange(36) / 4 - 30, hubs.clip_ids, hubs.caption_ids, hubs.clip_of_caption)
    save_scores(files / "losses.h5", hubs, {"scoring": "cross_entropy"})
    words = [files / "losses.h5", files / "losses.h5"]
    raw, scaled = (compare(files, *words, *more)["systems"][0] for more in ([], ["--scaling", "minmax"]))
    stored = load_scores(files / "losses.h5")
    for found, expected in ((raw, stored), (scaled, audio_to_text_matrix(stored, "minmax"))):
        assert found["audio_to_text"]["mAP@10"]["mean"] == pytest.approx(evaluate(expected)["audio_to_text"]["mAP@10"])
    assert scaled["audio_to_text"]["R@1"]["mean"] > raw["audio_to_text"]["R@1"]["mean"] + 0.3
    assert scaled["text_to_audio"] == raw["text_to_audio"]
    refused = run(files, "compare", files / "losses.h5", files / "one.h5", "--scaling", "minmax", code=2).stderr
    assert "--scaling is of losses" in refused and "one.h5 has none" in refused
    refused = run(files, "compare", files / "one.h5", files / "two.h5", "--no-extract", code=2).stderr
    assert "--no-extract is of runs" in refused


def test_several_files_are_each_compared_with_the_first(files):
    save_scores(files / "three.h5", random_matrix(seed=9))
    record = compare(files, *(files / f"{name}.h5" for name in ("one", "two", "three")))
    assert [each["baseline"] for each in record["comparisons"]] == 2 * [str(files / "one.h5")]
    assert record["holm_over"] == 2
    for each in record["comparisons"]:
        assert each["text_to_audio"]["R@1"]["p_holm"] >= each["text_to_audio"]["R@1"]["p"]


def test_ranked_lists_are_compared_as_far_as_they_tell(files):
    one = load_scores(files / "one.h5")
    with (files / "run.trec").open("w") as file:
        for column, caption in enumerate(one.caption_ids):
            best = np.argsort(-one.scores_AC[:, column])[:5]
            for rank, row in enumerate(best, start=1):
                file.write(f"{caption} Q0 {one.clip_ids[row]} {rank} {one.scores_AC[row, column]} mine\n")
    with (files / "truth.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "caption_id", "caption"])
        writer.writerows([clip, c, f"words {c}"] for c, clip in zip(one.caption_ids, one.clip_of_caption, strict=True))
    record = compare(files, files / "one.h5", files / "run.trec", "--truth", files / "truth.csv")
    assert record["lists"] == [str(files / "run.trec")] and record["queries"].keys() == {"text_to_audio"}
    (found,) = record["comparisons"]
    assert found["text_to_audio"]["R@5"]["difference"] == 0 and found["text_to_audio"]["R@5"]["p"] == 1
    assert found["text_to_audio"]["R@10"] is None  # it depends on clips that are not listed
    assert record["systems"][1]["text_to_audio"]["R@10"] == {"mean": None, "deviation": None}


@pytest.fixture
def open_lists(files):
    """The whole of a run, and its best two of 12 clips: 58 % of the own clips are among them, so MedR is known."""
    whole = random_matrix(seed=1, signal=1)
    save_scores(files / "whole.h5", whole)
    write_trec_run(files / "two.trec", query_scores(whole, "text-to-audio"), "ours", 2)
    rows = zip(whole.caption_ids, whole.clip_of_caption, strict=True)
    (files / "truth.csv").write_text("caption_id,clip_id\n" + "".join(f"{c},{a}\n" for c, a in rows))
    return files


def test_an_interval_of_the_median_rank_is_not_invented(open_lists):
    words = [open_lists / "two.h5", open_lists / "two.trec", "--truth", open_lists / "truth.csv"]
    (found,) = compare(open_lists, *words)["comparisons"]
    (full,) = compare(open_lists, words[0], open_lists / "whole.h5")["comparisons"]
    assert found["text_to_audio"]["MedR"] == {**full["text_to_audio"]["MedR"], "ci": None}
    assert found["text_to_audio"]["R@1"] == full["text_to_audio"]["R@1"], "known of every query, and so of resamples"
    assert full["text_to_audio"]["MedR"]["ci"] is not None
    (same,) = compare(open_lists, words[1], *words[1:])["comparisons"]
    assert same["text_to_audio"]["MedR"]["ci"] is None, "both lists may go on in other ways"
    shown = " ".join(run(open_lists, "compare", *words, "--plain").stdout.split())
    assert "12 clips: the interval is too narrow" in shown
    assert re.search(r"MedR \S+ - ", shown)


def test_lists_that_end_with_equal_scores_are_counted_and_not_believed(files):
    tied = random_matrix(seed=1)
    ids = tied.clip_ids, tied.caption_ids, tied.clip_of_caption
    save_scores(files / "tied.h5", ScoreMatrix(np.zeros((12, 36)), *ids))
    zeros = query_scores(load_scores(files / "tied.h5"), "text-to-audio")
    write_trec_run(files / "five.trec", zeros, "ours", 5)
    one = files / "one.h5"
    rows = zip(tied.caption_ids, tied.clip_of_caption, strict=True)
    (files / "truth.csv").write_text("caption_id,clip_id\n" + "".join(f"{c},{a}\n" for c, a in rows))
    words = ["compare", one, files / "five.trec", "--truth", files / "truth.csv"]
    assert "lists too few clips for any of R@1" in " ".join(run(files, *words, code=2).stderr.split())
    found = json.loads(run(files, "eval", "--scores", files / "five.trec", "--truth", files / "truth.csv",
                           "--json").stdout)  # fmt: skip
    assert found["text_to_audio"]["R@5"] is None and found["listed"]["cut_in_ties"] == 36
    best = np.arange(12)[:, None] == np.repeat(np.arange(12), 3)
    good = ScoreMatrix(best.astype(np.float32), *ids)
    write_trec_run(files / "good.trec", query_scores(good, "text-to-audio"), "ours", 5)
    record = compare(files, one, files / "good.trec", "--truth", files / "truth.csv")
    assert record["lists_cut_in_ties"] == {str(files / "good.trec"): 36}
    assert record["systems"][1]["text_to_audio"]["R@5"]["mean"] == 1, "the own clip stands above the open end"


def test_graded_judgements_compare_by_grades_too(files):
    matrix = load_scores(files / "one.h5")
    random = np.random.default_rng(3)
    qrels = files / "judged.txt"
    with qrels.open("w") as file:
        for caption in matrix.caption_ids[:24]:
            for clip in random.permutation(matrix.clip_ids)[:4]:
                file.write(f"{caption} 0 {clip} {random.integers(1, 4)}\n")
    record = compare(files, files / "one.h5", files / "two.h5", "--qrels", qrels)
    both = [
        json.loads(run(files, "eval", "--scores", files / name, "--qrels", qrels, "--json").stdout)["text_to_audio"]
        for name in ("one.h5", "two.h5")
    ]
    (found,) = record["comparisons"]
    for name in ("mAP@16", "nDCG@10", "R@5", "MedR"):
        assert [each["text_to_audio"][name]["mean"] for each in record["systems"]] == [
            pytest.approx(each[name]) for each in both
        ]
        assert found["text_to_audio"][name]["difference"] == pytest.approx(both[1][name] - both[0][name])
    low, high = found["text_to_audio"]["nDCG@10"]["ci"]
    assert low < found["text_to_audio"]["nDCG@10"]["difference"] < high
    assert found["text_to_audio"]["nDCG@10"]["p"] > 0
    for name in ("text", "markdown", "latex"):
        assert "nDCG@10" in run(files, "compare", files / "one.h5", files / "two.h5", "--qrels", qrels, "--format",
                                name).stdout  # fmt: skip


def test_systems_have_the_names_that_the_user_gives(files):
    named = ("--name", "lists & all", "--name", "b/c")
    record = compare(files, files / "one.h5", files / "two.h5", *named)
    assert [each["name"] for each in record["systems"]] == ["lists & all", "b/c"]
    assert record["baseline"] == "lists & all" and record["comparisons"][0]["system"] == "b/c"
    assert record["systems"][0]["files"] == [str(files / "one.h5")], "what it is can still be seen"
    assert record["same_systems"] == []
    shown = run(files, "compare", files / "one.h5", files / "two.h5", *named).stdout
    assert "b/c - lists & all" in shown and "one.h5" not in shown


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "1 --name for 2 systems: one for each, in the order "),
        (["a", "b", "c"], "3 --name for 2 systems: one for each"),
        (["a", "a"], "--name 'a' stands twice"),
        (["a", " "], "--name is empty"),
    ],
)
def test_names_that_do_not_fit_are_refused(files, names, message):
    options = [word for name in names for word in ("--name", name)]
    assert message in run(files, "compare", files / "one.h5", files / "two.h5", *options, code=2).stderr


def test_a_system_that_stands_twice_is_said(workspace):
    record = compare(workspace, "small", "scaled", "small")
    assert record["same_systems"] == [["small", "small"]]
    shown = run(workspace, "compare", "small", "small", "--name", "one", "--name", "two").stdout
    assert "one and two are the same: they do not differ" in shown


def test_files_that_do_not_say_their_dataset_have_that_of_the_option(workspace, tmp_path):
    scores = scores_of(workspace, "small/seed-1")
    for number in (1, 2):
        arrays = {"scores": scores.scores_AC + number, "clip_ids": scores.clip_ids, "caption_ids": scores.caption_ids}
        np.savez(tmp_path / f"{number}.npz", **{name: np.array(array) for name, array in arrays.items()})
    named = (tmp_path / "1.npz", tmp_path / "2.npz", "--dataset", "tones", "--split", "eval")
    record = compare(workspace, *named)
    assert (record["dataset"], record["split"]) == ("tones", "eval")
    assert run(workspace, "compare", *named).stdout.startswith("tones/eval, 12 clips")


def test_seeds_of_a_training_are_one_system(workspace):
    record = compare(workspace, "small", "scaled")
    first, second = record["systems"]
    assert (first["name"], first["n"], first["runs"]) == ("small", 2, ["small/seed-1", "small/seed-2"])
    assert (second["n"], second["column_scaling"]) == (1, "minmax")
    figures = [evaluate(scores_of(workspace, name)) for name in first["runs"]]
    for direction in DIRECTIONS:
        for name in FIGURES:
            values = [each[direction][name] for each in figures]
            assert first[direction][name]["mean"] == pytest.approx(np.mean(values))
            assert first[direction][name]["deviation"] == pytest.approx(np.std(values, ddof=1))
            assert second[direction][name]["deviation"] is None
    # text to audio does not change under column scaling, audio to text is that of the run itself
    own = json.loads(run(workspace, "eval", "--run", "scaled", "--json").stdout)
    for direction in DIRECTIONS:
        assert second[direction]["MnR"]["mean"] == pytest.approx(own[direction]["MnR"])
    assert (record["dataset"], record["split"]) == ("tones", "eval")
    assert record["target"]["row"] == "tiny"  # both aim at it


def test_a_run_and_a_file_of_its_scores_are_the_same_system(workspace):
    scores_of(workspace, "small/seed-1")
    record = compare(workspace, "small/seed-1", "small/seed-1/scores.h5")
    assert all(found["difference"] == 0 for found in record["comparisons"][0]["text_to_audio"].values())
    assert record["systems"][1]["clips_trained_on"] is None and record["systems"][0]["clips_trained_on"] == 0


def test_comparing_leaves_results_as_they_are(workspace):
    run(workspace, "eval", "--run", "small/seed-1", "--ci")
    folder = workspace / "runs/small/seed-1"

    def contents():
        return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.is_file()}  # locks say when

    before = contents()
    assert "results.json" in before
    compare(workspace, "small", "scaled")
    compare(workspace, "small", "scaled", "--scaling", "none")
    assert contents() == before


def test_a_pattern_is_several_systems_without_those_named_before(workspace):
    record = compare(workspace, "scaled", "runs/s*")
    assert [each["name"] for each in record["systems"]] == ["scaled/seed-1", "small"]


def test_trained_clips_are_warned_of(workspace):
    table = run(workspace, "compare", "small", "scaled", "--split", "dev", "--plain").stdout
    assert "NOTE: small was trained on" in table and "NOTE: scaled/seed-1 was trained on" in table
    assert "paper 000" not in table  # published of another split


def test_the_same_words_and_judgements_count_as_in_eval(workspace, tmp_path):
    own = json.loads(run(workspace, "eval", "--run", "small/seed-1", "--dedup", "text", "--json").stdout)
    record = compare(workspace, "small/seed-1", "scaled", "--dedup", "text")
    assert record["systems"][0]["audio_to_text"]["mAP@10"]["mean"] == pytest.approx(own["audio_to_text"]["mAP@10"])
    matrix = scores_of(workspace, "small/seed-1")
    grades = [(caption, clip, 1) for caption in matrix.caption_ids[:20] for clip in matrix.clip_ids[:4]]
    qrels = tmp_path / "judged.txt"
    qrels.write_text("".join(f"{caption} 0 {clip} {grade}\n" for caption, clip, grade in grades))
    own = json.loads(run(workspace, "eval", "--run", "small/seed-1", "--qrels", qrels, "--json").stdout)
    record = compare(workspace, "small/seed-1", "scaled", "--qrels", qrels)
    assert record["queries"] == {"text_to_audio": 20} and record["target"] is None
    assert record["systems"][0]["text_to_audio"]["mAP@10"]["mean"] == pytest.approx(own["text_to_audio"]["mAP@10"])


def test_every_format_says_the_same(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    record = compare(workspace, "small", "scaled")
    shown = {name: run(workspace, "compare", "small", "scaled", "--format", name).stdout for name in ("text",
             "markdown", "latex")}  # fmt: skip
    for system in record["systems"]:
        for direction in DIRECTIONS:
            figure = f"{100 * system[direction]['R@5']['mean']:.1f}"
            assert all(figure in text for text in shown.values())
    assert shown["markdown"].count("\n| :---") == 2 and shown["latex"].count("\\begin{tabular}") == 2
    assert all("paper 000" in text for text in shown.values())
    assert max(map(len, shown["text"].splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["small"], "small is one system, and a comparison needs two"),
        (["small", "nobody"], "no such file of scores, and as a run: nobody: no finished run there"),
        (["small", "scaled", "--json", "--format", "latex"], "--json is a format of its own"),
        (["small", "scaled", "--min-grade", "2"], "--min-grade is of --qrels"),
        (["small", "scaled", "--qrels", "x", "--dedup", "text"], "say one of the two"),
        (["small", "scaled", "--split", "nowhere"], "nowhere"),
        (["small", "scaled", "--truth", "x.csv"], "--truth is of score files, and these are runs"),
        (["small", "scaled", "--qrels", "x", "--scaling", "minmax"], "--qrels judges text to audio alone"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(workspace, words, message):
    assert message in " ".join(run(workspace, "compare", *words, code=2).stderr.split())


def test_intervals_are_those_of_the_scores_and_the_same_every_time(workspace):
    words = ["eval", "--run", "scaled", "--ci", "--json"]
    first, second = (json.loads(run(workspace, *words).stdout) for _ in range(2))
    assert first == second
    matrix = load_scores(workspace / "runs/scaled/seed-1/scores.h5")
    expected = figure_intervals(text_to_audio_values(matrix), np.random.default_rng(0))
    assert first["text_to_audio"]["ci"] == {name: list(interval) for name, interval in expected.items()}
    for direction in (*DIRECTIONS, "audio_to_text_raw"):
        intervals = first[direction]["ci"]
        assert intervals.keys() == {*FIGURES, "MnR", "mAP@16", *(f"fractional_R@{k}" for k in (1, 5, 10))}
        assert all(low <= first[direction][name] <= high for name, (low, high) in intervals.items())


def test_the_published_row_has_its_difference_and_the_interval_says_whether_it_fits(workspace):
    result = json.loads(run(workspace, "eval", "--run", "small/seed-1", "--json").stdout)
    found = result["target_difference"]["text_to_audio"]
    assert found["R@1"]["difference"] == pytest.approx(result["text_to_audio"]["R@1"] - 0.99)
    assert found["R@1"]["inside_ci"] is False  # 99 %, of a model that was trained for an epoch
    low, high = result["text_to_audio"]["ci"]["R@5"]
    assert found["R@5"]["inside_ci"] is bool(low <= 0.45 <= high)
    table = run(workspace, "eval", "--run", "small/seed-1", "--plain").stdout
    assert "paper 000" in table and "  difference" in table and "95 % interval" in table


def test_other_ground_truths_have_no_published_row_beside_them(workspace):
    deduplicated = run(workspace, "eval", "--run", "small/seed-1", "--dedup", "text", "--json")
    assert json.loads(deduplicated.stdout)["target"] is None
    assert json.loads(deduplicated.stdout)["target_difference"] is None
    assert "--dedup: the published figures count each caption's own clip alone" in deduplicated.stderr


def test_other_ground_truths_cut_offs_and_protocols_leave_the_results_as_they_are(workspace, tmp_path):
    folder = workspace / "runs/small/seed-1"
    matrix = scores_of(workspace, "small/seed-1")
    before = (folder / "results.json").read_bytes()
    (tmp_path / "ours 1.txt").write_text(f"{matrix.caption_ids[0]} 0 {matrix.clip_ids[0]} 1\n")
    written = {
        "results.dedup-text.json": ["--dedup", "text"],
        "results.k-1-2.json": ["-k", "1,2"],
        "results.protocol-mteb.json": ["--protocol", "mteb"],
        "results.qrels-ours_1.txt.json": ["--qrels", tmp_path / "ours 1.txt"],
    }
    for name, words in written.items():
        result = json.loads(run(workspace, "eval", "--run", "small/seed-1", *words, "--json").stdout)
        assert json.loads((folder / name).read_text()) == result
        (folder / name).unlink()
    assert (folder / "results.json").read_bytes() == before
    run(workspace, "eval", "--run", "small/seed-1", "--ci")
    assert "ci" in json.loads((folder / "results.json").read_text())["text_to_audio"], "intervals change no figure"


def test_several_runs_have_an_interval_each(workspace):
    record = json.loads(run(workspace, "eval", "--runs", "small", "--ci", "--json").stdout)
    assert all(result["text_to_audio"]["ci"]["R@1"] for result in record["results"])
    assert record["summaries"][0]["text_to_audio"].keys() == {*FIGURES, "MnR"}


def test_comparing_files_does_not_load_torch(files):
    script = (
        "import sys; from atrkit.cli.app import app; "
        f"app(['compare', {str(files / 'one.h5')!r}, {str(files / 'two.h5')!r}], standalone_mode=False); "
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
