"""Originals that are gone: a copy is enough, and only proven copies replace originals."""

import os
import shutil

from atrkit.datasets.prepared import AudioJob, Unusable, drop_originals

RATE_HZ = 32000


def touch(path, seconds=60):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + round(seconds * 1e9)))


def test_a_copy_is_enough_once_it_is_made(three):
    before = three.prepare()
    three.source("b.wav").unlink()
    outcomes = three.prepare()
    assert three.read == []
    assert not outcomes["b.wav"].is_original_there
    assert (outcomes["b.wav"].copy, outcomes["b.wav"].original) == (before["b.wav"].copy, before["b.wav"].original)


def test_a_copy_with_another_time_is_taken_when_its_hash_is_right(three):
    shutil.rmtree(three.folder / "original")
    touch(three.target("b.wav"))
    assert not three.prepare()["b.wav"].is_original_there
    mtime_ns = three.target("b.wav").stat().st_mtime_ns
    assert mtime_ns in [record["copy_state"][1] for record in three.journalled()], "and known from then on"

    target = three.target("b.wav")
    target.write_bytes(target.read_bytes()[::-1])
    assert three.prepare()["b.wav"] == Unusable("there is no such file")


def test_a_copy_at_another_rate_is_named(three):
    shutil.rmtree(three.folder / "original")
    reason = f"there is no such file, only its copy at 32,000 Hz: get it again, or use --sample-rate {RATE_HZ}"
    for other in (16000, None):
        assert set(three.prepare(other).values()) == {Unusable(reason)}


def test_dropping_keeps_what_is_trained_on(three):
    three.add("at the rate.wav", sample_rate_hz=RATE_HZ)
    three.add("broken.wav", seconds=0)
    outcomes = three.prepare()
    sizes_bytes = [three.source(name).stat().st_size for name in ("a.wav", "b.wav", "c.wav")]
    before = three.copies()

    dropped = drop_originals(outcomes)

    assert (dropped.files, dropped.size_bytes, dropped.damaged) == (3, sum(sizes_bytes), ())
    assert sorted(path.name for path in three.source("").iterdir()) == ["at the rate.wav", "broken.wav"]
    assert three.copies() == before
    assert three.prepare() == dropped.outcomes and three.read == []
    assert drop_originals(dropped.outcomes).files == 0


def test_an_original_stays_while_its_copy_is_not_what_was_written(three):
    before, outcomes = three.copies(), three.prepare()
    flip_a_bit_of(three.target("a.wav"))
    three.target("b.wav").unlink()
    dropped = drop_originals(outcomes)
    assert (dropped.files, dropped.damaged) == (1, ("a.wav", "b.wav"))
    assert [path.name for path in sorted(three.source("").iterdir())] == ["a.wav", "b.wav"]
    assert dropped.outcomes["a.wav"].is_original_there and not dropped.outcomes["c.wav"].is_original_there
    three.prepare()
    assert sorted(three.read) == ["a.wav", "b.wav"] and three.copies() == before


def flip_a_bit_of(path):
    """Neither size nor time tell."""
    content, mtime_ns = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_an_original_of_two_clips_stays_while_either_needs_it(recordings):
    recordings.add("a.wav")
    source = recordings.source("a.wav")
    jobs = [AudioJob("whole", source, recordings.target("whole")), AudioJob("second", source, recordings.target("2"))]
    outcomes = recordings.prepare(jobs=jobs)
    flip_a_bit_of(recordings.target("2"))
    assert drop_originals(outcomes).files == 0 and source.is_file()
    dropped = drop_originals(recordings.prepare(jobs=jobs))
    assert (dropped.files, source.exists()) == (1, False)
    assert not any(outcome.is_original_there for outcome in dropped.outcomes.values())
