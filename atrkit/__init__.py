"""atrkit: audio-text retrieval and audio captioning, from data to trusted tables."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.score_matrix import ScoreMatrix

__version__ = "0.1.0"
__all__ = ["ScoreMatrix", "__version__"]


def __getattr__(name: str) -> Any:
    """Import numpy only when someone asks for the score matrix: `atrkit --help` must stay fast."""
    if name == "ScoreMatrix":
        from atrkit.score_matrix import ScoreMatrix

        return ScoreMatrix
    raise AttributeError(f"module 'atrkit' has no attribute {name!r}")
