"""mn04 with its published weights against the reference code's outputs on real clips."""

import csv
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from atrkit.encoders import load_encoder

SHARED = Path(__file__).resolve().parents[3] / "shared"
WEIGHTS, CLIPS = SHARED / "weights", SHARED / "data" / "clips"
RELATIVE_TOLERANCE = 1e-4  # golden/README.md: largest difference over the reference's root mean square

pytestmark = pytest.mark.skipif(not (WEIGHTS.is_dir() and CLIPS.is_dir()), reason="../shared/weights is not there")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("mn04", checkpoint=WEIGHTS / "mn04_as_mAP_432.pt")


def sample_rates() -> dict[str, int]:
    if not CLIPS.is_dir():
        return {}
    with (CLIPS / "metadata.csv").open(newline="") as file:
        return {row["file_name"]: int(row["sample_rate"]) for row in csv.DictReader(file)}


def some_of_each_other_rate(seed: int, per_rate: int) -> list[str]:
    rng = np.random.default_rng(seed)
    rates = sample_rates()
    others = sorted(set(rates.values()) - {32000})
    return [str(n) for rate in others for n in rng.choice([n for n in rates if rates[n] == rate], per_rate, False)]


@pytest.fixture(scope="module")
def reference():
    """By clip: the embedding and the five most probable tags with their probabilities, to four digits."""
    with np.load(WEIGHTS / "reference_pack_public_embeddings.npz") as pack:
        embeddings = dict(zip(pack["names"].tolist(), pack["embeddings"], strict=True))
    with (WEIGHTS / "reference_pack_public_top5.csv").open(newline="") as file:
        top5 = {
            row["file_name"]: [(row[f"label_{rank}"], float(row[f"prob_{rank}"])) for rank in range(1, 6)]
            for row in csv.DictReader(file)
        }
    return {name: (embedding, top5[name]) for name, embedding in embeddings.items()}


def wave_as_the_reference_had_it(name: str) -> np.ndarray:
    """Mean of the channels, and torchaudio's default resampler, which the product does not use (METHODS.md)."""
    from torchaudio.functional import resample

    samples, sample_rate_hz = soundfile.read(CLIPS / name, dtype="float32", always_2d=True)
    return resample(torch.from_numpy(samples.mean(axis=1)), sample_rate_hz, 32000).numpy()


def relative_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.sqrt(np.mean(expected**2)))


def assert_equals_reference(encoder, reference, names) -> None:
    for name in names:
        embedding, top5 = reference[name]
        encoded = encoder.encode([wave_as_the_reference_had_it(name)])
        assert relative_difference(encoded.clip[0], embedding) < RELATIVE_TOLERANCE, name
        probabilities = 1 / (1 + np.exp(-encoded.logits[0]))
        best = np.argsort(-probabilities, kind="stable")[:5]
        assert [encoder.labels[k] for k in best] == [label for label, _ in top5], name
        np.testing.assert_allclose(probabilities[best], [p for _, p in top5], atol=6e-5, err_msg=name)


def test_every_stage_of_one_clip(encoder):
    with np.load(WEIGHTS / "reference_one_clip.npz") as one:
        wave, mel_MT, embedding, probabilities = (one[k] for k in ("wave_32k", "mel", "embedding", "probs"))
    assert np.abs(encoder.mel(torch.from_numpy(wave)).numpy().T - mel_MT).max() < 1e-6
    encoded = encoder.encode([wave])
    assert relative_difference(encoded.clip[0], embedding) < 1e-5
    np.testing.assert_allclose(1 / (1 + np.exp(-encoded.logits[0])), probabilities, atol=1e-6)


def test_every_clip_of_32_khz(encoder, reference):
    names = [name for name, rate in sample_rates().items() if rate == 32000]
    assert len(names) == 32
    assert_equals_reference(encoder, reference, names)


def test_some_clips_of_every_other_rate(encoder, reference):
    assert_equals_reference(encoder, reference, some_of_each_other_rate(seed=1, per_rate=6))


@pytest.mark.slow
def test_every_clip(encoder, reference):
    assert len(reference) == 322
    assert_equals_reference(encoder, reference, reference)


def test_the_weights_come_from_the_release_when_nothing_is_said(encoder, tmp_path, monkeypatch):
    class Release(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            is_release = self.path == "/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt"
            self.send_response(200 if is_release else 404)
            self.end_headers()
            self.wfile.write((WEIGHTS / "mn04_as_mAP_432.pt").read_bytes())

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Release) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("ATRKIT_MIRROR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path))
        downloaded = load_encoder("mn04")
        server.shutdown()
    assert downloaded.checkpoint_path == tmp_path / "checkpoints" / "mn04_as_mAP_432.pt"
    assert downloaded.checkpoint_sha256 == encoder.checkpoint_sha256
    assert "downloaded mn04_as_mAP_432.pt (MIT, Florian Schmid)" in downloaded.checkpoint_note


def test_the_published_weights_need_no_note_and_the_labels_are_theirs(encoder):
    assert encoder.checkpoint_note is None
    with (WEIGHTS / "class_labels_indices.csv").open(newline="") as file:
        assert encoder.labels == tuple(row["display_name"] for row in csv.DictReader(file))


def test_the_mean_over_frames_is_the_reference_embedding(encoder, reference):
    """The network pools frequency and time at once; frames keep the time, so their mean must be the same."""
    name = next(name for name, rate in sample_rates().items() if rate == 32000)
    frames = encoder.encode([wave_as_the_reference_had_it(name)]).frames[0]
    assert relative_difference(frames.mean(axis=0), reference[name][0]) < RELATIVE_TOLERANCE
