"""ConvNeXt-Tiny against outputs of the original with the same synthetic weights."""

import numpy as np
import pytest
import torch

from atrkit.encoders import convnext_network, load_encoder
from atrkit.errors import IntegrityError

SAMPLE_RATE_HZ = 32000
RELATIVE_TOLERANCE = 1e-4  # golden/README.md: largest difference over the reference's root mean square
COSINE_TOLERANCE = 1e-9
DECIBEL_TOLERANCE = 2e-3
# largest relative difference, and 1 - cosine; measured 2.2e-2, 1.2e-5 and 2.6e-3, 2.1e-7
PRECISION_BOUNDS = {"bf16": (1e-1, 1e-4), "fp16": (1e-2, 1e-6)}


@pytest.fixture(scope="module")
def reference(golden):
    return golden("convnext_tiny")


@pytest.fixture(scope="module")
def load(official_checkpoint):
    return lambda **settings: load_encoder("convnext_tiny", checkpoint=official_checkpoint("convnext_tiny"), **settings)


@pytest.fixture(scope="module")
def encoder(official_state, tmp_path_factory):
    """From the layout of the third published file, which has no nesting; `load` takes the nested one."""
    path = tmp_path_factory.mktemp("flat") / "convnext_tiny_465mAP_BL_AC_75kit.pth"
    torch.save(official_state("convnext_tiny"), path)
    return load_encoder("convnext_tiny", checkpoint=path, batch_size=8)


@pytest.fixture(scope="module")
def wave(synthetic_audio):
    """The golden audio: `wave("3p3s")`."""
    return lambda length: synthetic_audio(SAMPLE_RATE_HZ, float(length.removesuffix("s").replace("p", ".")))


def one_minus_cosine(actual: np.ndarray, expected: np.ndarray) -> float:
    a, b = actual.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.fixture(scope="module")
def assert_golden(reference, wave, relative_difference):
    """Every output that the file has for a clip, within a relative difference and 1 - cosine."""

    def check(encoder, length: str, relative: float = RELATIVE_TOLERANCE, cosine: float = COSINE_TOLERANCE) -> None:
        encoded = encoder.encode([wave(length)])
        outputs = {"frames": encoded.frames[0], "clip": encoded.clip[0], "logits": encoded.logits[0]}
        checked = [name for name in outputs if f"{name}_{length}" in reference]
        assert checked[:2] == ["frames", "clip"]
        for name in checked:
            expected = reference[f"{name}_{length}"]
            assert relative_difference(outputs[name], expected) < relative, name
            assert one_minus_cosine(outputs[name], expected) < cosine, name

    return check


@pytest.mark.parametrize("length", ["3p3s", "5s", "10s"])
def test_frames_clip_and_logits(encoder, assert_golden, length):
    assert_golden(encoder, length)


@pytest.mark.parametrize(("length", "step"), [("5s", 2), ("10s", 16)])
def test_front_end(encoder, reference, wave, length, step):
    mel_BTM, mel_frames_B = encoder.mel([wave(length)])
    assert mel_frames_B == [mel_BTM.shape[1]]
    assert np.abs(mel_BTM[0, ::step].numpy() - reference[f"logmel_{length}_every{step}"]).max() < DECIBEL_TOLERANCE


def test_map_before_the_mean_over_frequency(encoder, reference, wave, relative_difference):
    map_BTMC, lengths_B = encoder._network(*encoder.mel([wave("5s")]))
    assert (map_BTMC.shape, lengths_B) == ((1, 15, 7, 768), [15])
    assert relative_difference(map_BTMC[0, :, 0].numpy(), reference["map_5s_freq0"]) < RELATIVE_TOLERANCE


def test_probabilities_are_the_sigmoid_of_the_logits(encoder, reference, wave):
    probabilities = 1 / (1 + np.exp(-encoder.encode([wave("5s")]).logits[0]))
    np.testing.assert_allclose(probabilities, reference["probs_5s"], atol=1e-5)


def frames_in_a_batch(encoder, waves) -> np.ndarray:
    """Frames of the first wave, all waves together in one batch."""
    with torch.inference_mode():
        return encoder._frames_of(waves)[0].frames_TF.numpy()


def test_a_shorter_clip_in_a_batch_is_as_alone_and_not_as_plainly_padded(encoder, reference, wave, relative_difference):
    frames_TF = frames_in_a_batch(encoder, [wave("3p3s"), wave("5s"), wave("5s")[:120_000]])
    assert relative_difference(frames_TF, reference["frames_3p3s"]) < RELATIVE_TOLERANCE
    plainly_padded = reference["batch_padded_frames"][: len(frames_TF)]
    assert relative_difference(frames_TF, plainly_padded) > 0.1


@pytest.mark.parametrize("place", [0, 7, 18])  # before the stem, the first block of the third stage, the last block
def test_every_mask_is_needed(encoder, reference, wave, relative_difference, monkeypatch, place):
    calls = iter(range(19))
    mask = convnext_network.zero_padding_
    monkeypatch.setattr(
        convnext_network, "zero_padding_", lambda m, lengths: m if next(calls) == place else mask(m, lengths)
    )
    frames_TF = frames_in_a_batch(encoder, [wave("3p3s"), wave("5s")[:130_000]])
    assert next(calls, None) is None
    assert relative_difference(frames_TF, reference["frames_3p3s"]) > 100 * RELATIVE_TOLERANCE


def symmetric_window(encoder, patch):
    patch.setattr(encoder, "_window_W", torch.hann_window(1024, periodic=False))


def htk_mel(encoder, patch):
    from torchaudio.functional import melscale_fbanks

    patch.setattr(encoder, "_mel_bank_KM", melscale_fbanks(513, 50.0, 14000.0, 224, 32000, "slaney", "htk"))


def wrong_upper_edge(encoder, patch):
    from atrkit.encoders.frontends import slaney_mel_bank

    patch.setattr(encoder, "_mel_bank_KM", torch.from_numpy(slaney_mel_bank(32000, 1024, 224, 50.0, 16000.0)))


def constant_padding(encoder, patch):
    pad = torch.nn.functional.pad
    patch.setattr(torch.nn.functional, "pad", lambda x, sizes, mode: pad(x, sizes))


def gamma_not_loaded(encoder, patch):
    patch.setattr(next(encoder._network._blocks()).gamma, "data", torch.ones(96))


def another_norm_eps(encoder, patch):
    for module in encoder._network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            patch.setattr(module, "eps", 1e-5)


def approximate_gelu(encoder, patch):
    gelu = torch.nn.functional.gelu
    patch.setattr(torch.nn.functional, "gelu", lambda x: gelu(x, approximate="tanh"))


def stem_not_padded(encoder, patch):
    patch.setattr(encoder._network.downsample_layers[0][0], "padding", (0, 0))
    patch.setattr(convnext_network, "_STEM_PADDING", 0)


@pytest.mark.parametrize(
    "mutate",
    [
        symmetric_window,
        htk_mel,
        wrong_upper_edge,
        constant_padding,
        gamma_not_loaded,
        another_norm_eps,
        approximate_gelu,
        stem_not_padded,
    ],
)
@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
def test_a_slightly_wrong_encoder_would_be_seen(encoder, assert_golden, monkeypatch, mutate):
    with monkeypatch.context() as patch:
        mutate(encoder, patch)
        with pytest.raises(AssertionError):
            assert_golden(encoder, "3p3s")


@pytest.mark.parametrize("precision", ["bf16", pytest.param("fp16", marks=pytest.mark.slow)])  # fp16: slow on a CPU
def test_half_precision_stays_in_bounds(load, assert_golden, reference, wave, relative_difference, precision):
    relative, cosine = PRECISION_BOUNDS[precision]
    half = load(precision=precision)
    assert_golden(half, "3p3s", relative, cosine)
    assert relative_difference(half.encode([wave("3p3s")]).frames[0], reference["frames_3p3s"]) > RELATIVE_TOLERANCE


def test_other_outputs_by_name(load, reference, wave, relative_difference):
    encoded = load(clip_output="clip", pool_time_s=0.64).encode([wave("5s")])
    frames_TF = reference["frames_5s"]
    pairs = np.concatenate([frames_TF[:14].reshape(7, 2, 768).mean(1), frames_TF[14:]])
    assert relative_difference(encoded.frames[0], pairs) < RELATIVE_TOLERANCE
    assert relative_difference(encoded.clip[0], frames_TF.max(0) + frames_TF.mean(0)) < RELATIVE_TOLERANCE
    assert relative_difference(encoded.logits[0], reference["logits_5s"]) < RELATIVE_TOLERANCE


def test_a_checkpoint_without_layer_scales_is_refused(official_state, tmp_path):
    names = [name for name in official_state("convnext_tiny") if not name.endswith("gamma")]
    path = tmp_path / "without_gamma.pth"
    torch.save({"model": {name: torch.zeros(()) for name in names}}, path)
    with pytest.raises(IntegrityError, match=r"18 entries are missing \(the first: stages.0.0.gamma\)"):
        load_encoder("convnext_tiny", checkpoint=path)


@pytest.mark.slow
def test_compiled(load, assert_golden):
    compiled = load(compile=True)
    assert_golden(compiled, "5s")
    assert_golden(compiled, "3p3s")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu(load, assert_golden, precision):
    relative, cosine = PRECISION_BOUNDS.get(precision, (RELATIVE_TOLERANCE, COSINE_TOLERANCE))
    on_gpu = load(device="cuda", precision=precision)
    for length in ("3p3s", "5s", "10s"):
        assert_golden(on_gpu, length, relative, cosine)
