"""`atrkit train` with a file of word vectors, as a user types it, in process."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app


def run(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    run("download", "synthetic", "--clips", 30, "--workers", 1, "--workspace", root)
    run("extract", "--encoder", "logmel", "--workspace", root)
    return root


def train(workspace: Path, *words: object, code: int = 0):
    netrvlad = ["--set", "model.audio.pooling={name: netrvlad}", "--set", "model.text.pooling={name: netrvlad}"]
    small = ["--set", "training.epochs=1", "--set", "model.out_dim=8", *netrvlad]
    return run("train", "synthetic/retrieval", *small, *words, "--workspace", workspace, code=code)


def test_word_vectors_are_read_recorded_and_not_needed_afterwards(workspace, monkeypatch) -> None:
    monkeypatch.chdir(workspace)
    vectors = workspace / "vectors.txt"
    vectors.write_text("2 3\nrain .1 .2 .3\na 1 2 3\n")
    words = ["--set", "model.text.vectors=vectors.txt", "--set", "model.text.trainable=false", "--name", "frozen"]
    said = train(workspace, *words).stderr
    assert "word vectors: word2vec text, 2 words of 3 numbers; 2 of the " in said and "are zero, like <unk>" in said
    folder = workspace / "runs" / "frozen" / "seed-1"
    assert "word2vec text" in (folder / "log.txt").read_text()
    assert len(json.loads((folder / "inputs.json").read_text())["word_vectors_sha256"]) == 64

    assert "was finished before" in train(workspace, *words).stdout
    vectors.write_text("2 3\nrain .1 .2 .3\na 1 2 4\n")
    refused = train(workspace, *words, code=5).stderr
    assert "holds a run with other settings: inputs.word_vectors_sha256 is" in refused

    vectors.unlink()
    from atrkit.models import DualEncoder

    embedding = DualEncoder.from_pretrained(folder).text.embedding
    a, rain = (embedding.vocabulary.id_of_word[word] for word in ("a", "rain"))
    assert embedding.weight[[a, rain]].tolist() == [[1, 2, 3], pytest.approx([0.1, 0.2, 0.3])]
    assert (
        0
        <= json.loads(run("eval", "--run", "frozen", "--json", "--workspace", workspace).stdout)["text_to_audio"]["R@1"]
        <= 1
    )


def test_trained_vectors_move_from_where_the_file_put_them(workspace, monkeypatch) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "moving.txt").write_text("a 1 2 3\n")
    train(workspace, "--set", "model.text.vectors=moving.txt", "--name", "trained")
    from atrkit.models import DualEncoder

    embedding = DualEncoder.from_pretrained(workspace / "runs" / "trained" / "seed-1").text.embedding
    moved = embedding.weight[embedding.vocabulary.id_of_word["a"]].tolist()
    assert moved != [1, 2, 3] and moved == pytest.approx([1, 2, 3], abs=0.2)


def test_a_recipe_whose_vectors_are_missing_says_where_they_are_before_anything_is_made(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = run("train", "context/clotho/cnn14_netrvlad", "--workspace", tmp_path, code=3)
    assert "GoogleNews-vectors-negative300.bin: https://code.google.com/archive/p/word2vec/" in missing.stderr
