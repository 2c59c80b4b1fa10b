"""VGGSound's ResNet-18 against outputs of the original with the same synthetic weights."""

import numpy as np
import pytest
import torch

from atrkit.encoders import load_encoder, resnet_vggsound
from atrkit.errors import IntegrityError

SAMPLE_RATE_HZ = 16000
RELATIVE_TOLERANCE = 1e-4  # golden/README.md: largest difference over the reference's root mean square
SPECTROGRAM_TOLERANCE = 1e-5
COSINE_TOLERANCE = 1e-9
# largest relative difference, and 1 - cosine; measured 2.1e-2, 6.0e-6 and 2.5e-3, 8.7e-8
PRECISION_BOUNDS = {"bf16": (1e-1, 1e-4), "fp16": (1e-2, 1e-6)}


@pytest.fixture(scope="module")
def reference(golden):
    return golden("vggsound_resnet18")


@pytest.fixture(scope="module")
def load(official_checkpoint):
    path = official_checkpoint("vggsound_resnet18")
    return lambda **settings: load_encoder("vggsound_resnet18", checkpoint=path, **settings)


@pytest.fixture(scope="module")
def encoder(load):
    return load(batch_size=2)


@pytest.fixture(scope="module")
def wave(synthetic_audio):
    """The golden audio: `wave("5s")`."""
    return lambda length: synthetic_audio(SAMPLE_RATE_HZ, float(length.removesuffix("s")))


def one_minus_cosine(actual: np.ndarray, expected: np.ndarray) -> float:
    a, b = actual.astype(np.float64).ravel(), expected.astype(np.float64).ravel()
    return float(1 - a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.fixture(scope="module")
def assert_golden(reference, wave, relative_difference):
    """Every output of both golden clips, in one batch, within a relative difference and 1 - cosine."""

    def check(encoder, relative: float = RELATIVE_TOLERANCE, cosine: float = COSINE_TOLERANCE) -> None:
        encoded = encoder.encode([wave("5s"), wave("10s")])
        for index, length in enumerate(("5s", "10s")):
            outputs = {"frames": encoded.frames, "clip": encoded.clip, "logits": encoded.logits}
            for name, values in outputs.items():
                expected = reference[f"{name}_{length}"]
                assert relative_difference(values[index], expected) < relative, (name, length)
                assert one_minus_cosine(values[index], expected) < cosine, (name, length)

    return check


def test_frames_clip_and_logits(encoder, assert_golden):
    assert_golden(encoder)


@pytest.mark.parametrize("length", ["5s", "10s"])
def test_front_end(encoder, reference, wave, relative_difference, length):
    spectrogram_KT = encoder.spectrogram([wave(length)])[0].numpy()
    assert spectrogram_KT.shape == (257, 1004)
    assert relative_difference(spectrogram_KT[:, ::16], reference[f"spec_{length}_every16"]) < SPECTROGRAM_TOLERANCE


def test_only_the_first_ten_seconds_as_the_original(load, reference, wave, relative_difference):
    longer = np.concatenate([wave("10s"), wave("5s")])
    encoded = load(long_audio="first").encode([longer])
    assert relative_difference(encoded.frames[0], reference["frames_10s"]) < RELATIVE_TOLERANCE
    assert relative_difference(encoded.clip[0], reference["clip_10s"]) < RELATIVE_TOLERANCE


def hop_of_160(patch):
    patch.setattr(resnet_vggsound, "_HOP_SAMPLES", 160)


def hann_window(patch):
    patch.setattr(resnet_vggsound, "_TAPERED", 1.0)


def symmetric_window(patch):
    from scipy.signal.windows import tukey

    patch.setattr(resnet_vggsound, "tukey_window", lambda length, tapered: torch.from_numpy(tukey(length, tapered)))


def no_detrending(patch):
    mean = torch.Tensor.mean
    patch.setattr(torch.Tensor, "mean", lambda x, *a, **k: 0.0 if a == (-1,) and x.dim() == 3 else mean(x, *a, **k))


def another_deviation(patch):
    deviation = torch.Tensor.std
    patch.setattr(torch.Tensor, "std", lambda x, dims, correction, keepdim: deviation(x, 2, keepdim=True))


@pytest.mark.parametrize(
    "mutate", [hop_of_160, hann_window, symmetric_window, no_detrending, another_deviation], ids=lambda f: f.__name__
)
def test_a_slightly_wrong_front_end_would_be_seen(encoder, reference, wave, relative_difference, monkeypatch, mutate):
    with monkeypatch.context() as patch:
        mutate(patch)
        spectrogram_KT = encoder.spectrogram([wave("5s")])[0].numpy()[:, ::16]
    expected = reference["spec_5s_every16"]
    assert relative_difference(spectrogram_KT[:, : expected.shape[1]], expected) > 10 * SPECTROGRAM_TOLERANCE


@pytest.mark.parametrize("precision", ["bf16", pytest.param("fp16", marks=pytest.mark.slow)])  # fp16: slow on a CPU
def test_half_precision_stays_in_bounds(load, assert_golden, reference, wave, relative_difference, precision):
    half = load(precision=precision)
    assert_golden(half, *PRECISION_BOUNDS[precision])
    assert relative_difference(half.encode([wave("5s")]).frames[0], reference["frames_5s"]) > RELATIVE_TOLERANCE


def test_a_checkpoint_of_the_other_aggregation_is_refused(official_state, tmp_path):
    state = {key.replace(".fc.", ".fc_."): value for key, value in official_state("vggsound_resnet18").items()}
    path = tmp_path / "I.pth.tar"
    torch.save({"model_state_dict": state}, path)
    with pytest.raises(IntegrityError, match="holds the weights of another network"):
        load_encoder("vggsound_resnet18", checkpoint=path)


@pytest.mark.slow
def test_compiled(load, assert_golden):
    assert_golden(load(compile=True))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu(load, assert_golden, precision):
    on_gpu = load(device="cuda", precision=precision)
    assert_golden(on_gpu, *PRECISION_BOUNDS.get(precision, (RELATIVE_TOLERANCE, COSINE_TOLERANCE)))
