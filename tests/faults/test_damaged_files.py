"""FAULTS.md row 6: a truncated or altered file is named, with the command that makes it again."""

import shutil

import numpy as np
import pytest

# the file, the command that reads it, and the command that its message names
FILES = {
    "manifest": (
        "data/tiny/manifest.jsonl",
        ("extract", "--encoder", "logmel"),
        "atrkit import DIR_OR_CSV --name tiny",
    ),
    "dataset": ("data/tiny/dataset.json", ("extract", "--encoder", "logmel"), "atrkit import DIR_OR_CSV --name tiny"),
    "embeddings": ("embeddings/tiny/logmel.h5", ("eval",), "atrkit extract --encoder logmel --overwrite"),
    "embeddings, extract": (
        "embeddings/tiny/logmel.h5",
        ("extract", "--encoder", "logmel"),
        "atrkit extract --encoder logmel --overwrite",
    ),
    "model": ("runs/recipe/seed-1/model.safetensors", ("eval",), "train the model again"),
    "model configuration": ("runs/recipe/seed-1/config.json", ("eval",), "train the model again"),
    "inputs": ("runs/recipe/seed-1/inputs.json", ("eval",), "train the run again with --overwrite"),
    "finished": ("runs/recipe/seed-1/finished.json", ("eval",), "train the run again with --overwrite"),
}


@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("kept", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named_with_the_way_out(trained, what, kept):
    name, words, way_out = FILES[what]
    path = trained.workspace / name
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    message = trained.error(*words, code=5)
    assert str(path) in message and way_out in message


@pytest.mark.parametrize("what", ["manifest", "embeddings", "model"])
def test_no_flipped_bit_is_silent(trained, what):
    name, words, _ = FILES[what]
    path = trained.workspace / name
    content = path.read_bytes()
    positions = np.random.default_rng(0).integers(8 * len(content), size=12)
    for position in positions.tolist():
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        assert str(path) in trained.error(*words, code=5), position
    path.write_bytes(content)
    trained(*words)


def test_a_damaged_part_of_an_unfinished_extraction_is_named(tiny, monkeypatch, store_bytes, finished):
    from atrkit.store.parts import PartFolder

    shutil.rmtree(tiny.workspace / "embeddings")
    with monkeypatch.context() as patch:
        patch.setattr(PartFolder, "merge", stop)
        tiny("extract", "--encoder", "logmel", code=130)
    (part,) = tiny.workspace.rglob("part-*.h5")
    part.write_bytes(part.read_bytes()[:1000])
    message = tiny.error("extract", "--encoder", "logmel", code=5)
    assert f"{part} is damaged: delete it and run the same command again" in message
    part.unlink()
    tiny("extract", "--encoder", "logmel")
    assert store_bytes(tiny.workspace) == store_bytes(finished)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"clips": 1}'])
def test_a_damaged_plan_of_an_unfinished_extraction_is_named(tiny, monkeypatch, store_bytes, finished, content):
    from atrkit.store.parts import PartFolder

    shutil.rmtree(tiny.workspace / "embeddings")
    with monkeypatch.context() as patch:
        patch.setattr(PartFolder, "merge", stop)
        tiny("extract", "--encoder", "logmel", code=130)
    (plan,) = tiny.workspace.rglob("plan.json")
    plan.write_bytes(content)
    message = tiny.error("extract", "--encoder", "logmel", code=5)
    assert "plan.json is damaged; start afresh with --overwrite" in message
    tiny("extract", "--encoder", "logmel", "--overwrite")
    assert store_bytes(tiny.workspace) == store_bytes(finished)


def stop(*arguments):
    raise KeyboardInterrupt


def test_a_damaged_checkpoint_is_named(tiny, monkeypatch):
    from atrkit.models.dual_encoder import DualEncoder

    with monkeypatch.context() as patch:
        patch.setattr(DualEncoder, "save_pretrained", stop)
        tiny.train(code=130)
    (checkpoint,) = tiny.workspace.rglob("training_state.ckpt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    message = tiny.error("train", tiny.workspace / "recipe.yaml", code=5)
    assert str(checkpoint) in message and "delete it to train from the start" in message
    checkpoint.unlink()
    tiny.train()
