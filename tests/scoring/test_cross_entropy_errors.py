"""What the captioner's scorers refuse, and how they name it."""

import numpy as np
import pytest
import torch

from atrkit.errors import DivergedError, UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder
from atrkit.scoring import caption_cross_entropy
from atrkit.scoring.cross_entropy import CrossEntropyScorer, paired_cross_entropy

WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "rain", "falls")
IDS = ("a.wav", "b.wav", "c.wav")


@pytest.fixture(params=["transformer", "gru"])
def captioner(request) -> Captioner:
    torch.manual_seed(0)
    decoder = GruDecoder(len(WORDS), dim=8)
    if request.param == "transformer":
        decoder = TransformerDecoder(len(WORDS), dim=8, num_layers=2, num_heads=2, ff_dim=8)
    return Captioner(4, WORDS, decoder).eval()


def frames_with(value: float | None = None, clip: int = 1, lengths: tuple[int, ...] = (2, 3, 2)) -> Ragged:
    clips = [np.ones((length, 4), np.float32) for length in lengths]
    if value is not None:
        clips[clip][-1, 2] = value
    return Ragged.from_sequences(clips)


def all_pairs(captioner, frames, captions, **options):
    return caption_cross_entropy(captioner, frames, captions, **options)


def listed_pairs(captioner, frames, captions, **options):
    clips = [clip for clip in range(len(frames)) for _ in captions]
    return paired_cross_entropy(captioner, frames, clips, [*captions] * len(frames), **options)


BOTH = pytest.mark.parametrize("score", [all_pairs, listed_pairs])


@BOTH
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frames_that_are_no_numbers_are_named_by_clip(captioner, score, value) -> None:
    with pytest.raises(DivergedError, match=r"1 clips have frames that are NaN or infinite: 'b\.wav'; extract"):
        score(captioner, frames_with(value), ["rain"], clip_ids=IDS)
    with pytest.raises(DivergedError, match="number 1;"):
        score(captioner, frames_with(value), ["rain"])


def test_only_the_clips_that_are_asked_for_must_be_good(captioner) -> None:
    scorer = CrossEntropyScorer(captioner, ["rain"])
    assert scorer.losses_of(frames_with(np.nan), torch.tensor([2, 0])).shape == (2, 1)
    assert scorer.losses_of(frames_with(lengths=(2, 0, 2)), torch.tensor([2, 0])).shape == (2, 1)
    assert paired_cross_entropy(captioner, frames_with(np.nan), [2, 0], ["rain", "rain"]).shape == (2,)


@BOTH
def test_losses_that_are_no_numbers_are_named_by_clip(captioner, score) -> None:
    with torch.no_grad():
        captioner.decoder.classifier.bias[4] = torch.nan
    with pytest.raises(DivergedError, match=r"losses that are NaN .*'a\.wav'.*train it again"):
        score(captioner, frames_with(), ["rain"], clip_ids=IDS)


@BOTH
def test_what_is_too_large_for_half_precision_says_so(captioner, score) -> None:
    with torch.no_grad():
        captioner.decoder.classifier.weight *= 1e6
    frames = frames_with()
    assert np.isfinite(score(captioner, frames, ["rain falls"])).all()
    with pytest.raises(DivergedError, match=r"fp16: .*'a\.wav'.*use precision fp32"):
        score(captioner, frames, ["rain falls"], clip_ids=IDS, precision="fp16")


@BOTH
def test_clips_without_frames_are_refused_by_name(captioner, score) -> None:
    with pytest.raises(UsageError, match=r"1 clips have no frames: 'b\.wav'"):
        score(captioner, frames_with(lengths=(2, 0, 2)), ["rain"], clip_ids=IDS)


@BOTH
def test_captions_without_words_are_refused(captioner, score) -> None:
    with pytest.raises(UsageError, match=r"no word: '\.\.\.'"):
        score(captioner, frames_with(), ["rain", "..."])


@BOTH
def test_frames_of_another_encoder_are_refused(captioner, score) -> None:
    with pytest.raises(UsageError, match="5 wide, the model takes 4"):
        score(captioner, Ragged.from_sequences([np.ones((2, 5), np.float32)]), ["rain"])


@BOTH
def test_ids_must_be_as_many_as_clips(captioner, score) -> None:
    with pytest.raises(UsageError, match="2 clip ids for 3 clips"):
        score(captioner, frames_with(), ["rain"], clip_ids=IDS[:2])


def test_no_captions_and_unequal_pairs_are_refused(captioner) -> None:
    with pytest.raises(UsageError, match="no caption"):
        all_pairs(captioner, frames_with(), [])
    with pytest.raises(UsageError, match="2 clips and 1 captions"):
        paired_cross_entropy(captioner, frames_with(), [0, 1], ["rain"])


def test_modes_are_put_back_after_an_error(captioner) -> None:
    captioner.train()
    with torch.no_grad():
        captioner.decoder.classifier.bias[4] = torch.nan
    with pytest.raises(DivergedError):
        all_pairs(captioner, frames_with(), ["rain"])
    assert all(part.training for part in captioner.modules())
