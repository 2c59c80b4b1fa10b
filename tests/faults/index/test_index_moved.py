"""An archive that was moved, or whose folders are named otherwise: nothing that is known by its bytes is encoded."""

import json
import shutil

import numpy as np
import pytest

from atrkit.search.index_files import load_index


@pytest.fixture
def two_folders(make_sounds):
    """Nine sounds and three others."""
    one, two = make_sounds("one"), make_sounds("two", seconds=(3, 4, 5))
    return one, two


def became(result):
    record = json.loads(result.stdout)
    names = ("new", "renamed", "copied", "touched", "unchanged", "gone", "unreachable", "skipped", "encoded")
    return {name: record[name] for name in names if record[name]}


def vectors_by_place(command, name):
    index = load_index(command.workspace / "index" / name)
    joined = np.concatenate(index.vectors)
    return {str(file.full_path): joined[index.windows_of(file)] for file in index.files}


def test_a_moved_archive_keeps_its_vectors(make_workspace, make_sounds, tmp_path):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    before = vectors_by_place(workspace, "sounds")
    moved = sounds.rename(tmp_path / "moved")
    assert "name the folders as they are now: atrkit index FOLDERS --name sounds" in workspace.error("index", code=3)
    result = workspace("index", moved, "--name", "sounds", "--json")
    assert became(result) == {"unchanged": 9}
    assert f"it was of {sounds}, and is now of {moved}" in result.stderr
    after = vectors_by_place(workspace, "sounds")
    assert after.keys() == {path.replace(str(sounds), str(moved)) for path in before}
    assert all((after[path.replace(str(sounds), str(moved))] == before[path]).all() for path in before)
    assert became(workspace("index", "--json")) == {"unchanged": 9}


def test_a_disk_below_a_moved_archive_that_is_not_mounted_stays(make_workspace, make_sounds, tmp_path):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    (sounds / "disk").mkdir()
    (sounds / "5.wav").rename(sounds / "disk" / "5.wav")
    workspace("index", sounds)
    (sounds / "disk" / "5.wav").unlink()
    moved = sounds.rename(tmp_path / "moved")
    result = workspace("index", moved, "--name", "sounds", "--json", code=7)
    assert became(result) == {"unchanged": 8, "unreachable": 1}
    assert str(moved / "disk" / "5.wav") in vectors_by_place(workspace, "sounds")


def test_folders_in_another_order_keep_their_vectors(make_workspace, two_folders):
    (one, two), workspace = two_folders, make_workspace("workspace")
    workspace("index", one, two, "--name", "all")
    before = vectors_by_place(workspace, "all")
    assert became(workspace("index", two, one, "--name", "all", "--json")) == {"unchanged": 12}
    after = vectors_by_place(workspace, "all")
    assert list(after) == [*before][9:] + [*before][:9]
    assert all((after[path] == before[path]).all() for path in before)


def test_one_of_two_folders_can_be_left_out(make_workspace, two_folders):
    (one, two), workspace = two_folders, make_workspace("workspace")
    workspace("index", one, two, "--name", "all")
    assert became(workspace("index", two, "--name", "all", "--json")) == {"unchanged": 3, "gone": 9}
    assert became(workspace("index", two, one, "--name", "all", "--json")) == {"new": 9, "unchanged": 3}, (
        "most of it was gone: its vectors were kept once more"
    )


def test_a_folder_that_has_nothing_to_do_with_an_index_is_refused(make_workspace, two_folders, digests):
    (one, two), workspace = two_folders, make_workspace("workspace")
    workspace("index", one, "--name", "mine")
    before = load_index(workspace.workspace / "index" / "mine").about
    message = workspace.error("index", two, "--name", "mine", code=5)
    assert "none of its sounds is there" in message and "--overwrite" in message and str(one) in message
    assert load_index(workspace.workspace / "index" / "mine").about == before
    assert became(workspace("index", "--json")) == {"unchanged": 9}


def test_an_archive_that_was_moved_while_its_list_was_damaged_keeps_its_vectors(
    make_workspace, make_sounds, two_folders, tmp_path
):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    before = vectors_by_place(workspace, "sounds")
    moved = sounds.rename(tmp_path / "moved")
    listed = next((workspace.workspace / "index" / "sounds").glob("files-*.jsonl"))
    listed.write_bytes(listed.read_bytes()[:-9])
    assert "none of its sounds is there" in workspace.error("index", two_folders[1], "--name", "sounds", code=5)
    assert became(workspace("index", moved, "--name", "sounds", "--json")) == {"new": 9}
    after = vectors_by_place(workspace, "sounds")
    assert all((after[path.replace(str(sounds), str(moved))] == before[path]).all() for path in before)
    index = workspace.workspace / "index" / "sounds"
    for part in (*index.glob("files-*.jsonl"), *index.rglob("*.h5")):  # all that is known
        part.write_bytes(part.read_bytes()[:-9])
    again = moved.rename(tmp_path / "again")
    assert became(workspace("index", again, "--name", "sounds", "--json")) == {"new": 9, "encoded": 9}


def test_a_namesake_of_an_indexed_folder_takes_its_place_only_when_it_is_named(make_workspace, make_sounds, tmp_path):
    sounds, workspace = make_sounds(), make_workspace("workspace")
    workspace("index", sounds)
    other = shutil.copytree(sounds, tmp_path / "elsewhere" / "sounds")
    message = workspace.error("index", other, code=5)
    assert "if its folder was moved, name it: --name sounds" in message
    assert became(workspace("index", other, "--name", "sounds", "--json")) == {"unchanged": 9}
