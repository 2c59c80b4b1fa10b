"""Generated captions of a whole dataset: written once, found again, resumed to the same bits, and never of another."""

import csv
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.models import Captioner, GruDecoder, seeded_initialisation
from atrkit.recipe.load import load_recipe
from atrkit.store.embeddings import Embeddings, load_embeddings
from atrkit.workflows import generated_captions
from atrkit.workflows.auxiliary_captions import open_auxiliary_captioner, with_auxiliary_captions
from atrkit.workflows.recipe_embeddings import AUXILIARY
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session
from atrkit.workflows.splits import Splits
from atrkit.workflows.trained_run import open_run
from atrkit.workflows.workspace import Workspace

WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "a", "the", "rain", "dog", "barks", "falls", "bell", "rings")
CAPTIONER = """\
source: ours, small enough for a test
data: {dataset: mine, train: dev, test: eval}
encoder: {name: logmel}
model: {name: gru_captioner}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, batch_size: 4, keep_best: last}
decoding: {beam_size: 2, min_tokens: 2, max_tokens: 6, forbid_repeats: content_words}
"""


class Place:
    """A workspace and what is said in it."""

    def __init__(self, root: Path) -> None:
        self.root, self.said = root, []
        self.session = Session(Workspace(root), self.said.append, lambda *_, **__: nullcontext(lambda *_: None))

    def make_captioner(self, name: str, *, seed: int = 15, trained_on: dict[str, str] | None = None) -> Path:
        """A finished run of a captioner that was never trained, and whose words depend on the clip."""
        stored = self.embeddings()
        recipe = self.root / f"{name}.yaml"
        recipe.write_text(CAPTIONER)
        run = RunFolder(self.root / "runs" / name / "seed-1")
        run.start(load_recipe(recipe), {"dataset": "mine", "clips": trained_on or {}, "embeddings": stored.provenance})
        with seeded_initialisation(seed):
            captioner = Captioner(stored.frames_NF.shape[1], WORDS, GruDecoder(len(WORDS), dim=16), standardise=True)
        with torch.no_grad():
            for weight in captioner.parameters():
                weight.mul_(2.0)
        captioner.fit_standardisation(torch.from_numpy(stored.frames_NF.astype(np.float32)))
        captioner.save_pretrained(run.path)
        facts = {"dataset": "mine", "train_split": "dev", "test_split": "eval", "model": "gru_captioner"}
        run.finish({"run": f"{name}/seed-1", **facts, "checkpoint": stored.notes["checkpoint"]})
        return run.path

    def embeddings(self) -> Embeddings:
        return load_embeddings(self.root / "embeddings" / "mine" / "logmel.h5")

    def dataset(self):
        return self.session.workspace.load_dataset("mine")

    def captions(
        self, captions_from: str = "first", *, same_as: dict[str, Any] | None = None, splits: Splits | None = None
    ) -> Embeddings:
        dataset = self.dataset()
        captioner = open_auxiliary_captioner(self.session, dataset, captions_from, same_as=same_as, splits=splits)
        return with_auxiliary_captions(self.session, dataset, self.embeddings(), captioner, same_as=same_as)

    @property
    def files(self) -> list[Path]:
        return sorted((self.root / "runs/first/seed-1/generated_captions").glob("[!.]*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Eight recordings with captions as dataset `mine`, and their embeddings."""
    root = tmp_path_factory.mktemp("workspace")
    (root / "sounds").mkdir()
    rows = []
    for number in range(8):
        time_N = np.arange(int((0.5 + 0.2 * (number % 4)) * 16000)) / 16000
        tone_N = 0.2 * np.sin(2 * np.pi * (200 + 700 * number) * time_N)
        soundfile.write(root / "sounds" / f"{number}.wav", tone_N, 16000)
        rows.append([f"{number}.wav", f"a bell rings {['low', 'high'][number % 2]}", "eval" if number > 4 else "dev"])
    with (root / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "caption", "split"], *rows])
    for words in (
        ["import", "captions.csv", "--audio-dir", "sounds", "--name", "mine", "--split-column", "split"],
        ["extract", "--encoder", "logmel"],
    ):
        words = [str(root / word) if word in ("captions.csv", "sounds") else word for word in words]
        result = CliRunner().invoke(app, [*words, "--workspace", str(root)])
        assert result.exit_code == 0, result.stderr
    return root


@pytest.fixture
def place(made, tmp_path, monkeypatch) -> Place:
    monkeypatch.setattr(generated_captions, "PART_CLIPS", 3)
    shutil.copytree(made, tmp_path / "workspace")
    place = Place(tmp_path / "workspace")
    place.make_captioner("first")
    return place


def test_every_clip_gets_the_caption_that_the_captioner_writes_of_it(place):
    result = CliRunner().invoke(
        app, ["caption", "--run", "first", "--split", "eval", "--json", "--workspace", str(place.root)]
    )
    by_hand = {each["clip"]: each["caption"] for each in json.loads(result.stdout)["captions"]}
    embeddings = place.captions()
    written = dict(zip(embeddings.clip_ids, embeddings.auxiliary_captions, strict=True))
    assert embeddings.clip_ids == place.embeddings().clip_ids
    assert len(by_hand) == 3 and by_hand.items() <= written.items()
    assert len(set(written.values())) > 1
    assert f"8 generated captions, {len(set(written.values()))} distinct" in "\n".join(place.said)


def test_captions_are_written_once_and_found_again(place, monkeypatch):
    first = place.captions()
    monkeypatch.setattr(generated_captions, "open_captioner", lambda *_: pytest.fail("they are there"))
    (place.root / "embeddings/mine/logmel.h5").rename(place.root / "away.h5")
    captioner = open_run(place.session, "first")
    again = with_auxiliary_captions(place.session, place.dataset(), first, captioner, may_extract=False)
    assert again.auxiliary_captions == first.auxiliary_captions
    assert again.provenance == first.provenance
    assert "captions by first/seed-1: 8 clips of mine, made before" in place.said


def test_an_interrupted_captioner_goes_on_to_the_same_bits(place, monkeypatch):
    place.captions()
    (whole,) = place.files
    expected = whole.read_bytes()
    whole.unlink()
    write, parts = generated_captions._captions_of, []

    def stops_in_the_second_part(*arguments):
        parts.append(arguments)
        if len(parts) == 2:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(generated_captions, "_captions_of", stops_in_the_second_part)
    with pytest.raises(KeyboardInterrupt):
        place.captions()
    assert [path.name for path in place.files] == [f"{whole.stem}.parts"]
    place.captions()
    assert len(parts) == 4  # of three parts one was there
    assert place.files == [whole] and whole.read_bytes() == expected


def test_a_trained_model_keeps_its_captioner_and_its_captions(place):
    record = place.captions().provenance[AUXILIARY]
    assert record["run"] == "first/seed-1" and record["decoding"]["beam_size"] == 2
    same = place.captions(same_as=json.loads(json.dumps(record)))
    assert same.provenance[AUXILIARY] == record
    place.make_captioner("other", seed=16)
    with pytest.raises(IntegrityError, match=r"captions_sha256 is .* there and .* now; train the model again"):
        place.captions(same_as={**record, "captions_sha256": "0"})
    with pytest.raises(IntegrityError, match=r"decoding.beam_size is 5 there and 2 now"):
        place.captions(same_as={**record, "decoding": {**record["decoding"], "beam_size": 5}})
    # the run of the training is taken, whatever the recipe's name finds now
    assert place.captions(captions_from="other", same_as=record).provenance[AUXILIARY] == record
    shutil.rmtree(place.root / "runs/first")
    with pytest.raises(IntegrityError, match="other captions than run other/seed-1 writes now: model_sha256 is"):
        place.captions(captions_from="other", same_as=record)


def test_captions_of_other_datasets_are_not_compared(place):
    record = place.captions().provenance[AUXILIARY]
    elsewhere = {**record, "dataset": "theirs", "clips_sha256": "0", "captions_sha256": "0"}
    assert place.captions(same_as=elsewhere).auxiliary_captions == place.captions().auxiliary_captions


def test_a_captioner_that_was_trained_on_the_test_split_is_refused_and_others_are_counted(place):
    clips = {clip.id: clip.sha256 for clip in place.dataset().clips}
    place.make_captioner("dev", trained_on=dict(list(clips.items())[:5]))
    place.captions(captions_from="dev", splits=Splits("dev", None, "eval"))
    assert "captions by dev/seed-1, which was trained on 5 of 5 clips of dev" in place.said
    place.make_captioner("all", trained_on=dict(list(clips.items())[:6]))
    with pytest.raises(UsageError, match="all/seed-1 was trained on 1 of 3 clips of mine/eval, the test split"):
        place.captions(captions_from="all", splits=Splits("dev", None, "eval"))


def test_a_captioner_that_knows_the_clips_that_choose_the_epoch_is_refused(place):
    clips = {clip.id: clip.sha256 for clip in place.dataset().clips}
    place.make_captioner("all", trained_on=dict(list(clips.items())[:6]))
    with pytest.raises(UsageError, match=r"trained on 1 of 3 clips of mine/eval, which choose .*keep_best=last"):
        place.captions(captions_from="all", splits=Splits("dev", "eval", None))
    # what the model itself learns from chooses no better for it
    place.captions(captions_from="all", splits=Splits("dev", "dev", None))
    place.captions(captions_from="all", splits=Splits("dev", None, None))


def test_a_captioner_that_was_moved_is_found_by_its_model(place):
    made = place.captions()
    record = made.provenance[AUXILIARY]
    place.make_captioner("other", seed=16)
    (place.root / "runs/first").rename(place.root / "runs/kept_elsewhere")
    found = place.captions(same_as=record)
    assert found.auxiliary_captions == made.auxiliary_captions and found.provenance == made.provenance
    said = "captioner first/seed-1 of the training is found by its model: kept_elsewhere/seed-1"
    assert said in place.said
    place.make_captioner("first", seed=17)  # another one under the old name
    assert place.captions(same_as=record).auxiliary_captions == made.auxiliary_captions
    for name in ("first", "kept_elsewhere"):
        shutil.rmtree(place.root / "runs" / name)
    with pytest.raises(
        MissingPrerequisiteError, match=r"'first/seed-1', .* bring its folder back.* below .*runs"
    ) as no:
        place.captions(same_as=record)
    assert "--set" not in str(no.value)


def test_clips_without_a_caption_are_counted_and_left_out(place, monkeypatch):
    heard = place.embeddings()
    not_heard = replace(heard.select(heard.clip_ids[1:]), notes=heard.notes)
    monkeypatch.setattr(generated_captions, "embeddings_as_trained", lambda *_, **__: not_heard)
    monkeypatch.setattr(
        generated_captions,
        "_captions_of",
        lambda session, captioner, embeddings, plan: [
            "" if clip_id == heard.clip_ids[2] else f"a clip {clip_id}" for clip_id in embeddings.clip_ids
        ],
    )
    embeddings = place.captions()
    assert embeddings.clip_ids == (heard.clip_ids[1], *heard.clip_ids[3:])
    assert embeddings.auxiliary_captions == tuple(f"a clip {clip_id}" for clip_id in embeddings.clip_ids)
    said = "\n".join(place.said)
    assert "1 of 8 clips have no embedding for it: left out" in said
    assert "1 of 8 clips left it without a word: left out" in said


def test_a_captioner_that_may_say_nothing_says_a_word_here(place):
    recipe = place.root / "runs/first/seed-1/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("min_tokens: 2", "min_tokens: 0"))
    assert place.captions().provenance[AUXILIARY]["decoding"]["min_tokens"] == 1


def test_a_file_that_was_changed_is_refused_and_a_changed_clip_is_heard_again(place):
    place.captions()
    (path,) = place.files
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "captions": {**record["captions"], "0.wav": "a dog barks"}}))
    with pytest.raises(IntegrityError, match=r"is damaged .*: remove it"):
        place.captions()
    other_audio = {**record["audio_sha256"], "0.wav": "0" * 64}
    path.write_text(json.dumps({**record, "audio_sha256": other_audio}))
    place.captions()
    assert json.loads(path.read_text()) == record
    assert any("holds captions of other clips than mine has now" in line for line in place.said)


def test_a_captioner_that_is_not_there_is_named_with_the_command_that_makes_it(place):
    with pytest.raises(MissingPrerequisiteError, match=r"'ac/captioner_x'.*: atrkit train ac/captioner_x, or"):
        place.captions(captions_from="ac/captioner_x")
