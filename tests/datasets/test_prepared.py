"""From recordings to files that a manifest can list: everything once, and the same however often it was interrupted."""

import hashlib
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.audio.read import UnreachableAudioError
from atrkit.datasets import prepared as module
from atrkit.datasets.manifest import AudioFile
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable, drop_originals, manifest_files, prepare_audio
from atrkit.errors import ResourceError, UsageError

RATE_HZ = 32000


class Recordings:
    """A folder with originals, their copies and the journal, and what was read of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal = folder / "prepared.jsonl"
        self.names: list[str] = []
        self.read: list[str] = []
        self.progress: list[tuple[int, float]] = []

    def add(self, name, seconds=0.1, sample_rate_hz=44100, channels=1):
        source = self.source(name)
        source.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(len(self.names)).normal(
            scale=0.1, size=(round(seconds * sample_rate_hz), channels)
        )
        soundfile.write(source, noise, sample_rate_hz)
        self.names.append(name)

    def source(self, name):
        return self.folder / "original" / name

    def target(self, name, rate_hz=RATE_HZ):
        return self.folder / f"audio_{rate_hz}Hz" / f"{name}.flac"

    def jobs(self, rate_hz=RATE_HZ):
        return [AudioJob(name, self.source(name), self.target(name, rate_hz or 0)) for name in self.names]

    def prepare(self, rate_hz=RATE_HZ, *, jobs=None, workers=1):
        self.read.clear()
        self.progress.clear()
        return prepare_audio(
            self.jobs(rate_hz) if jobs is None else jobs,
            sample_rate_hz=rate_hz,
            journal=self.journal,
            workers=workers,
            on_progress=lambda items, audio_s: self.progress.append((items, audio_s)),
        )

    def copies(self):
        return {path.name: path.read_bytes() for path in sorted(self.folder.glob("audio_*/**/*.flac"))}

    def journalled(self):
        return [json.loads(line) for line in self.journal.read_text().splitlines()]


def noted(function, read):
    """The function, with the names of the files it reads kept in a list."""

    def wrapped(source, *rest):
        read.append(source.name)
        return function(source, *rest)

    return wrapped


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    made = Recordings(tmp_path / "set")
    for name in ("write_resampled", "inspect_audio"):
        monkeypatch.setattr(module, name, noted(getattr(module, name), made.read))
    return made


@pytest.fixture
def three(recordings):
    for name in ("b.wav", "c.wav", "a.wav"):
        recordings.add(name)
    recordings.prepare()
    return recordings


def touch(path, seconds=60):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + round(seconds * 1e9)))


# --- what comes of a recording ------------------------------------------------------------------------------------


def test_facts_are_those_of_the_files_and_everything_is_sorted(recordings):
    for name, channels in (("b.wav", 1), ("sub/a.wav", 2)):
        recordings.add(name, seconds=0.25, channels=channels)
    outcomes = recordings.prepare()
    assert list(outcomes) == ["b.wav", "sub/a.wav"]
    for name, outcome in outcomes.items():
        for file, path in ((outcome.original, recordings.source(name)), (outcome.copy, recordings.target(name))):
            info = soundfile.info(path)
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            assert file == AudioFile(str(path), sha256, info.samplerate, info.frames, info.channels)
        assert (outcome.copy.sample_rate_hz, outcome.copy.frames, outcome.copy.channels) == (RATE_HZ, 8000, 1)
        assert (outcome.is_original_there, outcome.clipped_samples, outcome.repairs) == (True, 0, ())
    assert recordings.progress == [(1, 0.25), (1, 0.25)]


def test_any_number_of_workers_and_any_order_come_to_the_same(tmp_path):
    first = Recordings(tmp_path / "1")
    for number in range(12):
        first.add(f"{number}.wav", seconds=0.02 * (12 - number))
    (first.folder / "original" / "5.wav").write_text("no audio")
    shutil.copytree(first.folder, tmp_path / "2")
    second = Recordings(tmp_path / "2")
    second.names = first.names[::-1]
    outcomes = first.prepare(workers=1), second.prepare(workers=2)
    assert list(outcomes[0]) == list(outcomes[1]) == sorted(first.names)
    assert first.copies() == second.copies() and len(first.copies()) == 11
    assert first.journal.read_bytes() == second.journal.read_bytes()


def test_an_original_that_has_the_rate_needs_no_copy(recordings):
    recordings.add("a.wav", sample_rate_hz=RATE_HZ)
    for _ in range(2):
        (outcome,) = recordings.prepare().values()
        assert outcome.copy is None and outcome.is_original_there
        assert outcome.original.sample_rate_hz == RATE_HZ
    assert recordings.read == [] and not recordings.copies()


@pytest.mark.parametrize("way", ["no rate", "no target"])
def test_copies_are_made_only_where_they_are_wanted(recordings, way):
    recordings.add("a.wav")
    jobs = [AudioJob("a.wav", recordings.source("a.wav"), None)] if way == "no target" else None
    for _ in range(2):
        (outcome,) = recordings.prepare(None if way == "no rate" else RATE_HZ, jobs=jobs).values()
        assert outcome.copy is None and outcome.original.sample_rate_hz == 44100
    assert recordings.read == [] and not recordings.copies()
    assert recordings.prepare()["a.wav"].copy is not None


def test_what_is_broken_is_said_and_what_is_clipped_is_counted(recordings):
    for name in ("cut.wav", "loud.wav", "text.wav"):
        recordings.add(name)
    cut = recordings.source("cut.wav")
    cut.write_bytes(cut.read_bytes()[:4044])
    soundfile.write(recordings.source("loud.wav"), np.full(4410, 2.0), 44100, "FLOAT")
    recordings.source("text.wav").write_text("no audio")
    for _ in range(2):
        outcomes = recordings.prepare()
        assert outcomes["cut.wav"].repairs == ("the header promises 0.100 s, 0.045 s are there",)
        assert outcomes["loud.wav"].clipped_samples > 3000
        assert outcomes["text.wav"] == Unusable("text, not audio")
    assert recordings.read == []


def test_names_of_any_kind_survive_the_journal(recordings):
    names = ["Kinder üben – 音.wav", 'a "quoted", name.wav', "line\nbreak.wav", "line\u2028separator.wav"]
    for name in names:
        recordings.add(name)
    first = recordings.prepare()
    assert recordings.prepare() == first and recordings.read == []
    assert list(first) == sorted(names)


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([("a", "a.wav", "a.flac"), ("a", "b.wav", "b.flac")], "clip 'a' is to be prepared twice"),
        ([("a", "a.wav", "a.flac"), ("b", "b.wav", "a.flac")], "two clips would be written to .*a.flac"),
        ([("a", "a.wav", "b.wav"), ("b", "b.wav", None)], "b.wav is an original and would be overwritten"),
    ],
)
def test_jobs_that_would_overwrite_each_other_are_refused(recordings, jobs, message):
    here = recordings.folder
    jobs = [AudioJob(clip_id, here / source, here / target if target else None) for clip_id, source, target in jobs]
    with pytest.raises(UsageError, match=message):
        recordings.prepare(jobs=jobs)


# --- again --------------------------------------------------------------------------------------------------------


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


# --- originals that are gone --------------------------------------------------------------------------------------


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


# --- interrupted --------------------------------------------------------------------------------------------------


class StoppedError(Exception):
    """Something else went wrong, or somebody pressed Ctrl-C."""


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_an_interrupted_call_goes_on_where_it_was(tmp_path, recordings, finished):
    for name in ("d.wav", "a.wav", "c.wav", "b.wav"):
        recordings.add(name)
    whole = Recordings(tmp_path / "whole")
    shutil.copytree(recordings.folder, whole.folder)
    whole.names = recordings.names
    whole.prepare()

    reports = []

    def stop(items, audio_s):
        reports.append(items)
        if len(reports) == finished:
            raise StoppedError

    with pytest.raises(StoppedError):
        prepare_audio(
            recordings.jobs(), sample_rate_hz=RATE_HZ, journal=recordings.journal, workers=1, on_progress=stop
        )
    recordings.prepare()
    assert recordings.read == recordings.names[finished:]
    assert recordings.copies() == whole.copies()
    assert recordings.journal.read_bytes() == whole.journal.read_bytes()


def torn(lines):
    return [*lines[:2], lines[2][:40]]


def unsorted_with_an_older_entry(lines):
    older = lines[0].replace('"repairs": []', '"repairs": ["old"]')
    return [older, lines[2], lines[1], lines[0]]


def foreign(lines):
    return [*lines, "not ours\n"]


def damaged(lines):
    return [lines[0], '{"clip_id": "b.wav"}\n', lines[2]]


@pytest.mark.parametrize(
    ("break_it", "read"),
    [
        (torn, ["c.wav"]),
        (unsorted_with_an_older_entry, []),
        (foreign, []),
        (damaged, ["b.wav"]),
        (lambda lines: ["\0\xff"], None),
    ],
)
def test_a_journal_that_is_not_as_it_should_be_becomes_so(three, break_it, read):
    before, copies = three.journal.read_bytes(), three.copies()
    lines = three.journal.read_text().splitlines(keepends=True)
    three.journal.write_text("".join(break_it(lines)), encoding="latin-1")
    three.prepare()
    assert three.read == (three.names if read is None else read)
    assert three.journal.read_bytes() == before and three.copies() == copies


def test_a_line_is_never_appended_to_half_a_line(three):
    three.journal.write_text(three.journal.read_text()[:-30])
    with pytest.raises(StoppedError):
        prepare_audio(three.jobs(), sample_rate_hz=RATE_HZ, journal=three.journal, workers=1, on_progress=stop_at_once)
    assert all(json.loads(line) for line in three.journal.read_text().splitlines())


def stop_at_once(items, audio_s):
    if audio_s:
        raise StoppedError


def test_a_dataset_may_be_moved(three, tmp_path):
    three.folder.rename(tmp_path / "moved")
    moved = Recordings(tmp_path / "moved")
    moved.names, moved.read = three.names, three.read
    outcomes = moved.prepare()
    assert three.read == []
    assert outcomes["a.wav"].copy.path == str(moved.target("a.wav"))
    assert str(tmp_path) not in moved.journal.read_text()


def test_a_full_disk_is_said_before_anything_is_lost(recordings):
    for name in ("a.wav", "b.wav"):
        recordings.add(name)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, unlimited[1]))  # one line, and not two
    try:
        with pytest.raises(ResourceError, match=r"cannot write .*prepared\.jsonl: the file-size limit"):
            recordings.prepare(None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert list(recordings.prepare(None)) == ["a.wav", "b.wav"]
    assert recordings.read == ["b.wav"]


# --- what the manifest lists --------------------------------------------------------------------------------------


def test_files_below_the_dataset_are_relative_to_it_and_others_are_not(tmp_path):
    original = AudioFile(str(tmp_path / "elsewhere" / "a.wav"), "1", 44100, 441, 2)
    copy = AudioFile(str(tmp_path / "set" / "audio" / "a.flac"), "2", 32000, 320, 1)
    both = Prepared(original, is_original_there=True, copy=copy, clipped_samples=0, repairs=())
    first, (second,) = manifest_files(both, tmp_path / "set")
    assert (first, second.path, second.sha256) == (original, "audio/a.flac", "2")

    alone = Prepared(original, is_original_there=False, copy=copy, clipped_samples=0, repairs=())
    for found, keep_original in ((alone, True), (both, False)):
        assert manifest_files(found, tmp_path / "set", keep_original=keep_original) == (second, ())
    uncopied = Prepared(original, is_original_there=True, copy=None, clipped_samples=0, repairs=())
    assert manifest_files(uncopied, tmp_path / "elsewhere", keep_original=False)[0].path == "a.wav"
