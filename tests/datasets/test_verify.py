"""Everything that a dataset states of its files is compared with the files."""

import hashlib
import os
from pathlib import Path

import pytest

from atrkit.datasets.manifest import AudioFile, Caption, Clip, Dataset, Problem, save_dataset
from atrkit.datasets.missing import MissingClip, save_missing
from atrkit.datasets.relevance import Qrels, Relevance, save_relevance
from atrkit.datasets.verify import Change, StatedFile, Verification, folders_gone, stated_files, verify_files


def stored(path: Path, content: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Two clips: one with its copy in the folder, one outside it."""
    folder, outside = tmp_path / "data" / "tapes", tmp_path / "attic" / "b.wav"
    kept, copy = stored(folder / "audio" / "a.wav", b"a" * 3_000_000), stored(folder / "audio_32000Hz/a.flac", b"flac")
    clips = (
        Clip("a", "audio/a.wav", kept, 44100, 1, 1, "dev", (Caption("a#1", "rain"),),
             copies=(AudioFile("audio_32000Hz/a.flac", copy, 32000, 1, 1),)),
        Clip("b", str(outside), stored(outside, b"b" * 100), 44100, 1, 1, "dev"),
    )  # fmt: skip
    made = Dataset("tapes", clips, folder, problems=(Problem("c", "skipped", "no sound"),))
    save_missing(folder, [MissingClip("dev", "c", "c.wav", "no sound", False)])
    save_relevance(folder, Relevance("ours", folder, (Qrels("ours", "dev", {"a#1": {"b": 1}}),), (), ()))
    save_dataset(made)
    return made


def verify(dataset: Dataset) -> Verification:
    return verify_files(stated_files(dataset), workers=2)


def test_a_whole_dataset_is_read_to_its_last_byte(dataset):
    progress = []
    found = verify_files(stated_files(dataset), workers=2, on_progress=progress.append)
    beside = ("manifest.jsonl", "problems.jsonl", "missing.csv", "qrels/ours.dev.tsv")
    size = 3_000_000 + 4 + 100 + sum((dataset.folder / name).stat().st_size for name in beside)
    assert found == Verification(7, size, ())
    assert sum(progress) == 7


@pytest.mark.parametrize(
    "name",
    ["audio/a.wav", "audio_32000Hz/a.flac", "../../attic/b.wav", "missing.csv", "qrels/ours.dev.tsv"],
)
def test_one_changed_bit_is_found_in_every_kind_of_file(dataset, name):
    path = dataset.folder / name
    state = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as when a disk rots
    (change,) = verify(dataset).changes
    assert (change.path.resolve(), change.what) == (path.resolve(), "changed")


def test_every_file_that_is_not_as_stated_is_listed_in_the_order_of_the_manifest(dataset):
    (dataset.folder / "audio/a.wav").write_bytes(b"")
    (dataset.folder / "audio_32000Hz/a.flac").unlink()
    outside = Path(dataset.clips[1].path)
    outside.unlink()
    outside.mkdir()
    found = verify(dataset)
    assert found.files == 7
    assert [(change.path, change.what) for change in found.changes] == [
        (dataset.folder / "audio/a.wav", "changed"),
        (dataset.folder / "audio_32000Hz/a.flac", "missing"),
        (outside, "unreadable"),
    ]
    assert found.changes[2].reason == "Is a directory"


def test_a_file_in_the_way_of_a_folder_is_a_missing_file(dataset):
    (dataset.folder / "audio" / "a.wav").unlink()
    (dataset.folder / "audio").rmdir()
    (dataset.folder / "audio").write_text("")
    assert verify(dataset).changes == (Change(dataset.folder / "audio" / "a.wav", "missing"),)


def test_a_file_of_several_clips_is_read_once(tmp_path):
    sha256 = stored(tmp_path / "tapes" / "a.wav", b"a")
    clips = tuple(Clip(name, "a.wav", sha256, 8000, 1, 1, "dev") for name in ("a", "b"))
    made = Dataset("tapes", clips, tmp_path / "tapes")
    save_dataset(made)
    assert [file.path.name for file in stated_files(made)] == ["manifest.jsonl", "problems.jsonl", "a.wav"]


def test_an_interrupted_verification_stops(tmp_path):
    files = [StatedFile(tmp_path / f"{number}.wav", "") for number in range(1000)]
    done = []

    def interrupt(count: int) -> None:
        done.append(count)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_files(files, workers=1, on_progress=interrupt)
    assert len(done) == 3


def test_folders_that_took_many_files_with_them(tmp_path):
    (tmp_path / "here").mkdir()
    disk, few, emptied = tmp_path / "disk", tmp_path / "few", tmp_path / "here"
    lost = [
        *(disk / "a" / f"{k}.wav" for k in range(2)),
        *(disk / "b" / f"{k}.wav" for k in range(2)),
        *(few / f"{k}.wav" for k in range(3)),
        *(emptied / f"{k}.wav" for k in range(9)),
    ]
    changes = [*(Change(path, "missing") for path in lost), Change(disk / "c.wav", "unreadable")]
    assert folders_gone(changes, more_than=3) == {disk: 4}
    assert folders_gone(changes, more_than=2) == {disk: 4, few: 3}
    assert folders_gone(changes) == folders_gone([], more_than=0) == {}
