"""`atrkit eval --scores`: figures of scores that were made elsewhere, by the same code as for runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.workflows.evaluate import EvaluateOptions
from atrkit.workflows.session import Session


@dataclass(frozen=True)
class ForeignSource:
    """Files that were made elsewhere; one of the first two.

    Args:
        scores: of pairs, or ranked lists.
        embeddings: of clips and of captions, in a common space.
        truth: whose caption is whose, where the files do not say.
    """

    scores: Path | None
    embeddings: tuple[Path, Path] | None
    truth: Path | None


def evaluate_foreign(session: Session, source: ForeignSource, options: EvaluateOptions) -> list[dict[str, Any]]:
    """Read, rank, and judge."""
    raise NotImplementedError
