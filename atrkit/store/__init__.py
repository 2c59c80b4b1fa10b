"""Embeddings and scores on disk: HDF5 files that are whole or absent, and checked whenever they are read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.store.embeddings import load_embeddings
    from atrkit.store.scores import Calibration, load_calibration, load_scores, load_scores_about, save_scores

__all__ = [
    "Calibration",
    "load_calibration",
    "load_embeddings",
    "load_scores",
    "load_scores_about",
    "save_scores",
]


def __getattr__(name: str) -> Any:
    """Import h5py only when a store is opened."""
    if name not in __all__:
        raise AttributeError(f"module 'atrkit.store' has no attribute {name!r}")
    module = "embeddings" if name == "load_embeddings" else "scores"
    return getattr(import_module(f"atrkit.store.{module}"), name)
