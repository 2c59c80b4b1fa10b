"""FAULTS.md rows 7 and 23: a full disk, or any single call that fails: the old state or the new, never mixed."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from atrkit.errors import IntegrityError, ResourceError
from atrkit.store.embeddings import load_embeddings
from atrkit.store.parts import PartFolder

LIMITED = """
import resource
from pathlib import Path
from atrkit.errors import ResourceError
for limit_bytes in WORDS[1]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    folder = PartFolder(Path(WORDS[0]))
    try:
        folder.merge(folder.plan())
        print(json.dumps([0, ""]))
    except ResourceError as error:
        print(json.dumps([error.exit_code, str(error)]))
"""


def test_a_full_disk_during_a_merge_is_an_error_and_never_a_crash(toy, run_child, tmp_path):
    plan = toy.plan_of(12)
    folder = toy.fill(tmp_path / "toy.h5", plan, frames=2000)
    expected = toy.finished_bytes(tmp_path, plan, frames=2000)
    whole = len(expected)
    limits = [0, 100, 511, 513, 5000, 70_000, whole // 3, whole // 2, whole - 5000, whole - 1]
    outcomes = run_child(LIMITED, folder.final_path, limits)
    assert [code for code, _ in outcomes] == [4] * len(limits)
    for _, said in outcomes:
        assert said.startswith(f"cannot write {folder.final_path}: the file-size limit is reached")
    assert [len(load_embeddings(folder.part_path(part, 4)).clip_ids) for part in range(4)] == [3] * 4
    assert not folder.final_path.exists() and not list(tmp_path.glob("*.part"))

    assert run_child(LIMITED, folder.final_path, [whole]) == [[0, ""]]
    assert folder.final_path.read_bytes() == expected


class FailingCalls:
    """Counts calls of the operating system by which files change; the Nth fails, and, on a full disk, all after it."""

    def __init__(self, nth, code, persists):
        self.nth, self.code, self.persists, self.calls = nth, code, persists, 0

    def check(self):
        self.calls += 1
        if self.calls == self.nth or (self.persists and self.calls > self.nth):
            raise OSError(self.code, os.strerror(self.code))

    def wrap(self, function):
        def call(*arguments, **options):
            self.check()
            return function(*arguments, **options)

        return call

    def open(self, function):
        def call(path, mode="r", *arguments, **options):
            file = function(path, mode, *arguments, **options)
            if "w" in mode:
                self.check()
                file = CountedFile(file, self)
            return file

        return call


class CountedFile:
    """A file whose writes are counted; what is written before a failing one stays, as on a real disk."""

    def __init__(self, file, calls):
        self.file, self.calls = file, calls

    def write(self, data):
        try:
            self.calls.check()
        except OSError:
            self.file.write(bytes(data)[: len(data) // 2])
            raise
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.file.close()


@contextlib.contextmanager
def failing(monkeypatch, nth, code=errno.ENOSPC, persists=False, removals=False):
    calls = FailingCalls(nth, code, persists)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", calls.open(Path.open))
        patch.setattr(Path, "replace", calls.wrap(Path.replace))
        patch.setattr(os, "fsync", calls.wrap(os.fsync))
        if removals:
            for name in ("unlink", "rmdir"):
                patch.setattr(os, name, calls.wrap(getattr(os, name)))
        yield calls


CODES = pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
PERSISTENCE = pytest.mark.parametrize("persists", [False, True], ids=["once", "from then on"])


@CODES
@PERSISTENCE
@pytest.mark.parametrize("was_there", [False, True])
def test_whichever_call_fails_while_a_part_is_saved(tmp_path, monkeypatch, toy, code, persists, was_there):
    plan = toy.plan_of(6)
    for nth in range(1, 1000):
        folder = toy.fill(tmp_path / str(nth) / "toy.h5", plan, parts=[0, 1] if was_there else [0])
        path, part = folder.part_path(1, 2), toy.part_of(plan, 1, frames=7)
        with failing(monkeypatch, nth, code, persists) as calls:
            try:
                folder.save(1, plan, part)
            except ResourceError as error:
                assert str(path) in str(error)
        if calls.calls < nth:
            break
        assert [file.name for file in folder.folder.iterdir() if file.name.endswith(".part")] == []
        frames = [len(load_embeddings(path).frames_NF)] if path.exists() else []
        assert frames in (([15], [21]) if was_there else ([], [21])), "old or new"
        folder.save(1, plan, part)
        assert len(folder.merge(plan).frames_NF) == 15 + 21
    assert nth > 6, "the open, writes, two fsyncs and the rename were all counted"


@CODES
@PERSISTENCE
def test_whichever_call_fails_during_a_merge(tmp_path, monkeypatch, toy, code, persists):
    plan = toy.plan_of(9)
    expected = toy.finished_bytes(tmp_path, plan)
    for nth in range(1, 1000):
        folder = toy.fill(tmp_path / str(nth) / "toy.h5", plan)
        with failing(monkeypatch, nth, code, persists, removals=True) as calls, contextlib.suppress(ResourceError):
            folder.merge(plan)
        if calls.calls < nth:
            break
        assert persists or not list(folder.final_path.parent.glob("*.part")), "half a file is removed if it can be"
        if folder.final_path.exists():
            assert folder.final_path.read_bytes() == expected
        else:
            assert [len(load_embeddings(folder.part_path(part, 3)).clip_ids) for part in range(3)] == [3, 3, 3]
        # as the same command goes on: what is there is taken, what is missing is made
        if not folder.final_path.exists():
            folder.start(plan)
            for part in folder.missing(plan):
                folder.save(part, plan, toy.part_of(plan, part))
            folder.merge(plan)
        folder.clear()
        assert folder.final_path.read_bytes() == expected and not folder.folder.exists()
        shutil.rmtree(folder.final_path.parent)
    assert nth > 15, "writes, fsyncs, the rename, and the removal of plan, parts and folder were all counted"


@PERSISTENCE
def test_whichever_removal_fails_no_part_passes_for_one_of_another_plan(tmp_path, monkeypatch, toy, persists):
    ours, other = toy.plan_of(9), toy.plan_of(9, hop=160)
    for nth in range(1, 1000):
        folder = toy.fill(tmp_path / str(nth) / "toy.h5", ours)
        with failing(monkeypatch, nth, errno.EACCES, persists, removals=True) as calls:
            with contextlib.suppress(ResourceError):
                folder.clear()
            with contextlib.suppress(ResourceError, IntegrityError):
                PartFolder(folder.final_path).start(other)
                assert PartFolder(folder.final_path).finished(other) == frozenset()
        if calls.calls < nth:
            break
        again = PartFolder(folder.final_path)
        if again.difference(other):
            again.clear()  # as --overwrite does
        again.start(other)
        assert again.finished(other) == frozenset() and again.plan() == other
    assert nth > 5
