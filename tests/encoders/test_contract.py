"""What holds for every encoder, whatever is inside."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.encoders import ENCODER_NAMES, load_encoder
from atrkit.encoders.catalogue import ENCODERS
from atrkit.encoders.checkpoints import Checkpoint, find_weights
from atrkit.errors import DivergedError, UsageError

# the others of PANNs are the same code with more layers, and take a second for ten of audio; golden tests have them
SAME_CODE_AS_CNN10 = {"cnn14", "cnn14_16k", "resnet38"}
TRIED = [name for name in ENCODER_NAMES if name not in SAME_CODE_AS_CNN10]
# these see each clip alone; the others differ by the rounding of sums in another order
ALONE = {"logmel", "mn04", "waveform"}
WITHOUT_WEIGHTS = {"logmel", "waveform"}
ROUNDING = 2e-5  # of the root mean square


def network_of(name: str) -> tuple[torch.nn.Module, str, str]:
    """A network, where an official file keeps its state dict, and what stands before each name there."""
    match name:
        case "mn04":
            from atrkit.encoders.mobilenet import MobileNet

            return MobileNet(), "", ""
        case "cnn10":
            from atrkit.encoders.panns_networks import panns_network

            return panns_network("cnn10"), "model", ""
        case "convnext_tiny":
            from atrkit.encoders.convnext_network import ConvNeXt

            return ConvNeXt(), "model", ""
        case "vggish":
            from atrkit.encoders.vggish import Vggish

            return Vggish(), "", ""
        case _:
            from atrkit.encoders.resnet_vggsound import ResNet18

            return ResNet18(309), "model_state_dict", "audnet."


def save_random_weights(name: str, path: Path) -> Path:
    """An official file with weights that keep a signal alive through all layers."""
    torch.manual_seed(3)
    with torch.device("meta"):  # half the time is gone in drawing weights that are drawn again
        network, nesting, prefix = network_of(name)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.ndim > 1:
                bound = (6.0 / value[0].numel()) ** 0.5
                value.uniform_(-bound, bound)
            elif key.endswith(("bias", "running_mean", "num_batches_tracked")):
                value.zero_()
            else:
                value.fill_(0.2 if key.endswith("gamma") else 1.0)
    state = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save({nesting: state} if nesting else state, path)
    return path


def save_tiny_clap(folder: Path) -> Path:
    from transformers import ClapConfig, ClapModel

    torch.manual_seed(3)
    text = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {"depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 4, 8], "patch_embeds_hidden_size": 16}
    config = ClapConfig(
        text_config={**text, "intermediate_size": 64, "max_position_embeddings": 64},
        audio_config={**audio, "hidden_size": 128, "num_classes": 10},
        projection_dim=32,
    )
    ClapModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load by name; networks get random weights, so that no download is needed."""
    folder = tmp_path_factory.mktemp("weights")
    saved: dict[str, Path | Checkpoint | None] = dict.fromkeys(WITHOUT_WEIGHTS)

    def load_by_name(name, **settings):
        if name not in saved:
            path = folder / name
            # a checkpoint that was found is not hashed again with every instance
            saved[name] = (
                save_tiny_clap(path) if name == "clap" else find_weights(name, save_random_weights(name, path))
            )
        return load_encoder(name, checkpoint=saved[name], **settings)

    return load_by_name


@pytest.fixture(scope="module", params=TRIED)
def encoder(request, load):
    return load(request.param)


# minutes of sound take these half a minute; their own tests have windows of a smaller size
SLOW_WHEN_LONG = [name if name in ALONE else pytest.param(name, marks=pytest.mark.slow) for name in TRIED]


@pytest.fixture(scope="module", params=SLOW_WHEN_LONG)
def encoder_of_long(request, load):
    return load(request.param)


def assert_equal(encoder, actual: np.ndarray, expected: np.ndarray) -> None:
    if encoder.name in ALONE:
        np.testing.assert_array_equal(actual, expected)
    else:
        assert actual.shape == expected.shape
        assert np.abs(actual - expected).max() <= ROUNDING * np.sqrt(np.mean(expected**2, dtype=np.float64))


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_a_batch_of_many_equals_batches_of_one(encoder):
    lengths = [64_000, 100, 59_999, 64_000, 0, 52_000]
    waves = [noise(length, seed) for seed, length in enumerate(lengths)]
    together = encoder.encode(waves)
    for index, wave in enumerate(waves):
        alone = encoder.encode([wave])
        assert_equal(encoder, together.frames[index], alone.frames[0])
        assert_equal(encoder, together.clip[index], alone.clip[0])
        assert together.padded[index] == alone.padded[0]
        if encoder.num_classes:
            assert_equal(encoder, together.logits[index], alone.logits[0])


def test_shapes_and_types_are_as_declared(encoder):
    encoded = encoder.encode([noise(40_000), noise(20_000)])
    assert encoded.clip.shape == (2, encoder.clip_dim) and encoded.clip.dtype == np.float32
    for frames_TF in encoded.frames:
        assert frames_TF.shape[1] == encoder.frame_dim and frames_TF.dtype == np.float32
    if not encoder.num_classes:
        assert encoded.logits is None
    else:
        assert encoded.logits.shape == (2, encoder.num_classes) and encoded.logits.dtype == np.float32
        assert encoder.labels is None or len(encoder.labels) == encoder.num_classes
    nothing = encoder.encode([])
    assert nothing.frames == [] and nothing.padded == [] and nothing.clip.shape == (0, encoder.clip_dim)


def test_the_catalogue_says_what_the_encoder_is(encoder):
    spec = ENCODERS[encoder.name]
    for field in ("name", "sample_rate_hz", "min_samples"):
        assert getattr(encoder, field) == getattr(spec, field)
    assert spec.clip_dim in (None, encoder.clip_dim)
    if encoder.name != "clap":  # whose sizes are the folder's
        assert encoder.frame_dim == spec.frame_dim
    if encoder.name != "logmel":  # which pools unless it is told not to
        assert encoder.frame_period_s == spec.frame_period_s


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


def assert_frames_keep_time(encoder, duration_s: float) -> None:
    (frames_TF,) = encoder.encode([noise(int(duration_s * encoder.sample_rate_hz))]).frames
    # a network that always sees ten seconds is shown a shorter sound several times
    is_repeated = "repeated" in encoder.settings.get("short_audio", "")
    expected_s = max(duration_s, 10.0) if is_repeated else duration_s
    # a frame may need a little more sound than its period: a patch of VGGish 0.975 s for its 0.96
    overlap_s = max(0.0, encoder.min_samples / encoder.sample_rate_hz - encoder.frame_period_s)
    assert abs(len(frames_TF) - expected_s / encoder.frame_period_s) <= 1 + overlap_s / encoder.frame_period_s


@pytest.mark.parametrize("duration_s", [0.05, 0.31, 0.33, 1.0, 3.3, 10.0, 12.6])
def test_frames_keep_time(encoder, duration_s):
    assert_frames_keep_time(encoder, duration_s)


@pytest.mark.parametrize("duration_s", [61.4, 61.45, 130.0])
def test_frames_keep_time_over_windows(encoder_of_long, duration_s):
    assert_frames_keep_time(encoder_of_long, duration_s)


def test_sound_late_in_a_long_recording_shows_in_the_frames_of_its_time(encoder_of_long):
    encoder = encoder_of_long
    wave = np.zeros(150 * encoder.sample_rate_hz, dtype=np.float32)
    at_s = 140.0
    start = int(at_s * encoder.sample_rate_hz)
    silent = encoder.encode([wave]).frames[0]
    wave[start : start + encoder.sample_rate_hz] = noise(encoder.sample_rate_hz)
    change_T = np.abs(encoder.encode([wave]).frames[0] - silent).max(axis=1)
    assert at_s - 1.0 <= change_T.argmax() * encoder.frame_period_s <= at_s + 1.0 + encoder.frame_period_s


def test_pooling_over_time_averages_frames_and_leaves_the_clip_as_it_is(encoder, load):
    if encoder.name == "waveform":
        with pytest.raises(UsageError, match="samples cannot be averaged"):
            load(encoder.name, pool_time_s=0.02)
        return
    wave = noise(3 * encoder.sample_rate_hz)
    own_period_s = ENCODERS[encoder.name].frame_period_s
    fine = load(encoder.name, pool_time_s=None)
    coarse = load(encoder.name, pool_time_s=2 * own_period_s)
    assert coarse.frame_period_s == 2 * own_period_s
    fine_TF, coarse_TF = fine.encode([wave]).frames[0], coarse.encode([wave]).frames[0]
    by_hand = [fine_TF[t : t + 2].mean(axis=0) for t in range(0, len(fine_TF), 2)]
    np.testing.assert_allclose(coarse_TF, by_hand, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(fine.encode([wave]).clip, coarse.encode([wave]).clip)
    assert coarse.settings["pool_time_s"] == 2 * own_period_s


def test_settings_are_json_and_say_what_was_done(encoder):
    assert json.loads(json.dumps(encoder.settings)) == encoder.settings
    options = {*ENCODERS[encoder.name].settings, "front_end", "pool_time_s", "precision"}
    assert options <= set(encoder.settings)


def test_provenance_of_weights(encoder):
    if encoder.name in WITHOUT_WEIGHTS:
        assert encoder.checkpoint_path is None and encoder.checkpoint_sha256 is None
    else:
        assert encoder.checkpoint_path.exists() and len(encoder.checkpoint_sha256) == 64
    if encoder.name not in {*WITHOUT_WEIGHTS, "clap"}:
        assert encoder.checkpoint_sha256 in encoder.checkpoint_note  # it is not the published file


def test_waves_that_are_not_finite_or_not_mono_are_refused(encoder):
    wave = noise(1000)
    wave[[5, 7]] = np.nan, np.inf
    with pytest.raises(DivergedError, match="wave 1 has 2 NaN or infinite samples"):
        encoder.encode([noise(1000), wave])
    with pytest.raises(UsageError, match=r"shape \(2, 500\)"):
        encoder.encode([noise(1000).reshape(2, 500)])
