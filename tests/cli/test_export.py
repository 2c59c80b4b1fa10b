"""`atrkit export` as a user types it: of a run and of a score file, and what is refused."""

import csv
import json
from pathlib import Path

import ir_measures
import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit import ScoreMatrix
from atrkit.cli.app import app
from atrkit.store import load_scores, save_scores

RECIPE = """\
source: ours, small enough for a test
seeds: [1]
encoder: {name: logmel}
model:
  name: dual_encoder
  audio: {hidden_dims: [8], pooling: {name: mean}}
  text: {name: word_embeddings, dim: 8, pooling: {name: mean}}
  out_dim: 8
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 1, batch_size: 8, keep_best: last}
"""
CLIPS = 12
TREC = {"text_to_audio.run.txt", "audio_to_text.run.txt", "text_to_audio.qrels.txt", "audio_to_text.qrels.txt"}
ALL = TREC | {"text_to_audio.ranks.csv", "audio_to_text.ranks.csv", "submission.csv"}


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*(str(word) for word in words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def export(workspace, *words):
    return json.loads(run(workspace, "export", "--json", *words).stdout)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Tones with blanks in their names, a run `small` on them and its figures, and judgements of the test clips."""
    root = tmp_path_factory.mktemp("workspace")
    sounds = root / "sounds"
    sounds.mkdir()
    lines = ["file_name,caption_1,caption_2,split"]
    for number in range(2 * CLIPS):
        wave_N = np.sin(np.arange(4000) * (0.02 + 0.02 * number)) * 0.3
        soundfile.write(sounds / f"tone  {number:02}.wav", wave_N, 16000)
        split = "eval" if number < CLIPS else "dev"
        lines.append(f"tone  {number:02}.wav,Tone {number} sounds.,=someone plays {number},{split}")
    (sounds / "captions.csv").write_text("\n".join(lines) + "\n")
    (root / "recipe.yaml").write_text(RECIPE)
    run(root, "import", sounds, "--name", "tones")
    run(root, "extract", "--encoder", "logmel")
    run(root, "train", root / "recipe.yaml", "--name", "small")
    run(root, "eval")
    qrels = root / "data" / "tones" / "qrels"
    qrels.mkdir()
    matrix = load_scores(root / "runs" / "small" / "seed-1" / "scores.h5")
    caption, clips = matrix.caption_ids[0], matrix.clip_ids
    grades = [(clips[3], 100), (clips[1], 60), (clips[0], 20), ("elsewhere.wav", 90)]
    rows = "".join(f"{caption}\t{clip}\t{grade}\n" for clip, grade in grades)
    (qrels / "ours.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    return root


@pytest.fixture
def results(workspace):
    return json.loads((workspace / "runs" / "small" / "seed-1" / "results.json").read_text())


def test_a_run_in_every_format_agrees_with_eval(workspace, results, tmp_path):
    record = export(
        workspace, "small/seed-1", "--format", "trec,qrels", "--format", "ranks,submission", "--out", tmp_path
    )
    assert {path.name for path in tmp_path.iterdir()} == ALL == {Path(each["path"]).name for each in record["files"]}
    assert (record["run"], record["dataset"], record["split"]) == ("small/seed-1", "tones", "eval")
    assert record["pool_id"] == results["pool_id"]
    rows = {(each["format"], each["direction"]): each["rows"] for each in record["files"]}
    assert rows["trec", "text-to-audio"] == rows["trec", "audio-to-text"] == 2 * CLIPS * CLIPS
    assert rows["ranks", "text-to-audio"] == rows["submission", "text-to-audio"] == 2 * CLIPS
    for direction in ("text_to_audio", "audio_to_text"):
        qrels = list(ir_measures.read_trec_qrels(str(tmp_path / f"{direction}.qrels.txt")))
        retrieved = list(ir_measures.read_trec_run(str(tmp_path / f"{direction}.run.txt")))
        found = ir_measures.calc_aggregate([ir_measures.Success @ 5, ir_measures.AP @ 10], qrels, retrieved)
        assert found[ir_measures.Success @ 5] == pytest.approx(results[direction]["R@5"], abs=1e-6)
        assert found[ir_measures.AP @ 10] == pytest.approx(results[direction]["mAP@10"], abs=1e-6)
    with (tmp_path / "submission.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert "Tone 0 sounds." in [row["caption"] for row in rows], "as it was written"
    own = {
        f"{text}": f"tone  {n:02}.wav" for n in range(CLIPS) for text in (f"Tone {n} sounds.", f"=someone plays {n}")
    }
    for k in (1, 5, 10):
        hits = [own[row["caption"]] in [row[f"file_name_{place}"] for place in range(1, k + 1)] for row in rows]
        assert np.mean(hits) == pytest.approx(results["text_to_audio"][f"R@{k}"])
    assert any("cells begin as formulas do" in note for note in record["notes"])


def test_the_runs_scores_and_results_stay_as_they_were(workspace):
    folder = workspace / "runs" / "small" / "seed-1"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix in (".h5", ".json")}
    done = run(workspace, "export", "--plain")
    assert f"scores: {folder / 'scores.h5'} (made before)" in done.stderr
    assert before == {
        path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix in (".h5", ".json")
    }
    assert {path.name for path in (folder / "export").iterdir()} == TREC
    assert f"{folder / 'export' / 'text_to_audio.qrels.txt'}: 24 lines" in done.stdout.replace("\n", "")


def test_the_same_command_writes_the_same_bytes(workspace, tmp_path):
    for name in ("a", "b"):
        export(workspace, "--format", "trec,qrels,ranks,submission", "--out", tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_scaled_columns_rank_audio_to_text_as_in_eval(workspace, tmp_path):
    run(workspace, "eval", "--scaling", "minmax")
    scaled = json.loads((workspace / "runs" / "small" / "seed-1" / "results.json").read_text())
    run(workspace, "eval")
    record = export(workspace, "--format", "ranks", "--scaling", "minmax", "--out", tmp_path)
    assert record["column_scaling"] == "minmax"
    for direction in ("text_to_audio", "audio_to_text"):
        with (tmp_path / f"{direction}.ranks.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert np.mean([float(row["first_rank"]) for row in rows]) == pytest.approx(scaled[direction]["MnR"])
        is_order = {float(row["best_score"]) for row in rows} == {0.0}
        assert is_order == (direction == "audio_to_text"), "minus the rank by scaled, then raw score"


def test_paper_004_table_3_is_ranked_by_scaled_columns(tmp_path):
    losses_AC = np.array([[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]])
    matrix = ScoreMatrix(-losses_AC, ["A1", "A2", "A3"], ["C1", "C2", "C3"], ["A1", "A2", "A3"])
    save_scores(tmp_path / "t3.h5", matrix)
    for scaling, best in (("none", ["C1", "C1", "C1"]), ("minmax", ["C1", "C2", "C3"])):
        export(tmp_path, "--scores", tmp_path / "t3.h5", "--scaling", scaling, "--format", "ranks")
        with (tmp_path / "t3.export" / "audio_to_text.ranks.csv").open(newline="") as file:
            assert [row["best"] for row in csv.DictReader(file)] == best


def test_one_direction_and_a_depth(workspace, tmp_path):
    words = ("--format", "trec", "--direction", "audio-to-text", "--depth", "3", "--out", tmp_path)
    record = export(workspace, *words)
    assert [(each["direction"], each["rows"]) for each in record["files"]] == [("audio-to-text", 3 * CLIPS)]
    assert len((tmp_path / "audio_to_text.run.txt").read_text().splitlines()) == 3 * CLIPS


def test_judgements_take_the_place_of_own_clips(workspace, tmp_path):
    judged = workspace / "data" / "tones" / "qrels" / "ours.tsv"
    record = export(workspace, "--format", "qrels,ranks", "--qrels", judged, "--out", tmp_path)
    assert {each["direction"] for each in record["files"]} == {"text-to-audio"}
    lines = (tmp_path / "text_to_audio.qrels.txt").read_text().splitlines()
    assert [line.split()[3] for line in lines] == ["100", "60", "20"]
    with (tmp_path / "text_to_audio.ranks.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    matrix = load_scores(workspace / "runs" / "small" / "seed-1" / "scores.h5")
    assert set(json.loads(row["relevant"])) == {matrix.clip_ids[3], matrix.clip_ids[1]}, "from grade 50"
    notes = "\n".join(record["notes"])
    assert "1 of 4 judgements are of other captions or clips" in notes and "relevant from grade 50 of 100" in notes
    assert "23 queries have nothing relevant here" in notes and "audio-to-text was not written" in notes


@pytest.fixture
def score_file(tmp_path):
    """Scores of somebody's model, with ids of no dataset here."""
    clips = [f"clip {number}" for number in range(12)]
    captions = [f"{clip}#1" for clip in clips]
    matrix = ScoreMatrix(np.eye(12, dtype=np.float32), clips, captions, clips)
    save_scores(tmp_path / "theirs.h5", matrix)
    return tmp_path / "theirs.h5"


def test_a_score_file_is_exported_beside_itself(score_file, tmp_path):
    record = export(tmp_path, "--scores", score_file)
    assert {path.name for path in (tmp_path / "theirs.export").iterdir()} == TREC
    assert (record["run"], record["column_scaling"]) == (None, "none") and record["file"] == str(score_file)
    lines = (tmp_path / "theirs.export" / "text_to_audio.run.txt").read_text().splitlines()
    assert lines[0] == "clip%200#1 Q0 clip%200 1 1.0 theirs"
    assert any("12 queries have equal scores; trec_eval breaks ties" in note for note in record["notes"])


def test_scores_made_elsewhere_are_read_as_eval_reads_them(score_file, tmp_path):
    """A TREC run that lists every clip is a matrix again; its export is the run."""
    export(tmp_path, "--scores", score_file, "--format", "trec", "--direction", "text-to-audio")
    ours = tmp_path / "theirs.export" / "text_to_audio.run.txt"
    (tmp_path / "truth.csv").write_text("file_name,caption_1\n" + "".join(f"clip {n},caption {n}\n" for n in range(12)))
    matrix = load_scores(score_file)
    np.savez(tmp_path / "m.npz", scores=matrix.scores_AC, clip_ids=matrix.clip_ids, caption_ids=matrix.caption_ids)
    words = ("--scores", tmp_path / "m.npz", "--truth", tmp_path / "truth.csv", "--out", tmp_path / "npz")
    record = export(tmp_path, *words, "--format", "trec,submission")
    assert record["file"] == str(tmp_path / "m.npz")
    again = (tmp_path / "npz" / "text_to_audio.run.txt").read_text()
    assert again.replace(" m\n", " theirs\n") == ours.read_text()
    with (tmp_path / "npz" / "submission.csv").open(newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["caption"], first["file_name_1"]) == ("caption 0", "clip 0")
    done = run(tmp_path, "export", *words, "--scaling", "minmax", code=2)
    assert "export scales columns of runs and of our own .h5 files only" in done.stderr
    run(tmp_path, "export", "--truth", tmp_path / "truth.csv", code=2)


def test_a_score_file_of_a_run_finds_its_texts_in_the_dataset(workspace, tmp_path):
    scores = workspace / "runs" / "small" / "seed-1" / "scores.h5"
    export(workspace, "--format", "submission,ranks", "--out", tmp_path / "run")
    export(workspace, "--format", "submission,ranks", "--out", tmp_path / "file", "--scores", scores)
    for path in (tmp_path / "run").iterdir():
        assert path.read_bytes() == (tmp_path / "file" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--format", "csv"], 2, "--format 'csv': there are trec, qrels, ranks, submission"),
        (["--format", "ranks", "--depth", "3"], 2, "--depth is of --format trec"),
        (["--format", "trec", "--qrels", "x"], 2, "--qrels is of --format qrels and ranks"),
        (["--format", "submission", "--direction", "audio-to-text"], 2, "--format submission is of text-to-audio"),
        (["--qrels", "x", "--direction", "audio-to-text"], 2, "--qrels judge clips for captions"),
        (["--qrels", "x"], 2, "--qrels x: no such file, and no judgements of that name"),
        (["small", "--scores", "x.h5"], 2, "RUN and --scores are two sources"),
        (["--scores", "nowhere.h5"], 3, "nowhere.h5"),
        (["nobody"], 2, "--run nobody: no finished run there"),
        (["--split", "no"], 2, "has no split 'no'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(workspace, words, code, message):
    done = run(workspace, "export", *words, code=code)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("atrkit: ")]
    assert message in line


def test_a_file_of_other_clips_than_the_dataset_is_refused(workspace, score_file):
    done = run(workspace, "export", "--scores", score_file, "--dataset", "tones", code=2)
    assert "12 of 12 clips are not in dataset 'tones', the first 'clip 0'" in done.stderr
    done = run(workspace, "export", "--scores", score_file, "--format", "submission", code=2)
    assert "these scores come without: name their --dataset" in done.stderr


def test_a_folder_that_cannot_be_written_is_exit_4(workspace, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(workspace, "export", "--out", tmp_path / "file" / "below", code=4)
    assert "a file is in the way of a folder" in done.stderr
