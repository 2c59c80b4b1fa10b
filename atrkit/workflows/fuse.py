"""`atrkit fuse`: scores of several runs for the same clips and captions, added and evaluated as one system."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import single_writer, write_json_atomic
from atrkit.scoring.fusion import fuse_scores
from atrkit.scoring.fusion_weights import CHOSEN_BY, fit_weights, mixtures
from atrkit.store.differences import first_difference
from atrkit.store.scores import load_stored_scores, save_scores
from atrkit.workflows.evaluate_recall import recall_figures, twin_order_of
from atrkit.workflows.fuse_options import FIT_ON_VAL, FuseOptions
from atrkit.workflows.fuse_scores import scores_of_runs, without
from atrkit.workflows.fuse_val import known_clips, validation_split
from atrkit.workflows.score import RESULTS_NAME, Scores
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, clips_trained_on, open_run

NORMALISATION = "each caption's scores standardised over the clips: mean 0, deviation 1"
_LONGEST_NAME = 100


def fuse(session: Session, options: FuseOptions) -> dict[str, Any]:
    """Fuse the scores of runs, store them below the workspace's fused/, and evaluate them.

    Every run scores every pair, re-ranking or not. Its column scaling is not used: standardised columns take its place.
    Nothing is written into a run's folder but its own scores.

    Returns:
        The JSON object of `atrkit eval --metric recall`, with "runs", "weights", "weights_from", "fitted",
        "normalisation", and in "without_rerank" the runs whose recipes re-rank, which is not done here.

    Raises:
        UsageError: no such run or split, runs of different pools, or weights that would be fitted on what is tested.
        MissingPrerequisiteError: a dataset or embedding is missing; says the command that makes it.
        IntegrityError: a fusion of other runs or weights has this name.
        DivergedError: a score is not finite.
    """
    runs = _open_runs(session, options.runs)
    dataset = session.workspace.load_dataset(options.dataset or _common(runs, "dataset", "--dataset"))
    split = options.split or _common(runs, "test_split", "--split")
    dataset.split(split)
    session.say(f"split: {dataset.name}/{split}")
    without_rerank = [run.name for run in runs if run.recipe.retrieval.rerank is not None]
    for run_name in without_rerank:
        session.say(f"{run_name} re-ranks a shortlist by its recipe: every pair is scored and fused, without the list")
    val = validation_split(runs, dataset, split, options.val) if options.fit_on_val else None
    name = f"fused/{options.name or _name_of(runs, options)}"
    path = session.workspace.root / name / f"{dataset.name}-{split}" / "scores.h5"
    fitted = None
    weights = options.weights or (1 / len(runs),) * len(runs)
    if val is not None:
        fitted = _fit(session, runs, dataset, val, split, options)
        weights = tuple(fitted["weights"])
    clips, scores = scores_of_runs(
        session, runs, dataset, split, intersect=options.intersect, may_extract=options.may_extract
    )
    about: dict[str, Any] = {
        "run": name,
        "dataset": dataset.name,
        "split": split,
        "scoring": f"fusion of {' and '.join(dict.fromkeys(str(each.about['scoring']) for each in scores))}",
        "provenance": {
            "runs": [
                {"run": run.name, "model_sha256": each.about["provenance"]["model_sha256"], "weight": weight}
                for run, each, weight in zip(runs, scores, weights, strict=True)
            ],
            "normalisation": NORMALISATION,
            "pool_id": scores[0].matrix.pool_id,
        },
    }
    with single_writer(path):
        if not options.overwrite:
            _refuse_another(session, path, about)
        path.with_name(RESULTS_NAME).unlink(missing_ok=True)  # so that a kill cannot leave it beside other scores
        save_scores(path, fuse_scores([each.matrix for each in scores], weights), about)
        matrix = load_stored_scores(path).matrix  # whoever reads the file again finds the same
        result = {
            "metric": "recall",
            "run": name,
            "dataset": dataset.name,
            "split": split,
            "scoring": about["scoring"],
            "precision": "fp32",
            "column_scaling": "none",
            "pool_id": matrix.pool_id,
            "runs": [run.name for run in runs],
            "weights": list(weights),
            "weights_from": FIT_ON_VAL if fitted else "given" if options.weights else "equal",
            "fitted": fitted,
            "normalisation": NORMALISATION,
            "without_rerank": without_rerank,
            **recall_figures(Scores(path, matrix, None, about), "none", clips.all_captions),
            "twin_order": twin_order_of(clips, matrix),
            "target": None,
            **clips_trained_on(dataset, split, runs),
        }
        write_json_atomic(path.with_name(RESULTS_NAME), result)
    session.say(f"fused scores: {path}")
    return result


def _open_runs(session: Session, named: Sequence[str]) -> list[TrainedRun]:
    runs = [open_run(session, each) for each in named]
    for number, run in enumerate(runs):
        twin = next((before for before in runs[:number] if before.folder.resolve() == run.folder.resolve()), None)
        if twin is not None:
            raise UsageError(f"{run.name} is named twice: a run is fused with others; weigh it with --weights")
    return runs


def _common(runs: Sequence[TrainedRun], what: str, option: str) -> str:
    """The dataset or test split that all runs have, when none is named."""
    first = runs[0].finished[what]
    for run in runs:
        if run.finished[what] != first or first is None:
            theirs = f"{runs[0].name} has {first}, {run.name} {run.finished[what]}"
            raise UsageError(f"the runs have no {what.replace('_', ' ')} in common ({theirs}): say which with {option}")
    return str(first)


def _name_of(runs: Sequence[TrainedRun], options: FuseOptions) -> str:
    """Made of the runs and of how they are weighed, so that two ways lie beside each other."""
    name = "+".join(run.name.strip("/").replace("/", "-") for run in runs)
    if options.fit_on_val:
        name += f"-{FIT_ON_VAL}"
    elif options.weights:
        name += "-" + "-".join(f"{weight:.4g}" for weight in options.weights)
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"the names of {len(runs)} runs make no folder's name: say one with --name")
    return name


def _fit(
    session: Session, runs: Sequence[TrainedRun], dataset: Dataset, val: str, tested: str, options: FuseOptions
) -> dict[str, Any]:
    """Choose the weights; what was chosen, and by what, as JSON."""
    session.say(f"weights: chosen on {dataset.name}/{val} by {CHOSEN_BY}")
    _, scores = scores_of_runs(
        session, runs, dataset, val, intersect=options.intersect, may_extract=options.may_extract
    )
    known = known_clips(session, runs, dataset, val, tested)
    matrices = [without(each.matrix, known) for each in scores]
    total = len(mixtures(len(runs)))
    with session.open_progress(f"weights on {dataset.name}/{val}", total, "mixtures") as advance:
        fitted = fit_weights(matrices, on_tried=advance)
    return {
        "split": val,
        "by": CHOSEN_BY,
        "pool_id": matrices[0].pool_id,
        **asdict(fitted),
        "weights": list(fitted.weights),
        "alone": list(fitted.alone),
    }


def _refuse_another(session: Session, path: Path, about: dict[str, Any]) -> None:
    """A fusion of other runs, models or weights is not replaced unasked."""
    if not path.is_file():
        return
    try:
        there = load_stored_scores(path).about
    except IntegrityError:
        session.say(f"{path} is damaged, or of another version: making it anew")
        return
    of_runs = [" and ".join(run["run"] for run in each["provenance"]["runs"]) for each in (there, about)]
    if of_runs[0] != of_runs[1]:
        difference: str | None = f"of {of_runs[0]}, not of {of_runs[1]}"
    else:
        difference = first_difference(_flat(there), _flat(about))
    if difference:
        raise IntegrityError(
            f"{path} is another fusion: {difference}; keep both with --name NAME, or replace it with --overwrite"
        )


def _flat(about: dict[str, Any]) -> dict[str, Any]:
    """The runs by number, so that the first difference can be named."""
    provenance = dict(about.get("provenance", {}))
    return {**provenance, "runs": {str(k): run for k, run in enumerate(provenance.get("runs", ()), start=1)}}
