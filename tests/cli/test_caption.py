"""`atrkit caption`: bare sound files and clips of a dataset, to a table, JSON and CSV."""

import csv
import errno
import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.audio.read import load_mono
from atrkit.cli.app import app
from atrkit.encoders import load_encoder
from atrkit.encoders.panns_networks import panns_network
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.models.decoding import write_captions
from atrkit.recipe.load import load_recipe
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows.caption import captions_of_split, decoding_arguments
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import open_run
from atrkit.workflows.workspace import Workspace

BAD_AUDIO = Path(__file__).resolve().parents[3] / "shared" / "data" / "bad_audio"
WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "a", "and", "the", "rain", "dog", "barks", "falls", "bell", "rings")
CAPTIONER_RECIPE = """\
source: ours, small enough for a test
data: {{dataset: mine, train: dev, test: eval}}
encoder: {{name: {encoder}}}
model: {{name: {model}}}
loss: {{name: cross_entropy}}
optimizer: {{name: adamw, lr: 1e-3}}
training: {{epochs: 1, batch_size: 4, keep_best: last}}
decoding: {{beam_size: 2, min_tokens: 2, max_tokens: 6, forbid_repeats: content_words}}
"""
RIDGE_RECIPE = """\
source: ours
data: {{dataset: mine, train: dev, test: eval}}
encoder: {{name: {encoder}}}
model: {{name: ridge, label_prior: false}}
"""


class Commands:
    """A workspace, and commands in it."""

    def __init__(self, root: Path):
        self.root = root

    def __call__(self, *words, code=0):
        result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(self.root)])
        assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
        assert "Traceback" not in result.stderr
        return result

    def caption(self, *words, code=0):
        return self("caption", *words, code=code)

    def json(self, *words, code=0):
        return json.loads(self.caption(*words, "--json", code=code).stdout)["captions"]

    def make_run(self, name: str, *, model: str = "transformer_captioner", encoder: str = "logmel") -> Path:
        """A finished run whose model was never trained, and whose words depend strongly on the clip."""
        stored = load_embeddings(self.root / "embeddings" / "mine" / f"{encoder}.h5")
        recipe = self.root / f"{name}.yaml"
        recipe.write_text((RIDGE_RECIPE if model == "ridge" else CAPTIONER_RECIPE).format(model=model, encoder=encoder))
        run = RunFolder(self.root / "runs" / name / "seed-1")
        run.start(load_recipe(recipe), {"dataset": "mine", "clips": {}, "embeddings": stored.provenance})
        captioner = make_captioner(model, stored.frames_NF.shape[1])
        captioner.fit_standardisation(torch.from_numpy(stored.frames_NF.astype(np.float32)))
        captioner.save_pretrained(run.path)
        facts = {"dataset": "mine", "train_split": "dev", "test_split": "eval", "model": model}
        run.finish({"run": f"{name}/seed-1", **facts, "checkpoint": stored.notes["checkpoint"]})
        return run.path


def make_captioner(model: str, frame_dim: int) -> Captioner:
    with seeded_initialisation(15):
        decoder = (
            GruDecoder(len(WORDS), dim=16)
            if model == "gru_captioner"
            else TransformerDecoder(len(WORDS), dim=16, num_layers=2, num_heads=2, ff_dim=16)
        )
        captioner = Captioner(frame_dim, WORDS, decoder, standardise=True)
    with torch.no_grad():
        for name, weight in captioner.named_parameters():
            if name.endswith(("classifier.weight", "projection.1.weight", "cross_out.weight")):
                weight.mul_(3.0)
    return captioner


def write_sound(path: Path, number: int, *, duration_s: float = 0.5, rate_hz: int = 32000, channels: int = 1) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    noise = np.random.default_rng(number)
    time_N = np.arange(int(duration_s * rate_hz)) / rate_hz
    tone_N = np.sin(2 * np.pi * (200 + 900 * number) * time_N) * 0.2 + 0.03 * (number % 3) * noise.standard_normal(
        len(time_N)
    )
    soundfile.write(path, np.stack([tone_N] * channels, axis=1), rate_hz)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Commands:
    """Eight recordings without captions as dataset `mine`, their embeddings, and an untrained captioner."""
    root = tmp_path_factory.mktemp("workspace")
    for number in range(8):
        write_sound(root / "sounds" / f"{number}.wav", number, duration_s=0.5 + 0.3 * (number % 4))
    commands = Commands(root)
    commands("import", root / "sounds", "--name", "mine", "--split", "40/60")
    commands("extract", "--encoder", "logmel")
    commands.make_run("first")
    return commands


@pytest.fixture
def mine(made, tmp_path) -> Commands:
    """A copy of one's own."""
    shutil.copytree(made.root, tmp_path / "workspace")
    return Commands(tmp_path / "workspace")


def clips_of(commands: Commands, split: str) -> list[str]:
    lines = (commands.root / "data" / "mine" / "manifest.jsonl").read_text().splitlines()
    return [clip["id"] for clip in map(json.loads, lines) if clip["split"] == split]


def captions_by_hand(commands: Commands, paths: list[Path], **decoding) -> list:
    """One file at a time: decoded, encoded, rounded as in the store, and captioned."""
    encoder = load_encoder("logmel")
    captioner = Captioner.from_pretrained(commands.root / "runs" / "first" / "seed-1")
    captions = []
    for path in paths:
        frames_TF = encoder.encode([load_mono(path, 32000)]).frames[0].astype(np.float16)
        captions += write_captions(captioner, Ragged.from_sequences([frames_TF]), **decoding)
    return captions


RECIPES_DECODING = {"beam_size": 2, "min_tokens": 2, "max_tokens": 6}


def test_files_of_any_format_rate_and_place_are_captioned_in_the_order_given(made, tmp_path):
    paths = [
        write_sound(tmp_path / "b.flac", 2, rate_hz=16000),
        write_sound(tmp_path / "a.wav", 5, rate_hz=44100, channels=2, duration_s=2.0),
        write_sound(tmp_path / "no suffix.wav", 1).rename(tmp_path / "no suffix"),
        write_sound(tmp_path / "folder" / "deep" / "x.wav", 6),
        write_sound(tmp_path / "folder" / "w.ogg", 4, rate_hz=48000),
    ]
    (tmp_path / "folder" / "notes.txt").write_text("no sound")
    records = made.json(*paths[:3], tmp_path / "folder")
    ordered = [*paths[:3], paths[3], paths[4]]
    assert [record["path"] for record in records] == [str(path) for path in ordered]
    expected = captions_by_hand(made, ordered, **RECIPES_DECODING)
    assert [record["caption"] for record in records] == [each.text for each in expected]
    assert [record["score"] for record in records] == pytest.approx([each.score for each in expected], abs=1e-4)
    assert len({record["caption"] for record in records}) > 2
    assert set(records[0]) == {"path", "caption", "score"}


def test_a_bare_file_gets_the_caption_that_it_gets_as_a_clip(made):
    clips = made.json("--dataset", "mine", "--split", "eval")
    files = made.json(*(made.root / "sounds" / clip["clip"] for clip in clips))
    assert [clip["clip"] for clip in clips] == clips_of(made, "eval")  # though nobody ever captioned them
    assert [clip["caption"] for clip in clips] == [file["caption"] for file in files]
    assert [clip["score"] for clip in clips] == pytest.approx([file["score"] for file in files], abs=1e-4)


def test_the_runs_own_test_split_is_captioned_when_nothing_is_said(made):
    said = made.caption("--json")
    record = {"captions": made.json("--dataset", "mine", "--split", "eval", "--run", "first"), "problems": []}
    assert json.loads(said.stdout) == record
    assert "run: first/seed-1 (the newest finished captioner)" in said.stderr
    assert "split: mine/eval" in said.stderr and "captions of mine/eval: 5 of 5 clips" in said.stderr
    assert [clip["clip"] for clip in made.json("--split", "dev")] == clips_of(made, "dev")


def test_the_table_shows_what_was_heard_the_caption_and_its_score(made):
    table = made.caption("--plain").stdout
    (first, *_) = made.json()
    assert "clip" in table and "caption" in table and "score" in table
    (line,) = [line for line in table.splitlines() if line.startswith(first["clip"])]
    assert line.split() == [first["clip"], *first["caption"].split(), f"{first['score']:.2f}"]


def test_the_csv_is_what_json_says_with_names_quoted(made, tmp_path):
    odd = write_sound(tmp_path / '=1+2, "x"\nö.wav', 3)
    out = tmp_path / "captions.csv"
    said = made.caption(odd, made.root / "sounds" / "4.wav", "--out", out, "--json")
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"file_name": each["path"], "caption_predicted": each["caption"], "score": str(each["score"])}
        for each in json.loads(said.stdout)["captions"]
    ]
    assert rows[0]["file_name"] == str(odd)
    assert f"wrote 2 captions to {out}" in said.stderr


def test_a_csv_that_is_there_is_replaced_only_when_that_is_said(made, tmp_path):
    out = tmp_path / "captions.csv"
    out.write_text("mine")
    refused = made.caption("--out", out, code=2)
    assert f"{out} is there already: --overwrite replaces it" in refused.stderr and out.read_text() == "mine"
    assert "run:" not in refused.stderr  # said before any work
    made.caption("--out", out, "--overwrite")
    assert out.read_text().startswith(f"file_name,caption_predicted,score\n{clips_of(made, 'eval')[0]},")
    assert "is a folder: name a file" in made.caption("--out", tmp_path, code=2).stderr


def test_a_csv_in_a_folder_that_is_not_there_is_refused_before_any_work(made, tmp_path):
    out = tmp_path / "mistyped" / "folder" / "captions.csv"
    refused = made.caption("--out", out, code=2)
    assert f"--out: there is no folder {out.parent}" in refused.stderr and "run:" not in refused.stderr
    assert not (tmp_path / "mistyped").exists()
    out.parent.parent.write_text("a file")
    assert f"--out: there is no folder {out.parent}" in made.caption("--out", out, code=2).stderr


def test_what_is_said_of_the_search_goes_before_the_recipe(made):
    def counts(*words):
        return [len(record["caption"].split()) for record in made.json(*words)]

    assert set(counts("--min-tokens", 4, "--max-tokens", 4)) == {4}
    assert max(counts()) <= 6 and max(counts("--max-tokens", 20, "--min-tokens", 9)) >= 9
    greedy = made.json("--beam-size", 1, "--forbid-repeats", "none", "--batch-size", 2)
    sounds = [made.root / "sounds" / name for name in clips_of(made, "eval")]
    by_hand = captions_by_hand(made, sounds, beam_size=1, forbid_repeats="none", min_tokens=2, max_tokens=6)
    assert [record["caption"] for record in greedy] == [each.text for each in by_hand]
    assert [record["caption"] for record in greedy] != [record["caption"] for record in made.json()]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--min-tokens", 7), "min_tokens 7 is more than max_tokens 6"),
        (("SOUND", "--dataset", "mine"), "of FILES, or of the clips of a --dataset and --split: leave one out"),
        (("SOUND", "--split", "eval"), "leave one out"),
        (("--checkpoint", "weights.pt"), "--checkpoint is for FILES"),
        (("SOUND", "nowhere.wav"), "nowhere.wav is not there: name sound files, or folders of them"),
        (("--split", "test"), "has no split 'test'; it has: dev, eval"),
        (("--run", "nowhere"), "finished runs: first/seed-1"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_what_makes_no_sense_is_said_before_any_work(made, words, reason):
    sound = made.root / "sounds" / "1.wav"
    refused = made.caption(*(sound if word == "SOUND" else word for word in words), code=2)
    assert reason in refused.stderr and "clips in 0:" not in refused.stderr


@pytest.mark.parametrize("option", ["--beam-size", "--max-tokens", "--batch-size"])
def test_numbers_of_the_search_are_one_or_more(tmp_path, option):
    refused = Commands(tmp_path).caption(option, 0, code=2)  # before anything is looked for: there is not even a run
    assert f"Invalid value for '{option}'" in refused.stderr


def test_files_that_cannot_be_used_are_skipped_and_listed(made, tmp_path):
    good = write_sound(tmp_path / "sounds" / "good.wav", 2)
    (tmp_path / "sounds" / "text.wav").write_text("no sound at all")
    (tmp_path / "sounds" / "broken.flac").symlink_to(tmp_path / "nowhere.flac")
    cut = write_sound(tmp_path / "sounds" / "cut.wav", 3)
    cut.write_bytes(cut.read_bytes()[:20_000])
    short = write_sound(tmp_path / "sounds" / "short.wav", 4, duration_s=0.01)
    write_sound(tmp_path / "sounds" / ".hidden.wav", 1)
    said = made.caption(tmp_path / "sounds", "--json", code=7)
    record = json.loads(said.stdout)
    assert list(record) == ["captions", "problems"]
    assert [each["path"] for each in record["captions"]] == [str(cut), str(good), str(short)]
    lines = said.stderr.splitlines()
    for problem in record["problems"]:
        assert list(problem) == ["item", "action", "reason"]
        assert lines.count(f"{problem['item']}: {problem['action']} ({problem['reason']})") == 1
    for name, action in (
        ("text.wav", "skipped"),
        ("broken.flac", "skipped"),
        ("cut.wav", "repaired"),
        ("short.wav", "padded"),
    ):
        item = str(tmp_path / "sounds" / name)
        assert [each["action"] for each in record["problems"] if each["item"] == item] == [action]
    assert "4 problems: see above" in said.stderr and "1 hidden files in" in said.stderr
    assert "0.0100 s, shorter than the encoder's 0.0160 s: zeros appended" in said.stderr


@pytest.mark.skipif(not BAD_AUDIO.is_dir(), reason="needs ../shared/data/bad_audio")
def test_a_folder_of_odd_files_is_captioned_as_far_as_it_can_be(made, tmp_path):
    shutil.copytree(BAD_AUDIO, tmp_path / "odd", ignore=shutil.ignore_patterns("ten_minutes.ogg"))
    said = made.caption(tmp_path / "odd", "--json", code=7)
    actions = [
        line.partition(": ")[2].split()[0] for line in said.stderr.splitlines() if line.startswith(str(tmp_path))
    ]
    assert [actions.count(action) for action in ("skipped", "repaired", "padded")] == [9, 4, 2]
    named_like_sound = [path for path in (tmp_path / "odd").iterdir() if path.suffix.lower() not in (".csv", ".md")]
    assert len(json.loads(said.stdout)["captions"]) == len(named_like_sound) - 9


def test_not_one_usable_file_is_an_error(made, tmp_path):
    (tmp_path / "text.wav").write_text("no sound at all")
    refused = made.caption(tmp_path / "text.wav", code=5)
    assert f"none of 1 files can be used; the first is '{tmp_path / 'text.wav'}'" in refused.stderr
    (tmp_path / "empty").mkdir()
    assert "holds no sound file" in made.caption(tmp_path / "empty", code=2).stderr


def test_a_file_named_twice_has_one_caption(made):
    sound = made.root / "sounds" / "1.wav"
    assert len(made.json(sound, sound)) == 1


def test_a_run_of_another_kind_is_refused_naming_the_captioners(mine):
    mine.make_run("tags", model="ridge")
    refused = mine.caption("--run", "tags", code=2)
    assert "run tags/seed-1 is of model ridge, not a captioner: captioners are first/seed-1" in refused.stderr
    mine.make_run("recurrent", model="gru_captioner")
    assert "captioners are recurrent/seed-1, first/seed-1" in mine.caption("--run", "tags", code=2).stderr
    mine.make_run("newest", model="ridge")
    assert "run: recurrent/seed-1 (the newest finished captioner)" in mine.caption().stderr
    for name in ("first", "recurrent"):
        shutil.rmtree(mine.root / "runs" / name)
    # the recipe that suits the data: `mine` is one's own, `synthetic` has a recipe of its own
    assert "train one: atrkit train own_captioner" in mine.caption("--run", "tags", code=2).stderr
    none_yet = mine.caption(code=3).stderr
    assert "no finished captioner in" in none_yet and "make one: atrkit train own_captioner" in none_yet
    (mine.root / "data" / "mine").rename(mine.root / "data" / "synthetic")
    assert "train one: atrkit train synthetic/captioner" in mine.caption("--run", "tags", code=2).stderr
    assert "make one: atrkit train synthetic/captioner" in mine.caption(code=3).stderr


def test_clips_without_an_embedding_are_left_out_and_counted(mine):
    mine("import", mine.root / "sounds", "--name", "mine", "--split", "40/60")
    lost, *others = clips_of(mine, "eval")
    (mine.root / "sounds" / lost).rename(mine.root / lost)
    mine("extract", "--encoder", "logmel", "--overwrite", code=7)
    said = mine.caption("--json", code=7)
    record = json.loads(said.stdout)
    assert [each["clip"] for each in record["captions"]] == others
    assert record["problems"] == [{"item": lost, "action": "skipped", "reason": "it has no embedding"}]
    assert "1 of 5 clips of mine/eval have no embedding: left out" in said.stderr
    assert f"{lost}: skipped (it has no embedding)" in said.stderr


def test_missing_embeddings_are_made_unless_that_is_refused(mine):
    (mine.root / "embeddings" / "mine" / "logmel.h5").unlink()
    assert "run: atrkit extract --encoder logmel --dataset mine" in mine.caption("--no-extract", code=3).stderr
    assert len(mine.json()) == 5


def test_embeddings_made_otherwise_are_refused(mine):
    mine("extract", "--encoder", "logmel", "--pool-time", "0.64", "--overwrite")
    assert "settings.pool_time_s is 0.64 there and 0.32 now" in mine.caption(code=5).stderr


def test_a_damaged_model_is_refused(mine):
    weights = mine.root / "runs" / "first" / "seed-1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "is damaged or half written" in mine.caption(code=5).stderr


def test_weights_that_are_not_finite_name_the_clips(mine):
    run = mine.root / "runs" / "first" / "seed-1"
    captioner = Captioner.from_pretrained(run)
    with torch.no_grad():
        captioner.decoder.classifier.bias[4] = torch.nan
    captioner.save_pretrained(run)
    assert "no caption can be written for clip '" in mine.caption(code=8).stderr
    assert f"clip '{mine.root / 'sounds' / '1.wav'}'" in mine.caption(mine.root / "sounds" / "1.wav", code=8).stderr


@pytest.mark.parametrize("words", [(), ("sounds",)], ids=["dataset", "files"])
def test_an_interrupted_command_leaves_the_csv_as_it_was(mine, monkeypatch, words):
    out = mine.root / "captions.csv"
    out.write_text("old")

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("atrkit.models.decoding.write_captions", interrupted)
    mine.caption(*(mine.root / word for word in words), "--out", out, "--overwrite", code=130)
    assert out.read_text() == "old" and not list(mine.root.glob("captions.csv.*"))


def test_a_full_disk_leaves_the_csv_as_it_was(mine, monkeypatch):
    out = mine.root / "captions.csv"
    out.write_text("old")

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert "the disk is full" in mine.caption("--out", out, "--overwrite", code=4).stderr
    assert out.read_text() == "old" and not list(mine.root.glob("captions.csv.*"))


def write_weights(path: Path, seed: int) -> Path:
    """An official file of Cnn10 but for its numbers."""
    generator = torch.Generator().manual_seed(seed)
    state = {key: torch.empty_like(value, device="cpu") for key, value in panns_network("cnn10").state_dict().items()}
    for key, value in state.items():
        if value.ndim > 1:
            value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5, generator=generator)
        else:
            value.fill_(0 if key.endswith(("bias", "running_mean", "num_batches_tracked")) else 1)
    torch.save({"iteration": 1, "model": state}, path)
    return path


def test_files_are_encoded_with_the_weights_and_settings_of_the_run(mine):
    weights, others = (write_weights(mine.root / f"{name}.pth", seed) for seed, name in enumerate(("own", "other")))
    mine("extract", "--encoder", "cnn10", "--checkpoint", weights, "--clip-output", "clip", "--pool-time", "0.32")
    run = mine.make_run("network", encoder="cnn10")
    sounds = [mine.root / "sounds" / name for name in clips_of(mine, "eval")]
    clips = mine.json("--run", "network")
    files = mine.json(*sounds, "--run", "network")
    assert [clip["caption"] for clip in clips] == [file["caption"] for file in files]
    assert [clip["score"] for clip in clips] == pytest.approx([file["score"] for file in files], abs=1e-3)
    refused = mine.caption(sounds[0], "--run", "network", "--checkpoint", others, code=5).stderr
    assert "run network/seed-1 learned from other cnn10 embeddings: checkpoint_sha256 is" in refused
    assert "--checkpoint FILE" in refused
    moved = weights.rename(mine.root / "moved.pth")
    assert mine.json(*sounds, "--run", "network", "--checkpoint", moved) == files
    inputs = run / "inputs.json"
    inputs.write_text(inputs.read_text().replace('"soxr HQ"', '"soxr VHQ"'))  # as another version might have it
    refused = mine.caption(sounds[0], "--run", "network", "--checkpoint", moved, code=5).stderr
    assert "resampler is soxr VHQ there" in refused and "extract and train again" in refused
    assert "--checkpoint FILE" not in refused


def test_captions_of_a_split_from_python(made):
    nobody_looks = nullcontext(lambda items: None)
    session = Session(Workspace(made.root), say=print, open_progress=lambda *words: nobody_looks)
    trained = open_run(session, "first")
    dataset = session.workspace.load_dataset("mine")
    captions = captions_of_split(session, trained, dataset, "eval", decoding={"max_tokens": 3})
    assert list(captions) == clips_of(made, "eval")
    assert all(2 <= len(each.text.split()) <= 3 and each.score < 0 for each in captions.values())
    assert decoding_arguments(trained.recipe) == {**RECIPES_DECODING, "forbid_repeats": "content_words"}
    defaults = {"beam_size": 3, "min_tokens": 3, "max_tokens": 20, "forbid_repeats": "content_words"}
    assert decoding_arguments(trained.recipe.model_copy(update={"decoding": None})) == defaults
