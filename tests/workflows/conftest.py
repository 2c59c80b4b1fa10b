"""What tests of the extraction pipeline share: small recordings, and a dataset of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from atrkit.datasets.manifest import Clip, Dataset
from atrkit.encoders.base import EncodedWindow, Encoder, Running, frames_of_clips
from atrkit.files import sha256_of_file

RATE_HZ = 8000
HOP = 80

MakeRecordings = Callable[..., Dataset]


@pytest.fixture
def make_recordings(tmp_path) -> MakeRecordings:
    """`make_recordings([0.5, 1.2], sample_rate_hz=8000)`: noise of these seconds as `00.wav`, `01.wav`, ..."""

    def make(durations_s: Sequence[float], sample_rate_hz: int = 8000, folder: Path = tmp_path / "audio") -> Dataset:
        folder.mkdir()
        noise = np.random.default_rng(5)
        clips = []
        for number, duration_s in enumerate(durations_s):
            path = folder / f"{number:02}.wav"
            frames = round(duration_s * sample_rate_hz)
            soundfile.write(path, noise.uniform(-0.5, 0.5, frames), sample_rate_hz, "FLOAT")
            clips.append(Clip(path.name, str(path), sha256_of_file(path), sample_rate_hz, frames, 1, split="all"))
        return Dataset("recordings", tuple(clips), tmp_path / "recordings")

    return make


class FakeEncoder(Encoder):
    """Frames are the means of 80 samples; the clip vector says with how many windows a clip shared its batch.

    The latter is what no encoder may do, and shows which clips were together.

    Args:
        batch_size: in clips of ten seconds.
        most_at_once: memory runs out with more windows than that.
    """

    name, sample_rate_hz, frame_dim, clip_dim, min_samples, window_samples = "fake", RATE_HZ, 1, 2, 400, 80_000
    num_classes = 1

    def __init__(self, batch_size: int = 1, most_at_once: int = 1_000) -> None:
        self._start(HOP / RATE_HZ, Running(batch_size=batch_size), {})
        self.most_at_once = most_at_once
        self.batches: list[list[int]] = []
        self.remarks: list[str] = []
        self.on_remark = self.remarks.append

    def _frames_of(self, windows):
        if len(windows) > self.most_at_once:
            raise torch.OutOfMemoryError("no room")
        self.batches.append([len(window_N) for window_N in windows])
        together = torch.tensor(float(len(windows)))
        return [EncodedWindow(_means_of_hops(window_N), together) for window_N in windows]

    def _clips_of(self, clips):
        means_B = torch.stack([frames_TF.mean() for frames_TF in frames_of_clips(clips)])
        together_B = torch.stack([clip[0].summary_S for clip in clips])
        return torch.stack([means_B, together_B], dim=1), means_B[:, None]


def _means_of_hops(wave_N: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(wave_N[: len(wave_N) // HOP * HOP].reshape(-1, HOP).mean(1))[:, None]


@pytest.fixture
def fake_encoder() -> type[FakeEncoder]:
    """`fake_encoder(batch_size=2)`; the class itself, to be subclassed."""
    return FakeEncoder
