"""Clips that were trained on measure memory: by the run, by the captioner it reads, and by the run that shortlists."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.errors import UsageError
from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run
from atrkit.workflows.first_stage import RerankChoice
from atrkit.workflows.fuse import fuse
from atrkit.workflows.fuse_options import FuseOptions
from atrkit.workflows.run_folder import INPUTS_NAME


@pytest.fixture
def two_runs(make_bench):
    """Runs `first` and `second`, trained on `dev`, and a function that rewrites what a run was trained on."""
    bench = make_bench("ridge")
    shutil.copytree(bench.folder, bench.root / "runs/second/seed-1")

    def trained_on(run, *clip_ids, captioner=()):
        audio = {clip.id: clip.sha256 for clip in bench.make_clips()}
        path = bench.root / "runs" / run / "seed-1" / INPUTS_NAME
        inputs = {**json.loads(path.read_text()), "clips": {clip: audio[clip] for clip in clip_ids}}
        if captioner:
            inputs["captioner_clips_sha256"] = [audio[clip] for clip in captioner]
            inputs["embeddings"] = {**inputs["embeddings"], "auxiliary_captions": {"run": "writer/seed-1"}}
        path.write_text(json.dumps(inputs))

    bench.trained_on = trained_on
    return bench


def evaluate(bench, **options):
    (result,) = evaluate_run(bench.session, EvaluateOptions("second", **options))
    return result["clips_trained_on"], result["clips_trained_on_by"]


def test_clips_that_the_first_stage_was_trained_on_are_counted(two_runs):
    two_runs.trained_on("second", "eval-0.wav")
    two_runs.trained_on("first", "eval-0.wav", "eval-1.wav", "dev-0.wav")
    assert evaluate(two_runs) == (1, {"second/seed-1": 1})
    by = {"second/seed-1": 1, "first stage first/seed-1": 2}
    assert evaluate(two_runs, rerank=RerankChoice("first", 2)) == (2, by)


def test_the_table_says_who_knows_them(two_runs):
    two_runs.trained_on("first", "eval-0.wav", "eval-1.wav")
    words = ["eval", "--run", "second", "--rerank", "first", "--workspace", str(two_runs.root), "--plain"]
    printed = " ".join(CliRunner().invoke(app, words).stdout.split())
    assert "NOTE: trained on 2 of these clips (first stage first/seed-1: 2): figures on them measure memory" in printed
    two_runs.trained_on("second", "eval-4.wav")
    words[3:5] = []
    printed = " ".join(CliRunner().invoke(app, words).stdout.split())
    assert "NOTE: trained on 1 of these clips: figures on them measure memory" in printed


def test_clips_that_the_captioner_was_trained_on_are_counted_when_its_run_is_gone(two_runs):
    """No run `writer` is there."""
    two_runs.trained_on("first", "eval-0.wav", captioner=["eval-0.wav", "eval-5.wav"])
    two_runs.monkeypatch.setattr("atrkit.workflows.evaluate_recall.clips_as_trained", clips_without_captions)
    two_runs.monkeypatch.setattr("atrkit.workflows.first_stage.clips_as_trained", clips_without_captions)
    two_runs.trained_on("second", "dev-1.wav", captioner=["eval-2.wav"])
    assert evaluate(two_runs) == (1, {"captioner writer/seed-1": 1})
    of_first = {"first stage first/seed-1": 1, "first stage captioner writer/seed-1": 2}
    assert evaluate(two_runs, rerank=RerankChoice("first", 2)) == (3, {"captioner writer/seed-1": 1, **of_first})


def clips_without_captions(session, trained, dataset, split, **_):
    """Clips for a ridge, which reads no generated captions."""
    from atrkit.store.embeddings import load_embeddings
    from atrkit.workflows.captioned import captioned_clips

    embeddings = load_embeddings(session.workspace.embeddings_path("toy", "logmel"))
    return captioned_clips(session, dataset, split, embeddings)


def test_a_fusion_counts_what_its_captioners_know_and_chooses_weights_without_it(two_runs):
    two_runs.monkeypatch.setattr("atrkit.workflows.fuse_scores.clips_as_trained", clips_without_captions)
    two_runs.trained_on("first", "dev-8.wav")
    two_runs.trained_on("second", "dev-8.wav", captioner=["eval-2.wav", "dev-0.wav", "dev-1.wav"])
    result = fuse(two_runs.session, FuseOptions(["first", "second"], fit_on_val=True, val="dev"))
    assert (result["clips_trained_on"], result["clips_trained_on_by"]) == (1, {"captioner writer/seed-1": 1})
    assert "3 clips of toy/dev are tested or were trained on, too: left out" in two_runs.said
    two_runs.trained_on("second", captioner=[f"dev-{n}.wav" for n in range(9)])
    with pytest.raises(UsageError, match="all its recordings are tested, or were trained on by one of the runs"):
        fuse(two_runs.session, FuseOptions(["first", "second"], fit_on_val=True, val="dev"))
