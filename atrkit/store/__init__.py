"""Embeddings and scores on disk: HDF5 files that are whole or absent, and checked whenever they are read."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.store.scores import Calibration, load_calibration, load_scores, load_scores_about, save_scores

__all__ = ["Calibration", "load_calibration", "load_scores", "load_scores_about", "save_scores"]


def __getattr__(name: str) -> Any:
    """Import h5py only when a store is opened."""
    if name in __all__:
        from atrkit.store import scores

        return getattr(scores, name)
    raise AttributeError(f"module 'atrkit.store' has no attribute {name!r}")
