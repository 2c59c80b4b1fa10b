"""Writes that fail, Ctrl-C, damage, two writers: the same command comes to the bytes of an undisturbed one."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.search.index_files import load_index

Usage = namedtuple("Usage", "total used free")
HOLDER = """
import sys
from pathlib import Path
from atrkit.files import single_writer
with single_writer(Path(sys.argv[1])):
    print("holding", flush=True)
    sys.stdin.read()
"""


def disturbed(monkeypatch, command, words, nth, make_error):
    """Run a command whose nth write, and every later one, fails; its exit code, or None when there were fewer."""
    calls, replace = [], Path.replace

    def fail(self, target):
        calls.append(target)
        if len(calls) >= nth:
            raise make_error()
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(command.workspace)])
    assert "Traceback" not in result.stderr
    return result.exit_code if len(calls) >= nth else None


def full_disk():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


WRITES = 12  # journal, plan, five parts, segment, two lists of files, problems and index.json
WRITES_OF_UPDATE = 11  # journal twice, plan, two parts, segment, joined segment, two lists, problems and index.json
EVERY_WRITE = pytest.mark.faults


@pytest.mark.parametrize(
    ("instants", "make_error", "code"),
    [
        ((5,), KeyboardInterrupt, 130),
        pytest.param(range(1, 100), full_disk, 4, marks=EVERY_WRITE),
        pytest.param(range(1, 100), KeyboardInterrupt, 130, marks=EVERY_WRITE),
    ],
)
def test_whatever_is_interrupted_the_same_command_makes_the_same_index(
    make_workspace, make_sounds, digests, small_parts, monkeypatch, instants, make_error, code
):
    sounds, reference = make_sounds(), make_workspace("reference")
    reference("index", sounds)
    expected = digests(reference)
    workspace = make_workspace("disturbed")
    for nth in instants:
        shutil.rmtree(workspace.workspace / "index", ignore_errors=True)
        got = disturbed(monkeypatch, workspace, ("index", sounds), nth, make_error)
        if got is None:
            break
        assert got == code
        workspace("index", sounds)
        assert digests(workspace) == expected, nth
    assert nth in (instants[-1], WRITES + 1) and nth <= WRITES + 1


@pytest.mark.parametrize("instants", [(6, 10), pytest.param(range(1, 100), marks=EVERY_WRITE)])
def test_whatever_is_interrupted_the_old_index_is_whole_and_the_update_comes_to_the_same(
    make_workspace, make_sounds, digests, small_parts, monkeypatch, change, instants
):
    sounds, before = make_sounds(), make_workspace("before")
    before("index", sounds)
    change(sounds)
    reference = make_workspace("reference", of=before)
    reference("index")
    expected = digests(reference)
    segments = {name for name in expected if name.endswith(".h5")}
    assert segments == {f"sounds/segments/00{number}.h5" for number in (2, 3)}, (
        "half of the first is dead: it is copied"
    )
    for nth in instants:
        workspace = make_workspace(f"disturbed {nth}", of=before)
        if disturbed(monkeypatch, workspace, ("index",), nth, full_disk) is None:
            break
        there = load_index(workspace.workspace / "index" / "sounds")
        assert len(there.files) == 9 and sum(map(len, there.vectors)) == 12, "what was there can be searched"
        workspace("index")
        assert digests(workspace) == expected, nth
    assert nth in (instants[-1], WRITES_OF_UPDATE + 1) and nth <= WRITES_OF_UPDATE + 1


def test_an_interrupted_update_of_a_folder_that_changed_again_uses_what_was_finished(
    make_workspace, make_sounds, small_parts, monkeypatch
):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    assert disturbed(monkeypatch, workspace, ("index", sounds), 6, KeyboardInterrupt) == 130
    parts = sorted(path.name for path in (workspace.workspace / "index/sounds/segments/001.parts").glob("part-*"))
    assert len(parts) == 3
    noise = np.random.default_rng(50).normal(scale=0.1, size=9000)
    soundfile.write(sounds / "00 first of all.wav", noise, 8000)
    record = workspace("index", sounds, "--json").stdout
    assert '"encoded": 4' in record, "three parts of two files were there, of ten"
    index = load_index(workspace.workspace / "index" / "sounds")
    afresh = make_workspace("afresh")
    afresh("index", sounds)
    other = load_index(afresh.workspace / "index" / "sounds")
    for file, same in zip(index.files, other.files, strict=True):
        ours = np.concatenate(index.vectors)[index.windows_of(file)]
        np.testing.assert_allclose(ours, np.concatenate(other.vectors)[other.windows_of(same)], atol=1e-6)


def test_a_segment_that_was_finished_and_not_listed_is_not_made_again(
    make_workspace, make_sounds, small_parts, monkeypatch
):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    assert disturbed(monkeypatch, workspace, ("index", sounds), 9, KeyboardInterrupt) == 130
    folder = workspace.workspace / "index" / "sounds"
    assert (folder / "segments" / "001.h5").is_file() and not (folder / "index.json").exists()
    record = workspace("index", sounds, "--json").stdout
    assert '"encoded": 0' in record and '"new": 9' in record


def test_a_disk_that_fills_up_leaves_finished_parts(make_workspace, make_sounds, digests, small_parts):
    sounds, workspace, reference = make_sounds(), make_workspace("workspace"), make_workspace("reference")
    reference("index", sounds)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4600, before[1]))  # enough for each part, not for the segment
    try:
        message = workspace.error("index", sounds, code=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the file-size limit is reached" in message
    workspace("index", sounds)
    assert digests(workspace) == digests(reference)


def test_a_disk_that_is_too_small_is_refused_before_the_start(make_workspace, make_sounds, monkeypatch):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 1000, 1000))
    message = workspace.error("index", sounds, code=4)
    assert "this index needs about" in message and "free some space" in message
    assert not list(workspace.workspace.rglob("*.parts"))


def test_a_place_that_cannot_be_written_is_said(make_workspace, make_sounds):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    (workspace.workspace / "index").write_text("in the way")
    assert "cannot write" in workspace.error("index", sounds, code=4)


def flip_a_byte(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])


def test_a_damaged_index_json_is_named_with_the_command_that_makes_it_again(make_workspace, make_sounds):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    path = workspace.workspace / "index" / "sounds" / "index.json"
    flip_a_byte(path)
    message = workspace.error("index", code=5)
    assert str(path) in message and "is damaged" in message
    again = re.search(r"atrkit (index [^,]*--overwrite)", message)[1]
    record = workspace(*again.replace("FOLDER_OF_SOUNDS", str(sounds)).split(), "--json").stdout
    assert '"encoded": 0' in record, "its segments are still good"
    assert '"unchanged": 9' in workspace("index", "--json").stdout


@pytest.mark.parametrize("name", ["places-*.npy", "files-*.jsonl"])
@pytest.mark.parametrize("is_missing", [True, False])
def test_a_damaged_list_is_made_anew_without_encoding(make_workspace, make_sounds, digests, name, is_missing):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    whole = digests(workspace)
    (path,) = (workspace.workspace / "index" / "sounds").glob(name)
    path.unlink() if is_missing else flip_a_byte(path)
    message = workspace.error("search", "rain", code=5)
    assert str(path) in message and message.endswith("atrkit index --name sounds"), "the cheapest way out"
    result = workspace("index", "--name", "sounds", "--json")
    assert '"encoded": 0' in result.stdout
    if name.startswith("files"):
        assert f"{path} is damaged" in result.stderr and "made anew of what lies there" in result.stderr
    assert digests(workspace) == whole


def test_a_damaged_list_loses_no_vectors_of_what_is_not_there(make_workspace, make_sounds, tmp_path):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    flip_a_byte(next((workspace.workspace / "index" / "sounds").glob("files-*.jsonl")))
    for name in ("2.wav", "5.wav"):  # nearly half of all windows: an update removes those when they are gone
        (sounds / name).rename(tmp_path / name)
    workspace("index")
    for name in ("2.wav", "5.wav"):
        (tmp_path / name).rename(sounds / name)
    record = workspace("index", "--json").stdout
    assert '"encoded": 0' in record and '"new": 2' in record and '"unchanged": 7' in record


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_damaged_segment_drops_only_itself(make_workspace, make_sounds, is_missing):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    for number in range(2):
        noise = np.random.default_rng(60 + number).normal(scale=0.1, size=9000)
        soundfile.write(sounds / f"more {number}.wav", noise, 8000)
    workspace("index")
    folder = workspace.workspace / "index" / "sounds"
    before = {file.path: load_index(folder).windows_of(file) for file in load_index(folder).files}
    path = folder / "segments" / "002.h5"
    path.unlink() if is_missing else flip_a_byte(path)
    message = workspace.error("search", "rain", code=5)
    assert f"{path} is damaged" in message and message.endswith("atrkit index --name sounds")
    result = workspace("index", "--name", "sounds", "--json")
    assert '"encoded": 2' in result.stdout and '"unchanged": 11' in result.stdout
    assert f"{path} is damaged" in result.stderr and "encoded again" in result.stderr
    index = load_index(folder)
    assert [segment["number"] for segment in index.about["segments"]] == [1, 3] and not path.exists()
    assert {file.path: index.windows_of(file) for file in index.files} == before
    assert '"encoded": 0' in workspace("index", "--json").stdout


def test_vectors_that_are_lost_of_files_that_cannot_be_reached_are_said(make_workspace, make_sounds):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    (sounds / "disk").mkdir()
    (sounds / "5.wav").rename(sounds / "disk" / "5.wav")
    workspace("index", sounds)
    (sounds / "disk" / "5.wav").unlink()
    flip_a_byte(workspace.workspace / "index" / "sounds" / "segments" / "001.h5")
    record = workspace("index", "--json", code=7).stdout
    assert '"encoded": 8' in record and '"unreachable": 0' in record
    assert "it cannot be reached, and its vectors were damaged" in record


def test_a_damaged_part_is_named_with_the_way_out(make_workspace, make_sounds, digests, small_parts, monkeypatch):
    sounds, workspace, reference = make_sounds(), make_workspace("workspace"), make_workspace("reference")
    reference("index", sounds)
    assert disturbed(monkeypatch, workspace, ("index", sounds), 6, KeyboardInterrupt) == 130
    part = next((workspace.workspace / "index/sounds/segments/001.parts").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-10])
    message = workspace.error("index", sounds, code=5)
    assert f"{part} is damaged: delete it and run the same command again" in message
    part.unlink()
    workspace("index", sounds)
    assert digests(workspace) == digests(reference)


def test_a_second_process_is_told_who_writes(make_workspace, make_sounds):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    target = workspace.workspace / "index" / "sounds"
    command = [sys.executable, "-c", HOLDER, str(target)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        message = workspace.error("index", sounds, code=3)
        assert str(target) in message and f"is being written by process {holder.pid} since" in message
        holder.send_signal(signal.SIGKILL)
    workspace("index", sounds)


def test_vectors_that_are_not_finite_are_left_out(make_workspace, make_sounds, monkeypatch):
    from atrkit.workflows import window_encoder

    sounds, workspace = make_sounds(), make_workspace("workspace")
    take = window_encoder.EncodedWindows.of

    def with_a_flaw(encoded, labels, frame_dtype):
        made = take(encoded, labels, frame_dtype)
        for frames_TF in made.frames:
            if len(frames_TF) > 20:  # only the windows of ten seconds
                frames_TF[3] = np.inf
        return made

    monkeypatch.setattr(window_encoder.EncodedWindows, "of", with_a_flaw)
    result = workspace("index", sounds, "--json", code=7)
    assert '"files": 7' in result.stdout and '"skipped": 2' in result.stdout
    assert "its embedding is NaN or infinite" in result.stdout
    monkeypatch.undo()
    assert '"new": 2' in workspace("index", "--json").stdout, "what went wrong once is tried again"
