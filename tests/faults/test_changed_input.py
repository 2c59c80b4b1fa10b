"""FAULTS.md row 20: whatever changes under embeddings or a run is refused or redone, and said; nothing is mixed."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import extract as extraction
from atrkit.workflows import extract_options, extract_parts

SHARED = Path(__file__).resolve().parents[3] / "shared"
MN04 = SHARED / "weights" / "mn04_as_mAP_432.pt"
EXTRACT = ("extract", "--encoder", "logmel")


@pytest.fixture
def mine(tiny):
    """Dataset `mine` on recordings of its own, extracted, so that its audio and table can be changed."""
    tiny("import", tiny.workspace / "sounds", "--name", "mine")
    tiny(*EXTRACT)
    return tiny


def reimport(command):
    command("import", command.workspace / "sounds", "--name", "mine")


def interrupted(*arguments):
    raise KeyboardInterrupt


def louder(path):
    samples, sample_rate_hz = soundfile.read(path)
    soundfile.write(path, np.clip(samples * 1.5, -1, 1), sample_rate_hz)


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_other_settings_are_refused_and_overwrite_makes_them(tiny):
    store = tiny.workspace / "embeddings" / "tiny" / "logmel.h5"
    before = store.read_bytes()
    message = tiny.error(*EXTRACT, "--pool-time", "0.16", code=5)
    assert "settings.pool_time_s is 0.32 there and 0.16 now" in message and "--overwrite" in message
    assert store.read_bytes() == before
    assert "frame_dtype is float16 there and float32 now" in tiny.error(*EXTRACT, "--dtype", "float32", code=5)
    tiny(*EXTRACT, "--pool-time", "0.16", "--overwrite")
    assert load_embeddings(store).provenance["settings"]["pool_time_s"] == 0.16


def test_another_version_of_atrkit_does_not_reuse_embeddings(tiny, monkeypatch):
    monkeypatch.setattr(extract_parts, "__version__", "9.9")
    assert "atrkit_version is 0.1.0 there and 9.9 now" in tiny.error(*EXTRACT, code=5)


def test_parts_of_other_settings_are_never_joined(tiny, monkeypatch):
    shutil.rmtree(tiny.workspace / "embeddings")
    interrupt_before_joining(tiny, monkeypatch)
    message = tiny.error(*EXTRACT, "--pool-time", "0.16", code=5)
    assert "begun with other input: settings.pool_time_s is 0.32 there and 0.16 now" in message
    # a kill amid the removal of these parts leaves some of them, without their plan
    (plan,) = tiny.workspace.rglob("plan.json")
    plan.unlink()
    tiny(*EXTRACT, "--pool-time", "0.16")
    embeddings = load_embeddings(tiny.workspace / "embeddings" / "tiny" / "logmel.h5")
    frames = [len(embeddings.frames_of(index)) for index in range(20)]
    tiny(*EXTRACT, "--pool-time", "0.16", "--overwrite")
    anew = load_embeddings(tiny.workspace / "embeddings" / "tiny" / "logmel.h5")
    assert frames == [len(anew.frames_of(index)) for index in range(20)]


def test_parts_of_another_size_are_never_joined(tiny, monkeypatch):
    """Twenty clips in parts of 15 and in parts of 12: two parts each, so the same file names."""
    shutil.rmtree(tiny.workspace / "embeddings")
    options = extract_options.ExtractOptions
    monkeypatch.setattr(extract_options, "ExtractOptions", functools.partial(options, part_clips=15))
    interrupt_before_joining(tiny, monkeypatch)
    monkeypatch.setattr(extract_options, "ExtractOptions", functools.partial(options, part_clips=12))
    assert "part_clips is 15 there and 12 now" in tiny.error(*EXTRACT, code=5)


def interrupt_before_joining(command, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(extraction.PartFolder, "merge", interrupted)
        command(*EXTRACT, code=130)


def test_changed_audio_is_refused_until_it_is_taken_in_and_extracted_again(mine):
    louder(mine.workspace / "sounds" / "05.wav")
    store = mine.workspace / "embeddings" / "mine" / "logmel.h5"
    before = store.read_bytes()
    for words in (EXTRACT, (*EXTRACT, "--overwrite")):
        assert "05.wav changed since dataset 'mine' was made" in mine.error(*words, code=5)
    assert store.read_bytes() == before
    reimport(mine)
    mine(*EXTRACT, "--overwrite")
    assert store.read_bytes() != before
    mine.train()


def test_a_dataset_imported_again_with_other_audio_does_not_fit_old_embeddings(mine):
    mine.train("--name", "first")
    louder(mine.workspace / "sounds" / "05.wav")
    reimport(mine)
    for words in (EXTRACT, ("train", mine.workspace / "recipe.yaml"), ("eval",)):
        assert "the audio of 1 clips changed, the first '05.wav'" in mine.error(*words, code=5)
    mine(*EXTRACT, "--overwrite")
    message = mine.error("train", mine.workspace / "recipe.yaml", "--name", "first", code=5)
    assert "holds a run with other settings: inputs.clips.05.wav is" in message


def test_a_clip_more_or_less_is_said(mine):
    rewrite(mine.workspace / "sounds" / "captions.csv", "11.wav,", "20.wav,")
    shutil.copy(mine.workspace / "sounds" / "05.wav", mine.workspace / "sounds" / "20.wav")
    reimport(mine)
    expected = "1 clips ('11.wav' ...) are gone from and 1 clips ('20.wav' ...) are new in the dataset"
    assert expected in mine.error(*EXTRACT, code=5)
    assert expected in mine.error("train", mine.workspace / "recipe.yaml", code=5)


def test_other_captions_are_another_training(mine):
    mine.train()
    rewrite(mine.workspace / "sounds" / "captions.csv", "a tone of kind 3", "a bell of kind 3")
    reimport(mine)
    assert "up to date" in mine(*EXTRACT).stdout, "captions change no embedding"
    message = mine.error("train", mine.workspace / "recipe.yaml", code=5)
    assert "holds a run with other settings" in message and "caption" in message


def test_other_captions_amid_a_training_are_refused(mine, monkeypatch):
    from atrkit.models.dual_encoder import DualEncoder

    with monkeypatch.context() as patch:
        patch.setattr(DualEncoder, "save_pretrained", interrupted)
        mine.train(code=130)
    rewrite(mine.workspace / "sounds" / "captions.csv", "a tone of kind 3", "a bell of kind 3")
    reimport(mine)
    message = mine.error("train", mine.workspace / "recipe.yaml", code=5)
    assert "data" in message or "caption" in message


def test_other_captions_are_another_pool(mine):
    mine.train()
    first = json.loads(mine("eval", "--json").stdout)
    rewrite(mine.workspace / "sounds" / "captions.csv", ",eval", ",val")
    rewrite(mine.workspace / "sounds" / "captions.csv", "12.wav,a tone of kind 2 sounds,", "12.wav,a bell,")
    reimport(mine)
    second = json.loads(mine("eval", "--json", "--split", "val").stdout)
    assert second["pool_id"] != first["pool_id"]


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("optimizer.lr=1e-3", "recipe.optimizer.lr is 0.01 there and 0.001 now"),
        ("training.epochs=4", "recipe.training.epochs is 3 there and 4 now"),
        ("model.out_dim=8", "recipe.model.out_dim is 16 there and 8 now"),
        ("data.val=eval", "inputs.splits.val is val there and eval now"),
    ],
)
def test_another_recipe_under_the_same_name_is_refused(trained, override, difference):
    before = {
        path: path.read_bytes()
        for path in (trained.workspace / "runs").rglob("*")
        if path.suffix != ".lock" and path.is_file()
    }
    message = trained.error("train", trained.workspace / "recipe.yaml", "--set", override, code=5)
    assert difference in message and "--overwrite" in message and "--name" in message
    assert {path: path.read_bytes() for path in before} == before


def test_a_recipe_and_embeddings_that_disagree_are_refused(tiny):
    message = tiny.error("train", tiny.workspace / "recipe.yaml", "--set", "encoder.pool_time_s=0.16", code=5)
    assert "settings.pool_time_s is 0.32 there and 0.16 now" in message


def test_a_run_is_not_evaluated_with_embeddings_of_other_settings(trained):
    trained(*EXTRACT, "--pool-time", "0.16", "--overwrite")
    folder = trained.workspace / "runs" / "recipe" / "seed-1"
    before = (folder / "results.json").read_bytes()
    message = trained.error("eval", code=5)
    assert "settings.pool_time_s is 0.16 there and 0.32 now" in message and "--overwrite" in message
    assert (folder / "results.json").read_bytes() == before


def test_what_a_killed_overwrite_left_is_not_taken_for_a_finished_run(trained):
    folder = trained.workspace / "runs" / "recipe" / "seed-1"
    (folder / "inputs.json").unlink()
    assert "but not the inputs.json" in trained.train("--set", "model.out_dim=8", code=5).stderr
    done = trained.train("--set", "model.out_dim=8", "--overwrite")
    assert "was finished before" not in done.stdout
    assert json.loads((folder / "config.json").read_text())["audio"]["out_dim"] == 8


@pytest.mark.skipif(not MN04.is_file(), reason="../shared/weights is not there")
def test_another_checkpoint_is_refused(tiny):
    import torch

    changed = tiny.workspace / "changed.pt"
    weights = torch.load(MN04, weights_only=True)
    name = next(name for name, tensor in weights.items() if tensor.is_floating_point() and tensor.ndim > 1)
    weights[name] = weights[name] * 1.01
    torch.save(weights, changed)

    extract = ("extract", "--encoder", "mn04", "--checkpoint")
    tiny(*extract, MN04)
    assert "checkpoint_sha256 is" in tiny.error(*extract, changed, code=5)
    (tiny.workspace / "mn04.yaml").write_text("source: ours\nencoder: {name: mn04}\nmodel: {name: ridge}\n")
    train = ("train", tiny.workspace / "mn04.yaml", "--set")
    assert "checkpoint_sha256 is" in tiny.error(*train, f"encoder.checkpoint={changed}", code=5)
    assert "is not there" in tiny.error(*train, "encoder.checkpoint=gone.pt", code=3)
    tiny(*train, f"encoder.checkpoint={MN04}")
    tiny("eval")
    tiny(*extract, changed, "--overwrite")
    assert "checkpoint_sha256 is" in tiny.error("eval", code=5)


def test_an_interrupted_overwrite_keeps_the_old_file_and_is_continued_by_the_same_command(tiny, monkeypatch):
    store = tiny.workspace / "embeddings" / "tiny" / "logmel.h5"
    before = store.read_bytes()
    anew = (*EXTRACT, "--pool-time", "0.16", "--overwrite")
    with monkeypatch.context() as patch:
        patch.setattr(extraction.PartFolder, "merge", interrupted)
        tiny(*anew, code=130)
    assert store.read_bytes() == before
    assert "1 of 1 parts are there from an earlier call" in tiny(*anew).stderr
    assert load_embeddings(store).provenance["settings"]["pool_time_s"] == 0.16
