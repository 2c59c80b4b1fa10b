"""Audio comes from processes and threads as `load_mono` gives it, as far ahead as there is room."""

import multiprocessing
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atrkit.audio.read import UnusableAudioError, load_mono
from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, ResourceError
from atrkit.workflows import decode_ahead
from atrkit.workflows.decode_ahead import (
    UNREADABLE,
    DecodingThreads,
    refuse_changed_audio,
    samples_of,
)
from atrkit.workflows.decode_processes import DecodingProcesses

RATE_HZ = 16000
PATIENCE_S = 60


class Desk:
    """Decoders, and waiting for what they decode without asking again and again."""

    def __init__(self, kind, workers: int, dataset: Dataset, ahead_samples: int) -> None:
        self.news = threading.Event()
        self.decoders = kind(dataset, RATE_HZ, ahead_samples, self.news.set, workers)
        self.files = [clip.best_file(RATE_HZ) for clip in dataset.clips]

    def decoded(self, *positions: int):
        decoding = self.decoders.begin([self.files[position] for position in positions])
        while not decoding.is_done:
            assert self.news.wait(PATIENCE_S)
            self.news.clear()
        return decoding

    def close(self) -> None:
        self.decoders.close()


BOTH_KINDS = pytest.mark.parametrize("kind", [DecodingThreads, DecodingProcesses])


@BOTH_KINDS
@pytest.mark.parametrize("chunk_s", [30, 0.6], ids=["one task", "several"])
def test_waves_are_what_load_mono_gives(make_recordings, monkeypatch, kind, chunk_s):
    monkeypatch.setattr(decode_ahead, "CHUNK_S", chunk_s)
    dataset = make_recordings([0.5, 0.01, 1.3, 0.7, 0.2], sample_rate_hz=11025)  # resampled to 16 kHz
    Path(dataset.clips[3].path).unlink()
    with closing(Desk(kind, 2, dataset, ahead_samples=100_000)) as desk:
        first, second = desk.decoded(0, 2), desk.decoded(4, 3, 1)
        for decoding, positions in ((first, (0, 2)), (second, (4, 3, 1))):
            for wave_N, position in zip(decoding.result().waves, positions, strict=True):
                if position == 3:
                    assert isinstance(wave_N, UnusableAudioError) and str(wave_N).startswith(UNREADABLE)
                else:
                    expected_N = load_mono(Path(dataset.clips[position].path), RATE_HZ)
                    assert wave_N.dtype == np.float32 and np.array_equal(wave_N, expected_N)
            assert decoding.result().seconds > 0
    assert multiprocessing.active_children() == []


@BOTH_KINDS
def test_there_is_room_for_so_much_and_no_more_until_some_is_released(make_recordings, kind):
    dataset = make_recordings([1.0, 1.0, 1.0])
    with closing(Desk(kind, 1, dataset, ahead_samples=2 * RATE_HZ)) as desk:
        decodings = [desk.decoded(0), desk.decoded(1)]
        assert desk.decoders.begin(desk.files[2:]) is None
        kept_N = decodings[1].result().waves[0].copy()
        desk.decoders.release(decodings[0])
        desk.decoded(2)
        assert np.array_equal(decodings[1].result().waves[0], kept_N), "what is not released stays as it is"


def test_what_never_fits_is_not_waited_for(make_recordings):
    dataset = make_recordings([1.0])
    with (
        closing(Desk(DecodingThreads, 1, dataset, ahead_samples=RATE_HZ - 1)) as desk,
        pytest.raises(ValueError, match="16000 samples never fit into 15999"),
    ):
        desk.decoders.begin(desk.files)


def test_a_file_longer_than_the_manifest_says_comes_whole(make_recordings):
    dataset = make_recordings([0.5, 0.5, 0.5])
    clips = [replace(clip, frames=1000 if clip.id == "01.wav" else clip.frames) for clip in dataset.clips]
    with closing(Desk(DecodingProcesses, 1, replace(dataset, clips=tuple(clips)), ahead_samples=RATE_HZ * 2)) as desk:
        waves = desk.decoded(0, 1, 2).result().waves
        for wave_N, clip in zip(waves, clips, strict=True):
            assert np.array_equal(wave_N, load_mono(Path(clip.path), RATE_HZ))


@BOTH_KINDS
def test_a_changed_file_is_an_error_that_says_how_to_take_it_in(make_recordings, kind):
    dataset = make_recordings([0.5, 0.5])
    with Path(dataset.clips[1].path).open("ab") as file:
        file.write(b"more")
    line = r"01\.wav changed since dataset 'recordings' was made.*--overwrite"
    with closing(Desk(kind, 1, dataset, ahead_samples=RATE_HZ * 2)) as desk, pytest.raises(IntegrityError, match=line):
        desk.decoded(0, 1).result()


def test_a_killed_process_is_an_error_with_a_way_out(make_recordings):
    dataset = make_recordings([0.5, 0.5])
    with closing(Desk(DecodingProcesses, 1, dataset, ahead_samples=RATE_HZ * 2)) as desk:
        desk.decoded(0)
        (process,) = multiprocessing.active_children()
        process.kill()
        process.join(PATIENCE_S)
        with pytest.raises(ResourceError, match=r"a process that decoded audio was killed.*--workers 0"):
            desk.decoded(1).result()
        with pytest.raises(ResourceError, match="was killed"):
            desk.decoders.begin(desk.files[1:])
    assert multiprocessing.active_children() == []


def test_short_files_share_a_task_and_a_long_one_has_its_own(make_recordings, monkeypatch):
    dataset = make_recordings([0.1] * 7)
    seconds = [10, 10, 10, 10, 700, 10, 29]
    clips = [replace(clip, frames=8000 * each) for clip, each in zip(dataset.clips, seconds, strict=True)]
    with closing(Desk(DecodingThreads, 1, replace(dataset, clips=tuple(clips)), ahead_samples=1 << 30)) as desk:
        tasks = []
        submit = desk.decoders._submit
        monkeypatch.setattr(desk.decoders, "_submit", lambda chunk: tasks.append(chunk.files) or submit(chunk))
        desk.decoded(*range(7))
    names = [[Path(file.path).stem for file in files] for files in tasks]
    assert names == [["00", "01", "02"], ["03"], ["04"], ["05"], ["06"]]


@pytest.mark.parametrize("sample_rate_hz", [8000, 11025, 22050, 44100, 48000])
@pytest.mark.parametrize("duration_s", [0.01, 0.3337])
def test_there_is_always_room_for_what_resampling_makes(make_recordings, sample_rate_hz, duration_s):
    (clip,) = make_recordings([duration_s], sample_rate_hz=sample_rate_hz).clips
    for rate_hz in (16000, 32000, 48000):
        made = len(load_mono(Path(clip.path), rate_hz))
        assert made <= samples_of(clip.best_file(rate_hz), rate_hz) <= made + 1


def test_a_file_that_is_gone_is_unusable_and_one_as_it_was_is_fine(make_recordings):
    dataset = make_recordings([0.1, 0.1])
    refuse_changed_audio(dataset, dataset.clips[0].files[0])
    Path(dataset.clips[1].path).unlink()
    with pytest.raises(UnusableAudioError, match=UNREADABLE):
        refuse_changed_audio(dataset, dataset.clips[1].files[0])
