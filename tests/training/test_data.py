import numpy as np
import pytest

from atrkit.errors import DivergedError, UsageError
from atrkit.models import Ragged
from atrkit.training.data import TrainingData


def data_of(captions_per_clip: list[int], *, frames: list[np.ndarray] | None = None) -> TrainingData:
    clips = len(captions_per_clip)
    frames = [np.full((2, 3), clip) for clip in range(clips)] if frames is None else frames
    captions = tuple(tuple(f"c{clip} n{n}" for n in range(count)) for clip, count in enumerate(captions_per_clip))
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{clip}" for clip in range(clips)), captions)


def test_frames_that_are_not_finite_name_their_clips() -> None:
    frames = [np.ones((clip + 1, 3)) for clip in range(4)]
    frames[1][1, 2] = np.nan
    frames[3][0, 0] = np.inf
    with pytest.raises(DivergedError, match=r"frames of 2 clips \('clip1', 'clip3'\)"):
        data_of([1] * 4, frames=frames)


@pytest.mark.parametrize("row", [0, 4095, 4096, 9000, 9999])
def test_frames_that_are_not_finite_are_found_wherever_they_are(row: int) -> None:
    frames_NF = np.ones((10_000, 2), np.float16)
    frames_NF[row, 1] = np.inf
    with pytest.raises(DivergedError, match=f"clip 'clip{row // 100}'"):
        data_of([1] * 100, frames=list(frames_NF.reshape(100, 100, 2)))


def test_what_does_not_fit_together_is_refused() -> None:
    frames = Ragged.from_sequences([np.ones((2, 3)), np.ones((1, 3))])
    with pytest.raises(UsageError, match="2 clips, 1 clip ids and captions of 1"):
        TrainingData(frames, ("a",), (("x",),))
    with pytest.raises(UsageError, match="unique"):
        TrainingData(frames, ("a", "a"), (("x",), ("y",)))
    with pytest.raises(UsageError, match="clip 'b' without a caption"):
        TrainingData(frames, ("a", "b"), (("x",), ()))
    with pytest.raises(UsageError, match="clip 'b' without a frame"):
        TrainingData(Ragged.from_sequences([np.ones((2, 3)), np.ones((0, 3))]), ("a", "b"), (("x",), ("y",)))


def test_digest_sees_every_change() -> None:
    def digest(clip_id: str = "a", caption: str = "x", value: float = 1.0, lengths: tuple[int, int] = (1, 2)) -> str:
        frames = Ragged.from_sequences([np.full((length, 3), value) for length in lengths])
        return TrainingData(frames, (clip_id, "z"), ((caption,), ("y",))).sha256

    assert digest() == digest()
    assert len({digest(), digest("b"), digest(caption="w"), digest(value=1.5), digest(lengths=(2, 1))}) == 5


def test_digest_is_of_the_numbers_and_not_of_how_they_are_kept() -> None:
    """A training that was interrupted goes on also when its frames are held otherwise."""
    frames = [np.random.default_rng(clip).normal(size=(1500, 3)).astype(np.float16) for clip in range(9)]
    in_half = data_of([1] * 9, frames=frames)
    in_full = data_of([1] * 9, frames=[frame.astype(np.float32) for frame in frames])
    assert in_half.frames.values.dtype != in_full.frames.values.dtype
    assert in_half.sha256 == in_full.sha256
