"""Paper 001's auxiliary captions through the commands: a captioner, a model that learns with them, and recall."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.models import Ragged
from atrkit.models.interaction import HciRetriever
from atrkit.models.retriever import ClipInputs, Padded
from atrkit.store import load_scores
from atrkit.store.embeddings import load_embeddings
from atrkit.text.normalise import normalise_caption

CAPTIONER = (
    *("model.d_model=16", "model.num_layers=1", "model.num_heads=2", "model.d_ff=16"),
    *("training.epochs=2", "training.keep_best=last", "decoding.beam_size=1", "decoding.max_tokens=5"),
)
SMALL = (
    *("model.audio.hidden_dims=[16]", "model.text.dim=16", "model.text.context=none", "model.dim=16"),
    *("model.segments=2", "auxiliary_captions.num_heads=2", "training.epochs=1", "training.batch_size=16"),
)
DUAL = ("model.audio.hidden_dims=[16]", "model.text.dim=16", "model.out_dim=16", "training.epochs=1")


def settings(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


class Job:
    """Commands in one workspace."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*words, "--json", "--workspace", str(self.root)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        self.said = result.stderr
        return json.loads(result.stdout) if code == 0 else result.stderr

    def train(self, name: str, *overrides: str, code: int = 0) -> Any:
        return self("train", "synthetic/auxiliary_captions", *settings(*SMALL, *overrides), "--name", name, code=code)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = Job(tmp_path_factory.mktemp("auxiliary"))
    job("download", "synthetic", "--clips", "30", "--workers", "1")
    assert "atrkit train synthetic/captioner" in job.train("early", code=3)
    assert not (job.root / "embeddings").exists()  # said before any long work
    job("train", "synthetic/captioner", *settings(*CAPTIONER))
    return job


@pytest.fixture(scope="module")
def everything(job: Job) -> str:
    job.train("everything")
    return job.said


def captions_of(job: Job) -> dict[str, str]:
    (path,) = (job.root / "runs/synthetic/captioner/seed-1/generated_captions").glob("[!.]*.json")
    captions: dict[str, str] = json.loads(path.read_text())["captions"]
    return captions


def test_all_three_uses_are_trained_and_evaluated_on_the_test_split(job: Job, everything: str) -> None:
    assert "captions by synthetic/captioner/seed-1, which was trained on 30 of 30 clips of dev" in everything
    (result,) = [job("eval", "--run", "everything")]
    assert result["split"] == "eval" and result["text_to_audio"]["candidates"] == 12
    assert "54 clips of synthetic, made before" in job.said
    assert set(captions_of(job)) >= set(load_scores(job.root / "runs/everything/seed-1/scores.h5").clip_ids)


def test_scores_are_the_models_with_the_caption_that_was_written_of_each_clip(job: Job, everything: str) -> None:
    job("eval", "--run", "everything")
    matrix = load_scores(job.root / "runs/everything/seed-1/scores.h5")
    model = HciRetriever.from_pretrained(job.root / "runs/everything/seed-1")
    stored = load_embeddings(job.root / "embeddings/synthetic/logmel.h5").select(matrix.clip_ids)
    written = captions_of(job)
    lines = (job.root / "data/synthetic/manifest.jsonl").read_text().splitlines()
    text_of = {each["id"]: each["text"] for clip in map(json.loads, lines) for each in clip["captions"]}
    texts = model.prepare_captions([normalise_caption(text_of[caption]) for caption in matrix.caption_ids])

    def scored(generated: list[str]) -> np.ndarray:
        frames = Ragged.from_rows(stored.frames_NF, stored.offsets)
        clips = ClipInputs((frames,), model.prepare_auxiliary(generated)).gather(torch.arange(len(generated)))
        with torch.no_grad():
            terms = model.similarity_terms(clips, Padded(*texts.gather(torch.arange(len(texts)))))
        total_AC = sum(term.weight * term.similarity_BB.numpy() for term in terms)
        return np.asarray(total_AC / sum(term.weight for term in terms))

    own = [written[clip_id] for clip_id in matrix.clip_ids]
    np.testing.assert_allclose(matrix.scores_AC, scored(own), atol=2e-5)
    assert len(set(own)) > 1
    assert np.abs(matrix.scores_AC - scored(own[1:] + own[:1])).max() > 1e-3


def test_a_dual_encoder_learns_from_generated_captions_and_needs_none_afterwards(job: Job, everything: str) -> None:
    auxiliary = "auxiliary_captions={captions_from: synthetic/captioner, interaction: false, matching: false}"
    job("train", "synthetic/retrieval", "--name", "dual", *settings(auxiliary, *DUAL))
    assert "54 clips of synthetic, made before" in job.said
    assert job("eval", "--run", "dual")["scoring"] == "cosine"
    assert "captions by" not in job.said


def test_what_the_captioner_was_trained_on_is_no_test(job: Job, everything: str) -> None:
    result = job("eval", "--run", "everything", "--split", "dev")
    by = {"everything/seed-1": 30, "captioner synthetic/captioner/seed-1": 30}
    assert (result["clips_trained_on"], result["clips_trained_on_by"]) == (30, by)
    assert job("eval", "--run", "everything")["clips_trained_on_by"] == {}
    said = job.train("swapped", "data.train=val", "data.val=dev", code=2)
    assert "was trained on 30 of 30 clips of synthetic/dev, which choose the epoch" in said
    job.train("swapped", "data.train=val", "data.val=dev", "training.keep_best=last")
    result = job("eval", "--run", "swapped", "--split", "dev")
    assert result["clips_trained_on_by"] == {"captioner synthetic/captioner/seed-1": 30}


def test_a_captioner_that_was_renamed_is_found(job: Job, everything: str) -> None:
    before = job("eval", "--run", "everything")
    captioner, renamed = job.root / "runs/synthetic/captioner", job.root / "runs/old_captioner"
    captioner.rename(renamed)
    try:
        assert job("eval", "--run", "everything") == before
        assert "captioner synthetic/captioner/seed-1 of the training is found by its model: old_captioner" in job.said
        away = renamed.rename(job.root / "away")
        said = job("eval", "--run", "everything", code=3)
        assert "bring its folder back" in said and "--set" not in said
        renamed = away
    finally:
        renamed.rename(captioner)


def test_generated_captions_that_are_cut_or_unknown_are_said_wherever_they_are_read(
    job: Job, everything: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing is learned from them: interaction and matching read them all the same."""
    limit = 2
    monkeypatch.setattr(
        HciRetriever, "count_cut_captions", lambda _, captions: sum(len(each.split()) > limit for each in captions)
    )
    cut = sum(len(text.split()) > limit for text in captions_of(job).values())
    job.train("read", "auxiliary_captions.augmentation=false", "auxiliary_captions.matching=false")
    said = [line for line in job.said.splitlines() if "max_tokens: their ends are not read" in line]
    counts = {
        which: int(line.split(" of ")[0].split()[-1])
        for line in said
        for which in ("training", "validation")
        if f"generated captions of {which} clips are longer" in line
    }
    assert sum(" generated captions " not in line for line in said) == 2, "those that people wrote, of both splits"
    job("eval", "--run", "read")
    (of_test,) = [line for line in job.said.splitlines() if "generated captions of synthetic/eval clips are" in line]
    assert sum(counts.values()) + int(of_test.split(" of ")[0].split()[-1]) == cut > 0
