"""VGGish against the reference's outputs: front end, frames and clip, at two lengths, alone and in a batch."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder, vggish

RATE = 16_000
DURATIONS_S = {"5s": 5, "10s": 10}

# golden/README.md, relative to the reference's root mean square; 1 - cosine in double precision
TOLERANCE_EXAMPLES = 5e-5
TOLERANCE = 1e-4
TOLERANCE_BF16 = 1e-1
ANGLE = 1e-9
ANGLE_BF16 = 1e-4


@pytest.fixture(scope="module")
def load(official_checkpoint):
    return lambda **settings: load_encoder("vggish", official_checkpoint("vggish"), **settings)


@pytest.fixture(scope="module")
def encoder(load):
    return load()


@pytest.fixture(scope="module")
def waves(synthetic_audio):
    return {end: synthetic_audio(RATE, seconds) for end, seconds in DURATIONS_S.items()}


def angle(actual, expected) -> float:
    a, b = np.ravel(actual).astype(np.float64), np.ravel(expected).astype(np.float64)
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


def assert_reproduces(encoder, waves, expected, relative_difference, tolerance=TOLERANCE, largest_angle=ANGLE):
    together = encoder.encode(list(waves.values()))
    for row, (end, wave) in enumerate(waves.items()):
        for encoded, place in ((together, row), (encoder.encode([wave]), 0)):
            for actual, name in ((encoded.frames[place], "frames"), (encoded.clip[place], "clip")):
                assert relative_difference(actual, expected[f"{name}_{end}"]) < tolerance
                assert angle(actual, expected[f"{name}_{end}"]) < largest_angle


@pytest.mark.parametrize("end", DURATIONS_S)
def test_the_front_end_is_the_references(encoder, waves, golden, relative_difference, end):
    examples_PTM = encoder.examples(torch.from_numpy(waves[end]))
    assert relative_difference(examples_PTM.numpy(), golden("vggish")[f"examples_{end}"]) < TOLERANCE_EXAMPLES


def test_frames_and_clip_are_the_references_alone_and_in_a_batch(encoder, waves, golden, relative_difference):
    assert_reproduces(encoder, waves, golden("vggish"), relative_difference)


def htk_bank_straight_in_hz():
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(257, 125.0, 7500.0, 64, RATE, norm=None, mel_scale="htk")


MUTATIONS = {
    "symmetric window": ("_window_W", lambda: torch.hann_window(400, periodic=False)),
    "triangles straight in Hz": ("_mel_bank_KM", htk_bank_straight_in_hz),
    "bands from 0 Hz": ("_BAND_HZ", lambda: (0.0, 7500.0)),
    "bands to 8 kHz": ("_BAND_HZ", lambda: (125.0, 8000.0)),
    "offset of 0.001": ("_LOG_OFFSET", lambda: 0.001),
    "FFT of 1024": ("_N_FFT", lambda: 1024),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_wrong_front_end_is_noticed(encoder, waves, golden, relative_difference, monkeypatch, mutation):
    name, make = MUTATIONS[mutation]
    if hasattr(vggish, name):
        monkeypatch.setattr(vggish, name, make())
        monkeypatch.setattr(encoder, "_mel_bank_KM", torch.from_numpy(vggish._htk_mel_bank()))
    else:
        monkeypatch.setattr(encoder, name, make())
    examples_PTM = encoder.examples(torch.from_numpy(waves["5s"]))
    assert relative_difference(examples_PTM.numpy(), golden("vggish")["examples_5s"]) > 2 * TOLERANCE_EXAMPLES


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_in_half_precision_it_stays_near(load, waves, golden, relative_difference, precision):
    encoder = load(precision=precision)
    assert_reproduces(encoder, waves, golden("vggish"), relative_difference, TOLERANCE_BF16, ANGLE_BF16)


@pytest.mark.slow
def test_compiled_it_is_the_reference(load, waves, golden, relative_difference):
    assert_reproduces(load(compile=True), waves, golden("vggish"), relative_difference)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_it_is_the_reference(load, waves, golden, relative_difference, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert_reproduces(load(device="cuda"), waves, golden("vggish"), relative_difference)
