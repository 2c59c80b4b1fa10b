"""Files and runs that are taken for each other on the command line, and what is refused before anything is written."""

import numpy as np
import pytest
from click.testing import CliRunner
from typer.main import get_command

from atrkit.cli.app import app

COMMAND = get_command(app)


def error(*words, code=2):
    result = CliRunner().invoke(COMMAND, [str(word) for word in words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result.stderr.splitlines()[-1].removeprefix("atrkit: ")


@pytest.fixture
def scores(tmp_path, monkeypatch):
    """Scores of twelve clips in the current folder, which is a workspace without runs."""
    monkeypatch.chdir(tmp_path)
    clips = [f"{n}.wav" for n in range(12)]
    captions = [f"{clip}#1" for clip in clips]
    arrays = {"scores": np.eye(12), "clip_ids": clips, "caption_ids": captions, "clip_of_caption": clips}
    np.savez(tmp_path / "x.npz", **arrays)
    return tmp_path / "x.npz"


@pytest.mark.parametrize("command", ["export", "report"])
def test_a_score_file_in_the_place_of_a_run(command, scores):
    assert error(command, "x.npz") == "x.npz is no run but a file; if it is a score file: --scores x.npz"
    assert error(command, "typo.npz") == "no such file typo.npz"
    said = error(command, "a-run-v1.2", code=2 if command == "export" else 3)
    assert "no finished run" in said, "a run may have a point in its name"


def test_a_score_file_that_is_not_there_is_no_run(scores):
    assert error("compare", "x.npz", "typo.npz") == "no such file typo.npz"
    assert error("compare", "typo.h5", "x.npz") == "no such file typo.h5"
    assert "no finished run" in error("compare", "x.npz", "runs/x", code=3)


@pytest.mark.parametrize(
    ("clips", "texts", "message"),
    [
        (12, False, "a submission names captions by their text"),
        (9, True, "a submission lists 10 clips"),
        (12, True, None),
    ],
)
def test_what_cannot_be_submitted_is_refused_before_anything_is_written(clips, texts, message, tmp_path):
    names = [f"{n}.wav" for n in range(clips)]
    arrays = {"scores": np.eye(clips), "clip_ids": names, "caption_ids": names, "clip_of_caption": names}
    np.savez(tmp_path / "x.npz", **arrays, **({"caption_texts": [f"Words {name}" for name in names]} if texts else {}))
    words = ("export", "--scores", tmp_path / "x.npz", "--format", "trec,submission", "--out", tmp_path / "out")
    if message is None:
        assert CliRunner().invoke(COMMAND, [str(word) for word in words]).exit_code == 0
        assert (tmp_path / "out" / "submission.csv").is_file()
    else:
        assert message in error(*words)
        assert not (tmp_path / "out").exists()
