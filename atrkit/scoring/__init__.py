"""From embeddings or models to scores of clip-caption pairs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.scoring.cosine import cosine_scores, count_zero_embeddings
    from atrkit.scoring.scaling import min_max_scale_columns, rank_captions

__all__ = ["cosine_scores", "count_zero_embeddings", "min_max_scale_columns", "rank_captions"]


def __getattr__(name: str) -> Any:
    """Import a scorer when it is asked for: later ones need torch."""
    if name not in __all__:
        raise AttributeError(f"module 'atrkit.scoring' has no attribute {name!r}")
    from atrkit.scoring import cosine, scaling

    return getattr(scaling if hasattr(scaling, name) else cosine, name)
