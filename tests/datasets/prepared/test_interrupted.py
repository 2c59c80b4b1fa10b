"""Interrupted, moved, on a full disk, with a damaged journal: the same in the end."""

import json
import resource
import shutil

import pytest

from atrkit.datasets.prepared import prepare_audio
from atrkit.errors import ResourceError

RATE_HZ = 32000


class StoppedError(Exception):
    """Something else went wrong, or somebody pressed Ctrl-C."""


@pytest.mark.parametrize("finished", [1, 2, 3])
def test_an_interrupted_call_goes_on_where_it_was(make_recordings, tmp_path, recordings, finished):
    for name in ("d.wav", "a.wav", "c.wav", "b.wav"):
        recordings.add(name)
    whole = make_recordings(tmp_path / "whole")
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


def test_a_dataset_may_be_moved(make_recordings, three, tmp_path):
    three.folder.rename(tmp_path / "moved")
    moved = make_recordings(tmp_path / "moved")
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
