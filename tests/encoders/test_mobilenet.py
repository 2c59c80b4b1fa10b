"""mn04 on recordings of any length: windows are whole frames, and their parts count by length."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder
from atrkit.encoders.mobilenet import MobileNet, audioset_labels

WINDOW = 1_966_080  # 61.44 s


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "mn04.pt"
    torch.save(MobileNet().state_dict(), path)
    return load_encoder("mn04", checkpoint=path)


def noise(samples: int) -> np.ndarray:
    return (0.1 * np.random.default_rng(4).standard_normal(samples)).astype(np.float32)


def test_windows_follow_each_other_frame_by_frame(encoder):
    wave = noise(WINDOW + 20 * 32000)
    encoded = encoder.encode([wave])
    parts = encoder.encode([wave[:WINDOW], wave[WINDOW:]])
    assert [len(frames) for frames in parts.frames] == [192, 63]
    np.testing.assert_array_equal(encoded.frames[0], np.concatenate(parts.frames))
    weights = np.array([192, 63]) / 255
    np.testing.assert_allclose(encoded.clip[0], weights @ parts.clip, rtol=1e-4, atol=1e-6)


def test_a_rest_too_short_for_a_window_joins_the_one_before(encoder):
    wave = noise(WINDOW + encoder.min_samples - 1)
    whole = encoder._network.frames(encoder.mel(torch.from_numpy(wave)).T[None])[0].detach().numpy()
    encoded = encoder.encode([wave])
    np.testing.assert_array_equal(encoded.frames[0], whole)
    assert encoded.padded == [False]


def test_the_clip_embedding_is_the_mean_of_the_frames_and_the_tags_are_its_own(encoder):
    encoded = encoder.encode([noise(70 * 32000)])
    np.testing.assert_allclose(encoded.clip[0], encoded.frames[0].mean(axis=0), rtol=1e-4, atol=1e-6)
    tags = encoder._network.logits(torch.from_numpy(encoded.clip))[0].detach().numpy()
    np.testing.assert_allclose(encoded.logits[0], tags, rtol=1e-4, atol=1e-6)


def test_labels_are_the_527_classes_of_audioset():
    labels = audioset_labels()
    assert len(labels) == len(set(labels)) == 527
    assert (labels[0], labels[74], labels[526]) == ("Speech", "Dog", "Field recording")
    assert "Child speech, kid speaking" in labels
