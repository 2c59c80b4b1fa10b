"""Recordings, their copies and their journal, for all tests of preparation."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.datasets import prepared as module
from atrkit.datasets.prepared import AudioJob, prepare_audio

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
def make_recordings():
    """Another set: `make_recordings(folder)`."""
    return Recordings


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A set that notes which of its originals are read."""
    made = Recordings(tmp_path / "set")
    for name in ("write_resampled", "inspect_audio"):
        monkeypatch.setattr(module, name, noted(getattr(module, name), made.read))
    return made


@pytest.fixture
def three(recordings):
    """Three recordings that were prepared."""
    for name in ("b.wav", "c.wav", "a.wav"):
        recordings.add(name)
    recordings.prepare()
    return recordings
