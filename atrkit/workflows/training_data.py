"""From clips with captions and embeddings to training data in memory."""

from typing import TYPE_CHECKING

import numpy as np

from atrkit.models.ragged import Ragged
from atrkit.training.data import TrainingData
from atrkit.workflows.memory import available_memory_bytes, fits_in_memory
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.workflows.captioned import CaptionedClips


def choose_memory(session: Session, *splits: "CaptionedClips") -> bool:
    """Whether frames that lie mapped on the disk are copied into memory; says when they are not."""
    mapped = [split.embeddings.frames_NF for split in splits if isinstance(split.embeddings.frames_NF, np.memmap)]
    size_bytes = sum(frames_NF.nbytes for frames_NF in mapped)
    fits = fits_in_memory(size_bytes)
    if not fits:
        session.say(
            f"{size_bytes / 1e6:,.0f} MB of frames, and {available_memory_bytes() / 1e6:,.0f} MB of memory are free: "
            "frames are read from the disk as they are needed"
        )
    return fits


def training_data(clips: "CaptionedClips", *, in_memory: bool = True) -> TrainingData:
    """The clips' frames as they were stored, once: float16 stays float16, and batches are what becomes float32.

    Args:
        clips: with embeddings that are in memory already, or mapped from the store.
        in_memory: copy mapped frames into memory; otherwise they stay on the disk, and the operating system keeps
            those in memory that it has room for.
    """
    embeddings = clips.embeddings
    frames_NF = embeddings.frames_NF
    if in_memory and isinstance(frames_NF, np.memmap):
        frames_NF = np.array(frames_NF)
    return TrainingData(Ragged.from_rows(frames_NF, embeddings.offsets), embeddings.clip_ids, clips.captions)
