"""What holds for every encoder, whatever is inside."""

import json

import numpy as np
import pytest
import torch

from atrkit.encoders import ENCODER_NAMES, load_encoder
from atrkit.errors import DivergedError, UsageError


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load by name; networks get random weights, so that no download is needed."""
    from atrkit.encoders.mobilenet import MobileNet

    torch.manual_seed(3)
    network = MobileNet()
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:  # a gain that keeps signals alive through all layers
                value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5)
            elif name.endswith("bias"):
                value.normal_(0.0, 0.1)
    path = tmp_path_factory.mktemp("weights") / "mn04.pt"
    torch.save(network.state_dict(), path)
    return lambda name, **settings: load_encoder(name, checkpoint=path if name == "mn04" else None, **settings)


@pytest.fixture(scope="module", params=ENCODER_NAMES)
def encoder(request, load):
    return load(request.param)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_a_batch_of_many_equals_batches_of_one(encoder):
    waves = [noise(length, seed) for seed, length in enumerate([64_000, 100, 31_999, 64_000, 0])]
    together = encoder.encode(waves)
    for index, wave in enumerate(waves):
        alone = encoder.encode([wave])
        np.testing.assert_array_equal(together.frames[index], alone.frames[0])
        np.testing.assert_array_equal(together.clip[index], alone.clip[0])
        assert together.padded[index] == alone.padded[0]
        if encoder.labels is not None:
            np.testing.assert_array_equal(together.logits[index], alone.logits[0])


def test_shapes_and_types_are_as_declared(encoder):
    encoded = encoder.encode([noise(40_000), noise(20_000)])
    assert encoded.clip.shape == (2, encoder.clip_dim) and encoded.clip.dtype == np.float32
    for frames_TF in encoded.frames:
        assert frames_TF.shape[1] == encoder.frame_dim and frames_TF.dtype == np.float32
    if encoder.labels is None:
        assert encoded.logits is None
    else:
        assert encoded.logits.shape == (2, len(encoder.labels)) and encoded.logits.dtype == np.float32
    nothing = encoder.encode([])
    assert nothing.frames == [] and nothing.padded == [] and nothing.clip.shape == (0, encoder.clip_dim)


@pytest.mark.parametrize(
    "wave",
    [np.zeros(32_000), np.ones(32_000), 6.0 * noise(32_000, 1), np.full(32_000, 2.0**31), np.zeros(1), [0.0] * 2000],
    ids=["silence", "constant", "over one", "integers as floats", "one sample", "a list"],
)
def test_odd_sound_gives_finite_embeddings(encoder, wave):
    encoded = encoder.encode([wave])
    assert np.isfinite(encoded.frames[0]).all() and np.isfinite(encoded.clip).all()
    assert encoded.logits is None or np.isfinite(encoded.logits).all()


def test_different_sounds_give_different_embeddings(encoder):
    tone = np.sin(np.arange(32_000) / 5).astype(np.float32)
    clip = encoder.encode([noise(32_000), tone]).clip
    assert np.abs(clip[0] - clip[1]).max() > 1e-2


def test_the_same_wave_gives_the_same_bits_also_in_another_instance(encoder, load):
    wave = noise(50_000)
    first, again, other = (e.encode([wave]) for e in (encoder, encoder, load(encoder.name)))
    for encoded in (again, other):
        np.testing.assert_array_equal(encoded.frames[0], first.frames[0])
        np.testing.assert_array_equal(encoded.clip, first.clip)


def test_the_wave_is_left_as_it_was(encoder):
    wave = noise(20_000)
    wave.flags.writeable = False
    encoder.encode([wave])
    np.testing.assert_array_equal(wave, noise(20_000))


def test_short_waves_are_padded_with_zeros_at_the_end_and_that_is_said(encoder):
    short = noise(encoder.min_samples - 1)
    by_hand = np.concatenate([short, np.zeros(1, dtype=np.float32)])
    encoded = encoder.encode([short, by_hand])
    assert encoded.padded == [True, False]
    np.testing.assert_array_equal(encoded.frames[0], encoded.frames[1])
    np.testing.assert_array_equal(encoded.clip[0], encoded.clip[1])


@pytest.mark.parametrize("duration_s", [0.05, 0.31, 0.33, 1.0, 3.3, 10.0, 61.4, 61.45, 130.0])
def test_frames_keep_time(encoder, duration_s):
    (frames_TF,) = encoder.encode([noise(int(duration_s * encoder.sample_rate_hz))]).frames
    assert abs(len(frames_TF) - duration_s / encoder.frame_period_s) <= 1


def test_sound_late_in_a_long_recording_shows_in_the_frames_of_its_time(encoder):
    wave = np.zeros(150 * encoder.sample_rate_hz, dtype=np.float32)
    at_s = 140.0
    start = int(at_s * encoder.sample_rate_hz)
    silent = encoder.encode([wave]).frames[0]
    wave[start : start + encoder.sample_rate_hz] = noise(encoder.sample_rate_hz)
    change_T = np.abs(encoder.encode([wave]).frames[0] - silent).max(axis=1)
    assert at_s - 1.0 <= change_T.argmax() * encoder.frame_period_s <= at_s + 1.0 + encoder.frame_period_s


def test_settings_are_json_and_say_what_was_done(encoder):
    assert json.loads(json.dumps(encoder.settings)) == encoder.settings
    assert "front_end" in encoder.settings


def test_provenance_of_weights(encoder):
    if encoder.name == "logmel":
        assert encoder.checkpoint_path is None and encoder.checkpoint_sha256 is None
    else:
        assert encoder.checkpoint_path.is_file() and len(encoder.checkpoint_sha256) == 64
        assert "is not the published" in encoder.checkpoint_note


def test_waves_that_are_not_finite_or_not_mono_are_refused(encoder):
    wave = noise(1000)
    wave[[5, 7]] = np.nan, np.inf
    with pytest.raises(DivergedError, match="wave 1 has 2 NaN or infinite samples"):
        encoder.encode([noise(1000), wave])
    with pytest.raises(UsageError, match=r"shape \(2, 500\)"):
        encoder.encode([noise(1000).reshape(2, 500)])
