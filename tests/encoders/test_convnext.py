"""ConvNeXt-Tiny: clips of unlike length in one batch, long recordings, short clips; parity is in tests/golden."""

import numpy as np
import pytest
import torch

from atrkit.encoders import convnext_network, load_encoder
from atrkit.encoders.convnext_network import ConvNeXt
from atrkit.errors import UsageError

HOP_SAMPLES = 320
MIN_SAMPLES = 7360
ROUNDING = 3e-6  # of the root mean square: sums in another order


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "convnext.pth"
    torch.save({"model": ConvNeXt().state_dict()}, path)
    return path


@pytest.fixture
def encoder(loaded):
    """Its windows and batches are as new for every test."""
    loaded.batch_size = 8
    yield loaded
    loaded.__dict__.pop("window_samples", None)


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return load_encoder("convnext_tiny", checkpoint=checkpoint)


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)


def assert_equal(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() < ROUNDING * np.sqrt(np.mean(np.square(expected)))


def frames_after_the_strides(samples: int) -> int:
    mel_frames = samples // HOP_SAMPLES + 1
    return ((mel_frames + 8 - 4) // 4 + 1) // 2 // 2 // 2


def test_every_length_around_the_floors_is_in_a_batch_as_alone(encoder):
    """49 to 61 mel frames: every place within a stride of four, and the sixteenth position, which makes two frames."""
    samples = [mel_frames * HOP_SAMPLES - late for mel_frames in range(49, 61) for late in (1, 0)]
    waves = [noise(n) for n in samples]
    with torch.inference_mode():
        together = [window.frames_TF.numpy() for window in encoder._frames_of(waves)]
    assert {frames_TF.shape[0] for frames_TF in together} == {1, 2}
    for wave, frames_TF in zip(waves, together, strict=True):
        alone = encoder.encode([wave]).frames[0]
        assert len(alone) == frames_after_the_strides(len(wave))
        assert_equal(frames_TF, alone)


def test_clips_and_tags_of_a_mixed_batch_are_those_of_the_clips_alone(encoder):
    waves = [noise(n) for n in (40_000, 7_400, 44_123, 9_000, 100, 41_000)]
    together = encoder.encode(waves)
    assert together.padded == [False, False, False, False, True, False]
    for index, wave in enumerate(waves):
        alone = encoder.encode([wave])
        assert_equal(together.frames[index], alone.frames[0])
        assert_equal(together.clip[index], alone.clip[0])
        assert_equal(together.logits[index], alone.logits[0])


def test_the_shortest_clip_is_the_shortest_that_leaves_a_frame(encoder):
    assert encoder.min_samples == MIN_SAMPLES
    assert frames_after_the_strides(MIN_SAMPLES) == 1
    assert frames_after_the_strides(MIN_SAMPLES - 1) == 0
    short = noise(MIN_SAMPLES - 1)
    padded = encoder.encode([short])
    by_hand = encoder.encode([np.append(short, np.float32(0))])
    assert (padded.padded, by_hand.padded) == ([True], [False])
    np.testing.assert_array_equal(padded.frames[0], by_hand.frames[0])


def test_long_recordings_are_seen_in_windows_of_whole_frames(encoder):
    assert encoder.window_samples == 61.44 * 32000
    encoder.window_samples = 4 * 32 * HOP_SAMPLES  # 1.28 s, for speed
    wave = noise(3 * encoder.window_samples + MIN_SAMPLES - 1)  # a rest too short for a window of its own
    starts = [0, encoder.window_samples, 2 * encoder.window_samples]
    encoded = encoder.encode([wave])
    windows = [wave[start:stop] for start, stop in zip(starts, [*starts[1:], len(wave)], strict=True)]
    by_hand = np.concatenate([encoder.encode([window]).frames[0] for window in windows[:2]])
    assert_equal(encoded.frames[0][:8], by_hand)
    encoder.window_samples = len(wave)
    assert_equal(encoded.frames[0][8:], encoder.encode([windows[2]]).frames[0])


def test_the_clip_embedding_is_of_the_frames_of_all_windows(encoder, checkpoint):
    encoder.window_samples = 4 * 32 * HOP_SAMPLES
    encoded = encoder.encode([noise(100_000)])
    pooled_D = encoded.frames[0].max(0) + encoded.frames[0].mean(0)
    with torch.inference_mode():
        normed_D = (pooled_D - pooled_D.mean()) / np.sqrt(pooled_D.var() + 1e-6)
        logits_K = encoder._network.head_audioset(torch.from_numpy(normed_D))
    np.testing.assert_allclose(encoded.clip[0], normed_D, atol=1e-5)  # its weight is 1 and its bias 0 here
    np.testing.assert_allclose(encoded.logits[0], logits_K, atol=1e-5)
    assert len(encoder.labels) == encoder.num_classes == 527


def test_the_pieces_that_a_cpu_works_in_make_no_difference(encoder, monkeypatch):
    whole = encoder.encode([noise(50_000)]).frames[0]
    monkeypatch.setattr(convnext_network, "_CPU_HIDDEN_VALUES", 3 * 4 * 768)
    assert_equal(encoder.encode([noise(50_000)]).frames[0], whole)


def test_the_clip_vector_before_the_last_layer_is_there_by_name(checkpoint, encoder):
    other = load_encoder("convnext_tiny", checkpoint=checkpoint, clip_output="clip")
    encoded = other.encode([noise(40_000)])
    assert_equal(encoded.clip[0], encoded.frames[0].max(0) + encoded.frames[0].mean(0))
    assert_equal(encoded.logits, encoder.encode([noise(40_000)]).logits)
    assert encoder.settings["clip"] == "layer norm of max + mean of frames"
    assert other.settings["clip"] == "max + mean of frames"
    with pytest.raises(UsageError, match="clip_output: 'logits' is none of embedding, clip"):
        load_encoder("convnext_tiny", checkpoint=checkpoint, clip_output="logits")
