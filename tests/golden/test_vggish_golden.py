"""VGGish against the reference's figures: front end, frames and clip, at two lengths, alone and in a batch."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder

RATE = 16000


@pytest.fixture(scope="module")
def encoder(official_checkpoint):
    return load_encoder("vggish", official_checkpoint("vggish"))


@pytest.fixture(scope="module")
def waves(synthetic_audio):
    return {"5s": synthetic_audio(RATE, 5), "10s": synthetic_audio(RATE, 10)}


@pytest.fixture(scope="module")
def together(encoder, waves):
    encoded = encoder.encode([waves["5s"], waves["10s"]])
    return dict(zip(waves, zip(encoded.frames, encoded.clip, strict=True), strict=True))


@pytest.mark.parametrize("length", ["5s", "10s"])
def test_the_front_end_is_the_references(encoder, waves, golden, relative_difference, length):
    examples_PTM = encoder.examples(torch.from_numpy(waves[length]))
    assert relative_difference(examples_PTM.numpy(), golden("vggish")[f"examples_{length}"]) < 5e-5


@pytest.mark.parametrize("length", ["5s", "10s"])
def test_frames_and_clip_are_the_references(together, golden, relative_difference, length):
    frames_TF, clip_D = together[length]
    for actual, name in ((frames_TF, "frames"), (clip_D, "clip")):
        expected = golden("vggish")[f"{name}_{length}"]
        assert relative_difference(actual, expected) < 1e-4
        cosine = np.sum(actual * expected) / np.sqrt(np.sum(actual**2) * np.sum(expected**2))
        assert 1 - cosine < 1e-6  # in float32; 1e-9 in the reference's float64


def test_a_clip_in_a_batch_is_the_clip_alone(encoder, together, waves, relative_difference):
    alone = encoder.encode([waves["5s"]])
    assert relative_difference(together["5s"][0], alone.frames[0]) < 1e-5
