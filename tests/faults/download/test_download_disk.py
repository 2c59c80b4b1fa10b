"""FAULTS.md rows 7 and 8: a disk that is full, too small or read-only while a dataset is downloaded."""

import os
import re
import resource
import shutil
import subprocess
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.datasets.manifest import load_dataset

Usage = namedtuple("Usage", "total used free")
CLOTHO = ("download", "clotho", "--subset", "val", "--workers")
AUDIOCAPS = ("download", "audiocaps", "--subset", "val", "--workers")


@pytest.fixture
def file_size_limit():
    """Let no file grow over so many bytes, as a full disk does; Python ignores SIGXFSZ, so that writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def workspace(atrkit_in, tmp_path):
    return atrkit_in(tmp_path / "ws")


STEPS = [  # what is taken away before; the limit; the file that is too large for it
    ((), 10, ".clotho.lock"),
    ((), 100, "clotho_captions_validation.csv.part.json"),
    ((), 20_000, "clotho_audio_validation.7z.part"),
    (("clotho_audio_files", "audio_32000Hz"), 10_000, "validation 00.wav"),
    (("audio_32000Hz",), 5_000, "validation 00.flac"),
    (("manifest.jsonl", "dataset.json"), 2_000, "manifest.jsonl"),
]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.faults)])
def test_a_file_size_limit_in_every_step(zenodo, workspace, atrkit_in, files_below, file_size_limit, tmp_path, workers):
    words = (*CLOTHO, workers, "--keep-archives")
    atrkit_in(tmp_path / "alone")(*words)
    expected, folder = files_below(tmp_path / "alone"), workspace.workspace / "data" / "clotho"
    for number, (taken_away, limit_bytes, name) in enumerate(STEPS):
        for path in [path for below in taken_away for path in folder.rglob(below)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        file_size_limit(limit_bytes)
        message = workspace.error(*words, code=4)
        file_size_limit(resource.RLIM_INFINITY)
        assert message.startswith(f"atrkit: cannot write {workspace.workspace}"), message
        assert f"/{name}: the file-size limit is reached (ulimit -f); raise it and run" in message
        if number >= 2:
            workspace(*words)
            assert files_below(workspace.workspace) == expected, name


@pytest.mark.parametrize("name", ["manifest.jsonl", "missing.csv", "dataset.json"])
def test_a_description_that_does_not_fit_takes_nothing_away(
    zenodo, workspace, atrkit_in, files_below, monkeypatch, tmp_path, name
):
    """The description of one subset is there; that of two does not fit."""
    workspace("download", "clotho", "--subset", "eval", "--workers", 1)
    shutil.copytree(workspace.workspace, tmp_path / "alone")
    atrkit_in(tmp_path / "alone")(*CLOTHO, 1)
    part = workspace.workspace / "data" / "clotho" / f"{name}.part"
    part.mkdir()  # nothing can be written there
    message = workspace.error(*CLOTHO, 1, code=4)
    assert name in message
    part.rmdir()
    workspace(*CLOTHO, 1)
    assert files_below(workspace.workspace) == files_below(tmp_path / "alone")


@pytest.mark.parametrize(
    ("free_bytes", "what"),
    [(1_000, "downloading clotho_audio_validation.7z"), (20_000, "resampling 2 recordings")],
)
def test_a_disk_that_is_too_small_for_a_step_is_refused_before_it_begins(
    zenodo, workspace, monkeypatch, free_bytes, what
):
    def usage(path):
        is_there = any(Path(workspace.workspace).rglob("*.csv")) and ("down" in what or has_audio())
        return Usage(10**9, 10**9, free_bytes if is_there else 10**9)

    def has_audio():
        return any(workspace.workspace.rglob("validation/*.wav"))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    message = workspace.error(*CLOTHO, 1, code=4)
    assert what in message and "needs about" in message and "--workspace" in message
    monkeypatch.undo()


@pytest.mark.faults
def test_on_a_small_file_system_that_fills_up_at_any_moment(
    zenodo, serve_audiocaps, tools, atrkit_in, files_below, monkeypatch, tmp_path
):
    """A small tmpfs that says it has room; where mounting is not allowed, only the limits above are tried."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, 10**9))
    serve_audiocaps(3)
    mount, reached = tmp_path / "small", {}
    for words, step_kB in (((*CLOTHO, 2), 8), ((*AUDIOCAPS, 2), 300)):
        alone = tmp_path / words[1]
        atrkit_in(alone)(*words)
        expected, code, kilobytes = files_below(alone), 4, 0
        while code == 4:
            kilobytes += step_kB
            with small_file_system(mount, kilobytes):
                result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(mount)])
                code, line = result.exit_code, result.stderr.splitlines()[-1]
                assert code in (0, 4) and "Traceback" not in result.stderr, result.stderr
                if code == 4:
                    assert line.startswith("atrkit: ") and str(mount) in line
                    reached[re.sub(rf"{mount}\S*/|\d+ [km]B", "", line)] = f"{words[1]}, {kilobytes} kB"
                    subprocess.run(["mount", "-o", "remount,size=50m", "tmpfs", mount], check=True)
                    atrkit_in(mount)(*words)
                assert files_below(mount) == expected
    print("", *(f"{where}: {line}" for line, where in reached.items()), sep="\n")


@contextmanager
def small_file_system(mount, kilobytes):
    """A tmpfs that is there for a block."""
    mount.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", mount]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.fixture
def read_only(tmp_path):
    """Make a folder read-only: by permissions, or for root, whom those do not stop, by a mount."""
    mounted = []

    def protect(folder):
        if os.geteuid():
            for path in [folder, *folder.rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222)
        else:
            for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
                if subprocess.run(command, capture_output=True, check=False).returncode:
                    pytest.skip("mounting is not allowed here")
                mounted.append(folder)

    yield protect
    for folder in set(mounted):
        subprocess.run(["umount", folder], check=True)
    subprocess.run(["chmod", "-R", "u+w", tmp_path], check=True)


def test_a_read_only_copy_is_used_where_it_is(zenodo, workspace, copy_of_clotho, read_only):
    read_only(copy_of_clotho)
    workspace("download", "clotho", "--workers", 1, "--from", copy_of_clotho)
    assert not zenodo.server.requests
    assert len(load_dataset(workspace.workspace / "data" / "clotho").clips) == 7


@pytest.mark.parametrize("below", ["data", "data/clotho", "data/clotho/CLOTHO_v2.1"])
def test_a_read_only_dataset_is_read_and_not_written(zenodo, workspace, read_only, below):
    workspace(*CLOTHO, 1)
    requests = len(zenodo.server.requests)
    read_only(workspace.workspace / below)
    workspace("info", "clotho", "--verify")
    message = workspace.error("download", "clotho", "--workers", 1, code=4)
    assert str(workspace.workspace / below) in message
    assert "this place cannot be written; choose another with --workspace" in message
    assert len(zenodo.server.requests) == requests, "said before anything is fetched"
    if below != "data/clotho/CLOTHO_v2.1":
        return
    workspace(*CLOTHO, 1)  # where nothing is to be written, nothing stands in the way
