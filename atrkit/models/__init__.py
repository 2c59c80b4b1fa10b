"""Retrieval models that map frozen embeddings and captions into one space."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.models.audio_tower import AudioTower
    from atrkit.models.dual_encoder import DualEncoder, seeded_initialisation
    from atrkit.models.ragged import Ragged
    from atrkit.models.ridge_retriever import RidgeRetriever
    from atrkit.models.text_towers import TransformerTower, WordTower

__all__ = [
    "AudioTower",
    "DualEncoder",
    "Ragged",
    "RidgeRetriever",
    "TransformerTower",
    "WordTower",
    "seeded_initialisation",
]

_MODULE_OF_NAME = {
    "AudioTower": "audio_tower",
    "DualEncoder": "dual_encoder",
    "Ragged": "ragged",
    "RidgeRetriever": "ridge_retriever",
    "TransformerTower": "text_towers",
    "WordTower": "text_towers",
    "seeded_initialisation": "dual_encoder",
}


def __getattr__(name: str) -> Any:
    """Import torch only when someone asks for a model."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'atrkit.models' has no attribute {name!r}")
    return getattr(import_module(f"atrkit.models.{_MODULE_OF_NAME[name]}"), name)
