"""CLAP against the reference's outputs: front end, feature map and embedding, at two lengths, alone and in a batch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder

RATE = 48_000
DURATIONS_S = {"5s": 5, "10s": 10}
CONFIG = Path(__file__).resolve().parents[3] / "shared" / "golden" / "clap_tiny_config.json"

# golden/README.md: decibels; else relative to the reference's root mean square; 1 - cosine in double precision
TOLERANCE_DB = 2e-3
TOLERANCE = 1e-4
TOLERANCE_BF16 = 1e-1
ANGLE = 1e-9
ANGLE_BF16 = 1e-4

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
    return {end: synthetic_audio(RATE, seconds) for end, seconds in DURATIONS_S.items()}


def angle(actual, expected) -> float:
    a, b = np.ravel(actual).astype(np.float64), np.ravel(expected).astype(np.float64)
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


def assert_reproduces(encoder, waves, expected, relative_difference, tolerance=TOLERANCE, largest_angle=ANGLE):
    together = encoder.encode(list(waves.values()))
    for row, (end, wave) in enumerate(waves.items()):
        frames_TF = expected[f"hidden_{end}"].mean(1).T
        for encoded, place in ((together, row), (encoder.encode([wave]), 0)):
            for actual, wanted in (
                (encoded.frames[place], frames_TF),
                (encoded.frames[place].mean(0), expected[f"pooled_{end}"]),
                (encoded.clip[place], expected[f"embedding_{end}"]),
            ):
                assert relative_difference(actual, wanted) < tolerance
                assert angle(actual, wanted) < largest_angle


def mel_of(encoder, wave) -> torch.Tensor:
    return encoder.mel(encoder._windows(wave))


@pytest.mark.parametrize("end", DURATIONS_S)
def test_front_end_and_feature_map_are_the_references(encoder, waves, golden, relative_difference, end):
    mel_BTM = mel_of(encoder, waves[end])
    assert np.abs(mel_BTM[0, ::4].numpy() - golden("clap_tiny")[f"logmel_{end}_every4"]).max() < TOLERANCE_DB
    with torch.inference_mode():
        map_BCFT, _ = encoder._tower(mel_BTM)
    assert relative_difference(map_BCFT[0].numpy(), golden("clap_tiny")[f"hidden_{end}"]) < TOLERANCE


def test_frames_and_clip_are_the_references_alone_and_in_a_batch(encoder, waves, golden, relative_difference):
    assert_reproduces(encoder, waves, golden("clap_tiny"), relative_difference)


def change_settings(folder, **settings):
    (folder / "preprocessor_config.json").write_text(json.dumps({"truncation": "rand_trunc"} | settings))


@pytest.mark.parametrize(
    "settings",
    [{"truncation": "fusion"}, {"frequency_min": 50}, {"frequency_max": 16000}],
    ids=["HTK mels", "bands from 50 Hz", "bands to 16 kHz"],
)
def test_a_folder_that_states_another_front_end_gets_it(folder, waves, golden, tmp_path, settings):
    other = shutil.copytree(folder, tmp_path / "clap")
    change_settings(other, **settings)
    mel_BTM = mel_of(load_encoder("clap", other), waves["5s"])
    assert np.abs(mel_BTM[0, ::4].numpy() - golden("clap_tiny")["logmel_5s_every4"]).max() > 10 * TOLERANCE_DB


def test_a_symmetric_window_is_noticed(encoder, waves, golden, monkeypatch):
    monkeypatch.setattr(encoder, "_window_W", torch.hann_window(1024, periodic=False))
    mel_BTM = mel_of(encoder, waves["5s"])
    assert np.abs(mel_BTM[0, ::4].numpy() - golden("clap_tiny")["logmel_5s_every4"]).max() > 2 * TOLERANCE_DB


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_half_precision_it_stays_near(folder, waves, golden, relative_difference, precision):
    encoder = load_encoder("clap", folder, precision=precision)
    assert_reproduces(encoder, waves, golden("clap_tiny"), relative_difference, TOLERANCE_BF16, ANGLE_BF16)


@pytest.mark.slow
def test_compiled_it_is_the_reference(folder, waves, golden, relative_difference):
    assert_reproduces(load_encoder("clap", folder, compile=True), waves, golden("clap_tiny"), relative_difference)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_the_reference(folder, waves, golden, relative_difference, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert_reproduces(load_encoder("clap", folder, device="cuda"), waves, golden("clap_tiny"), relative_difference)
