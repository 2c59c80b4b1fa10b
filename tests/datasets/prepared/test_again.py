"""The second time: nothing is read or written that was done already."""

import os
import shutil

import numpy as np
import pytest
import soundfile

from atrkit.audio.read import UnreachableAudioError
from atrkit.datasets import prepared as module
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable

RATE_HZ = 32000


def touch(path, seconds=60):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + round(seconds * 1e9)))


def test_the_second_time_nothing_is_read_or_written(three):
    before = {path: path.stat().st_mtime_ns for path in three.folder.rglob("*") if path.is_file()}
    outcomes = three.prepare()
    assert three.read == [] and three.progress == [(3, 0.0)]
    assert all(outcome.is_original_there for outcome in outcomes.values())
    assert {path: path.stat().st_mtime_ns for path in three.folder.rglob("*") if path.is_file()} == before


def test_an_original_that_changed_is_prepared_again(three):
    before = three.copies()
    soundfile.write(three.source("b.wav"), np.zeros(44100), 44100)
    outcomes = three.prepare()
    assert three.read == ["b.wav"] and three.progress == [(2, 0.0), (1, 1.0)]
    assert outcomes["b.wav"].copy.frames == RATE_HZ
    assert three.copies()["b.wav.flac"] != before["b.wav.flac"]
    touch(three.source("c.wav"))
    three.prepare()
    assert three.read == ["c.wav"]


def test_an_original_elsewhere_is_another_one(three, tmp_path):
    elsewhere = tmp_path / "b.wav"
    shutil.copy2(three.source("b.wav"), elsewhere)
    jobs = [AudioJob("b.wav", elsewhere, three.target("b.wav"))]
    assert three.prepare(jobs=jobs)["b.wav"].original.path == str(elsewhere)
    assert three.read == ["b.wav"]


@pytest.mark.parametrize("damage", ["lost", "cut", "written anew"])
def test_a_copy_that_is_not_as_it_was_written_is_made_again(three, damage):
    before, target = three.copies(), three.target("a.wav")
    match damage:
        case "lost":
            target.unlink()
        case "cut":
            mtime_ns = target.stat().st_mtime_ns
            target.write_bytes(target.read_bytes()[:-1])
            os.utime(target, ns=(mtime_ns, mtime_ns))
        case "written anew":
            target.write_bytes(target.read_bytes()[::-1])
    three.prepare()
    assert three.read == ["a.wav"] and three.copies() == before
    three.prepare()
    assert three.read == []


def test_a_copy_that_is_wanted_elsewhere_is_made_there(three):
    elsewhere = three.folder / "audio_new" / "a.flac"
    elsewhere.parent.mkdir()
    three.target("a.wav").rename(elsewhere)  # the right file, which the journal knows at another place
    jobs = [AudioJob("a.wav", three.source("a.wav"), elsewhere)]
    assert three.prepare(jobs=jobs)["a.wav"].copy.path == str(elsewhere)
    three.source("a.wav").unlink()
    assert three.prepare()["a.wav"] == Unusable("there is no such file")


def test_a_broken_recording_is_not_read_again_until_it_changes(three):
    three.source("a.wav").write_bytes(b"")
    for progress in ([(2, 0.0), (1, 0.0)], [(3, 0.0)]):
        assert three.prepare()["a.wav"] == Unusable("the file is empty (0 bytes)")
        assert three.progress == progress
    three.add("a.wav")
    three.names.pop()
    assert isinstance(three.prepare()["a.wav"], Prepared)


def test_a_recording_that_is_not_there_is_said_and_may_come_later(three):
    three.names.append("d.wav")
    assert three.prepare()["d.wav"] == Unusable("there is no such file")
    assert {record["clip_id"] for record in three.journalled()} == {"a.wav", "b.wav", "c.wav"}
    three.names.pop()
    three.add("d.wav")
    assert isinstance(three.prepare()["d.wav"], Prepared)
    assert three.read == ["d.wav"]


def test_a_recording_that_could_not_be_read_is_tried_again(recordings, monkeypatch):
    def refused(*_):
        raise UnreachableAudioError("cannot be read: Permission denied")

    recordings.add("a.wav")
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_resampled", refused)
        assert recordings.prepare()["a.wav"] == Unusable("cannot be read: Permission denied")
    assert isinstance(recordings.prepare()["a.wav"], Prepared)


def test_another_rate_makes_other_copies_and_leaves_those_that_are_there(three):
    before = three.copies()
    outcomes = three.prepare(16000)
    assert {outcome.copy.sample_rate_hz for outcome in outcomes.values()} == {16000}
    for rate_hz in (RATE_HZ, 16000):
        three.prepare(rate_hz)
        assert three.read == []
    assert before.items() <= {path.name: path.read_bytes() for path in three.target("x").parent.iterdir()}.items()
    assert len(three.journalled()) == 6
