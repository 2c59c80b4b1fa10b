"""`atrkit extract` with a network: weights from a server or a file, shards, and on to a recall table."""

import dataclasses
import hashlib
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.encoders import load_encoder
from atrkit.encoders.catalogue import ENCODERS
from atrkit.encoders.panns_networks import panns_network
from atrkit.network import TransferSettings, transfer
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import extract_options

RECIPE = """\
source: ours, small enough for a test
encoder: {name: cnn10, clip_output: clip, pool_time_s: 0.32}
model:
  name: dual_encoder
  audio: {hidden_dims: [8], pooling: {name: mean}}
  text: {name: word_embeddings, dim: 8, pooling: {name: mean}}
  out_dim: 8
loss: {name: nt_xent}
optimizer: {name: adamw, lr: 1e-2}
training: {epochs: 1, batch_size: 4, keep_best: last}
"""
AS_RECIPE = ("--clip-output", "clip", "--pool-time", "0.32")


class Workspace:
    """A workspace with commands."""

    def __init__(self, root, weights):
        self.root, self.weights = root, weights

    def __call__(self, *words, code=0):
        result = CliRunner().invoke(app, [*(str(word) for word in words), "--workspace", str(self.root)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        assert "Traceback" not in result.stderr
        return result

    def extract(self, *words, code=0):
        return self("extract", "--encoder", "cnn10", "--checkpoint", self.weights, *words, code=code)

    def merge(self, *words, code=0):
        """Without weights: only files are joined."""
        return self("extract", "--encoder", "cnn10", "--merge", *words, code=code)

    def do(self, message):
        """Run the command that a message ends with, as a user does who reads it."""
        (command,) = re.findall(r"atrkit (extract --encoder [^;]*)$", message.strip())
        return self(*shlex.split(command), code=7)

    @property
    def store(self):
        return self.root / "embeddings" / "mine" / "cnn10.h5"

    def sha256(self):
        return hashlib.sha256(self.store.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An official file of Cnn10 but for its numbers."""
    generator = torch.Generator().manual_seed(1)
    state = {key: torch.empty_like(value, device="cpu") for key, value in panns_network("cnn10").state_dict().items()}
    for key, value in state.items():
        if value.ndim > 1:
            value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5, generator=generator)
        else:
            value.fill_(0 if key.endswith(("bias", "running_mean", "num_batches_tracked")) else 1)
    path = tmp_path_factory.mktemp("weights") / "Cnn10_mAP=0.380.pth"
    torch.save({"iteration": 1, "model": state}, path)
    return path


@pytest.fixture(scope="module")
def imported(tmp_path_factory, weights):
    """Ten short recordings of several lengths, one of them too short for the network, as dataset `mine`."""
    root = tmp_path_factory.mktemp("imported")
    noise = np.random.default_rng(0)
    lines = ["file_name,caption_1,split"]
    for number, duration_s in enumerate((0.4, 0.9, 0.9, 0.5, 0.1, 0.6, 0.9, 0.4, 0.7, 0.8)):
        tone = np.sin(np.arange(int(duration_s * 32000)) * (0.02 + 0.02 * number)) * 0.3
        (root / "sounds").mkdir(exist_ok=True)
        soundfile.write(root / "sounds" / f"{number}.wav", tone + 0.01 * noise.standard_normal(len(tone)), 32000)
        lines.append(f"{number}.wav,tone number {number} sounds,{'dev' if number < 6 else 'eval'}")
    (root / "sounds" / "captions.csv").write_text("\n".join(lines) + "\n")
    Workspace(root, weights)("import", root / "sounds", "--name", "mine")
    return root


@pytest.fixture
def mine(imported, tmp_path, weights, monkeypatch):
    """A copy of one's own, with parts of three clips."""
    shutil.copytree(imported, tmp_path / "workspace")
    small = extract_options.ExtractOptions
    monkeypatch.setattr(
        extract_options, "ExtractOptions", lambda *words, **options: small(*words, **{"part_clips": 3, **options})
    )
    return Workspace(tmp_path / "workspace", weights)


def test_what_is_stored_is_what_the_encoder_gives(mine):
    result = mine.extract("--dtype", "float32", "--json", code=7)
    record = json.loads(result.stdout)
    assert (record["clips"], record["problems"], record["frame_dtype"]) == (10, {"padded": 1}, "float32")
    assert "times real time; limit: " in result.stderr and "is not the published Cnn10" in result.stderr
    stored = load_embeddings(mine.store)
    encoder = load_encoder("cnn10", checkpoint=mine.weights)
    for index, clip_id in enumerate(stored.clip_ids):
        wave_N, _ = soundfile.read(mine.root / "sounds" / clip_id, dtype="float32")
        alone = encoder.encode([wave_N])
        assert stored.frames_of(index).shape == alone.frames[0].shape
        scale = np.sqrt(np.mean(alone.frames[0] ** 2))
        assert np.abs(stored.frames_of(index) - alone.frames[0]).max() < 1e-4 * scale
        probabilities = 1 / (1 + np.exp(-alone.logits[0].astype(np.float64)))
        np.testing.assert_allclose(stored.tag_probs_AK[index], probabilities, atol=1e-5)
    assert stored.labels == encoder.labels


def test_float16_says_what_it_loses(mine):
    record = json.loads(mine.extract("--json", code=7).stdout)
    stored = load_embeddings(mine.store)
    mine.extract("--dtype", "float32", "--overwrite", code=7)
    exact = load_embeddings(mine.store)
    a, b = stored.frames_NF.astype(np.float64), exact.frames_NF.astype(np.float64)
    cosine_N = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert record["largest_cosine_loss"] == pytest.approx((1 - cosine_N).max(), rel=1e-3)
    assert 0 < record["largest_cosine_loss"] < 1e-6


def test_shards_in_any_order_and_their_merge_make_the_bytes_of_one_run(mine):
    mine.extract(code=7)
    whole = mine.sha256()
    mine.store.unlink()
    early = mine.merge(code=3)
    assert "no unfinished embeddings" in early.stderr
    second = json.loads(mine.extract("--shard", "2/3", "--json").stdout)
    assert (second["parts_made"], second["unfinished_shards"]) == (1, ["1/3", "3/3"])
    message = mine.merge(code=3).stderr
    assert "3 of 4 parts are missing" in message and "atrkit extract --encoder cnn10 --shard 1/3" in message
    mine.extract("--shard", "3/3")
    assert "all shards are finished, join them: atrkit extract --encoder cnn10 --dataset mine --merge" in (
        mine.extract("--shard", "1/3").stdout.replace("\n", " ")
    )
    assert "1 padded" in mine.merge(code=7).stdout
    assert mine.sha256() == whole
    assert json.loads(mine.extract("--shard", "1/3", "--json").stdout)["was_merged"]


def test_what_a_shard_left_is_finished_by_a_whole_run(mine):
    mine.extract(code=7)
    whole = mine.sha256()
    mine.store.unlink()
    mine.extract("--shard", "1/2")
    assert "2 of 4 parts are there from an earlier call" in mine.extract(code=7).stderr
    assert mine.sha256() == whole


def test_parts_of_a_dataset_that_has_changed_are_not_merged(mine):
    for shard in ("1/2", "2/2"):
        mine.extract("--shard", shard)
    sound, rate_hz = soundfile.read(mine.root / "sounds" / "3.wav")
    soundfile.write(mine.root / "sounds" / "3.wav", sound * 0.5, rate_hz)
    mine("import", mine.root / "sounds", "--name", "mine")
    assert "is of another state of the dataset" in mine.merge(code=5).stderr


def test_what_was_merged_is_not_said_to_be_up_to_date_when_the_dataset_has_changed(mine):
    mine.extract(code=7)
    assert "are up to date" in mine.merge(code=7).stdout
    table = mine.root / "sounds" / "captions.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:5]))
    mine("import", mine.root / "sounds", "--name", "mine")
    assert "6 clips ('4.wav' ...) are gone from the dataset" in mine.merge(code=5).stderr


def test_strict_refuses_to_merge_what_was_padded(mine):
    mine.extract("--shard", "1/1")
    assert "1 clips are not as they should be (--strict)" in mine.merge("--strict", code=5).stderr


@pytest.mark.parametrize(
    "words", [("--pool-time", "0.32"), ("--dtype", "float32"), ("--shard", "1/2"), ("--precision", "bf16"), ("--pca",)]
)
def test_nothing_else_can_be_asked_of_a_merge(mine, words):
    assert f"leave {words[0]} out" in mine.merge(*words, code=2).stderr


def test_shards_that_were_told_different_things(mine):
    mine.extract("--shard", "1/2")
    message = mine.extract("--shard", "2/2", "--clip-output", "clip", code=5).stderr
    assert "begun with other input: settings.clip" in message and "say the same to every shard" in message
    assert "--overwrite" not in message


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--shard", "3/2"), "expected I/N with I from 1 to N"),
        (("--shard", "0/2"), "expected I/N with I from 1 to N"),
        (("--shard", "1/2", "--overwrite"), "would delete what other shards make"),
        (("--batch-size", "many"), "expected auto, or a number"),
        (("--batch-size", "0"), "expected auto, or a number"),
        (("--device", "tpu"), "expected auto, cpu, cuda or cuda:N"),
        (("--variant", "audioset"), "encoder cnn10: unknown setting 'variant'"),
        (("--pca",), "encoder cnn10: unknown setting 'pca'"),
        (("--pool-time", "0.1"), "no positive multiple of 0.16 s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_make_no_sense(mine, words, reason):
    assert reason in mine.extract(*words, code=2).stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(mine):
    assert "torch sees 0 GPUs here" in mine.extract("--device", "cuda", code=3).stderr


def test_a_recipe_takes_the_embeddings_it_states_and_no_others(mine):
    (mine.root / "recipe.yaml").write_text(RECIPE)
    train = ("train", mine.root / "recipe.yaml")
    mine.extract(*AS_RECIPE, code=7)
    mine(*train)
    table = mine("eval", "--metric", "recall", "--json")
    assert json.loads(table.stdout)["text_to_audio"]["queries"] == 4
    other = (*train, "--set", "encoder.clip_output=embedding", "--name", "other")
    refused = mine(*other, code=5).stderr
    assert "settings.clip_output is clip there and embedding now" in refused
    mine.do(refused)
    mine(*other)
    coarse = (*train, "--set", "encoder.pool_time_s=0.64", "--name", "coarse")
    refused = mine(*coarse, code=5).stderr
    assert "settings.clip_output is embedding there and clip now" in refused
    assert f"--checkpoint {mine.weights} --pool-time 0.64 --clip-output clip --overwrite" in refused
    mine.do(refused)
    assert "and the recipe names no weights" in mine(*coarse).stderr


def test_missing_embeddings_are_made_with_everything_the_recipe_states(mine):
    (mine.root / "recipe.yaml").write_text(RECIPE.replace("name: cnn10", f"name: cnn10, checkpoint: {mine.weights}"))
    train = ("train", mine.root / "recipe.yaml")
    refused = mine(*train, "--no-extract", code=3).stderr
    assert "--pool-time 0.32 --clip-output clip" in refused
    mine.do(refused)
    by_hand = load_embeddings(mine.store).provenance
    mine.store.unlink()
    assert "the recipe names no weights" not in mine(*train).stderr
    assert load_embeddings(mine.store).provenance == by_hand


def test_pool_time_zero_is_the_networks_own_frames(mine):
    mine("extract", "--encoder", "logmel", "--pool-time", "0", code=0)
    stored = load_embeddings(mine.root / "embeddings" / "mine" / "logmel.h5")
    assert stored.provenance["settings"]["pool_time_s"] is None and len(stored.frames_of(0)) == 41


def test_published_weights_are_found_again_and_own_ones_must_be_named_to_overwrite(mine, monkeypatch, server, tmp_path):
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "DEFAULT_SETTINGS", TransferSettings(first_delay_s=0))
    mine.extract(code=7)
    again = mine("extract", "--encoder", "cnn10", code=7)  # 7: one clip is listed as padded
    assert f"weights: {mine.weights} (those of the embeddings there)" in again.stderr
    mine("extract", "--encoder", "cnn10", "--overwrite", code=6)  # would now be the published ones
    asked = len(server.requests)
    published = dataclasses.replace(
        ENCODERS["cnn10"].checkpoints[""], md5=hashlib.md5(mine.weights.read_bytes()).hexdigest()
    )
    monkeypatch.setitem(ENCODERS["cnn10"].checkpoints, "", published)
    mine.extract("--overwrite", code=7)
    mine("extract", "--encoder", "cnn10", "--overwrite", code=7)
    assert len(server.requests) == asked > 0


def test_init_states_what_the_embeddings_were_made_with(mine):
    mine.extract(*AS_RECIPE, code=7)
    out = mine.root / "starter.yaml"
    mine("init", "--out", out)
    assert "name: cnn10" in out.read_text() and "clip_output: clip" in out.read_text()
    mine("train", out)


def test_half_precision_is_recorded_and_refused_as_a_change(mine):
    mine.extract("--precision", "bf16", code=7)
    assert load_embeddings(mine.store).provenance["settings"]["precision"] == "bf16"
    assert "settings.precision is bf16 there and fp32 now" in mine.extract(code=5).stderr


def test_weights_come_from_the_record_with_a_display_and_only_once(mine, server, monkeypatch, tmp_path):
    content = mine.weights.read_bytes()
    spec = dataclasses.replace(
        ENCODERS["cnn10"].checkpoints[""],
        md5=hashlib.md5(content).hexdigest(),
        size_bytes=len(content),
    )
    monkeypatch.setitem(ENCODERS["cnn10"].checkpoints, "", spec)
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    server.publish("/record/3987831/files/Cnn10_mAP%3D0.380.pth", content)
    first = mine("extract", "--encoder", "cnn10", code=7)
    assert "downloading the weights of cnn10: 21 of 21 MB in" in first.stderr
    assert "downloaded Cnn10_mAP=0.380.pth (CC BY 4.0" in first.stderr
    mine("extract", "--encoder", "cnn10", "--overwrite", code=7)
    assert len(server.requests) == 1
    cached = [record for record in json.loads(mine("info", "encoders", "--json").stdout) if record["name"] == "cnn10"]
    assert cached[0]["checkpoints"][0]["in_cache"] == str(tmp_path / "cache" / "checkpoints" / "Cnn10_mAP=0.380.pth")


def test_info_describes_a_store_and_unfinished_parts(mine):
    mine.extract("--shard", "1/2")
    parts = json.loads(mine("info", "--store", mine.store.with_suffix(".parts"), "--json").stdout)
    assert parts["parts"]["finished"] == [0, 2] and parts["parts"]["unfinished_shards"] == ["2/2"]
    mine.extract(code=7)
    record = json.loads(mine("info", "--store", mine.store, "--json").stdout)
    assert (record["kind"], record["clips"], record["problems_by_action"]) == ("embeddings", 10, {"padded": 1})
    assert record["provenance"]["encoder"] == "cnn10" and record["frame_hours"] > 0
    table = " ".join(mine("info", "--store", mine.store).stdout.split())
    assert "frames: " in table and "x 512 float16" in table and "(as it was written)" in table
    content = bytearray(mine.store.read_bytes())
    content[len(content) // 2] ^= 1
    mine.store.write_bytes(content)
    damaged = mine("info", "--store", mine.store, code=5).stderr
    assert "cnn10.h5 is damaged" in damaged and "atrkit extract --encoder cnn10 --overwrite" in damaged


def test_info_lists_every_encoder_with_its_weights(mine):
    text = " ".join(mine("info", "encoders").stdout.split())
    for words in ("cnn14", "541141fa2ee191a88f24a3219fff024e", "--variant no_audiocaps (default)", "002: CLAP"):
        assert words in text
    records = json.loads(mine("info", "encoders", "--json").stdout)
    assert [record["name"] for record in records] == list(ENCODERS)


def test_no_dataset_takes_the_word_that_lists_encoders(mine):
    assert "choose another name" in mine("import", mine.root / "sounds", "--name", "encoders", code=2).stderr
