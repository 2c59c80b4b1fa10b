"""The four PANNs against the reference's outputs, alone and in a batch of unlike lengths."""

import functools

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder, panns_networks
from atrkit.encoders import panns_front_end as bands
from atrkit.encoders.checkpoints import find_weights
from atrkit.encoders.trainable import trainable_network

NAMES = ("cnn14", "cnn14_16k", "cnn10", "resnet38")
DURATIONS_S = {"3p3s": 3.3, "5s": 5.0, "10s": 10.0}

# golden/README.md: decibels of 64 bands; frames, clip and logits relative to the reference's root mean square
TOLERANCE_DB = 2e-3
TOLERANCE = 1e-4
TOLERANCE_BF16 = 1e-1
# 1 - cosine, in double precision
ANGLE = 1e-9
ANGLE_BF16 = 1e-4

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def load(official_checkpoint):
    """Encoders by name and settings, each made once; a file is hashed once."""
    made = {}
    weights = functools.cache(lambda name: find_weights(name, official_checkpoint(name)))

    def encoder(name, **settings):
        key = (name, *sorted(settings.items()))
        if key not in made:
            made[key] = load_encoder(name, checkpoint=weights(name), **settings)
        return made[key]

    return encoder


@pytest.fixture(scope="module", params=NAMES)
def encoder(request, load):
    return load(request.param)


@pytest.fixture(scope="module")
def waves_of(synthetic_audio):
    """The golden files' three clips, by the end of their arrays' names."""
    return lambda rate_hz: {end: synthetic_audio(rate_hz, seconds) for end, seconds in DURATIONS_S.items()}


def angle(actual, expected) -> float:
    a, b = np.ravel(actual).astype(np.float64), np.ravel(expected).astype(np.float64)
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def frames_in_one_batch(encoder, waves) -> list[np.ndarray]:
    """`encode` puts only like lengths together; this is what it would do with any."""
    with torch.inference_mode():
        return [window.frames_TF.float().cpu().numpy() for window in encoder._frames_of(list(waves))]


def test_front_end(encoder, golden, waves_of):
    expected, waves = golden(encoder.name), waves_of(encoder.sample_rate_hz)
    mel_BTM, num_frames_B = encoder.mel(list(waves.values()))
    short_TM, long_TM = (mel_BTM[i, : num_frames_B[i]].numpy() for i in (1, 2))
    assert short_TM.shape == expected["logmel_5s"].shape
    assert np.abs(short_TM - expected["logmel_5s"]).max() < TOLERANCE_DB
    assert np.abs(long_TM[::8] - expected["logmel_10s_every8"]).max() < TOLERANCE_DB


def test_every_clip_alone(encoder, golden, waves_of, relative_difference):
    expected = golden(encoder.name)
    for end, wave in waves_of(encoder.sample_rate_hz).items():
        encoded = encoder.encode([wave])
        (frames,) = encoded.frames
        for actual, wanted in ((frames, expected[f"frames_{end}"]), (encoded.clip[0], expected[f"clip_{end}"])):
            assert relative_difference(actual, wanted) < TOLERANCE, end
            assert angle(actual, wanted) < ANGLE, end
        if f"probs_{end}" in expected:
            assert relative_difference(sigmoid(encoded.logits[0]), expected[f"probs_{end}"]) < TOLERANCE, end


@pytest.mark.parametrize("name", ["cnn14", pytest.param("cnn14_16k", marks=pytest.mark.slow), "cnn10", "resnet38"])
def test_every_clip_in_one_batch_of_unlike_lengths_is_what_it_is_alone(
    name, load, golden, waves_of, relative_difference
):
    encoder, expected = load(name), golden(name)
    waves = waves_of(encoder.sample_rate_hz)
    with torch.inference_mode():
        windows = encoder._frames_of(list(waves.values()))
        clip_emb_BD, _ = encoder._clips_of([[window] for window in windows])
    for end, window, clip_emb_D in zip(waves, windows, clip_emb_BD, strict=True):
        assert relative_difference(window.frames_TF.numpy(), expected[f"frames_{end}"]) < TOLERANCE, end
        assert relative_difference(clip_emb_D.numpy(), expected[f"clip_{end}"]) < TOLERANCE, end


def test_what_the_reference_does_with_padding_is_something_else(encoder, golden, waves_of, relative_difference):
    """The reference pads the 3.3 s clip with zeros to 5 s; its own first frames already differ then."""
    expected, waves = golden(encoder.name), waves_of(encoder.sample_rate_hz)
    padded = np.pad(waves["3p3s"], (0, len(waves["5s"]) - len(waves["3p3s"])))
    encoded = encoder.encode([padded])
    assert relative_difference(encoded.clip[0], expected["batch_padded_clip"]) < TOLERANCE
    assert relative_difference(encoded.frames[0][::2], expected["batch_padded_frames_every2"]) < TOLERANCE
    assert relative_difference(expected["clip_3p3s"], expected["batch_padded_clip"]) > 100 * TOLERANCE


def test_clip_before_the_last_layer_is_max_and_mean_of_the_frames(load, golden, waves_of, relative_difference):
    encoder, expected = load("cnn10", clip_output="clip"), golden("cnn10")
    waves = waves_of(encoder.sample_rate_hz)
    encoded = encoder.encode([waves["5s"], waves["10s"]])
    for row, end in enumerate(("5s", "10s")):
        frames = expected[f"frames_{end}"]
        assert relative_difference(encoded.clip[row], frames.max(axis=0) + frames.mean(axis=0)) < TOLERANCE
        assert relative_difference(sigmoid(encoded.logits[row]), expected[f"probs_{end}"]) < TOLERANCE


@pytest.mark.parametrize(
    ("name", "pool_time_s"), [("cnn10", 0.32), pytest.param("cnn14", 0.64, marks=pytest.mark.slow)]
)
def test_pooled_frames_are_means_of_two_as_in_paper_001(name, pool_time_s, load, golden, waves_of, relative_difference):
    encoder, frames = load(name, pool_time_s=pool_time_s), golden(name)["frames_5s"]
    encoded = encoder.encode([waves_of(32000)["5s"]])
    assert len(frames) in (15, 31)
    pairs = frames[:-1].reshape(-1, 2, frames.shape[1]).mean(axis=1)
    assert relative_difference(encoded.frames[0], np.concatenate([pairs, frames[-1:]])) < TOLERANCE
    assert relative_difference(encoded.clip[0], golden(name)["clip_5s"]) < TOLERANCE


# what makes a network that is nearly right, each worse than the tolerance


def htk_bank(*_):
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(513, 50.0, 14000.0, 64, 32000, norm="slaney", mel_scale="htk").numpy()


def bank_to_16_khz(rate_hz, n_fft, bands, lowest_hz, _highest_hz):
    return SLANEY(rate_hz, n_fft, bands, lowest_hz, 16000.0)


class WideEps(torch.nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels, eps=1e-3)


def halve_and_keep_an_odd_frame(map_BCTX, lengths_B):
    return torch.nn.functional.avg_pool2d(map_BCTX, 2, ceil_mode=True), [(n + 1) // 2 for n in lengths_B]


@pytest.mark.parametrize("name", ["cnn10", *(pytest.param(n, marks=pytest.mark.slow) for n in ("resnet38", "cnn14"))])
def test_a_network_that_learns_gives_the_references_frames_of_samples_in_one_padded_batch(
    name, official_checkpoint, golden, waves_of, relative_difference
):
    audio = trainable_network(name, official_checkpoint(name)).eval()
    waves = {end: wave for end, wave in waves_of(audio.sample_rate_hz).items() if end != "10s"}
    samples = load_encoder("waveform", sample_rate_hz=audio.sample_rate_hz).encode(list(waves.values()))
    rows = [torch.from_numpy(rows_TR) for rows_TR in samples.frames]
    with torch.no_grad():
        frames_BTF, lengths_B = audio(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), [len(r) for r in rows])
    for end, frames_TF, length in zip(waves, frames_BTF, lengths_B, strict=True):
        assert relative_difference(frames_TF[:length].numpy(), golden(name)[f"frames_{end}"]) < TOLERANCE


SLANEY, HANN, PAD, DECIBEL = bands.slaney_mel_bank, torch.hann_window, torch.nn.functional.pad, bands.to_decibel
MUTATIONS = {
    "symmetric window": (torch, "hann_window", lambda n, periodic: HANN(n, periodic=False)),
    "HTK mels": (bands, "slaney_mel_bank", htk_bank),
    "bands to 16 kHz": (bands, "slaney_mel_bank", bank_to_16_khz),
    "constant padding": (torch.nn.functional, "pad", lambda x, widths, mode: PAD(x, widths, mode="constant")),
    "floor of 1e-8": (bands, "to_decibel", lambda power: 10 * torch.log10(power.clamp(min=1e-8))),
    "top of 80 dB": (bands, "to_decibel", lambda power: DECIBEL(power).clamp(min=float(DECIBEL(power).max()) - 80)),
    "eps of 1e-3": (panns_networks.nn, "BatchNorm2d", WideEps),
    "maximum for pooling": (panns_networks.functional, "avg_pool2d", torch.nn.functional.max_pool2d),
    "an odd last frame is kept": (panns_networks, "_halve", halve_and_keep_an_odd_frame),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_network_that_is_nearly_right_is_outside_the_tolerance(
    mutation, official_checkpoint, golden, waves_of, relative_difference, monkeypatch
):
    monkeypatch.setattr(*MUTATIONS[mutation])
    wrong = load_encoder("cnn10", checkpoint=official_checkpoint("cnn10")).encode([waves_of(32000)["3p3s"]])
    assert relative_difference(wrong.frames[0], golden("cnn10")["frames_3p3s"]) > TOLERANCE


# a clip of 64 frames ends with a whole frame at every stage, so that what convolutions see behind it counts; of one of
# 63 an odd frame is dropped at every stage, so that what pooling leaves behind it counts
@pytest.mark.parametrize(("name", "needed"), [("cnn10", range(7)), ("resnet38", (0, 1, 2, 3, 17, 35, 37, 38))])
def test_every_place_where_padding_is_zeroed_is_needed(
    name, needed, load, synthetic_audio, relative_difference, monkeypatch
):
    encoder = load(name)
    waves = [synthetic_audio(32000, (num_frames - 1) / 100) for num_frames in (64, 63, 96)]
    alone = [frames_in_one_batch(encoder, [wave])[0] for wave in waves]
    zero_behind_ = panns_networks.zero_behind_

    def difference(left_out) -> float:
        places = iter(range(100))
        monkeypatch.setattr(
            panns_networks,
            "zero_behind_",
            lambda map_BCTX, lengths_B: map_BCTX if next(places) == left_out else zero_behind_(map_BCTX, lengths_B),
        )
        together = frames_in_one_batch(encoder, waves)
        assert next(places) == {"cnn10": 8, "resnet38": 39}[name]
        return max(map(relative_difference, together, alone))

    assert difference(left_out=None) < TOLERANCE
    assert [place for place in needed if difference(place) < TOLERANCE] == []


# other precisions, torch.compile, GPU


def test_bf16(load, golden, waves_of, relative_difference):
    encoder, expected, waves = load("cnn10", precision="bf16"), golden("cnn10"), waves_of(32000)
    encoded = encoder.encode([waves["5s"]])
    assert encoded.frames[0].dtype == encoded.clip.dtype == np.float32
    for actual, wanted in ((encoded.frames[0], expected["frames_5s"]), (encoded.clip[0], expected["clip_5s"])):
        assert TOLERANCE < relative_difference(actual, wanted) < TOLERANCE_BF16
        assert angle(actual, wanted) < ANGLE_BF16
    assert np.abs(sigmoid(encoded.logits[0]) - expected["probs_5s"]).max() < 0.05
    in_batch = frames_in_one_batch(encoder, [waves["3p3s"], waves["5s"]])[0]
    assert relative_difference(in_batch, expected["frames_3p3s"]) < TOLERANCE_BF16


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision(name, precision, load, golden, waves_of, relative_difference):
    encoder, expected = load(name, precision=precision), golden(name)
    encoded = encoder.encode([waves_of(encoder.sample_rate_hz)["3p3s"]])
    for actual, wanted in ((encoded.frames[0], expected["frames_3p3s"]), (encoded.clip[0], expected["clip_3p3s"])):
        assert relative_difference(actual, wanted) < TOLERANCE_BF16
        assert angle(actual, wanted) < ANGLE_BF16


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn10", "resnet38"])
def test_compiled(name, load, golden, waves_of, relative_difference):
    encoder, expected = load(name, compile=True), golden(name)
    waves = waves_of(encoder.sample_rate_hz)
    for end in ("5s", "3p3s"):
        encoded = encoder.encode([waves[end]])
        assert relative_difference(encoded.frames[0], expected[f"frames_{end}"]) < TOLERANCE
        assert relative_difference(encoded.clip[0], expected[f"clip_{end}"]) < TOLERANCE
    for end, frames in zip(waves, frames_in_one_batch(encoder, waves.values()), strict=True):
        assert relative_difference(frames, expected[f"frames_{end}"]) < TOLERANCE


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("is_compiled", [False, True], ids=["eager", "compiled"])
def test_on_a_gpu(name, precision, is_compiled, load, golden, waves_of, relative_difference):
    encoder = load(name, precision=precision, compile=is_compiled, device="cuda")
    expected, waves = golden(name), waves_of(encoder.sample_rate_hz)
    tolerance, largest_angle = (TOLERANCE, ANGLE) if precision == "fp32" else (TOLERANCE_BF16, ANGLE_BF16)
    encoded = encoder.encode(list(waves.values()))
    in_one_batch = frames_in_one_batch(encoder, waves.values())
    for row, end in enumerate(waves):
        for frames in (encoded.frames[row], in_one_batch[row]):
            assert relative_difference(frames, expected[f"frames_{end}"]) < tolerance
            assert angle(frames, expected[f"frames_{end}"]) < largest_angle
        assert relative_difference(encoded.clip[row], expected[f"clip_{end}"]) < tolerance
