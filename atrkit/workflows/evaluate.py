"""`atrkit eval`: what a finished run is worth, by one metric or several."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, assert_never, get_args

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.recipe.schema import ColumnScaling
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS, RerankChoice
from atrkit.workflows.retrieval_figures import DEFAULT_FIGURES, FigureOptions, parse_names
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, choose_split, clips_trained_on, open_run

Metric = Literal["recall", "caption", "perturbation"]
Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class EvaluateOptions:
    """What the user asked for.

    Args:
        run: folder or name; None: the newest finished run.
        dataset: None: the run's own.
        split: None: the run's test split, or the only one there is.
        metrics: each once.
        scalings: of caption columns, for recall; None: the recipe's.
        precision: in which a captioner scores; None: fp32.
        calibration_clips: training clips that minmax-calib and pmi compare with; None: the recipe's number.
        rerank: what is said of re-ranking beside the recipe, for recall.
        figures: what is computed of scores, for recall.
        decoding: what is to differ from the recipe's decoding, for caption.
        may_extract: make missing embeddings.
    """

    run: str | None = None
    dataset: str | None = None
    split: str | None = None
    metrics: tuple[Metric, ...] = ("recall",)
    scalings: tuple[ColumnScaling, ...] | None = None
    precision: Precision | None = None
    calibration_clips: int | None = None
    rerank: RerankChoice = AS_THE_RECIPE_SAYS
    figures: FigureOptions = DEFAULT_FIGURES
    decoding: dict[str, Any] = field(default_factory=dict)
    may_extract: bool = True

    def __post_init__(self) -> None:
        """Refuse options that no metric asked for would read."""
        readers: dict[str, tuple[object, tuple[Metric, ...]]] = {
            "--scaling": (self.scalings, ("recall",)),
            "--calib-clips": (self.calibration_clips, ("recall",)),
            "--rerank": (self.rerank, ("recall",)),
            **{option: (value, ("recall",)) for option, value in self.figures.differing().items()},
            "--precision": (self.precision, ("recall", "perturbation")),
            "--beam-size": (self.decoding, ("caption",)),
        }
        for option, (value, metrics) in readers.items():
            if value and not set(metrics) & set(self.metrics):
                raise UsageError(f"{option} is of --metric {' and '.join(metrics)}: leave it out, or add the metric")


@dataclass(frozen=True)
class Evaluated:
    """A run and the split it is evaluated on.

    Args:
        trained: the run.
        dataset: and split: what it is evaluated on.
        folder: where what comes of it is written.
    """

    trained: TrainedRun
    dataset: Dataset
    split: str
    folder: Path

    @property
    def about(self) -> dict[str, Any]:
        """How results name it."""
        return {"run": self.trained.name, "dataset": self.dataset.name, "split": self.split}

    def trained_on(self, first_stage: TrainedRun | None = None) -> dict[str, Any]:
        """How many of these clips the run, its captioner or the run that shortlists was trained on."""
        return clips_trained_on(self.dataset, self.split, [self.trained], first_stage)

    @property
    def target(self) -> dict[str, Any] | None:
        """The published row, where it is the run's own test split that is measured."""
        target = self.trained.recipe.target
        own = self.trained.is_own(self.dataset, self.split)
        return target.model_dump(mode="json") if target and own else None


def evaluate_run(session: Session, options: EvaluateOptions) -> list[dict[str, Any]]:
    """Evaluate a run by every metric that is asked for; everything is also written below the run's folder.

    Recall goes to `results.json`; by another ground truth, other cut-offs or protocols, to a file of its own, such as
    `results.qrels-dcase2025.json` or `results.dedup-text.json`, and `results.json` stays as it is.

    Returns:
        JSON objects, each with its "metric": one for caption and perturbation, one per column scaling for recall.

    Raises:
        MissingPrerequisiteError: there is no finished run, dataset or embedding; says the command that makes it.
        UsageError: there is no such run or split, or the run's model cannot do what is asked.
        IntegrityError: embeddings were made with other settings than the run's.
        DivergedError: a score is NaN.
    """
    trained = open_run(session, options.run)
    dataset = session.workspace.load_dataset(options.dataset or trained.finished["dataset"])
    split = choose_split(session, trained, dataset, options.split)
    evaluated = Evaluated(trained, dataset, split, trained.output_folder(dataset, split))
    if "caption" in options.metrics:  # before the work on another metric
        from atrkit.workflows.caption_runs import require_captioner

        require_captioner(session, trained)
    results: list[dict[str, Any]] = []
    for metric in options.metrics:
        match metric:
            case "recall":
                from atrkit.workflows.evaluate_recall import evaluate_recall

                results += evaluate_recall(session, evaluated, options).results
            case "caption":
                from atrkit.workflows.evaluate_captions import evaluate_written_captions

                results.append(evaluate_written_captions(session, evaluated, options))
            case "perturbation":
                from atrkit.workflows.evaluate_perturbations import evaluate_perturbations

                results.append(evaluate_perturbations(session, evaluated, options))
            case _:
                assert_never(metric)
    return results


def parse_metrics(wanted: Sequence[str]) -> tuple[Metric, ...]:
    """Metrics by name, each once; `a,b` counts as two.

    Raises:
        UsageError: lists those there are.

    Example:
        >>> parse_metrics(["recall,caption", "recall"])
        ('recall', 'caption')
    """
    return tuple(parse_names(wanted, get_args(Metric), "--metric"))


def parse_scalings(wanted: Sequence[str]) -> tuple[ColumnScaling, ...] | None:
    """Column scalings by name, each once; None when none is named.

    Raises:
        UsageError: lists those there are.
    """
    return tuple(parse_names(wanted, get_args(ColumnScaling), "--scaling")) or None
