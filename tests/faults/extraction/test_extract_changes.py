"""FAULTS.md row 20 with networks: whatever changes under embeddings or their parts is refused by name, or redone."""

import hashlib
import shutil

import numpy as np
import pytest
import soundfile
import torch

from atrkit.store.embeddings import load_embeddings
from atrkit.workflows.extract import PartFolder

RECIPE = """\
source: ours, small enough for a test
encoder: {name: cnn10}
model: {name: ridge}
"""


@pytest.fixture
def other_weights(weights, tmp_path):
    """The same network with one number changed."""
    content = torch.load(weights, weights_only=True)
    content["model"]["fc1.bias"][0] += 0.5
    torch.save(content, tmp_path / "other.pth")
    return tmp_path / "other.pth"


CHANGES = {
    "checkpoint": (("--checkpoint", "OTHER"), "checkpoint_sha256 is"),
    "clip output": (("--clip-output", "clip"), "settings.clip"),
    "pool time": (("--pool-time", "0.32"), "settings.pool_time_s is None there and 0.32 now"),
    "precision": (("--precision", "bf16"), "settings.precision is fp32 there and bf16 now"),
    "dtype": (("--dtype", "float32"), "frame_dtype is float16 there and float32 now"),
}


def quick(*names):
    """All changes, those that are not named with the kill loops."""
    others = (pytest.param(name, marks=pytest.mark.faults) for name in CHANGES if name not in names)
    return pytest.mark.parametrize("change", [*names, *others])


def store_of(command, encoder="cnn10"):
    return command.workspace / "embeddings" / "mine" / f"{encoder}.h5"


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def changed_words(cnn10, other_weights):
    def words(change):
        return (*cnn10, *(str(other_weights) if word == "OTHER" else word for word in CHANGES[change][0]))

    return words


@quick("checkpoint")
def test_a_finished_store_of_other_input_is_refused_and_redone(mine, cnn10, changed_words, change):
    words, difference = changed_words(change), CHANGES[change][1]
    mine(*cnn10)
    before = sha256_of(store_of(mine))
    (mine.workspace / "recipe.yaml").write_text(RECIPE)
    mine("train", mine.workspace / "recipe.yaml")
    for refused in (words, (*words, "--shard", "1/2")):
        message = mine.error(*refused, code=5)
        assert difference in message and "--overwrite" in message
        assert sha256_of(store_of(mine)) == before
    mine(*words, "--overwrite")
    assert sha256_of(store_of(mine)) != before
    # the way back is as closed as the way there
    name = difference.partition(" is ")[0]
    assert name in mine.error(*cnn10, code=5)
    for reader in (("eval",), ("train", mine.workspace / "recipe.yaml")):
        assert name in mine.error(*reader, code=5)


@quick("clip output")
def test_parts_and_shards_of_other_input_are_never_joined(mine, cnn10, changed_words, change):
    words, difference = changed_words(change), CHANGES[change][1]
    mine(*cnn10, "--shard", "1/2")
    parts = {path: sha256_of(path) for path in mine.workspace.rglob("part-*.h5")}
    for refused in (words, (*words, "--shard", "2/2"), (*words, "--shard", "1/2")):
        message = mine.error(*refused, code=5)
        assert "begun with other input" in message and difference in message
        assert ("delete the folder" if "--shard" in refused else "--overwrite") in message
    assert {path: sha256_of(path) for path in mine.workspace.rglob("part-*.h5")} == parts
    mine(*words, "--overwrite")
    anew = sha256_of(store_of(mine))
    shutil.rmtree(store_of(mine).parent)
    mine(*words)
    assert sha256_of(store_of(mine)) == anew, "nothing of the parts that lay there"


def test_a_part_carried_over_from_other_settings_is_refused(mine, cnn10, changed_words):
    mine(*cnn10, "--shard", "1/2")
    foreign = sorted(mine.workspace.rglob("part-*.h5"))[0]
    kept = mine.workspace / foreign.name
    shutil.copy(foreign, kept)
    shutil.rmtree(store_of(mine).parent)
    words = changed_words("clip output")
    for shard in ("1/2", "2/2"):
        mine(*words, "--shard", shard)
    shutil.copy(kept, foreign)
    for merge in (("extract", "--encoder", "cnn10", "--merge"), words):
        assert f"{foreign} is a part of another plan: delete it" in mine.error(*merge, code=5)


def change_audio(command, name="05.wav"):
    path = command.workspace / "sounds" / name
    samples, rate_hz = soundfile.read(path)
    soundfile.write(path, np.clip(samples * 1.5, -1, 1), rate_hz)


def reimport(command):
    command("import", command.workspace / "sounds", "--name", "mine")


def test_changed_audio_is_refused_by_whole_runs_shards_and_with_overwrite(mine, cnn10):
    reimport(mine)
    mine(*cnn10, "--shard", "1/2")
    change_audio(mine)  # of the second part: shard 2/2
    for words in ((), ("--shard", "2/2"), ("--workers", "2")):
        message = mine.error(*cnn10, *words, code=5)
        assert "05.wav changed since dataset 'mine' was made" in message
    reimport(mine)
    for words in ((), ("--shard", "1/2"), ("--shard", "2/2")):
        assert "the audio of 1 clips changed, the first '05.wav'" in mine.error(*cnn10, *words, code=5)
    mine(*cnn10, "--overwrite")
    change_audio(mine)
    assert "05.wav changed" in mine.error(*cnn10, code=5)


def test_another_manifest_is_refused_by_parts_store_and_merge(mine, cnn10):
    reimport(mine)
    for shard in ("1/2", "2/2"):
        mine(*cnn10, "--shard", shard)
    table = mine.workspace / "sounds" / "captions.csv"
    table.write_text(table.read_text().replace("11.wav,", "12.wav,"))
    shutil.copy(mine.workspace / "sounds" / "05.wav", mine.workspace / "sounds" / "12.wav")
    reimport(mine)
    expected = "1 clips ('11.wav' ...) are gone from and 1 clips ('12.wav' ...) are new in the dataset"
    for words in (cnn10, (*cnn10, "--shard", "1/2"), ("extract", "--encoder", "cnn10", "--merge")):
        assert expected in mine.error(*words, code=5), words
    mine(*cnn10, "--overwrite")
    assert "12.wav" in load_embeddings(store_of(mine)).clip_ids


def test_an_interrupted_overwrite_of_other_settings_continues_with_them_alone(mine, cnn10, monkeypatch):
    mine(*cnn10)
    before = sha256_of(store_of(mine))

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartFolder, "merge", interrupted)
        mine(*cnn10, "--clip-output", "clip", "--overwrite", code=130)
    assert sha256_of(store_of(mine)) == before
    assert "are up to date" in mine(*cnn10).stdout.replace("\n", " "), "the store of one kind, not the parts of another"
    assert sha256_of(store_of(mine)) == before
    mine(*cnn10, "--clip-output", "clip", "--overwrite")
    assert load_embeddings(store_of(mine)).provenance["settings"]["clip_output"] == "clip"


def test_a_merge_that_was_done_before_is_refused_when_the_dataset_has_changed(mine, cnn10):
    reimport(mine)
    mine(*cnn10)
    change_audio(mine)
    reimport(mine)
    assert "the audio of 1 clips changed, the first '05.wav'" in mine.error(
        "extract", "--encoder", "cnn10", "--merge", code=5
    )
