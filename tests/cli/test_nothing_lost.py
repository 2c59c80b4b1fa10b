"""What a user laid somewhere, or named, is never removed or replaced by something else."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app

TINY = ["download", "synthetic", "--clips", "30", "--workers", "1"]
RIDGE = "source: ours\nencoder: {name: logmel}\nmodel: {name: ridge, ridge_lambda: LAMBDA}\n"


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    run(*TINY, "--workspace", root)
    (root / "ridge.yaml").write_text(RIDGE.replace("LAMBDA", "1"))
    run("train", root / "ridge.yaml", "--workspace", root)
    return root


@pytest.mark.parametrize("name", ["../elsewhere", "/tmp/elsewhere", "", ".hidden", "a//b", "a/../b", "a b"])
def test_a_run_stays_below_runs(workspace, name):
    message = run("train", workspace / "ridge.yaml", "--name", name, "--workspace", workspace, code=2).stderr
    assert "a run's name has letters" in message


def test_overwrite_removes_only_runs(workspace):
    mine = workspace / "runs" / "thesis" / "seed-1"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    train = ["train", workspace / "ridge.yaml", "--name", "thesis", "--workspace", workspace]
    assert "'thesis.txt', but not the inputs.json" in run(*train, code=5).stderr
    assert "holds no run" in run(*train, "--overwrite", code=2).stderr
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_download_removes_only_what_it_made(workspace):
    mine = workspace / "data" / "synthetic" / "my recording.wav"
    mine.write_bytes(b"RIFF")
    assert "'my recording.wav', which atrkit did not make" in run(*TINY, "--workspace", workspace, code=2).stderr
    assert mine.read_bytes() == b"RIFF"
    mine.unlink()
    again = run(*TINY, "--workspace", workspace)
    assert "it is replaced when the new one is whole" in again.stderr


def test_the_recipe_that_is_named_is_the_one_that_runs(workspace, tmp_path, monkeypatch):
    (workspace / "recipe.yaml").write_text(RIDGE.replace("LAMBDA", "5"))
    (tmp_path / "recipe.yaml").write_text(RIDGE.replace("LAMBDA", "99"))
    monkeypatch.chdir(tmp_path)
    done = run("train", "recipe.yaml", "--name", "here", "--workspace", workspace)
    assert "recipe: recipe.yaml\n" in done.stderr
    assert "99" in (workspace / "runs" / "here" / "seed-1" / "recipe.yaml").read_text()


def test_a_finished_run_with_a_damaged_model_is_trained_again_only_when_asked(workspace):
    train = ["train", workspace / "ridge.yaml", "--name", "damaged", "--workspace", workspace]
    run(*train)
    weights = workspace / "runs" / "damaged" / "seed-1" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    for words in (train, ["eval", "--run", "damaged", "--workspace", workspace]):
        message = run(*words, code=5).stderr
        assert "model.safetensors" in message and "--overwrite" in message
    run(*train, "--overwrite")
    assert weights.read_bytes() == whole


@pytest.mark.parametrize("name", ["finished.json", "inputs.json", "recipe.yaml"])
def test_a_damaged_record_of_a_run_names_the_way_out(workspace, name):
    run("train", workspace / "ridge.yaml", "--name", f"no-{name}", "--workspace", workspace)
    (workspace / "runs" / f"no-{name}" / "seed-1" / name).write_text("{}")
    message = run("eval", "--run", f"no-{name}", "--workspace", workspace, code=5).stderr
    assert name in message and "--overwrite" in message


def test_a_lost_recording_is_named(workspace, tmp_path):
    run(*TINY, "--workspace", tmp_path)
    run("extract", "--encoder", "logmel", "--workspace", tmp_path)
    (tmp_path / "data" / "synthetic" / "audio" / "val" / "00001.wav").unlink()
    message = run("extract", "--encoder", "logmel", "--workspace", tmp_path, code=5).stderr
    assert "00001.wav has an embedding and" in message and "put it back" in message


def test_a_damaged_list_of_problems_is_an_integrity_error(workspace, tmp_path):
    run(*TINY, "--workspace", tmp_path)
    (tmp_path / "data" / "synthetic" / "problems.jsonl").write_text("not json\n")
    assert "problems.jsonl is damaged" in run("extract", "--encoder", "logmel", "--workspace", tmp_path, code=5).stderr


def test_keeping_the_best_epoch_without_validation_is_refused_before_anything_is_written(workspace, tmp_path):
    table = tmp_path / "captions.csv"
    audio = workspace / "data" / "synthetic" / "audio" / "dev"
    table.write_text("file_name,caption\n" + "".join(f"{path.name},a sound\n" for path in sorted(audio.glob("*.wav"))))
    run("import", table, "--audio-dir", audio, "--name", "mine", "--workspace", tmp_path)
    train = ["train", "synthetic/retrieval", "--set", "data={dataset: mine}", "--set", "training.epochs=1"]
    message = run(*train, "--workspace", tmp_path, code=2).stderr
    assert "--set data.val=SPLIT, or --set training.keep_best=last" in message
    run(*train, "--set", "training.keep_best=last", "--workspace", tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["extract"], "Missing option '--encoder'"),
        (["eval", "--foo"], "No such option"),
        (["download", "synthetic", "--clips", "10"], "Invalid value for '--clips'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(words, message):
    child = subprocess.run([sys.executable, "-m", "atrkit", *words], capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert child.stderr.startswith(f"atrkit: {message}") and child.stderr.count("\n") == 1
    assert "--help)" in child.stderr and child.stdout == ""
