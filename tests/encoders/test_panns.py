"""PANNs with random weights: windows, lengths, settings, strictness. Parity is in tests/golden."""

import json

import numpy as np
import pytest
import torch

from atrkit.encoders import folding, load_encoder, panns
from atrkit.encoders.panns_networks import panns_network
from atrkit.errors import IntegrityError, UsageError

FRAME_SAMPLES = 16 * 320  # of Cnn10


def random_state(name: str = "cnn10") -> dict[str, torch.Tensor]:
    """Weights that keep signals alive through all layers, and the buffers of the official files."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for key, value in panns_network(name).state_dict().items():
        shape = tuple(value.shape)
        noise = torch.randn(shape, generator=generator)
        if value.dtype == torch.int64:
            state[key] = torch.zeros(shape, dtype=torch.int64)
        elif value.ndim > 1:
            state[key] = noise * (2.0 / value[0].numel()) ** 0.5
        elif key == "bn0.running_var":
            state[key] = 400.0 + noise
        elif key.endswith(("running_var", "weight")):
            state[key] = 1.0 + 0.1 * noise
        else:
            state[key] = 0.1 * noise - (30.0 if key == "bn0.running_mean" else 0.0)
    return {
        "spectrogram_extractor.stft.conv_real.weight": torch.ones(513, 1, 1024),
        "spectrogram_extractor.stft.conv_imag.weight": torch.ones(513, 1, 1024),
        "logmel_extractor.melW": torch.ones(513, 64),
    } | state


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.fixture(scope="module")
def checkpoint(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "cnn10.pth"
    torch.save({"iteration": 3, "model": state}, path)
    return path


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return load_encoder("cnn10", checkpoint=checkpoint)


@pytest.fixture
def own_encoder(checkpoint):
    """One that a test may change."""
    return load_encoder("cnn10", checkpoint=checkpoint, clip_output="clip")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def assert_close(actual, expected) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


# lengths


def test_a_batch_of_lengths_around_every_floor_gives_each_what_it_gets_alone(encoder):
    mel_frames = [16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 80]
    waves = [noise((frames - 1) * 320 + extra, frames) for frames in mel_frames for extra in (0, 319)]
    with torch.inference_mode():
        together = encoder._frames_of(waves)
    for wave, window in zip(waves, together, strict=True):
        (alone,) = encoder.encode([wave]).frames
        assert len(alone) == (len(wave) // 320 + 1) // 16
        assert_close(window.frames_TF.numpy(), alone)


def test_batches_of_encode_change_nothing(checkpoint):
    encoder = load_encoder("cnn10", checkpoint=checkpoint, batch_size=8)
    waves = [noise(length, length) for length in (64_000, 63_999, 20_000, 57_311, 52_000, 9_600)]
    together = encoder.encode(waves)
    for row, wave in enumerate(waves):
        alone = encoder.encode([wave])
        assert_close(together.frames[row], alone.frames[0])
        assert_close(together.clip[row], alone.clip[0])
        assert_close(together.logits[row], alone.logits[0])


def test_a_clip_too_short_for_a_frame_is_padded_to_one_and_that_is_said(encoder):
    short = noise(encoder.min_samples - 1)
    encoded = encoder.encode([short, noise(encoder.min_samples), short[:0]])
    assert [len(frames) for frames in encoded.frames] == [1, 1, 1]
    assert encoded.padded == [True, False, True]
    assert encoder.min_samples == 4800 and encoder.settings["short_audio"] == "zeros appended up to 4800 samples"


def test_what_a_wave_ends_with_shows_in_its_last_frame(encoder):
    wave = noise(5 * FRAME_SAMPLES)
    louder = wave.copy()
    louder[-FRAME_SAMPLES:] *= 10
    frames, changed = (encoder.encode([each]).frames[0] for each in (wave, louder))
    change_T = np.abs(frames - changed).max(axis=1)
    assert len(change_T) == 5 and change_T.argmax() == 4


# long audio


def test_a_long_clip_is_seen_in_windows_each_as_if_it_were_a_clip(own_encoder):
    own_encoder.window_samples = window = 10 * FRAME_SAMPLES
    wave = noise(2 * window + 30_000)
    encoded = own_encoder.encode([wave])
    parts = [own_encoder.encode([wave[start : start + window]]).frames[0] for start in range(0, len(wave), window)]
    assert [len(part) for part in parts] == [10, 10, 5]
    assert_close(encoded.frames[0], np.concatenate(parts))
    assert_close(encoded.clip[0], encoded.frames[0].max(axis=0) + encoded.frames[0].mean(axis=0))


def test_a_rest_too_short_for_a_frame_joins_the_window_before(own_encoder):
    own_encoder.window_samples = window = 10 * FRAME_SAMPLES
    for rest, frames in ((4799, 10), (4800, 11)):
        assert len(own_encoder.encode([noise(window + rest)]).frames[0]) == frames


@pytest.mark.parametrize("name", ["cnn14", "cnn14_16k", "cnn10", "resnet38"])
def test_windows_of_every_network_are_whole_frames(name, monkeypatch):
    monkeypatch.setattr(panns.PannsEncoder, "_load_network", lambda *_: None)
    encoder = panns.PannsEncoder(name, panns.Checkpoint(None, ""), panns.Running())
    assert encoder.window_samples == 61.44 * encoder.sample_rate_hz
    frame_samples = encoder.frame_period_s * encoder.sample_rate_hz
    assert encoder.window_samples % round(frame_samples) == 0
    # one frame needs so many mel frames, and n samples have n // hop + 1
    halvings = panns_network(name).num_halvings
    assert encoder.min_samples == (2**halvings - 1) * encoder._front_end.hop_samples


def test_ten_minutes_go_through_the_network_a_minute_at_a_time(own_encoder, monkeypatch):
    sizes = []

    def feature_map(map_B1TM, lengths_B):
        sizes.append((len(map_B1TM), map_B1TM.shape[2]))
        return torch.zeros(len(map_B1TM), 512, map_B1TM.shape[2] >> 4, 4)

    monkeypatch.setattr(own_encoder, "_feature_map", feature_map)
    encoded = own_encoder.encode([np.zeros(600 * 32_000, dtype=np.float32)])
    assert sizes == [(1, 6145)] * 9 + [(1, 4705)]
    assert len(encoded.frames[0]) == 600 / 0.16


# settings


def test_both_clip_vectors_come_from_the_frames_and_the_tags_stay(encoder, own_encoder, state):
    wave = noise(40_000)
    embedding, clip = encoder.encode([wave]), own_encoder.encode([wave])
    frames = embedding.frames[0]
    pooled = frames.max(axis=0) + frames.mean(axis=0)
    assert_close(clip.clip[0], pooled)
    assert_close(embedding.clip[0], np.maximum(state["fc1.weight"].numpy() @ pooled + state["fc1.bias"].numpy(), 0))
    np.testing.assert_array_equal(embedding.logits, clip.logits)
    assert encoder.settings["clip"] != own_encoder.settings["clip"]


def test_settings_say_what_changes_the_output_and_are_json(encoder):
    assert json.loads(json.dumps(encoder.settings)) == encoder.settings
    assert "50-14000 Hz" in encoder.settings["front_end"]
    assert encoder.settings["long_audio"] == "windows of 61.44 s, clip vector and tags of all frames"


def test_another_clip_output_is_refused(checkpoint):
    with pytest.raises(UsageError, match="clip_output: 'mean' is none of embedding, clip"):
        load_encoder("cnn10", checkpoint=checkpoint, clip_output="mean")


def test_only_the_norm_of_the_input_is_left(encoder):
    norms = [name for name, module in encoder._network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms == ["bn0"]


def test_packed_weights_give_what_plain_ones_give(encoder, checkpoint, monkeypatch):
    if not folding.can_pack(torch.float32):
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(panns, "can_pack", lambda _: False)
    plain = load_encoder("cnn10", checkpoint=checkpoint)
    assert any(isinstance(module, folding.PackedConv2d) for module in encoder._network.modules())
    assert not any(isinstance(module, folding.PackedConv2d) for module in plain._network.modules())
    wave = noise(50_000)
    assert_close(encoder.encode([wave]).frames[0], plain.encode([wave]).frames[0])


# strictness


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state.pop("conv_block3.bn2.running_var"), "1 entries are missing .*conv_block3.bn2.running_var"),
        (lambda state: state.update({"gamma": torch.ones(3)}), r"1 entries are unknown .*gamma"),
        (lambda state: state.update({"logmel_extractor.other": torch.ones(3)}), "unknown .*logmel_extractor.other"),
        (lambda state: state.update({"fc1.bias": torch.ones(511)}), r"fc1.bias has shape \(511,\)"),
        (lambda state: state["fc1.bias"].fill_(torch.nan), "fc1.bias has NaN"),
    ],
    ids=["missing", "unknown", "unknown in the front end", "shape", "not finite"],
)
def test_weights_that_are_not_exactly_the_networks_are_refused(change, reason, state, tmp_path):
    changed = {key: value.clone() for key, value in state.items()}
    change(changed)
    torch.save({"model": changed}, tmp_path / "changed.pth")
    with pytest.raises(IntegrityError, match=reason):
        load_encoder("cnn10", checkpoint=tmp_path / "changed.pth")


def test_the_weights_of_another_of_the_networks_are_refused(checkpoint):
    with pytest.raises(IntegrityError, match="another network"):
        load_encoder("cnn14", checkpoint=checkpoint)


def test_the_front_ends_buffers_may_be_missing_and_the_state_dict_may_be_bare(encoder, state, tmp_path):
    bare = {key: value for key, value in state.items() if not key.startswith(("spectrogram", "logmel"))}
    torch.save(bare, tmp_path / "bare.pth")
    wave = noise(20_000)
    other = load_encoder("cnn10", checkpoint=tmp_path / "bare.pth")
    np.testing.assert_array_equal(other.encode([wave]).clip, encoder.encode([wave]).clip)
