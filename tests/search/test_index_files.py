"""The files of an index: what is written is read, whatever is damaged is named, and readers never see half of it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.search.index_files import (
    Segment,
    check_segment,
    file_id,
    find_index,
    index_names,
    load_index,
    read_about,
    read_files,
    set_faiss,
    write_index,
)
from atrkit.store.embeddings import load_embeddings


def about_without_files(index):
    return {
        key: value for key, value in index.about.items() if key not in ("files", "places", "format", "name", "sha256")
    }


def test_windows_of_all_segments_belong_to_their_files(make_index):
    index = make_index([("b.wav", 25.0), ("d.wav", 3.0)], [("a.wav", 12.0)], captions={"a.wav": ["rain falls"]})
    assert [file.path for file in index.files] == ["a.wav", "b.wav", "d.wav"]
    assert [vectors_WD.shape for vectors_WD in index.vectors] == [(4, 8), (2, 8)]
    assert index.file_of_window_W.tolist() == [1, 1, 1, 2, 0, 0]
    assert index.start_s_W.tolist() == [0, 10, 15, 0, 0, 2] and index.end_s_W.tolist() == [10, 20, 25, 3, 10, 12]
    assert index.is_alive_W.all() and index.dim == 8
    assert index.files[0].captions == ("rain falls",)
    assert index.files[0].full_path.name == "a.wav" and index.file_of_id[index.files[1].id].path == "b.wav"
    assert [index.windows_of(file) for file in index.files] == [slice(4, 6), slice(0, 3), slice(3, 4)]
    for file in index.files:
        assert np.array_equal(index.vectors_of(file), np.concatenate(index.vectors)[index.windows_of(file)])
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(index.vectors), axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("is_checked", [True, False])
def test_vectors_are_those_of_the_segment_as_a_store(make_index, is_checked):
    index = load_index(make_index([("a.wav", 25.0)], [("b.wav", 5.0)]).folder, is_checked=is_checked)
    for number, vectors_WD in enumerate(index.vectors, start=1):
        store = load_embeddings(index.folder / "segments" / f"{number:03d}.h5")
        np.testing.assert_array_equal(vectors_WD, store.frames_NF)
        assert not vectors_WD.flags.writeable


def test_files_that_left_have_dead_windows_and_copies_share_theirs(make_index):
    index = make_index([("a.wav", 15.0), ("b.wav", 5.0), ("c.wav", 5.0)])
    a, _, c = index.files
    copy = type(c)(**{name: getattr(a, name) for name in a.__slots__} | {"path": "z.wav", "id": file_id("z.wav", 0)})
    write_index(index.folder, about_without_files(index), [a, c, copy])
    index = load_index(index.folder)
    assert index.file_of_window_W.tolist() == [0, 0, -1, 1], "of two files with the same bytes the first is found"
    assert index.is_alive_W.tolist() == [True, True, False, True]
    assert [file.copies for file in index.files] == [(copy.id,), (), (a.id,)]


def test_an_id_is_of_the_path_below_its_root():
    assert file_id("a/b.wav", 0) == file_id("a/b.wav", 0) != file_id("a/c.wav", 0)
    assert file_id("a.wav", 0) != file_id("a.wav", 1) != file_id("a.wav", 2)
    assert len(file_id("a.wav", 0)) == 16 and int(file_id("a.wav", 0), 16)


def test_captions_with_odd_line_ends_survive(make_index):
    captions = ["one\u2028two", 'quotes " and \\', "音\x85"]
    assert make_index([("a.wav", 5.0)], captions={"a.wav": captions}).files[0].captions == tuple(captions)


@pytest.mark.parametrize("name", ["index.json", "files-*.jsonl", "places-*.npy", "segments/001.h5"])
def test_one_flipped_bit_anywhere_is_found_and_the_way_out_named(make_index, name):
    index = make_index([("a.wav", 25.0), ("b.wav", 5.0)])
    (path,) = index.folder.glob(name)
    whole = path.read_bytes()
    for at in [*np.random.default_rng(0).integers(0, len(whole), 40), 0, len(whole) - 2]:
        broken = bytearray(whole)
        broken[at] ^= 1 << (at % 7)
        if name == "index.json" and says_the_same(broken, whole):
            continue
        path.write_bytes(broken)
        way_out = "--overwrite" if name == "index.json" else "atrkit index --name sounds$"
        with pytest.raises(IntegrityError, match=way_out) as error:
            load_index(index.folder)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.write_bytes(whole)
    load_index(index.folder)


def says_the_same(broken, whole):
    """Blanks between values, and the name, which follows from the folder, are not sealed."""
    try:
        return {**json.loads(broken), "name": 0} == {**json.loads(whole), "name": 0}
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["files-*.jsonl", "places-*.npy", "segments/001.h5"])
@pytest.mark.parametrize("is_checked", [True, False])
def test_a_file_that_is_gone_or_cut_off_is_named(make_index, name, is_checked):
    index = make_index([("a.wav", 25.0)])
    (path,) = index.folder.glob(name)
    os.truncate(path, path.stat().st_size - 100)
    if is_checked or name != "segments/001.h5":
        with pytest.raises(IntegrityError, match=f"{path.name} is damaged.*atrkit index --name sounds$"):
            load_index(index.folder, is_checked=is_checked)
    os.truncate(path, 100)
    with pytest.raises(IntegrityError, match=f"{path.name} is damaged"):
        load_index(index.folder, is_checked=is_checked)
    path.unlink()
    with pytest.raises(IntegrityError, match=f"{path.name} is damaged"):
        load_index(index.folder, is_checked=is_checked)


def test_a_segment_of_another_index_is_refused(make_index):
    one, other = make_index([("a.wav", 25.0)], name="one"), make_index([("a.wav", 25.0)], name="other", seed=2)
    shutil.copy(other.folder / "segments" / "001.h5", one.folder / "segments" / "001.h5")
    with pytest.raises(IntegrityError, match="of another index"):
        load_index(one.folder)


def test_there_is_no_index(tmp_path, make_index):
    with pytest.raises(MissingPrerequisiteError, match="atrkit index FOLDER"):
        find_index(tmp_path / "index", None)
    with pytest.raises(MissingPrerequisiteError, match="atrkit index FOLDER_OF_SOUNDS --name none"):
        load_index(tmp_path / "index" / "none")
    make_index([("a.wav", 5.0)], name="rain")
    with pytest.raises(UsageError, match="no index 'wind'; there are: rain"):
        find_index(tmp_path / "index", "wind")


def test_the_newest_index_is_meant_when_none_is_named(make_index):
    old, new = make_index([("a.wav", 5.0)], name="old"), make_index([("a.wav", 5.0)], name="new")
    os.utime(old.folder / "index.json", (1, 1))
    assert index_names(old.folder.parent) == ["new", "old"]
    assert find_index(old.folder.parent, None) == new.folder and find_index(old.folder.parent, "old") == old.folder


def test_an_index_that_is_removed_while_names_are_listed_is_none(make_index, monkeypatch):
    old, new = make_index([("a.wav", 5.0)], name="old"), make_index([("a.wav", 5.0)], name="new")
    glob = Path.glob

    def list_then_remove(self, pattern):
        found = list(glob(self, pattern))
        shutil.rmtree(old.folder)
        return found

    monkeypatch.setattr(Path, "glob", list_then_remove)
    assert index_names(new.folder.parent) == ["new"]


def test_an_index_that_was_renamed_is_still_one(make_index):
    index = make_index([("a.wav", 5.0)])
    moved = index.folder.rename(index.folder.with_name("moved"))
    assert load_index(moved).name == "moved" and load_index(moved).files == index.files


def test_an_index_that_is_replaced_while_it_is_opened_is_read_as_it_became(make_index, monkeypatch):
    index = make_index([("a.wav", 5.0), ("b.wav", 5.0)])
    old_list = index.folder / index.about["files"]["name"]
    from atrkit.search import index_files

    first = iter([True])

    def read_about_then_update(folder):
        about = read_about(folder)
        if next(first, False):
            write_index(folder, about_without_files(index), index.files[:1])
            old_list.unlink()
        return about

    monkeypatch.setattr(index_files, "read_about", read_about_then_update)
    assert [file.path for file in load_index(index.folder).files] == ["a.wav"]


def test_what_was_built_of_the_vectors_is_noted_and_nothing_else_changes(make_index):
    index = make_index([("a.wav", 5.0)])
    set_faiss(index.folder, {"file": "faiss.bin"})
    after = load_index(index.folder)
    assert after.about["faiss"] == {"file": "faiss.bin"} and index.about["faiss"] is None
    assert after.files == index.files and after.vectors_sha256 == index.vectors_sha256


def test_vectors_of_other_segments_have_another_hash(make_index):
    one = make_index([("a.wav", 5.0)], name="one")
    assert one.vectors_sha256 != make_index([("a.wav", 5.0)], name="two", seed=2).vectors_sha256
    assert one.vectors_sha256 == make_index([("a.wav", 5.0)], name="three").vectors_sha256


def test_the_same_index_has_the_same_bytes(make_index):
    one, two = (make_index([("a.wav", 5.0)], name=name) for name in ("one", "two"))
    assert (one.folder / one.about["files"]["name"]).read_bytes() == (
        two.folder / two.about["files"]["name"]
    ).read_bytes()
    assert read_files(one.folder, one.about) == one.files
    check_segment(one.folder, Segment(**one.about["segments"][0]))
