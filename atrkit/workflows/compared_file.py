"""A file of scores as a system of `atrkit compare`."""

from pathlib import Path

from atrkit.workflows.compared_system import Member, System, SystemOptions
from atrkit.workflows.session import Session


def open_file(session: Session, name: str, options: SystemOptions) -> System:
    """Read a score file, in any format that `atrkit eval --scores` reads.

    Args:
        session: told what was left out or guessed.
        name: path, as the user named it.
        options: of which "scaling", "truth" and, for texts, "dataset" and "split" are read.
    """
    from atrkit.store.scores import load_stored_scores

    stored = load_stored_scores(Path(name))
    member = Member(
        name,
        stored.matrix,
        str(stored.about.get("scoring", "file")),
        options.scaling or "none",
        None if stored.calibration is None else stored.calibration.loss_KC,
        about={key: stored.about[key] for key in ("dataset", "split") if key in stored.about},
    )
    return System(name, (member,))
