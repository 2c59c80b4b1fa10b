import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import DivergedError, UsageError
from atrkit.models import Ragged
from atrkit.training.data import PairBatch, TrainingData, pairs_of_epoch, pairs_of_validation

CAPTIONS_PER_CLIP = st.lists(st.integers(1, 4), min_size=1, max_size=9)


def data_of(captions_per_clip: list[int], *, frames: list[np.ndarray] | None = None) -> TrainingData:
    clips = len(captions_per_clip)
    frames = [np.full((2, 3), clip) for clip in range(clips)] if frames is None else frames
    captions = tuple(tuple(f"c{clip} n{n}" for n in range(count)) for clip, count in enumerate(captions_per_clip))
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{clip}" for clip in range(clips)), captions)


def pairs(data: TrainingData, batches: list[PairBatch]) -> list[tuple[int, str]]:
    return [
        (clip, data.all_captions[caption])
        for batch in batches
        for clip, caption in zip(batch.clip_index_B.tolist(), batch.caption_index_B.tolist(), strict=True)
    ]


@given(CAPTIONS_PER_CLIP, st.integers(2, 5), st.integers(0, 9), st.integers(1, 9))
def test_random_pairs_each_clip_once_with_a_caption_of_its_own(
    counts: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    data = data_of(counts)
    drawn = pairs(data, pairs_of_epoch(data, batch_size=batch_size, caption_choice="random", seed=seed, epoch=epoch))
    assert sorted(clip for clip, _ in drawn) == list(range(len(counts)))
    assert all(caption in data.captions[clip] for clip, caption in drawn)


@given(CAPTIONS_PER_CLIP, st.integers(2, 5), st.integers(0, 9), st.integers(1, 9))
def test_all_and_validation_show_every_pair_once(counts: list[int], batch_size: int, seed: int, epoch: int) -> None:
    data = data_of(counts)
    every_pair = sorted((clip, text) for clip, texts in enumerate(data.captions) for text in texts)
    epoch_batches = pairs_of_epoch(data, batch_size=batch_size, caption_choice="all", seed=seed, epoch=epoch)
    assert sorted(pairs(data, epoch_batches)) == every_pair
    assert sorted(pairs(data, pairs_of_validation(data, batch_size=batch_size))) == every_pair


@given(st.integers(1, 20), st.integers(2, 6))
def test_batches_are_full_and_none_is_a_single_pair(clips: int, batch_size: int) -> None:
    data = data_of([1] * clips)
    sizes = [len(b) for b in pairs_of_epoch(data, batch_size=batch_size, caption_choice="random", seed=1, epoch=1)]
    assert sum(sizes) == clips
    assert all(size == batch_size for size in sizes[:-1]) and sizes[-1] <= batch_size + 1
    assert clips == 1 or min(sizes) > 1


def test_validation_keeps_captions_of_a_clip_apart() -> None:
    data = data_of([2, 1, 3])
    order = pairs(data, pairs_of_validation(data, batch_size=3))
    assert order == [(0, "c0 n0"), (1, "c1 n0"), (2, "c2 n0"), (0, "c0 n1"), (2, "c2 n1"), (2, "c2 n2")]


def test_seed_and_epoch_alone_decide_what_is_drawn() -> None:
    data = data_of([5] * 30)

    def drawn(seed: int, epoch: int) -> list[tuple[int, str]]:
        return pairs(data, pairs_of_epoch(data, batch_size=8, caption_choice="random", seed=seed, epoch=epoch))

    assert drawn(1, 2) == drawn(1, 2)
    assert len({tuple(drawn(seed, epoch)) for seed in (1, 2) for epoch in (1, 2)}) == 4


def test_every_caption_is_drawn_in_the_long_run() -> None:
    data = data_of([1, 5])
    seen = {
        caption
        for epoch in range(1, 60)
        for _, caption in pairs(data, pairs_of_epoch(data, batch_size=2, caption_choice="random", seed=1, epoch=epoch))
    }
    assert seen == set(data.all_captions)


def test_an_unknown_caption_choice_is_refused() -> None:
    with pytest.raises(UsageError, match="choose random or all"):
        pairs_of_epoch(data_of([1]), batch_size=2, caption_choice="first", seed=1, epoch=1)  # type: ignore[arg-type]


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
