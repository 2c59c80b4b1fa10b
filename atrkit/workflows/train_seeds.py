"""`atrkit train --seeds 1,2,3`: train every seed, evaluate each, and say mean and deviation."""

from dataclasses import dataclass, replace
from typing import Any

from atrkit.errors import UsageError
from atrkit.workflows.evaluate import EvaluateOptions, evaluate_run
from atrkit.workflows.session import Session
from atrkit.workflows.several_runs import summarise_seeds
from atrkit.workflows.train import TrainOptions, TrainOutcome, train

_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class TrainedSeeds:
    """What came of all seeds.

    Args:
        outcomes: of the trainings.
        results: JSON objects of `atrkit eval`, one per seed.
        summary: mean and deviation, see `summarise_seeds`.
    """

    outcomes: list[TrainOutcome]
    results: list[dict[str, Any]]
    summary: dict[str, Any]


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds, separated by commas.

    Raises:
        UsageError: something else, or a seed that comes twice.

    Example:
        >>> parse_seeds("1, 2,3")
        (1, 2, 3)
    """
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) <= _LARGEST_SEED for word in words):
        raise UsageError(f"--seeds {text!r}: write whole numbers from 0 with commas between them, such as 1,2,3")
    seeds = tuple(int(word) for word in words)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text!r}: the same seed twice is the same run twice")
    return seeds


def train_seeds(session: Session, options: TrainOptions) -> TrainedSeeds:
    """Train the seeds that are not finished, then evaluate all of them on the test split with the recipe's scaling.

    Interrupted anywhere, the same command goes on there.

    Raises:
        UsageError: as `train`; and where there is no split to test on.
        MissingPrerequisiteError, IntegrityError, DivergedError: as `train` and `evaluate_run`.
    """
    outcomes = train(session, replace(options, needs_test=True))
    results = []
    for outcome in outcomes:
        session.say(f"evaluating {outcome.name}")
        evaluate = EvaluateOptions(run=str(outcome.run.path), may_extract=options.may_extract)
        results += evaluate_run(session, evaluate)
    seeds = [outcome.run.inputs()["seed"] for outcome in outcomes]
    return TrainedSeeds(outcomes, results, summarise_seeds(results, seeds))
