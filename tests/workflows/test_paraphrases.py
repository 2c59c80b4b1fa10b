"""Paraphrases of training captions: which rows are taken, which are counted, and that no test caption is learned."""

import csv
import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.recipe.schema import Recipe
from atrkit.store.clip_embeddings import Embeddings
from atrkit.workflows.captioned import CaptionedClips, captioned_clips
from atrkit.workflows.paraphrases import with_paraphrases
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace

SMALL = ["--set", "training.epochs=2", "--set", "training.batch_size=16", "--set", "model.out_dim=16"]


def clip(clip_id: str, split: str, *texts: str) -> Clip:
    captions = tuple(Caption(f"{clip_id}#{n}", text) for n, text in enumerate(texts))
    return Clip(clip_id, clip_id, clip_id, 16000, 16000, 1, split=split, captions=captions)


CLIPS = (
    clip("a", "dev", "A dog barks.", "Rain falls"),
    clip("b", "dev", "Rain falls!", "A bell rings"),
    clip("c", "eval", "A bell rings", "Wind blows"),
)


class Place:
    """A dataset of three clips, and a file of paraphrases."""

    def __init__(self, root: Path) -> None:
        self.root, self.said = root, []
        self.session = Session(Workspace(root), self.said.append, lambda *_, **__: nullcontext(lambda *_: None))
        self.dataset = Dataset("mine", CLIPS, root)

    def write(self, *rows: tuple[str, ...]) -> None:
        with (self.root / "p.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("caption", "paraphrase", "clip"), *rows])

    def joined(self, file: str = "p.csv") -> CaptionedClips:
        embeddings = Embeddings(
            ("a", "b", "c"), ("a", "b", "c"), np.zeros((3, 2), np.float32), np.arange(4),
            np.zeros((3, 2), np.float32), None, (), {},
        )  # fmt: skip
        clips = captioned_clips(self.session, self.dataset, "dev", embeddings)
        settings = {
            "source": "ours", "data": {"captions_augmented": file}, "encoder": {"name": "logmel"},
            "model": {"name": "ridge"},
        }  # fmt: skip
        return with_paraphrases(self.session, self.dataset, clips, Recipe.model_validate(settings))


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def test_paraphrases_join_the_captions_of_their_clips(place):
    place.write(("a DOG barks", "Barks of a dog!", ""), ("rain falls", "It rains", ""), ("Rain falls.", "Drizzle", "b"))
    joined = place.joined()
    assert joined.captions == (
        ("a dog barks", "rain falls", "barks of a dog", "it rains"),
        ("rain falls", "a bell rings", "it rains", "drizzle"),
    )
    assert len(set(joined.caption_ids)) == 8
    assert f"4 paraphrases of 2 of 2 training clips: {place.root / 'p.csv'}" in place.said
    assert len(place.said) == 1


def test_rows_of_no_use_are_counted_by_reason_and_captions_of_the_test_split_are_never_learned(place):
    place.write(
        ("Wind blows", "A gust", ""),  # eval's
        ("Wind blows", "A gust", "a"),
        ("A bell rings", "Ringing", ""),  # of both splits: only the training clip gets it
        ("A cat meows", "Meowing", ""),
        ("Rain falls", "It rains", "c"),  # no such caption of that clip
        ("Rain falls", " ?! ", ""),
        ("Rain falls", "a bell rings", "b"),  # that is among its captions
        ("A bell rings", "ringing.", "b"),
    )
    assert place.joined().captions == (("a dog barks", "rain falls"), ("rain falls", "a bell rings", "ringing"))
    assert place.said == [
        f"1 paraphrase of 1 of 2 training clips: {place.root / 'p.csv'}",
        "7 of 8 rows of p.csv left out: 2 of captions of other splits, 2 of no training caption, 1 without a "
        "paraphrase, 2 that are among the captions already",
    ]


def test_a_file_without_a_usable_row_is_an_error_that_names_it(place):
    place.write(("Wind blows", "A gust", ""), ("x", "y", ""))
    with pytest.raises(UsageError, match=r"p.csv: none of 2 rows can be used \(1 of captions of other splits, 1 "):
        place.joined()
    with pytest.raises(
        MissingPrerequisiteError, match=r"no file of paraphrases other.csv: give a CSV with the columns"
    ):
        place.joined("other.csv")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic")

    def invoke(*words: str, code: int = 0):
        result = CliRunner().invoke(app, [*words, "--json", "--workspace", str(root)])
        assert result.exit_code == code, (result.stderr, result.exception)
        return result

    invoke("download", "synthetic", "--clips", "30", "--workers", "1")
    invoke.root = root
    return invoke


def test_synthetic_has_template_paraphrases_that_a_run_learns_and_remembers(run):
    made = json.loads(run("download", "paraphrases").stdout)
    assert made["captions"] == 150 and 120 < made["paraphrases"] <= 150
    assert "is there already: --overwrite" in run("download", "paraphrases", code=2).stderr
    words = ("train", "synthetic/retrieval", *SMALL, "--set", "data.captions_augmented=paraphrases.csv")
    trained = run(*words)
    assert json.loads(trained.stdout)[0]["train_captions"] == 150 + made["paraphrases"]
    assert f"{made['paraphrases']} paraphrases of 30 of 30 training clips" in trained.stderr
    assert "left out" not in trained.stderr
    file = run.root / "paraphrases.csv"
    file.write_text(file.read_text().replace("barks", "woofs"))
    assert "captions_augmented_sha256 is" in run(*words, code=5).stderr
    run("download", "synthetic", "--clips", "30", "--workers", "1")  # the file does not lie in the dataset's folder
