"""Words that a ridge was never told: its TF-IDF leaves them out, and the embedding of nothing points somewhere too."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import Result
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.cli.session import Terminal
from atrkit.errors import UsageError
from atrkit.serve.interface import Wanted
from atrkit.workflows.live_search import LiveSearch

RATE_HZ = 16000
KINDS = {"a low bell rings": 300, "a shrill whistle": 4000}
RIDGE = """\
source: ours, small enough for a test
seeds: [1]
encoder: {name: logmel}
model: {name: ridge, ridge_lambda: 1.0, label_prior: false}
"""


def atrkit(workspace: Path, *words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ridge that was told of bells and whistles, and an index of them."""
    root = tmp_path_factory.mktemp("words")
    sounds = root / "sounds"
    sounds.mkdir()
    lines = ["file_name,caption_1,split"]
    for number in range(20):
        caption, frequency = list(KINDS.items())[number % 2]
        time_s = np.arange(RATE_HZ // 2) / RATE_HZ
        noise = np.random.default_rng(number).standard_normal(len(time_s))
        soundfile.write(sounds / f"{number:02}.wav", 0.2 * np.sin(frequency * 6 * time_s) + 0.02 * noise, RATE_HZ)
        lines.append(f"{number:02}.wav,{caption},{'dev' if number < 12 else 'val' if number < 16 else 'eval'}")
    (sounds / "captions.csv").write_text("\n".join(lines) + "\n")
    (root / "ridge.yaml").write_text(RIDGE)
    atrkit(root, "import", sounds, "--name", "tiny")
    atrkit(root, "train", root / "ridge.yaml", "--name", "ridge")
    atrkit(root, "index", sounds, "--run", "ridge")
    return root


def found(result: Result) -> Sequence[tuple[str, float]]:
    return [(each["path"], each["score"]) for each in json.loads(result.stdout)["results"]]


def test_words_without_a_known_stem_are_said_and_change_nothing(workspace):
    known = atrkit(workspace, "search", "bells ringing", "--json")
    result = atrkit(workspace, "search", "bells ringing zeppelin", "--not", "whistling quarrels", "--json")
    assert "2 words that the model does not know: 'zeppelin', 'quarrels'" in result.stderr
    assert "not know" not in known.stderr
    assert found(atrkit(workspace, "search", "bells ringing zeppelin", "--json")) == found(known)


def test_a_text_of_which_nothing_is_known_is_refused(workspace, tmp_path):
    said = atrkit(workspace, "search", "zeppelin quarrels", code=2).stderr.splitlines()
    assert "knows no word of 'zeppelin quarrels'" in said[-1] and "run ridge/seed-1" in said[-1]
    assert not any("does not know" in line or "do not know" in line for line in said)
    (tmp_path / "queries.txt").write_text("a bell\nzeppelin\n")
    assert "no word of 'zeppelin'" in atrkit(workspace, "search", "--queries", tmp_path / "queries.txt", code=2).stderr
    assert "words" in atrkit(workspace, "search", "?!", code=2).stderr


def test_an_unwanted_text_of_which_nothing_is_known_is_ignored_and_that_is_said(workspace):
    plain = atrkit(workspace, "search", "a bell", "--json")
    result = atrkit(workspace, "search", "a bell", "--not", "zeppelin", "--json")
    assert "not: 'zeppelin' is ignored, run ridge/seed-1 knows no word of it" in result.stderr
    assert found(result) == found(plain)
    assert found(atrkit(workspace, "search", "a bell", "--not", "whistle", "--json")) != found(plain)


def test_the_page_is_told_the_same(workspace):
    live = LiveSearch(Terminal(workspace, as_json=False, plain=True).session, None)
    with pytest.raises(UsageError, match="knows no word of 'zeppelin'"):
        live.find(Wanted("zeppelin"))
    answer = live.find(Wanted("a bell quarrels", "zeppelin"))
    assert answer["notes"] == [
        "not: 'zeppelin' is ignored, run ridge/seed-1 knows no word of it",
        "1 word that the model does not know: 'quarrels'",
    ]
