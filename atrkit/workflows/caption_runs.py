"""Runs of captioners: which one is meant, its model, and how it writes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.recipe.models import CaptionerPart
from atrkit.recipe.schema import DecodingSettings, Recipe
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, open_run

if TYPE_CHECKING:
    from atrkit.models.captioner import Captioner

_OWN_RECIPE = "own_captioner"
_SYNTHETIC, _SYNTHETIC_RECIPE = "synthetic", "synthetic/captioner"


def open_captioner_run(session: Session, named: str | None) -> TrainedRun:
    """A run of a captioner by folder or name, or the newest finished one.

    Raises:
        MissingPrerequisiteError: there is none; says the command that makes one.
        UsageError: no finished run has that name, or it is no captioner; names those that are.
        IntegrityError: a record of the run is damaged.
    """
    if named is not None:
        trained = open_run(session, named)
        require_captioner(session, trained)
        return trained
    newest = next(_captioner_runs(session), None)
    if newest is None:
        runs = session.workspace.root / "runs"
        raise MissingPrerequisiteError(
            f"no finished captioner in {runs}; make one: atrkit train {_fitting_recipe(session)}"
        )
    session.say(f"run: {newest.name} (the newest finished captioner)")
    return newest


def require_captioner(session: Session, trained: TrainedRun) -> None:
    """Refuse a run of another kind.

    Raises:
        UsageError: names the finished captioners, or the command that makes one.
    """
    if not _is_captioner(trained):
        captioners = ", ".join(each.name for each in _captioner_runs(session))
        way_out = (
            f"captioners are {captioners}" if captioners else f"train one: atrkit train {_fitting_recipe(session)}"
        )
        raise UsageError(f"run {trained.name} is of model {trained.recipe.model.name}, not a captioner: {way_out}")


def open_captioner(trained: TrainedRun, device: str) -> "Captioner":
    """The run's model, on a device.

    Raises:
        IntegrityError: a file of it is damaged.
    """
    from atrkit.models.captioner import Captioner

    return Captioner.from_pretrained(trained.folder).to(device)


def decoding_arguments(recipe: Recipe) -> dict[str, Any]:
    """How a recipe's captioner writes, as `write_captions` takes it: what the recipe says, else the defaults."""
    return (recipe.decoding or DecodingSettings()).model_dump()


def chosen_decoding(recipe: Recipe, otherwise: Mapping[str, Any]) -> dict[str, Any]:
    """The same with what the user wants otherwise.

    Raises:
        UsageError: a number makes no sense, or not together with the recipe's.
    """
    from atrkit.models.decoding import require_sizes

    arguments = {**decoding_arguments(recipe), **otherwise}
    require_sizes(**{name: value for name, value in arguments.items() if name != "forbid_repeats"})
    return arguments


def _fitting_recipe(session: Session) -> str:
    """A recipe of a captioner for the dataset that `atrkit train` would take."""
    return _SYNTHETIC_RECIPE if session.workspace.dataset_names()[:1] == [_SYNTHETIC] else _OWN_RECIPE


def _is_captioner(trained: TrainedRun) -> bool:
    return isinstance(trained.recipe.model, CaptionerPart)


def _captioner_runs(session: Session) -> Iterator[TrainedRun]:
    workspace = session.workspace
    for folder in workspace.finished_runs():
        trained = TrainedRun(folder, workspace.run_name(folder))
        if _is_captioner(trained):
            yield trained
