"""A file of scores as a system of `atrkit compare`."""

from pathlib import Path

from atrkit.errors import UsageError
from atrkit.exchange.foreign import RankedLists
from atrkit.exchange.list_scores import open_blocks, scores_of_lists
from atrkit.exchange.truth import truth_of_clips
from atrkit.recipe.schema import ColumnScaling
from atrkit.workflows.compared_system import Member, Place, System, SystemOptions
from atrkit.workflows.evaluate_foreign import ForeignSource, read_foreign, stated_truth
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.session import Session

_LOSS = "cross_entropy"


def open_file(
    session: Session, name: str, path: Path, place: Place, options: SystemOptions, judgements: Judgements | None
) -> System:
    """Read a score file, in any format that `atrkit eval --scores` reads.

    Whose caption is whose comes from `--truth`, else from `--dataset`, else from the file, else from the dataset of the
    runs it is compared with.

    Args:
        session: told what was left out or guessed.
        name: as the user named it.
        path: where it lies.
        place: of the comparison.
        options: how.
        judgements: whose clips are a truth where nothing else is.

    Raises:
        UsageError, MissingPrerequisiteError, IntegrityError, DivergedError: as of `evaluate_foreign`.
    """
    source = ForeignSource(path, None, options.truth, options.is_partial)
    asked = Place(None, None) if options.dataset is None else place
    stated = stated_truth(source, asked.dataset, asked.split)
    otherwise = None
    if place.dataset is not None and place.split is not None:
        otherwise = truth_of_clips(f"{place.dataset.name}/{place.split}", place.dataset.split(place.split))
    read, foreign = read_foreign(session, source, stated, judgements, otherwise=otherwise)
    if isinstance(foreign.scores, RankedLists):
        scores = scores_of_lists(foreign.scores, foreign.clip_ids, foreign.clip_of_caption)
        open_of = open_blocks(foreign.scores)
        return System(name, (Member(name, scores, foreign.format_name, texts=foreign.texts, open_of=open_of),))
    scoring = str(read.about.get("scoring", foreign.format_name))
    member = Member(
        name,
        foreign.scores,
        scoring,
        _scaling(name, scoring, options.scaling),
        None if read.calibration is None else read.calibration.loss_KC,
        foreign.texts,
        {key: read.about[key] for key in ("dataset", "split") if key in read.about},
    )
    return System(name, (member,))


def _scaling(name: str, scoring: str, asked: ColumnScaling | None) -> ColumnScaling:
    if asked not in (None, "none") and scoring != _LOSS:
        raise UsageError(f"--scaling is of losses, in a score file of atrkit, and {name} has none: leave it out")
    return asked or "none"
