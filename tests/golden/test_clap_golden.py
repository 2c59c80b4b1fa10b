"""CLAP against the reference's figures: front end, feature map and embedding, at two lengths, alone and in a batch."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder

RATE = 48000
CONFIG = Path(__file__).resolve().parents[3] / "shared" / "golden" / "clap_tiny_config.json"

pytestmark = pytest.mark.skipif(not CONFIG.is_file(), reason="needs ../shared/golden")


@pytest.fixture(scope="module")
def folder(synthetic, tmp_path_factory):
    """A ClapModel of synthetic weights as transformers saves it."""
    from transformers import ClapConfig, ClapModel

    model = ClapModel(ClapConfig(**json.loads(CONFIG.read_text())))
    floating = {key: tuple(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}
    state = {key: torch.tensor(value) for key, value in synthetic["synthetic_state_dict"](floating, 7).items()}
    model.load_state_dict(model.state_dict() | state)
    path = tmp_path_factory.mktemp("clap")
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder):
    return load_encoder("clap", folder)


@pytest.fixture(scope="module")
def waves(synthetic_audio):
    return {"5s": synthetic_audio(RATE, 5), "10s": synthetic_audio(RATE, 10)}


@pytest.fixture(scope="module")
def together(encoder, waves):
    encoded = encoder.encode([waves["5s"], waves["10s"]])
    return dict(zip(waves, zip(encoded.frames, encoded.clip, strict=True), strict=True))


@pytest.mark.parametrize("length", ["5s", "10s"])
def test_the_front_end_is_the_references(encoder, waves, golden, length):
    mel_BTM = encoder.mel(encoder._windows(waves[length]))
    assert np.abs(mel_BTM[0, ::4].numpy() - golden("clap_tiny")[f"logmel_{length}_every4"]).max() < 2e-3


@pytest.mark.parametrize("length", ["5s", "10s"])
def test_frames_and_clip_are_the_references(together, golden, relative_difference, length):
    frames_TF, clip_D = together[length]
    assert relative_difference(frames_TF, golden("clap_tiny")[f"hidden_{length}"].mean(1).T) < 1e-4
    assert relative_difference(frames_TF.mean(0), golden("clap_tiny")[f"pooled_{length}"]) < 1e-4
    assert relative_difference(clip_D, golden("clap_tiny")[f"embedding_{length}"]) < 1e-4


def test_a_clip_in_a_batch_is_the_clip_alone(encoder, together, waves, relative_difference):
    alone = encoder.encode([waves["5s"]])
    assert relative_difference(together["5s"][0], alone.frames[0]) < 1e-5
    assert relative_difference(together["5s"][1], alone.clip[0]) < 1e-5
