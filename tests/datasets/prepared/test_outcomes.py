"""What comes of a recording, and what the manifest lists of it."""

import hashlib
import shutil

import numpy as np
import pytest
import soundfile

from atrkit.datasets.manifest import AudioFile
from atrkit.datasets.prepared import AudioJob, Prepared, Unusable, manifest_files
from atrkit.errors import UsageError

RATE_HZ = 32000


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


def test_any_number_of_workers_and_any_order_come_to_the_same(make_recordings, tmp_path):
    first = make_recordings(tmp_path / "1")
    for number in range(12):
        first.add(f"{number}.wav", seconds=0.02 * (12 - number))
    (first.folder / "original" / "5.wav").write_text("no audio")
    shutil.copytree(first.folder, tmp_path / "2")
    second = make_recordings(tmp_path / "2")
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
