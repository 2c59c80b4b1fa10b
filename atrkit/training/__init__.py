"""Batches, the loop, checkpoints. Free of audio imports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.training.captioner import train_captioner
    from atrkit.training.data import TrainingData
    from atrkit.training.finetune import train_finetuned
    from atrkit.training.optimisation import OptimizerSettings
    from atrkit.training.retriever import train_retriever
    from atrkit.training.settings import TrainingResult

__all__ = [
    "OptimizerSettings",
    "TrainingData",
    "TrainingResult",
    "train_captioner",
    "train_finetuned",
    "train_retriever",
]

_MODULE_OF_NAME = {
    "OptimizerSettings": "optimisation",
    "TrainingData": "data",
    "TrainingResult": "settings",
    "train_captioner": "captioner",
    "train_finetuned": "finetune",
    "train_retriever": "retriever",
}


def __getattr__(name: str) -> Any:
    """Import torch only when someone trains."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'atrkit.training' has no attribute {name!r}")
    return getattr(import_module(f"atrkit.training.{_MODULE_OF_NAME[name]}"), name)
