"""Files that cannot be seen at the moment are not deleted ones: they stay findable, and keep their vectors."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from atrkit.search.index_files import load_index


@pytest.fixture
def archive(make_sounds):
    """Nine sounds, six of them (all the long ones) in `disk`, one level deeper."""
    folder = make_sounds()
    below = folder / "disk" / "field"
    below.mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.wav").rename(below / f"{number}.wav")
    return folder


@pytest.fixture
def lock(monkeypatch):
    """Make a folder one that may not be read; tests may run as root, who may read everything."""
    scandir = os.scandir

    def apply(locked):
        def refuse(path="."):
            if os.fspath(path) == str(locked):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return apply


def vectors_of(command):
    index = load_index(command.workspace / "index" / "sounds")
    joined = np.concatenate(index.vectors)
    return {file.path: joined[index.windows_of(file)] for file in index.files}


def became(command, *words, code=0):
    record = json.loads(command("index", *words, "--json", code=code).stdout)
    names = ("new", "renamed", "unchanged", "gone", "unreachable", "skipped", "encoded")
    return {name: record[name] for name in names if record[name]}


def test_files_of_a_disk_that_is_not_mounted_stay_findable(make_workspace, archive, tmp_path):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    before = vectors_of(workspace)
    (archive / "disk").rename(tmp_path / "away")
    (archive / "disk").mkdir()
    for _ in range(2):  # vectors that no file has any more would be removed by the first of them
        assert became(workspace, code=7) == {"unchanged": 3, "unreachable": 6}
        after = vectors_of(workspace)
        assert after.keys() == before.keys() and all((after[path] == before[path]).all() for path in before)
    result = workspace("index", "--plain", code=7)
    assert "3 unchanged, 6 unreachable" in result.stdout
    assert f"6 files cannot be reached below {archive}/disk, which is empty now" in result.stderr
    assert "remove that folder, or make the index anew with --overwrite" in result.stderr
    lines = (workspace.workspace / "index" / "sounds" / "problems.jsonl").read_text().splitlines()
    problems = [json.loads(line) for line in lines]
    assert [problem["item"] for problem in problems] == [f"disk/field/{number}.wav" for number in range(6)]
    assert {problem["action"] for problem in problems} == {"unreachable"}
    assert all("mount its disk" in problem["reason"] for problem in problems)
    (archive / "disk").rmdir()
    (tmp_path / "away").rename(archive / "disk")
    assert became(workspace) == {"unchanged": 9}, "nothing is encoded again"


def test_files_of_a_folder_that_may_not_be_read_stay_findable(make_workspace, archive, lock):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    before = vectors_of(workspace)
    lock(archive / "disk" / "field")
    record = json.loads(workspace("index", "--json", code=7).stdout)
    assert (record["unchanged"], record["unreachable"], record["gone"], record["files"]) == (3, 6, 0, 9)
    assert "may not be read: change its permissions" in record["problems"][1]["reason"]
    assert vectors_of(workspace).keys() == before.keys()


def test_files_that_were_moved_out_of_a_folder_are_renamed(make_workspace, archive):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    for path in (archive / "disk" / "field").iterdir():
        path.rename(archive / path.name)
    assert became(workspace) == {"renamed": 6, "unchanged": 3}


def test_a_copy_elsewhere_does_not_take_the_place_of_a_file_that_cannot_be_reached(make_workspace, archive, lock):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    shutil.copy2(archive / "disk" / "field" / "2.wav", archive / "copy.wav")
    lock(archive / "disk" / "field")
    record = json.loads(workspace("index", "--json", code=7).stdout)
    assert (record["copied"], record["renamed"], record["unreachable"], record["files"]) == (1, 0, 6, 10)


def test_a_folder_that_was_removed_is_gone_and_so_is_what_overwrite_does_not_find(make_workspace, archive, tmp_path):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    (archive / "disk").rename(tmp_path / "away")
    (archive / "disk").mkdir()
    assert became(workspace, "--overwrite") == {"new": 3, "encoded": 3}
    (archive / "disk").rmdir()
    (tmp_path / "away").rename(archive / "disk")
    assert became(workspace) == {"new": 6, "unchanged": 3, "encoded": 6}
    shutil.rmtree(archive / "disk")
    assert became(workspace) == {"unchanged": 3, "gone": 6}


def test_where_most_of_an_index_is_gone_its_vectors_are_kept_once_more(make_workspace, archive, tmp_path):
    workspace = make_workspace("workspace")
    workspace("index", archive)
    (archive / "disk").rename(tmp_path / "away")
    result = workspace("index", "--plain")
    assert "6 of 9 files are gone: their vectors are kept until the next atrkit index" in result.stderr
    assert len(vectors_of(workspace)) == 3
    (tmp_path / "away").rename(archive / "disk")
    assert became(workspace) == {"new": 6, "unchanged": 3}, "nothing is encoded again"
    (archive / "disk").rename(tmp_path / "away")
    workspace("index")
    workspace("index")
    (tmp_path / "away").rename(archive / "disk")
    assert became(workspace) == {"new": 6, "unchanged": 3, "encoded": 6}


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_folder_that_cannot_be_read_at_all_is_named(make_workspace, archive, lock, is_indexed):
    workspace = make_workspace("workspace")
    if is_indexed:
        workspace("index", archive)
    lock(archive)
    message = workspace.error("index", archive, code=4)
    assert f"{archive} cannot be read: change the permissions of this folder" in message
    assert "captions.csv" not in message and "--workspace" not in message
