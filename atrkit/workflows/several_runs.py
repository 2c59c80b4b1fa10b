"""Several runs in one evaluation: all seeds of a recipe, and runs that stand beside each other in one table."""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, UsageError
from atrkit.metrics.seeds import mean_and_deviation, over_seeds
from atrkit.reports.directions import DIRECTIONS
from atrkit.store.differences import first_difference
from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run
from atrkit.workflows.run_folder import INPUTS_NAME
from atrkit.workflows.session import Session
from atrkit.workflows.target import target_difference
from atrkit.workflows.trained_run import TrainedRun
from atrkit.workflows.workspace import FINISHED_NAME, Workspace

FIGURES = ("mAP@10", "MedR", "MnR")  # that are averaged beside recalls, and nDCGs where judgements are graded
# what must be equal before a mean says anything
_SAME = ("dataset", "split", "pool_id", "scoring", "precision", "column_scaling", "calibration_clips")


@dataclass(frozen=True)
class SeveralRuns:
    """Results of runs, and what runs that differ in their seed alone have in common.

    Args:
        results: the JSON objects of `atrkit eval`, one per run and column scaling.
        summaries: means and deviations, one per group of seeds and column scaling.
        remarks: which runs of one name were not averaged, and why.
        left_out: names of runs that are damaged, each with what is wrong.
    """

    results: list[dict[str, Any]]
    summaries: list[dict[str, Any]]
    remarks: list[str]
    left_out: dict[str, str]

    @property
    def record(self) -> dict[str, Any]:
        """What --json prints."""
        shown = {"results": self.results, "summaries": self.summaries, "remarks": self.remarks}
        return {**shown, "left_out": self.left_out} if self.left_out else shown


def evaluate_runs(session: Session, named: Sequence[str], options: EvaluateOptions) -> SeveralRuns:
    """Evaluate every run that is named, each into its own folder; seeds of one training are also averaged.

    Args:
        session: where to speak.
        named: folders, names or patterns, as `find_runs` takes them.
        options: how; `run` is not looked at.

    Raises:
        UsageError: no finished run is meant, another metric than recall, or runs of one training whose figures are of
            different pools or scalings.
        IntegrityError: all of them are damaged; else those that are are left out, and said.
        MissingPrerequisiteError: there is no finished run, or a dataset or embedding is missing.
    """
    if options.metrics != ("recall",):
        raise UsageError("--runs is of --metric recall alone: evaluate one --run at a time by other metrics")
    found, runs = find_runs(session, named), list[TrainedRun]()
    results_of_run = []
    left_out: dict[str, str] = {}
    for number, run in enumerate(found, start=1):
        session.say(f"run: {run.name} ({number} of {len(found)})")
        try:
            results_of_run.append(evaluate_run(session, replace(options, run=str(run.folder))))
        except IntegrityError as error:
            if len(left_out) + 1 == len(found):
                raise
            session.say(f"{run.name} is left out: {error}")
            left_out[run.name] = str(error)
        else:
            runs.append(run)
    summaries = []
    for group in groups_of_seeds(runs):
        if len(group) > 1:
            of_group = [results_of_run[index] for index in group]
            seeds = [seed_of(runs[index]) for index in group]
            summaries += [summarise_seeds(list(same), seeds) for same in zip(*of_group, strict=True)]
    return SeveralRuns(
        [each for results in results_of_run for each in results], summaries, not_averaged(runs), left_out
    )


def find_runs(session: Session, named: Sequence[str], *, said_as: str = "--runs ") -> list[TrainedRun]:
    """Finished runs by folder, name or pattern; what lies below a folder that is named counts, too.

    Args:
        session: unfinished runs that are left out are said.
        named: several in one with commas between them, too; looked for below the current folder, the workspace and
            its runs/, in this order.
        said_as: what stands before a name on the command line, for messages.

    Returns:
        Each once, by name and then by seed.

    Raises:
        MissingPrerequisiteError: there is no finished run at all.
        UsageError: one of the patterns means no finished run; lists those there are.
    """
    workspace, found = session.workspace, dict[Path, TrainedRun]()
    if not workspace.finished_runs():
        workspace.find_run(None)
    # names of runs have no commas; those of folders may
    patterns = [part for each in named for part in ([each] if _folders(workspace, each) else each.split(","))]
    for pattern in map(str.strip, patterns):
        folders = _folders(workspace, pattern)
        finished = sorted({marker.parent for folder in folders for marker in folder.glob(f"**/{FINISHED_NAME}")})
        if not finished:
            like = workspace.finished_like(pattern)
            raise UsageError(f"{said_as}{pattern}: no finished run there; finished runs: {like}")
        begun = {marker.parent for folder in folders for marker in folder.glob(f"**/{INPUTS_NAME}")}
        for folder in sorted(begun - set(finished)):
            session.say(f"{workspace.run_name(folder)} is not finished: left out")
        found |= {folder.resolve(): TrainedRun(folder, workspace.run_name(folder)) for folder in finished}
    return sorted(found.values(), key=lambda run: _by_number(run.name))


def _folders(workspace: Workspace, pattern: str) -> list[Path]:
    for base in (Path(), workspace.root, workspace.root / "runs"):
        folders = [base / match for match in sorted(glob.glob(pattern, root_dir=base))]  # noqa: PTH207 - absolute, too
        folders = [folder for folder in folders if any(folder.glob(f"**/{INPUTS_NAME}"))]
        if folders:
            return folders
    return []


def _by_number(name: str) -> list[tuple[int, str]]:
    """Seed 2 before seed 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def seed_of(run: TrainedRun) -> int | None:
    """What its training's randomness began with."""
    seed = run.inputs.get("seed")
    return seed if isinstance(seed, int) else None


def _all_but_the_seed(run: TrainedRun) -> dict[str, Any]:
    """What decides a training: runs that are equal in it are the same but for chance."""
    recipe = run.recipe.model_dump(mode="json")
    inputs = dict(run.inputs)
    recipe.pop("seeds")
    inputs.pop("seed", None)
    return {"recipe": recipe, "inputs": inputs}


def groups_of_seeds(runs: Sequence[TrainedRun]) -> list[list[int]]:
    """Positions of runs that differ in their seed alone; a seed that comes twice is one training, counted once."""
    groups: list[list[int]] = []
    decided = [_all_but_the_seed(run) for run in runs]
    for index in range(len(runs)):
        group = next((group for group in groups if decided[group[0]] == decided[index]), None)
        if group is None:
            groups.append([index])
        elif seed_of(runs[index]) not in {seed_of(runs[other]) for other in group}:
            group.append(index)
    return groups


def not_averaged(runs: Sequence[TrainedRun]) -> list[str]:
    """Runs in one folder that a reader would take for seeds of one training, and are not."""
    remarks = []
    first_of_folder: dict[Path, TrainedRun] = {}
    for run in runs:
        first = first_of_folder.setdefault(run.folder.parent, run)
        difference = first_difference(_all_but_the_seed(first), _all_but_the_seed(run))
        if difference:
            short = f"{difference[:200]}..." if len(difference) > 200 else difference
            remarks.append(f"{run.name} is not averaged with {first.name}: {short}")
    return remarks


def summarise_seeds(results: Sequence[Mapping[str, Any]], seeds: Sequence[int | None]) -> dict[str, Any]:
    """Means and sample standard deviations of one training's seeds.

    Args:
        results: JSON objects of `atrkit eval --metric recall`, one per seed.
        seeds: theirs.

    Returns:
        What the results have in common, "runs", "seeds", "n", and for each direction (and "audio_to_text_raw", where
        columns are scaled) {"mean", "deviation"} of every figure; "twin_order_accuracy" where it was computed; the
        "target", and the "target_difference" of the means to it.

    Raises:
        UsageError: results of different pools, scorings or column scalings; names both runs and what differs.
    """
    first = results[0]
    for other in results[1:]:
        for key in _SAME:
            if first.get(key) != other.get(key):
                raise UsageError(
                    f"no mean over {first['run']} and {other['run']}: {key} is {first.get(key)} and {other.get(key)}"
                )
    directions = [direction for direction in (*DIRECTIONS, "audio_to_text_raw") if first.get(direction) is not None]
    over = {
        direction: over_seeds([result[direction] for result in results], _averaged(first[direction]))
        for direction in directions
    }
    means = {direction: {name: each["mean"] for name, each in of.items()} for direction, of in over.items()}
    twins = [result.get("twin_order") for result in results]
    return {
        "runs": [result["run"] for result in results],
        "seeds": list(seeds),
        "n": len(results),
        "deviation": "sample (n - 1)",
        **{key: first[key] for key in _SAME if key in first},
        **({"rerank": {key: first["rerank"][key] for key in ("run", "k")}} if "rerank" in first else {}),
        **over,
        "twin_order_accuracy": mean_and_deviation([twin["accuracy"] for twin in twins if twin]) if all(twins) else None,
        **({"relevance": first["relevance"]["name"]} if first.get("relevance") else {}),
        "target": first.get("target"),
        "target_difference": target_difference(means, first.get("target")),
    }


def _averaged(figures: Mapping[str, Any]) -> list[str]:
    """Recalls, nDCGs and `FIGURES`, as far as a direction has them."""
    return [*(name for name in figures if name.startswith(("R@", "nDCG@"))), *FIGURES]
