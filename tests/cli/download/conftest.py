"""A small Clotho as its publisher would offer it, and the command as a user starts it."""

import copy
import csv
import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import py7zr
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.datasets import aac_tables
from atrkit.datasets.audiocaps import tables
from atrkit.network import TransferSettings, transfer

FOLDERS = {"dev": "development", "val": "validation", "eval": "evaluation"}
NAMES = {
    "dev": ["Rain, on a tin roof.wav", " leading blank.wav", "a#b%20&c;d.wav"],
    "val": ["Twice there.wav", "Wind.wav"],
    "eval": ["Twice there.wav", "Bells (far).wav"],
}
RATE_HZ = 44_100


@pytest.fixture
def atrkit(tmp_path, monkeypatch):
    """Run a command in a workspace: `atrkit("download", "clotho", code=0)`; what it says is on `.stderr`."""
    monkeypatch.delenv("ATRKIT_WORKSPACE", raising=False)
    monkeypatch.delenv(aac_tables.ROOT_VARIABLE, raising=False)

    def run(*words, code=0):
        words = [*map(str, words), "--workspace", str(tmp_path / "ws")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr, result.exception)
        assert "Traceback" not in result.stderr
        return result

    run.data = tmp_path / "ws" / "data"
    return run


@pytest.fixture
def impatient(monkeypatch):
    """Retries without waiting."""
    settings = TransferSettings(first_delay_s=0, longest_retry_after_s=0, read_timeout_s=0.3)
    monkeypatch.setattr(transfer, "DEFAULT_SETTINGS", settings)


def noise(number: int, duration_s: float = 0.2) -> np.ndarray:
    """Another one for each number; noise, so that archives of it are not tiny."""
    samples = np.random.default_rng(number).uniform(-0.5, 0.5, round(RATE_HZ * duration_s))
    return samples.astype(np.float32)


def captions_of(name: str) -> list[str]:
    return [f'The sound of "{name}", heard {times} times.' for times in range(1, 6)]


def table(header: list[str], rows: list[list[str]], encoding: str = "utf-8") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue().encode(encoding)


def write_files(root: Path) -> None:
    """Every subset's tables, audio folder and archive below `root`."""
    for subset, folder in FOLDERS.items():
        (root / folder).mkdir(parents=True)
        for number, name in enumerate(NAMES[subset]):
            soundfile.write(root / folder / name, noise(number), RATE_HZ, subtype="PCM_16")
        with py7zr.SevenZipFile(root / f"clotho_audio_{folder}.7z", "w") as archive:
            archive.writeall(root / folder, folder)
        rows = [[name, *captions_of(name)] for name in NAMES[subset]]
        header = ["file_name", *(f"caption_{k}" for k in range(1, 6))]
        (root / f"clotho_captions_{folder}.csv").write_bytes(table(header, rows))
        header = ["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"]
        facts = ["rain;tin", "42", "https://freesound.org/s/42", "[0, 8820]", "Óscar de Ávila", "http://cc/by/3.0/"]
        rows = [[name, *facts] for name in NAMES[subset]]
        (root / f"clotho_metadata_{folder}.csv").write_bytes(table(header, rows, "latin-1"))


@pytest.fixture(scope="session")
def clotho_files(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("published")
    write_files(root)
    return root


@pytest.fixture
def zenodo(server, clotho_files, monkeypatch, impatient):
    """A local server with the small Clotho stands for Zenodo; `.paths[subset, kind]` are its paths."""
    links = copy.deepcopy(aac_tables._table("clotho", "_CLOTHO_LINKS"))
    original = aac_tables._table
    paths = {}
    for subset in FOLDERS:
        for kind, link in links["v2.1"][subset].items():
            data = (clotho_files / link["fname"]).read_bytes()
            link["hash_value"] = hashlib.md5(data).hexdigest()
            paths[subset, kind] = urlsplit(link["url"]).path
            server.publish(paths[subset, kind], data)

    def changed_table(module, name):
        return links if name == "_CLOTHO_LINKS" else original(module, name)

    monkeypatch.setattr(aac_tables, "_table", changed_table)
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    return SimpleNamespace(server=server, paths=paths, links=links, files=clotho_files)


# AudioCaps: tables at a local server, and programs that stand for yt-dlp and ffmpeg

AUDIOCAPS = {
    "train": {"trainAAAAAA": 30},
    "val": {"valAAAAAAAA": 0, "valBBBBBBBB": 20},
    "test": {"_-testAAAAA": 100, "testBBBBBBB": 10, "testCCCCCCC": 3},
}
YTDLP = """#!/bin/sh
for last in "$@"; do :; done
id="${last##*=}"
echo "$@" >> "$(dirname "$0")/ytdlp.log"
case "$(cat "$(dirname "$0")/says/$id" 2>/dev/null)" in
  private) echo "ERROR: [youtube] $id: Private video. Sign in if you've been granted access" >&2; exit 1 ;;
  limited) echo "ERROR: [youtube] $id: Sign in to confirm you're not a bot. Use --cookies" >&2; exit 1 ;;
  garbage) printf '\\001\\002 no address' ;;
  hang) exec sleep 60 ;;
  *) echo "https://media.invalid/$id" ;;
esac
"""
FFMPEG = """#!/bin/sh
for last in "$@"; do :; done
echo "$@" >> "$(dirname "$0")/ffmpeg.log"
cp "$(dirname "$0")/sound.flac" "$last"
"""


@pytest.fixture
def audiocaps(server, monkeypatch, impatient):
    """AudioCaps' tables of captions, small, at the local server."""
    for subset, clips in AUDIOCAPS.items():
        number = 1 if subset == "train" else 5
        rows = [
            [f"{subset}{clip}{k}", youtube_id, start_s, f"Sound {clip}, described {k} times"]
            for clip, (youtube_id, start_s) in enumerate(clips.items())
            for k in range(number)
        ]
        path = urlsplit(aac_tables.audiocaps_captions("v1", subset).url).path
        data = table(["audiocap_id", "youtube_id", "start_time", "caption"], rows)
        server.publish(path, data)
        known = tables.KnownTable(hashlib.md5(data).hexdigest(), len(rows), len(clips))
        monkeypatch.setitem(tables.KNOWN_TABLES, ("v1", subset), known)
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    return server


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Fake yt-dlp and ffmpeg on PATH; `tools.says(youtube_id, "private")` makes one fail."""
    folder = tmp_path / "bin"
    (folder / "says").mkdir(parents=True)
    for name, script in (("yt-dlp", YTDLP), ("ffmpeg", FFMPEG)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    soundfile.write(folder / "sound.flac", noise(1, duration_s=10), 48_000, subtype="PCM_16")
    for variable in ("AAC_DATASETS_YTDLP_PATH", "AAC_DATASETS_FFMPEG_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def calls(program):
        log = folder / f"{program}.log"
        return log.read_text().splitlines() if log.exists() else []

    return SimpleNamespace(
        folder=folder,
        says=lambda youtube_id, what: (folder / "says" / youtube_id).write_text(what),
        calls=calls,
    )
