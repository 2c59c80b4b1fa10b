"""From clips with captions and embeddings to training data in memory."""

from typing import TYPE_CHECKING

import numpy as np

from atrkit.models.ragged import Ragged
from atrkit.training.data import TrainingData
from atrkit.workflows.memory import available_memory_bytes, fits_in_memory
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.store.embeddings import Embeddings
    from atrkit.workflows.captioned import CaptionedClips


def choose_memory(session: Session, *splits: "CaptionedClips") -> bool:
    """Whether frames that lie mapped on the disk are copied into memory; says when they are not."""
    stores = [store for split in splits for store in split.embeddings.all_encoders]
    mapped = [store.frames_NF for store in stores if isinstance(store.frames_NF, np.memmap)]
    size_bytes = sum(frames_NF.nbytes for frames_NF in mapped)
    fits = fits_in_memory(size_bytes)
    if not fits:
        session.say(
            f"{size_bytes / 1e6:,.0f} MB of frames, and {available_memory_bytes() / 1e6:,.0f} MB of memory are free: "
            "frames are read from the disk as they are needed"
        )
    return fits


def training_data(clips: "CaptionedClips", *, in_memory: bool = True, shows_auxiliary: bool = False) -> TrainingData:
    """The clips' frames as they were stored, once: float16 stays float16, and batches are what becomes float32.

    Args:
        clips: with embeddings that are in memory already, or mapped from the store.
        in_memory: copy mapped frames into memory; otherwise they stay on the disk, and the operating system keeps
            those in memory that it has room for.
        shows_auxiliary: learn from the clips' generated captions too.
    """
    embeddings = clips.embeddings
    frames, *more = [_frames(store, in_memory=in_memory) for store in embeddings.all_encoders]
    generated = embeddings.auxiliary_captions
    return TrainingData(
        frames, embeddings.clip_ids, clips.captions, tuple(more), generated, shows_auxiliary=shows_auxiliary
    )


def _frames(store: "Embeddings", *, in_memory: bool) -> Ragged:
    is_copied = in_memory and isinstance(store.frames_NF, np.memmap)
    return Ragged.from_rows(np.array(store.frames_NF) if is_copied else store.frames_NF, store.offsets)
