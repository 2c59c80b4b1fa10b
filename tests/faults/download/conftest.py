"""A Clotho and an AudioCaps of any size at a local server, and downloads of them in processes of their own."""

import copy
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import py7zr
import pytest
import soundfile

import atrkit
from atrkit.datasets import aac_tables
from atrkit.datasets.audiocaps import tables
from atrkit.network import TransferSettings, transfer

SCRIPT = Path(__file__).with_name("with_small_datasets.py")
FOLDERS = {"dev": "development", "val": "validation", "eval": "evaluation"}
RATE_HZ = 44_100
PATIENCE_S = 90  # for a child on a busy machine


@dataclass(frozen=True)
class Zenodo:
    """A server with a Clotho: `links` as aac-datasets has them, `files` as they are published."""

    server: object
    links: dict
    files: Path

    def path(self, subset, kind):
        """Of a file at the server."""
        return urlsplit(self.links["v2.1"][subset][kind]["url"]).path

    def publish(self, subset, kind, **options):
        """Offer a file (again): `faults=[...]`, `bytes_per_s=...`."""
        content = self.files / self.links["v2.1"][subset][kind]["fname"]
        self.server.publish(self.path(subset, kind), content.read_bytes(), **options)

    def archive_requests(self):
        return [request for request in self.server.requests if request.path.endswith(".7z")]


def table(header, rows):
    text = io.StringIO(newline="")
    csv.writer(text).writerows([header, *rows])
    return text.getvalue()


@pytest.fixture(scope="session")
def make_clotho(tmp_path_factory):
    """Write tables and archives of noise: `make_clotho({"dev": 3, "val": 2, "eval": 2}, duration_s=0.2)`."""

    def make(clips, duration_s):
        root = tmp_path_factory.mktemp("clotho")
        noise = np.random.default_rng(0)
        for subset, folder in FOLDERS.items():
            names = [f"{folder} {number:02}.wav" for number in range(clips[subset])]
            (root / folder).mkdir()
            for name in names:
                samples = noise.uniform(-0.5, 0.5, round(RATE_HZ * duration_s))
                soundfile.write(root / folder / name, samples, RATE_HZ, subtype="PCM_16")
            archive_path = root / f"clotho_audio_{folder}.7z"
            with py7zr.SevenZipFile(archive_path, "w", filters=[{"id": py7zr.FILTER_COPY}]) as archive:
                archive.writeall(root / folder, folder)
            header, captions = ["file_name", *(f"caption_{k}" for k in range(1, 6))], "A noise, the same for {} s"
            rows = [[name, *(captions.format(k) for k in range(1, 6))] for name in names]
            (root / f"clotho_captions_{folder}.csv").write_text(table(header, rows))
            header = ["file_name", "keywords", "sound_id", "sound_link", "start_end_samples", "manufacturer", "license"]
            rows = [[name, "noise", "42", "https://freesound.org/s/42", "[0, 8820]", "Anna", "CC0"] for name in names]
            (root / f"clotho_metadata_{folder}.csv").write_text(table(header, rows))
        return root

    return make


@pytest.fixture(scope="session")
def small_files(make_clotho):
    return make_clotho({"dev": 3, "val": 2, "eval": 2}, duration_s=0.2)


@pytest.fixture
def copy_of_clotho(small_files, tmp_path):
    """What somebody has already, in aac-datasets' layout."""
    root = tmp_path / "have" / "CLOTHO_v2.1"
    for folder in ("development", "validation", "evaluation"):
        shutil.copytree(small_files / folder, root / "clotho_audio_files" / folder)
    (root / "clotho_csv_files").mkdir()
    for path in small_files.glob("*.csv"):
        shutil.copy(path, root / "clotho_csv_files")
    return root.parent


@pytest.fixture
def serve_clotho(server, monkeypatch, tmp_path):
    """Let a server with these files stand for Zenodo, in this process and in children; nobody waits to try again."""
    settings = TransferSettings(first_delay_s=0, longest_retry_after_s=0, read_timeout_s=5)
    monkeypatch.setattr(transfer, "DEFAULT_SETTINGS", settings)
    monkeypatch.delenv(aac_tables.ROOT_VARIABLE, raising=False)

    def serve(files, **options):
        links = copy.deepcopy(aac_tables._table("clotho", "_CLOTHO_LINKS"))
        zenodo = Zenodo(server, links, files)
        for subset in FOLDERS:
            for kind, link in links["v2.1"][subset].items():
                link["hash_value"] = hashlib.md5((files / link["fname"]).read_bytes()).hexdigest()
                zenodo.publish(subset, kind, **options)
        official = aac_tables._table
        changed = lambda module, name: links if name == "_CLOTHO_LINKS" else official(module, name)  # noqa: E731
        monkeypatch.setattr(aac_tables, "_table", changed)
        (tmp_path / "links.json").write_text(json.dumps(links))
        monkeypatch.setenv("LINKS", str(tmp_path / "links.json"))
        monkeypatch.setenv("ATRKIT_MIRROR", server.url)
        return zenodo

    return serve


@pytest.fixture
def zenodo(serve_clotho, small_files):
    """The small one: 3, 2 and 2 clips of 0.2 s."""
    return serve_clotho(small_files)


# each takes a moment, so that it can be killed; ffmpeg writes in two halves
YTDLP = """#!/bin/sh
for last in "$@"; do :; done
[ -e "{folder}/hang" ] && {{ echo $$ >> "{folder}/hanging"; exec sleep 600; }}
echo "$last" >> "{folder}/calls"
sleep 0.02
echo "https://media.invalid/${{last##*=}}"
"""
FFMPEG = """#!/bin/sh
for last in "$@"; do :; done
head -c 1000 "{folder}/sound.flac" > "$last"
sleep 0.03
cp "{folder}/sound.flac" "$last" || {{ echo "$last: No space left on device" >&2; exit 1; }}
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """The folder of programs that stand for yt-dlp and ffmpeg.

    A file `hang` in it makes yt-dlp hang, which writes its process id to `hanging`; `calls` lists what it was asked.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in (("yt-dlp", YTDLP), ("ffmpeg", FFMPEG)):
        (folder / name).write_text(script.format(folder=folder))
        (folder / name).chmod(0o755)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, 48_000 * 10)
    soundfile.write(folder / "sound.flac", noise, 48_000, subtype="PCM_16")
    for variable in ("AAC_DATASETS_YTDLP_PATH", "AAC_DATASETS_FFMPEG_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def serve_audiocaps(server, monkeypatch):
    """Let a server with the table of so many validation clips stand for AudioCaps'."""
    monkeypatch.delenv(aac_tables.ROOT_VARIABLE, raising=False)

    def serve(clips):
        header, captions = ["audiocap_id", "youtube_id", "start_time", "caption"], range(5)
        rows = [[f"v{n}{k}", f"val{n:08}", n, f"Sound {n}, told {k} times"] for n in range(clips) for k in captions]
        path = urlsplit(aac_tables.audiocaps_captions("v1", "val").url).path
        server.publish(path, table(header, rows).encode())
        monkeypatch.setitem(tables.KNOWN_TABLES, ("v1", "val"), tables.KnownTable(None, len(rows), clips))
        monkeypatch.setenv("CLIPS", str(clips))
        monkeypatch.setenv("ATRKIT_MIRROR", server.url)
        return server

    return serve


@pytest.fixture
def start_atrkit(tmp_path):
    """Start a command as the leader of a process group of its own, which nothing outlives."""
    children = []

    def start(*words, workspace, blocked=None, **options):
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
        environment |= {"BLOCKED": blocked} if blocked else {}
        child = subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, words), "--workspace", str(workspace)],
            **{"cwd": tmp_path, "env": environment, "text": True, "start_new_session": True}
            | {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            | {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
            | options,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        if group_of(child):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def group_of(child):
    """Process ids of the child's group, without those that ended and were not waited for."""
    alive = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == child.pid and state != "Z":
            alive.append(int(stat.parent.name))
    return alive


@pytest.fixture
def processes_of():
    """Process ids of a child's group."""
    return group_of


@pytest.fixture
def wait_until():
    """Wait until something is so, or the child has ended."""

    def wait(condition, child):
        deadline = time.monotonic() + PATIENCE_S
        while child.poll() is None and not condition():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return child.poll() is None

    return wait


@pytest.fixture
def files_below():
    """Path -> bytes of every file of a dataset, hidden ones too; locks say who wrote, journals when: not those."""

    def read(folder):
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if not path.is_dir()}
        return {name: without_times(path) for name, path in files.items() if path.name != "fetched.jsonl"}

    return read


def without_times(path):
    if path.suffix == ".lock":
        return b""
    data = path.read_bytes()
    return re.sub(rb'(_state": \[\d+), \d+\]', rb"\1]", data) if path.name == "prepared.jsonl" else data
