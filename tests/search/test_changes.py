"""What became of files: each path is said once, and the bytes decide, not the time."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from atrkit.search.changes import FoundFile, compare
from atrkit.search.index_files import IndexedFile, file_id


def found(path, content, mtime_ns=1):
    return FoundFile(file_id(path, 0), path, "/sounds", 9, mtime_ns, content, 8000, 8000)


def indexed(path, content):
    return IndexedFile(file_id(path, 0), path, "/sounds", 9, 1, content, 8000, 1.0, (), 1, 0, 1)


def said(before, now, skipped=()):
    changes = compare([indexed(*each) for each in before], [found(*each) for each in now], frozenset(skipped))
    return {name: paths for name, paths in vars(changes).items() if paths}


def test_one_of_each():
    before = [("same.wav", "s"), ("touched.wav", "t"), ("changed.wav", "c"), ("old name.wav", "r"), ("gone.wav", "g")]
    now = [
        ("same.wav", "s"),
        ("touched.wav", "t", 2),
        ("changed.wav", "c2", 2),
        ("new name.wav", "r", 2),
        ("a copy.wav", "s"),
        ("new.wav", "n"),
    ]
    assert said(before, now) == {
        "unchanged": ["same.wav"],
        "touched": ["touched.wav"],
        "changed": ["changed.wav"],
        "renamed": ["new name.wav"],
        "copied": ["a copy.wav"],
        "new": ["new.wav"],
        "gone": ["gone.wav"],
    }


def test_names_that_were_swapped_are_two_changes_and_nothing_is_gone():
    assert said([("a", "1"), ("b", "2")], [("a", "2", 2), ("b", "1", 2)]) == {"changed": ["a", "b"]}


def test_one_file_that_is_gone_is_one_rename():
    assert said([("a", "1")], [("b", "1"), ("c", "1")]) == {"renamed": ["b"], "copied": ["c"]}


def test_two_new_files_with_the_same_bytes_are_both_new():
    assert said([], [("a", "1"), ("b", "1")]) == {"new": ["a", "b"]}


def test_a_file_that_broke_is_skipped_and_not_gone():
    assert said([("a", "1"), ("b", "2")], [("b", "2")], [file_id("a", 0)]) == {"unchanged": ["b"]}


def test_the_same_size_with_another_time_is_looked_at():
    now = [replace(found("a", "1"), mtime_ns=5), replace(found("b", "2"), size_bytes=10)]
    changes = compare([indexed("a", "1"), indexed("b", "0")], now)
    assert (changes.touched, changes.changed) == (["a"], ["b"])


CONTENTS = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("xyz"))


@given(before=CONTENTS, now=CONTENTS)
def test_each_path_is_said_once_and_bytes_that_are_known_are_never_new(before, now):
    changes = compare([indexed(*each) for each in before.items()], [found(*each) for each in now.items()])
    there = [path for name, paths in vars(changes).items() for path in paths if name != "gone"]
    assert sorted(there) == sorted(now)
    for path in now:
        if path in before:
            assert path in (changes.unchanged if before[path] == now[path] else changes.changed)
        else:
            assert (path in changes.new) == (now[path] not in before.values())
    assert len(changes.gone) + len(changes.renamed) == len(set(before) - set(now))
    assert set(changes.gone) <= set(before) - set(now)
