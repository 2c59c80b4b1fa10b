"""Which splits a run learns from, is chosen by, and is tested on, when the recipe leaves it open."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.recipe.schema import DataSettings, Recipe
from atrkit.recipe.starter import TEST_SPLIT_NAMES, TRAIN_SPLIT_NAMES, VAL_SPLIT_NAMES


@dataclass(frozen=True)
class Splits:
    """Names of splits; `val` and `test` are None where the dataset has none."""

    train: str
    val: str | None
    test: str | None

    def __str__(self) -> str:
        """For people: "train on dev, choose the epoch by val, test on eval"."""
        uses = (("train on", self.train), ("choose the epoch by", self.val), ("test on", self.test))
        return ", ".join(f"{use} {split}" for use, split in uses if split is not None)


def splits_of_recipe(dataset: Dataset, recipe: Recipe) -> Splits:
    """The splits that this recipe uses: one to choose by only where an epoch is chosen.

    Raises:
        UsageError: as `choose_splits`, and where there is no split to choose an epoch by.
    """
    splits = choose_splits(dataset, recipe.data)
    if recipe.training is None or recipe.training.keep_best == "last":
        return replace(splits, val=None)
    if splits.val is None:
        raise UsageError(
            f"the recipe keeps the epoch that is best by {recipe.training.keep_best}, and dataset {dataset.name!r} has "
            f"no validation split (it has {', '.join(dataset.splits)}): --set data.val=SPLIT, or "
            "--set training.keep_best=last"
        )
    return splits


def choose_splits(dataset: Dataset, settings: DataSettings) -> Splits:
    """Take the recipe's splits; what it leaves open is `dev`, `val`, `eval` where they are, or the only split.

    Raises:
        UsageError: the recipe names a split that is not there, or none can be chosen; lists the choices.
    """
    for use, wanted in (("train", settings.train), ("val", settings.val), ("test", settings.test)):
        if wanted is not None and wanted not in dataset.splits:
            without = " --set data.val=null --set training.keep_best=last trains without one," if use == "val" else ""
            raise UsageError(
                f"the recipe's data.{use} is {wanted!r}, and dataset {dataset.name!r} has the splits "
                f"{', '.join(dataset.splits)}:{without} --set data.{use}=SPLIT takes another"
            )
    train = settings.train or _first_of(TRAIN_SPLIT_NAMES, dataset.splits) or _only(dataset.splits)
    if train is None:
        raise UsageError(
            f"dataset {dataset.name!r} has the splits {', '.join(dataset.splits)}: say which to train on, "
            "for example --set data.train=" + dataset.splits[0]
        )
    return Splits(
        train,
        settings.val or _first_of(VAL_SPLIT_NAMES, dataset.splits),
        settings.test or _first_of(TEST_SPLIT_NAMES, dataset.splits),
    )


def _first_of(names: Sequence[str], there: Sequence[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _only(there: Sequence[str]) -> str | None:
    return there[0] if len(there) == 1 else None
