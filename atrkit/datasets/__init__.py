"""Datasets on disk: what a clip is, where it lies, which captions it has."""

from atrkit.datasets.manifest import Caption, Clip, Dataset, Problem, Twin, load_dataset, save_dataset

__all__ = ["Caption", "Clip", "Dataset", "Problem", "Twin", "load_dataset", "save_dataset"]
