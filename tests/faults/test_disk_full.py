"""FAULTS.md rows 7, 8, 23: a disk that is full, too small or read-only; a write that fails at any moment."""

import contextlib
import errno
import functools
import json
import os
import resource
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import extract, extract_options

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def file_size_limit():
    """Let no file grow over so many bytes, as a full disk does; Python ignores SIGXFSZ, so that writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_parts(monkeypatch):
    small = functools.partial(extract_options.ExtractOptions, part_clips=4)
    monkeypatch.setattr(extract_options, "ExtractOptions", small)


CHILD = """
import json, resource, sys
from typer.testing import CliRunner
from atrkit.cli.app import app
for limit_bytes, *words in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    result = CliRunner().invoke(app, [*words, *sys.argv[2:]])
    print(json.dumps([result.exit_code, result.stderr]))
"""


def test_no_command_crashes_on_a_full_disk_and_each_goes_on_afterwards(
    tiny, finished, start_child, run_bytes, store_bytes
):
    shutil.rmtree(tiny.workspace / "embeddings")
    train = ("train", str(tiny.workspace / "recipe.yaml"))
    commands = [
        (50_000, "download", "synthetic", "--clips", "30", "--workers", "2"),
        (5_000, "extract", "--encoder", "logmel"),
        (resource.RLIM_INFINITY, "extract", "--encoder", "logmel"),
        (10_000, *train),
        (resource.RLIM_INFINITY, *train),
        (1_000, "eval"),
        (resource.RLIM_INFINITY, "eval"),
    ]
    child = start_child(json.dumps(commands), workspace=tiny.workspace, code=CHILD)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 0, (child.returncode, stderr)

    outcomes = [json.loads(line) for line in stdout.splitlines()]
    for (limit_bytes, name, *_), (code, said) in zip(commands, outcomes, strict=True):
        assert code == (0 if limit_bytes == resource.RLIM_INFINITY else 4), (name, code, said)
        assert "Traceback" not in said
        if code:
            assert said.splitlines()[-1].startswith("atrkit: cannot write "), said
            assert said.count("atrkit: ") == 1 and "the file-size limit is reached" in said
    assert store_bytes(tiny.workspace) == store_bytes(finished)
    assert run_bytes(tiny.workspace) == run_bytes(finished)
    assert not list(tiny.workspace.rglob("*.part")), "half files are removed"
    assert not (tiny.workspace / "data" / "synthetic" / "dataset.json").exists(), "half a dataset is none"


def test_finished_parts_outlive_a_full_disk(tiny, finished, small_parts, file_size_limit, store_bytes):
    shutil.rmtree(tiny.workspace / "embeddings")
    file_size_limit(20_000)  # enough for each part, not for the file they are joined into
    message = tiny.error("extract", "--encoder", "logmel", code=4)
    assert "logmel.h5: the file-size limit is reached" in message

    parts = sorted((tiny.workspace / "embeddings" / "tiny" / "logmel.parts").glob("*.h5"))
    assert [len(load_embeddings(part).clip_ids) for part in parts] == [4] * 5
    file_size_limit(resource.RLIM_INFINITY)
    again = tiny("extract", "--encoder", "logmel")
    assert "5 of 5 parts are there from an earlier call" in again.stderr
    assert store_bytes(tiny.workspace) == store_bytes(finished)


@pytest.mark.parametrize(
    "words", [("extract", "--encoder", "logmel"), ("download", "synthetic", "--clips", "30", "--workers", "1")]
)
def test_a_disk_that_is_too_small_is_refused_before_the_start(tiny, monkeypatch, words):
    shutil.rmtree(tiny.workspace / "embeddings")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 1000, 1000))
    message = tiny.error(*words, code=4)
    assert "needs about" in message and "1 kB are free: free some space or choose another --workspace" in message
    assert not list(tiny.workspace.rglob("*.parts")) and not (tiny.workspace / "data" / "synthetic").exists()


def test_the_estimate_is_no_less_than_what_extraction_writes(tiny, monkeypatch):
    """Twice what the file holds, because parts and file lie side by side for a moment; and not much more."""
    asked = []
    monkeypatch.setattr(extract, "require_free_space", lambda folder, needed_bytes, what: asked.append(needed_bytes))
    tiny("extract", "--encoder", "logmel", "--overwrite")
    written = (tiny.workspace / "embeddings" / "tiny" / "logmel.h5").stat().st_size
    assert 2 * written <= asked[0] <= 5 * written


@pytest.mark.parametrize(
    ("blocked", "words"),
    [
        ("data", ("download", "synthetic", "--clips", "30", "--workers", "1")),
        ("data", ("import", "SOUNDS", "--name", "more")),
        ("embeddings", ("extract", "--encoder", "logmel", "--dataset", "tiny")),
        ("runs", ("train", "RECIPE")),
    ],
)
def test_a_folder_that_cannot_be_made_is_said_before_any_work(tiny, monkeypatch, blocked, words):
    """A file where the folder should be: permissions do not stop root, this does."""
    places = {"SOUNDS": tiny.workspace / "sounds", "RECIPE": tiny.workspace / "recipe.yaml"}
    if blocked == "data":
        tiny = type(tiny)(tiny.workspace / "elsewhere")
        tiny.workspace.mkdir()
    shutil.rmtree(tiny.workspace / blocked, ignore_errors=True)
    (tiny.workspace / blocked).write_text("in the way")
    message = tiny.error(*(places.get(word, word) for word in words), code=4)
    assert message.startswith(f"atrkit: cannot write {tiny.workspace / blocked}")
    assert "--workspace" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into a read-only folder")
def test_a_read_only_folder_is_read_and_not_written(trained):
    folder = trained.workspace / "embeddings" / "tiny"
    folder.chmod(0o555)
    try:
        assert "cannot be written" in trained.error("extract", "--encoder", "logmel", "--overwrite", code=4)
        trained("eval")
    finally:
        folder.chmod(0o755)


@contextlib.contextmanager
def failing_write(monkeypatch, nth, functions):
    """Let the Nth call of these functions fail as on a full disk; yields a list with an entry for each call."""
    calls = []

    def wrap(function):
        def call(*arguments, **options):
            calls.append(function)
            if len(calls) == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for owner, name in functions:
            patch.setattr(owner, name, wrap(getattr(owner, name)))
        yield calls


RENAMES = [(Path, "replace")]  # one in each write
ALL_CALLS = [(os, "fsync"), *RENAMES]  # the file, its name, its folder
every_write = pytest.mark.parametrize(
    ("functions", "calls_per_write"),
    [pytest.param(RENAMES, 1, id="renames"), pytest.param(ALL_CALLS, 3, id="all", marks=pytest.mark.faults)],
)


@every_write
def test_whichever_write_fails_extract_comes_to_the_same_bytes(
    tiny, finished, small_parts, monkeypatch, store_bytes, functions, calls_per_write
):
    for nth in range(1, 1000):
        shutil.rmtree(tiny.workspace / "embeddings")
        with failing_write(monkeypatch, nth, functions) as calls:
            result = CliRunner().invoke(app, ["extract", "--encoder", "logmel", "--workspace", str(tiny.workspace)])
        if len(calls) < nth:
            break
        assert result.exit_code == 4 and "the disk is full" in result.stderr, (nth, result.stderr)
        tiny("extract", "--encoder", "logmel")
        assert store_bytes(tiny.workspace) == store_bytes(finished), nth
    assert nth == 1 + calls_per_write * 8, "plan, five parts, the file they are joined into, and the list of problems"


@every_write
def test_whichever_write_fails_train_and_eval_come_to_the_same_bytes(
    tiny, finished, monkeypatch, run_bytes, functions, calls_per_write
):
    names = ("results.json", "scores.h5")
    (reference,) = {path.parent for path in (finished / "runs").rglob("results.json")}
    for nth in range(1, 1000):
        shutil.rmtree(tiny.workspace / "runs", ignore_errors=True)
        with failing_write(monkeypatch, nth, functions) as calls:
            words = ["train", str(tiny.workspace / "recipe.yaml"), "--workspace", str(tiny.workspace)]
            result = CliRunner().invoke(app, words)
            if result.exit_code == 0:
                result = CliRunner().invoke(app, ["eval", "--workspace", str(tiny.workspace)])
        if len(calls) < nth:
            break
        assert result.exit_code == 4 and "the disk is full" in result.stderr, (nth, result.stderr)
        tiny.train()
        tiny("eval")
        assert run_bytes(tiny.workspace) == run_bytes(finished), nth
        (folder,) = {path.parent for path in (tiny.workspace / "runs").rglob("results.json")}
        assert [(folder / name).read_bytes() for name in names] == [(reference / name).read_bytes() for name in names]
    assert nth == 1 + calls_per_write * 15, (
        "records, a checkpoint and metrics for each epoch, the model, scores and results"
    )


@pytest.mark.faults
@pytest.mark.parametrize("kilobytes", [60, 120, 180, 240, 300])
def test_on_a_file_system_that_is_really_full(prepared, finished, tmp_path, atrkit_in, store_bytes, kilobytes):
    """A small tmpfs; where mounting is not allowed, only the size limit above is tried."""
    mount = tmp_path / "small"
    mount.mkdir()
    size = f"size={kilobytes}k"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", mount], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        small = atrkit_in(mount)
        code, said = 0, ""
        for words in (
            ("import", prepared / "sounds", "--name", "tiny"),
            ("extract", "--encoder", "logmel"),
            ("train", prepared / "recipe.yaml"),
            ("eval",),
            ("download", "synthetic", "--clips", "30"),
        ):
            result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(mount)])
            assert result.exit_code in (0, 3, 4), (words, result.exit_code, result.stderr, result.exception)
            assert "Traceback" not in result.stderr
            if result.exit_code == 4:
                code, said = 4, f"{words[0]}: {result.stderr.splitlines()[-1]}"
                break
        assert code == 4
        print(f"\n{kilobytes} kB: {said}")
        assert "small" in said
        subprocess.run(["mount", "-o", "remount,size=50m", "tmpfs", mount], check=True)
        for words in (("import", prepared / "sounds", "--name", "tiny"), ("extract", "--encoder", "logmel")):
            small(*words)
        assert store_bytes(mount) == store_bytes(finished)
        subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
        assert "cannot be written" in small.error("extract", "--encoder", "logmel", "--overwrite", code=4)
    finally:
        subprocess.run(["umount", mount], check=True)
