"""On which clips the weights of a fusion may be chosen: none that are tested, none that a run has learned from."""

from collections.abc import Collection, Sequence

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.recipe.starter import VAL_SPLIT_NAMES
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun


def validation_split(runs: Sequence[TrainedRun], dataset: Dataset, tested: str, wanted: str | None) -> str:
    """The split to choose weights on: what is asked for, or by which the runs' epochs were chosen, or a usual name.

    Raises:
        UsageError: there is none, or it is a split to be tested on, or all of it is known; says why.
    """
    usual = (*_own_validation(runs, dataset), *VAL_SPLIT_NAMES)
    val = wanted or next((split for split in usual if split in dataset.splits), None)
    if val is None:
        raise UsageError(
            f"dataset {dataset.name!r} has no validation split (it has {', '.join(dataset.splits)}): give the weights "
            "as numbers, or say which split to choose them on with --val"
        )
    place = f"{dataset.name}/{val}"
    if val == tested:
        raise UsageError(f"weights are not fitted on {place}, the split that is tested: choose another with --val")
    for run in runs:
        if run.is_own(dataset, val):
            raise UsageError(f"weights are not fitted on {place}, the test split of {run.name}: choose another, --val")
    if len(_known(runs, dataset, val, tested)) == len(dataset.split(val)):
        raise UsageError(
            f"weights are not fitted on {place}: all its recordings are tested, or were trained on by one of the runs; "
            "choose another split with --val"
        )
    return val


def known_clips(
    session: Session, runs: Sequence[TrainedRun], dataset: Dataset, val: str, tested: str
) -> Collection[str]:
    """Ids of the clips of `val` whose recording is tested, too, or was trained on; how many is said."""
    known = _known(runs, dataset, val, tested)
    if known:
        session.say(f"{len(known)} clips of {dataset.name}/{val} are tested or were trained on, too: left out")
    return known


def _own_validation(runs: Sequence[TrainedRun], dataset: Dataset) -> list[str]:
    own = [run for run in runs if run.finished["dataset"] == dataset.name]
    chosen = [run.inputs.get("splits", {}).get("val") for run in own]
    return [split for split in dict.fromkeys(chosen) if split]


def _known(runs: Sequence[TrainedRun], dataset: Dataset, val: str, tested: str) -> frozenset[str]:
    known = {clip.sha256 for clip in dataset.split(tested)}.union(*(run.known_audio for run in runs))
    return frozenset(clip.id for clip in dataset.split(val) if clip.sha256 in known)
