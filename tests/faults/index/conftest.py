"""What the fault tests of `atrkit index` share: a run, sounds with a known state, and digests of an index."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.workflows import index_encode


@pytest.fixture
def small_parts(monkeypatch):
    """Two files in each part, so that there are several."""
    monkeypatch.setattr(index_encode, "_PART_FILES", 2)


@pytest.fixture
def make_sounds(tmp_path):
    """Make a folder of nine sounds, some of them longer than a window, with a time of their own each."""

    def make(name="sounds", seconds=(1, 2, 11, 1, 1, 21, 1, 2, 1)):
        folder = tmp_path / name
        folder.mkdir()
        for number, length_s in enumerate(seconds):
            noise = np.random.default_rng(number).normal(scale=0.1, size=length_s * 8000)
            soundfile.write(folder / f"{number}.wav", noise, 8000)
            os.utime(folder / f"{number}.wav", (1000 + number, 1000 + number))
        return folder

    return make


@pytest.fixture
def make_workspace(finished, tmp_path, atrkit_in):
    """Make a workspace with the run, and perhaps with an index that was made before."""

    def make(name, of=None):
        if of is not None:
            shutil.copytree(of.workspace, tmp_path / name)
        else:
            shutil.copytree(finished / "runs", tmp_path / name / "runs")
        return atrkit_in(tmp_path / name)

    return make


@pytest.fixture
def digests():
    """Sha256 of every file of an index but locks."""

    def read(command):
        folder: Path = command.workspace / "index"
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return read


@pytest.fixture
def change():
    """New, changed, renamed, copied and deleted files, all with a time of their own."""

    def apply(folder):
        (folder / "2.wav").unlink()
        (folder / "5.wav").unlink()
        (folder / "1.wav").rename(folder / "one.wav")
        shutil.copy2(folder / "3.wav", folder / "three again.wav")
        for number, name in enumerate(("4.wav", "new.wav", "newer.wav", "newest.wav")):
            noise = np.random.default_rng(100 + number).normal(scale=0.1, size=9000)
            soundfile.write(folder / name, noise, 8000)
            os.utime(folder / name, (5000 + number, 5000 + number))

    return apply
