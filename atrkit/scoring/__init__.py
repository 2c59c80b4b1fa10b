"""From embeddings or models to scores of clip-caption pairs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.scoring.cosine import cosine_scores, count_zero_embeddings
    from atrkit.scoring.cross_entropy import caption_cross_entropy
    from atrkit.scoring.cross_entropy_matrix import score_pairs
    from atrkit.scoring.scaling import audio_to_text_matrix, min_max_scale_columns, rank_captions, scale_columns

__all__ = [
    "audio_to_text_matrix",
    "caption_cross_entropy",
    "cosine_scores",
    "count_zero_embeddings",
    "min_max_scale_columns",
    "rank_captions",
    "scale_columns",
    "score_pairs",
]

_MODULE_OF_NAME = {
    "audio_to_text_matrix": "scaling",
    "caption_cross_entropy": "cross_entropy",
    "cosine_scores": "cosine",
    "count_zero_embeddings": "cosine",
    "min_max_scale_columns": "scaling",
    "rank_captions": "scaling",
    "scale_columns": "scaling",
    "score_pairs": "cross_entropy_matrix",
}


def __getattr__(name: str) -> Any:
    """Import a scorer when it is asked for: some need torch."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'atrkit.scoring' has no attribute {name!r}")
    return getattr(import_module(f"atrkit.scoring.{_MODULE_OF_NAME[name]}"), name)
