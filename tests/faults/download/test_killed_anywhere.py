"""FAULTS.md rows 4, 7, 23: a download that is killed before any of its changes to the disk, or whose change fails."""

import contextlib
import errno
import io
import os
import shutil
import signal

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app

RENAMES = [(os, "rename"), (os, "replace")]
ALL = [*RENAMES, *((os, name) for name in ("fsync", "mkdir", "rmdir", "unlink", "utime")), (io, "open")]
BESIDE_ANOTHER_SUBSET = ("--subset", "val")
WITHOUT_ORIGINALS = ("--subset", "val", "--drop-original")
which_changes = pytest.mark.parametrize(
    "changes", [pytest.param(RENAMES, id="renames"), pytest.param(ALL, id="all", marks=pytest.mark.faults)]
)


@contextlib.contextmanager
def before_each(monkeypatch, changes, act):
    """Call `act(number, where)` before each of these changes to the disk; yields the list of them.

    `where` is what the operating system names when the change fails: its path, and nothing where it has a descriptor.
    """
    seen = []

    def wrap(name, function):
        def change(*arguments, **options):
            mode = str(arguments[1] if len(arguments) > 1 else options.get("mode", "r"))
            if name != "open" or set(mode) & set("wax+"):
                where = arguments[0]
                seen.append(f"{name} {where}")
                act(len(seen), () if isinstance(where, int) else (str(where),))
            return function(*arguments, **options)

        return change

    with monkeypatch.context() as patch:
        for owner, name in changes:
            patch.setattr(owner, name, wrap(name, getattr(owner, name)))
        yield seen


@pytest.fixture
def download(zenodo, tmp_path):
    """Runs `download clotho` in one process, in a workspace."""

    def run(workspace, *words):
        command = ["download", "clotho", "--workers", "1", *words, "--workspace", str(workspace)]
        return CliRunner().invoke(app, command)

    return run


@pytest.fixture
def begun(download, tmp_path):
    """A workspace that has another subset already."""
    assert download(tmp_path / "begun", "--subset", "eval").exit_code == 0
    return tmp_path / "begun"


@pytest.fixture
def uninterrupted(begun, download, files_below, tmp_path):
    """The files that a download must come to."""

    def files_after(*words):
        workspace = tmp_path / f"uninterrupted{'-'.join(words)}"
        shutil.copytree(begun, workspace)
        assert download(workspace, *words).exit_code == 0
        files = files_below(workspace)
        assert any(name.endswith("validation 00.wav") for name in files) != ("--drop-original" in words)
        return files

    return files_after


@pytest.mark.faults
def test_killed_before_any_change_a_download_of_audiocaps_comes_to_the_same_files(
    serve_audiocaps, tools, atrkit_in, files_below, monkeypatch, tmp_path
):
    serve_audiocaps(2)
    words = ("download", "audiocaps", "--subset", "val", "--workers", "1", "--streams", "1")
    atrkit_in(tmp_path / "uninterrupted")(*words)
    expected = files_below(tmp_path / "uninterrupted")
    for number in range(1, 1000):
        workspace = tmp_path / str(number)
        command = [*words, "--workspace", str(workspace)]
        change = die_in_child(monkeypatch, ALL, number, lambda: CliRunner().invoke(app, command))  # noqa: B023
        if change is None:
            break
        atrkit_in(workspace)(*words)
        assert files_below(workspace) == expected, (number, change)
        shutil.rmtree(workspace)
    assert number > 50
    print(f"\nkilled before each of {number - 1} changes to the disk: the same {len(expected)} files each time")


def half_files(workspace):
    """What nothing goes on with."""
    return [path for pattern in ("*.flac.part", "*.jsonl.part", ".*.extracting") for path in workspace.rglob(pattern)]


def die_in_child(monkeypatch, changes, number, run):
    """Run in a forked process that is killed before its change of that number; says what it was, None: it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:

        def die(count, where):
            if count == number:
                os.write(writer, seen[-1].encode())
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with before_each(monkeypatch, changes, die) as seen:
                code = run().exit_code
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as said:
        change = said.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (-signal.SIGKILL if change else 0), status
    return change or None


@which_changes
@pytest.mark.parametrize("words", [BESIDE_ANOTHER_SUBSET, WITHOUT_ORIGINALS], ids=["keep", "drop"])
def test_killed_before_any_change_the_same_command_comes_to_the_same_files(
    begun, download, uninterrupted, files_below, monkeypatch, tmp_path, changes, words
):
    expected = uninterrupted(*words)
    for number in range(1, 1000):
        workspace = tmp_path / str(number)
        shutil.copytree(begun, workspace)
        change = die_in_child(monkeypatch, changes, number, lambda: download(workspace, *words))  # noqa: B023
        if change is None:
            break
        again = download(workspace, *words)
        assert again.exit_code == 0, (number, change, again.stderr)
        found = files_below(workspace)
        assert found.keys() == expected.keys(), (number, change)
        assert found == expected, (number, change)
        shutil.rmtree(workspace)
    assert number > len(changes)
    print(f"\nkilled before each of {number - 1} changes to the disk: the same {len(expected)} files each time")


@which_changes
@pytest.mark.parametrize("words", [BESIDE_ANOTHER_SUBSET, WITHOUT_ORIGINALS], ids=["keep", "drop"])
@pytest.mark.parametrize(
    "stays_full", [False, pytest.param(True, marks=pytest.mark.faults)], ids=["once", "stays full"]
)
def test_whichever_change_fails_the_same_command_comes_to_the_same_files(
    begun, download, uninterrupted, files_below, monkeypatch, tmp_path, changes, words, stays_full
):
    expected, harmless = uninterrupted(*words), []
    for number in range(1, 1000):
        workspace = tmp_path / str(number)
        shutil.copytree(begun, workspace)

        def fail(count, where, number=number):
            if count == number or (stays_full and count > number):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *where)

        with before_each(monkeypatch, changes, fail) as seen:
            failed = download(workspace, *words)
        if len(seen) < number:
            break
        change = seen[number - 1]
        if failed.exit_code == 0:
            harmless.append(change.replace(str(workspace), ""))
        else:
            assert failed.exit_code == 4, (number, change, failed.stderr)
            assert failed.stderr.splitlines()[-1].startswith("atrkit: cannot write "), (number, change, failed.stderr)
            assert failed.stderr.count("atrkit: ") == 1 and "the disk is full" in failed.stderr, (number, change)
            assert str(workspace) in failed.stderr, (number, change)
            assert stays_full or "unlink" in change or not half_files(workspace), (number, change)
        again = download(workspace, *words)
        assert again.exit_code == 0, (number, change, again.stderr)
        found = files_below(workspace)
        if change.startswith("unlink") and change.endswith(".part.json"):
            found.pop(
                os.path.relpath(change.removeprefix("unlink "), workspace), None
            )  # a few bytes, of no consequence
        assert found.keys() == expected.keys(), (number, change)
        assert found == expected, (number, change)
        shutil.rmtree(workspace)
    assert number > len(changes)
    print(f"\n{number - 1} changes failed, each in its turn; {len(harmless)} of them did not matter")
