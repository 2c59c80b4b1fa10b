"""What a retrieval model is given of clips: frames of every encoder, and generated captions where it reads them."""

from typing import TYPE_CHECKING

from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipInputs, Retriever

if TYPE_CHECKING:
    from atrkit.store.embeddings import Embeddings


def clip_inputs_of(model: Retriever, embeddings: "Embeddings") -> ClipInputs:
    """The clips of some embeddings, as the model is given them; frames stay where they lie."""
    captions = embeddings.auxiliary_captions if model.reads_generated else None
    frames = tuple(Ragged.from_rows(each.frames_NF, each.offsets) for each in embeddings.all_encoders)
    return ClipInputs(frames, None if captions is None else model.prepare_auxiliary(captions))
