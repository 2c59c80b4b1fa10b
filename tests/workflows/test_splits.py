"""Which splits a run uses when the recipe leaves it open."""

from pathlib import Path

import pytest

from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import UsageError
from atrkit.recipe.schema import DataSettings
from atrkit.workflows.splits import Splits, choose_splits


def dataset_with(*splits: str) -> Dataset:
    clips = tuple(Clip(f"{split}.wav", f"{split}.wav", "0", 16000, 16000, 1, split) for split in splits)
    return Dataset("mine", clips, Path("data/mine"))


@pytest.mark.parametrize(
    ("there", "settings", "expected"),
    [
        (("dev", "val", "eval"), {}, Splits("dev", "val", "eval")),
        (("development", "validation", "evaluation"), {}, Splits("development", "validation", "evaluation")),
        (("dev", "eval"), {}, Splits("dev", None, "eval")),
        (("all",), {}, Splits("all", None, None)),
        (("dev", "val", "eval"), {"train": "eval", "test": "dev"}, Splits("eval", "val", "dev")),
    ],
)
def test_usual_names_are_taken_unless_the_recipe_says_otherwise(there, settings, expected):
    assert choose_splits(dataset_with(*there), DataSettings(**settings)) == expected


def test_a_split_that_is_not_there_lists_those_that_are():
    with pytest.raises(
        UsageError, match=r"data.test is 'test', and dataset 'mine' has the splits dev, eval: --set data.test=SPLIT"
    ):
        choose_splits(dataset_with("dev", "eval"), DataSettings(test="test"))


def test_what_cannot_be_guessed_is_asked_for():
    with pytest.raises(UsageError, match=r"splits fold-1, fold-2.*--set data\.train=fold-1"):
        choose_splits(dataset_with("fold-1", "fold-2"), DataSettings())


def test_it_reads_as_a_sentence():
    assert str(Splits("dev", "val", "eval")) == "train on dev, choose the epoch by val, test on eval"
    assert str(Splits("all", None, None)) == "train on all"
