"""FAULTS.md rows 7 and 23 through the command: a disk that is too small, and any one call that fails."""

import contextlib
import errno
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import atrkit
from atrkit.cli.app import app
from atrkit.store.embeddings import load_embeddings

LOGMEL = ("extract", "--encoder", "logmel")
SHARDS = [(*LOGMEL, "--shard", "1/2"), (*LOGMEL, "--shard", "2/2")]
MERGE = (*LOGMEL, "--merge")

LIMITED = """
import functools, json, resource, sys, tempfile
import torch  # half imported on a full disk, it cannot be imported again
tempfile.gettempdir()
from typer.testing import CliRunner
from atrkit.cli.app import app
from atrkit.workflows import extract_options
extract_options.ExtractOptions = functools.partial(extract_options.ExtractOptions, part_clips=3)
for limit_bytes, words in json.loads(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    result = CliRunner().invoke(app, words)
    print(json.dumps([result.exit_code, result.stderr, repr(result.exception)]))
"""


def run_limited(workspace, limits_and_words):
    """Run commands one after the other in a child, no file of theirs larger than so many bytes."""
    jobs = [(limit, [*words, "--workspace", str(workspace)]) for limit, words in limits_and_words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(jobs)], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_size_of_disk_crashes_an_extraction_and_each_goes_on(mine, copy_of_mine, atrkit_in, digests):
    """Sizes at which the lock, the plan, a part, the joined file and nothing at all fail."""
    mine(*LOGMEL)
    whole_bytes = (mine.workspace / "embeddings" / "mine" / "logmel.h5").stat().st_size
    too_small = [0, 20, 300, 511, 513, 3000, whole_bytes // 2, whole_bytes - 1]
    commands = [
        *((limit, SHARDS[0]) for limit in too_small[:6]),
        *((limit, LOGMEL) for limit in too_small),
        *((resource.RLIM_INFINITY, words) for words in SHARDS),
        *((limit, MERGE) for limit in too_small),
        (whole_bytes, MERGE),
    ]
    workspace = copy_of_mine("limited")
    outcomes = run_limited(workspace, commands)
    parts_seen = 0
    for (limit, words), (code, said, exception) in zip(commands, outcomes, strict=True):
        assert code == (4 if 0 <= limit < whole_bytes else 0), (limit, words, said, exception)
        assert "Traceback" not in said
        if code:
            (line,) = [line for line in said.splitlines() if line.startswith("atrkit: ")]
            assert "cannot write" in line and "the file-size limit is reached" in line, line
        parts_seen += "parts are there from an earlier call" in said
    assert parts_seen, "parts that were finished on a small disk were taken"
    assert digests(workspace) == digests(mine.workspace)
    assert not list(workspace.rglob("*.part")) and not list(workspace.rglob("*.parts"))


class Failing:
    """Counts the calls by which files change; the Nth fails as on a full disk."""

    def __init__(self, nth):
        self.nth, self.calls = nth, 0

    def count(self):
        self.calls += 1
        if self.calls == self.nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def wrap(self, function):
        def call(*arguments, **options):
            self.count()
            return function(*arguments, **options)

        return call

    def open(self, function):
        def call(path, mode="r", *arguments, **options):
            file = function(path, mode, *arguments, **options)
            return CountedFile(file, self) if mode == "wb" else file

        return call


class CountedFile:
    """A file whose writes are counted; what came before a failing one stays, as on a real disk."""

    def __init__(self, file, calls):
        self._file, self._calls = file, calls

    def write(self, data):
        self._calls.count()
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self._file.close()


@contextlib.contextmanager
def failing(monkeypatch, nth, *, everything):
    calls = Failing(nth)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", calls.wrap(Path.replace))
        if everything:
            patch.setattr(os, "fsync", calls.wrap(os.fsync))
            patch.setattr(Path, "open", calls.open(Path.open))
            patch.setattr(Path, "write_text", calls.wrap(Path.write_text))
        yield calls


# both shards: plan, count of shards, four parts; the merge: the file and the list of problems
@pytest.mark.parametrize(
    ("everything", "least"), [(False, 8), pytest.param(True, 60, marks=pytest.mark.faults)], ids=["renames", "all"]
)
def test_whichever_call_fails_shards_and_merge_come_to_the_same_bytes(
    mine, copy_of_mine, atrkit_in, digests, monkeypatch, everything, least
):
    mine(*LOGMEL)
    expected = digests(mine.workspace)
    for nth in range(1, 1000):
        command = atrkit_in(copy_of_mine(str(nth)))
        with failing(monkeypatch, nth, everything=everything) as calls:
            for words in (*SHARDS, MERGE):
                result = CliRunner().invoke(app, [*words, "--workspace", str(command.workspace)])
                if result.exit_code:
                    break
        if calls.calls < nth:
            break
        assert result.exit_code == 4, (nth, words, result.stderr, result.exception)
        assert "the disk is full" in result.stderr.splitlines()[-1]
        for part in command.workspace.rglob("part-*.h5"):
            load_embeddings(part)
        for words in (*SHARDS, MERGE):
            command(*words)
        assert digests(command.workspace) == expected, nth
        assert not list(command.workspace.rglob("*.part")), nth
    assert nth - 1 >= least, nth
    if everything:
        print(f"\nany one of {nth - 1} writes, fsyncs and renames of two shards and their merge fails: stores equal")
