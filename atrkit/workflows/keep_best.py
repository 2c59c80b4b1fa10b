"""By which figure a captioner's epoch is chosen: FENSE where its models are, else the validation loss, and it is said.

The choice is made when a run begins and recorded in its inputs: a run that goes on after an interruption keeps it,
whatever has been installed or removed meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from atrkit.errors import MissingPrerequisiteError
from atrkit.recipe.models import CaptionerPart
from atrkit.recipe.schema import Recipe
from atrkit.workflows.run_folder import INPUTS_NAME, RunFolder
from atrkit.workflows.session import Session

FenseFunction = Callable[[list[str], list[Sequence[str]]], float]
CaptionerKeepBest = Literal["val_loss", "fense", "last"]


@dataclass(frozen=True)
class ChosenBy:
    """What chooses the epoch.

    Args:
        keep_best: "fense", "val_loss" or "last".
        fense: of candidates and references; None unless it chooses.
        is_recorded: what the recipe says leaves it open, so that it belongs to the run's inputs.
    """

    keep_best: CaptionerKeepBest
    fense: FenseFunction | None = None
    is_recorded: bool = False


def choose_keep_best(session: Session, recipe: Recipe, run: RunFolder, *, afresh: bool) -> ChosenBy | None:
    """The figure that chooses a captioner's epoch; None for other models.

    Args:
        session: told when FENSE cannot be computed.
        recipe: of the run.
        run: which may have begun before.
        afresh: what began before is to be replaced.

    Raises:
        MissingPrerequisiteError: the run began with FENSE, whose models are gone.
    """
    if not isinstance(recipe.model, CaptionerPart) or recipe.training is None:
        return None
    wanted = recipe.training.keep_best
    if wanted != "fense":
        assert wanted in ("val_loss", "last")  # the schema has seen to it
        return ChosenBy(wanted)
    from atrkit.metrics.captioning import CannotScore, fense_scorer

    began = None if afresh or not (run.path / INPUTS_NAME).is_file() else run.inputs().get("keep_best")
    if began == "val_loss":
        return ChosenBy("val_loss", is_recorded=True)
    scorer = fense_scorer()
    if not isinstance(scorer, CannotScore):
        return ChosenBy("fense", scorer, is_recorded=True)
    if began == "fense":
        raise MissingPrerequisiteError(
            f"{run.path} was begun with FENSE choosing its epoch, which cannot be computed now ({scorer.reason}): "
            f"{scorer.fix}, or start afresh with --overwrite"
        )
    session.say(f"the epoch is chosen by the validation loss, not by FENSE: {scorer.reason} ({scorer.fix})")
    return ChosenBy("val_loss", is_recorded=True)
