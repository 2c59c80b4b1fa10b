"""FAULTS.md row 12: NaN and infinity stop the work and name where they are; what was good is kept."""

import dataclasses

import numpy as np
import pytest
import torch

from atrkit.audio.read import load_mono
from atrkit.encoders.logmel import LogmelEncoder
from atrkit.losses import NtXent
from atrkit.models.dual_encoder import DualEncoder
from atrkit.scoring import retrieval
from atrkit.store import embeddings as store
from atrkit.training.retriever import RetrieverTask
from atrkit.workflows import embeddings as embeddings_workflow

RIDGE = """\
source: ours
encoder: {name: logmel}
model: {name: ridge}
"""


@pytest.fixture
def bad_values_when_loaded(monkeypatch):
    """Put a value into the frames and the embedding of one clip when embeddings are read."""

    def inject(clip_id, value):
        def load(path, **options):
            loaded = store.load_embeddings(path, **options)
            index = loaded.clip_ids.index(clip_id)
            frames_NF, clip_emb_AD = loaded.frames_NF.copy(), loaded.clip_emb_AD.copy()
            frames_NF[loaded.offsets[index], 3] = value
            clip_emb_AD[index, 3] = value
            return dataclasses.replace(loaded, frames_NF=frames_NF, clip_emb_AD=clip_emb_AD)

        monkeypatch.setattr(embeddings_workflow, "load_embeddings", load)

    return inject


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_features_stop_the_training_and_name_the_clip(tiny, bad_values_when_loaded, value):
    bad_values_when_loaded("07.wav", value)
    message = tiny.error("train", tiny.workspace / "recipe.yaml", code=8)
    assert "'07.wav'" in message and "'06.wav'" not in message
    assert not list(tiny.workspace.rglob("finished.json"))


def test_bad_validation_features_are_named_too(tiny, bad_values_when_loaded):
    bad_values_when_loaded("13.wav", np.nan)
    assert "'13.wav'" in tiny.error("train", tiny.workspace / "recipe.yaml", code=8)


def test_bad_features_stop_a_ridge_and_name_the_clip(tiny, bad_values_when_loaded):
    (tiny.workspace / "ridge.yaml").write_text(RIDGE)
    bad_values_when_loaded("07.wav", np.nan)
    message = tiny.error("train", tiny.workspace / "ridge.yaml", code=8)
    assert "07.wav" in message


def test_an_encoder_that_makes_nan_stops_the_extraction_and_names_the_clip(tiny, monkeypatch):
    def encode(self, waves):
        encoded = honest(self, waves)
        for wave_N, frames_TF in zip(waves, encoded.frames, strict=True):
            if np.array_equal(wave_N, wanted_N):
                frames_TF[0, 0] = np.nan
        return encoded

    (sound,) = tiny.workspace.rglob("07.wav")
    wanted_N = load_mono(sound, LogmelEncoder.sample_rate_hz)
    honest = LogmelEncoder.encode
    monkeypatch.setattr(LogmelEncoder, "encode", encode)
    (path,) = tiny.workspace.rglob("logmel.h5")
    before = path.read_bytes()
    message = tiny.error("extract", "--encoder", "logmel", "--overwrite", code=8)
    assert "1 clips have NaN or infinite embeddings in float16: 07.wav" in message
    assert path.read_bytes() == before


def test_a_loss_of_nan_names_epoch_step_and_clips_and_keeps_the_last_checkpoint(tiny, finished, monkeypatch, run_bytes):
    calls = []

    def forward(self, similarity_BB, clip_index_B=None):
        calls.append(1)
        loss = honest(self, similarity_BB, clip_index_B)
        # an epoch is three steps and two batches of validation; this is epoch 2, step 3
        return loss * float("nan") if len(calls) == 8 else loss

    honest = NtXent.forward
    folder = tiny.workspace / "runs" / "recipe" / "seed-1"
    with monkeypatch.context() as patch:
        patch.setattr(NtXent, "forward", forward)
        message = tiny.error("train", tiny.workspace / "recipe.yaml", code=8)
    assert "the loss is nan in epoch 2, step 3, in a batch of" in message
    assert message.count(".wav'") == 4
    assert f"the last good checkpoint is kept in {folder}" in message
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    tiny.train()
    assert run_bytes(tiny.workspace) == run_bytes(finished), "it goes on from the good checkpoint"


def test_a_learning_rate_that_explodes_is_stopped(tiny):
    message = tiny.error("train", tiny.workspace / "recipe.yaml", "--set", "optimizer.lr=1e30", code=8)
    assert "epoch 1" in message and "lower the learning rate" in message


def test_a_validation_metric_of_nan_keeps_the_last_checkpoint(tiny, finished, monkeypatch, run_bytes):
    honest = RetrieverTask.validate
    entries = []

    def validate(self):
        entries.append(honest(self))
        return {**entries[-1], "val_loss": float("nan")} if len(entries) == 2 else entries[-1]

    with monkeypatch.context() as patch:
        patch.setattr(RetrieverTask, "validate", validate)
        message = tiny.error("train", tiny.workspace / "recipe.yaml", code=8)
    assert "epoch 2" in message and "val_loss" in message
    tiny.train()
    assert run_bytes(tiny.workspace) == run_bytes(finished)


@pytest.mark.parametrize("trained_before", [True, False])
def test_nan_in_the_scores_is_refused_and_changes_no_file(trained, monkeypatch, trained_before):
    def score(*arguments, **options):
        scores_AC = honest(*arguments, **options)
        scores_AC[1, 2] = np.nan
        return scores_AC

    folder = trained.workspace / "runs" / "recipe" / "seed-1"
    names = ("scores.h5", "results.json")
    if not trained_before:
        for name in names:
            (folder / name).unlink()
    before = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
    honest = retrieval.cosine_scores
    monkeypatch.setattr(retrieval, "cosine_scores", score)
    message = trained.error("eval", code=8)
    assert "NaN" in message and "17.wav" in message
    assert {name: (folder / name).read_bytes() for name in names if (folder / name).exists()} == before


def test_a_model_that_makes_nan_is_refused(trained, monkeypatch):
    honest = DualEncoder.from_pretrained

    def broken(folder):
        model = honest(folder)
        with torch.no_grad():
            next(model.parameters()).fill_(float("nan"))
        return model

    monkeypatch.setattr(DualEncoder, "from_pretrained", broken)
    assert "an embedding that is not finite" in trained.error("eval", code=8)
