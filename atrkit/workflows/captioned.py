"""Clips of a split that can be learned from or ranked: with captions that have words, and with an embedding."""

from dataclasses import dataclass, replace
from functools import cached_property

from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import MissingPrerequisiteError
from atrkit.store.embeddings import Embeddings
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.memory import fits_in_memory
from atrkit.workflows.session import Session


@dataclass(frozen=True)
class CaptionedClips:
    """Clips with their captions and embeddings.

    Args:
        clips: at least one, each with at least one caption that has a word.
        embeddings: of these clips, in this order.
    """

    clips: tuple[Clip, ...]
    embeddings: Embeddings

    @cached_property
    def captions(self) -> tuple[tuple[str, ...], ...]:
        """For each clip its normalised captions."""
        return tuple(tuple(normalise_caption(caption.text) for caption in clip.captions) for clip in self.clips)

    @cached_property
    def all_captions(self) -> list[str]:
        """Normalised captions of all clips, in the order of the clips."""
        return [caption for of_clip in self.captions for caption in of_clip]

    @cached_property
    def caption_ids(self) -> list[str]:
        """Ids of `all_captions`."""
        return [caption.id for clip in self.clips for caption in clip.captions]

    @cached_property
    def clip_of_caption(self) -> list[str]:
        """Id of the clip of each of `all_captions`."""
        return [clip.id for clip in self.clips for _ in clip.captions]


def captioned_clips(session: Session, dataset: Dataset, split: str, embeddings: Embeddings) -> CaptionedClips:
    """The usable clips of a split; what is left out is counted and said.

    Raises:
        UsageError: there is no such split.
        MissingPrerequisiteError: no clip is left.
    """
    place = f"{dataset.name}/{split}"
    clips = dataset.split(split)
    encoded = set(embeddings.clip_ids)
    worded = [
        replace(clip, captions=tuple(caption for caption in clip.captions if normalise_caption(caption.text)))
        for clip in clips
    ]
    wordless = sum(len(before.captions) - len(after.captions) for before, after in zip(clips, worded, strict=True))
    without_caption = sum(not clip.captions for clip in worded)
    without_embedding = sum(clip.id not in encoded for clip in worded)
    for count, what in (
        (wordless, f"captions of {place} have no word"),
        (without_caption, f"of {len(clips)} clips of {place} have no caption"),
        (without_embedding, f"of {len(clips)} clips of {place} have no embedding"),
    ):
        if count:
            session.say(f"{count} {what}: left out")
    kept = tuple(clip for clip in worded if clip.captions and clip.id in encoded)
    if not kept:
        raise MissingPrerequisiteError(
            f"no clip of {place} has both a caption and an embedding; "
            "import a table of captions: atrkit import CAPTIONS.csv --audio-dir DIR --name NAME"
        )
    # a split lies in one piece in the store, and is not copied, unless clips are left out of its middle
    size_bytes = sum(each.frames_NF.nbytes for each in embeddings.all_encoders)
    scratch_folder = None if fits_in_memory(size_bytes) else session.workspace.root
    return CaptionedClips(kept, embeddings.select([clip.id for clip in kept], scratch_folder=scratch_folder))
