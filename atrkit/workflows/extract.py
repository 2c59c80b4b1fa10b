"""`atrkit extract`: frozen embeddings of a dataset, in parts, resumable to the same bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.encoders.catalogue import ENCODERS, require_known
from atrkit.errors import IntegrityError
from atrkit.files import require_free_space, single_writer, write_jsonl_atomic
from atrkit.store.embeddings import Embeddings, StoreHeader, load_header
from atrkit.store.parts import PartFolder
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.extract_parts import make_parts, plan_parts
from atrkit.workflows.extract_reuse import require_recordings, reuse
from atrkit.workflows.frozen_encoder import load_frozen_encoder, say_what_is_not_heard, warn_of_flattering_figures
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.encoders import Encoder


@dataclass(frozen=True)
class ExtractOutcome:
    """What came of it.

    Args:
        path: the embedding file.
        embeddings: its content.
        was_there: nothing had to be done.
        parts_made: parts made by this call; the others were there.
    """

    path: Path
    embeddings: Embeddings
    was_there: bool
    parts_made: int

    @property
    def problems(self) -> int:
        """How many clips were skipped or padded."""
        return len(self.embeddings.problems)

    @property
    def problems_path(self) -> Path:
        """Where they are listed."""
        return problems_path_of(self.path)


def problems_path_of(path: Path) -> Path:
    """The list of problems beside an embedding file."""
    return path.with_suffix(".problems.jsonl")


def extract(session: Session, dataset: Dataset, options: ExtractOptions, *, path: Path | None = None) -> ExtractOutcome:
    """Make the embeddings of a dataset, or finish what an earlier call began.

    Args:
        session: where to speak.
        dataset: whose clips.
        options: what the user asked for.
        path: the embedding file; None: the workspace's, of this dataset and encoder.

    Raises:
        MissingPrerequisiteError: not one of the recordings is where it was.
        IntegrityError: embeddings made with other settings or audio are there, audio changed since the dataset was
            made, or, with `strict`, a clip is unusable or too short.
        ResourceError: the disk would be too small, or cannot be written.
        DivergedError: an embedding is not finite; names the clips.
    """
    path = path or session.workspace.embeddings_path(dataset.name, options.encoder)
    encoder = open_encoder(session, dataset, options, path)
    plan = plan_parts(dataset, encoder, options)
    parts = PartFolder(path)
    with single_writer(path):
        # with --overwrite the old file stays until the new one replaces it, and so do parts of this very plan: the same
        # command continues after a kill
        if options.overwrite and parts.difference(plan):
            parts.clear()
        was_there, made = path.is_file() and not options.overwrite, 0
        if was_there:
            embeddings = reuse(session, dataset, path, plan)
            parts.clear()
        else:
            require_room(dataset, encoder, options, path)
            parts.start(plan)
            made = len(make_parts(session, dataset, encoder, options, plan, parts, range(len(plan.parts))))
            embeddings = parts.merge(plan)
        # also when the embeddings were there: the last call may have been killed just before this
        write_jsonl_atomic(problems_path_of(path), embeddings.problems)
    if options.strict:
        refuse_problems(path, embeddings)
    return ExtractOutcome(path, embeddings, was_there=was_there, parts_made=made)


def open_encoder(session: Session, dataset: Dataset, options: ExtractOptions, path: Path) -> "Encoder":
    """Load the encoder, with the weights used before where none are named, and say what a user should know of it."""
    require_known(options.encoder, options.settings)
    checkpoint = options.checkpoint
    if checkpoint is None and (checkpoint := _checkpoint_used_before(path, options)):
        session.say(f"weights: {checkpoint} (those of the embeddings there)")
    encoder = load_frozen_encoder(session, options, checkpoint)
    warn_of_flattering_figures(session, dataset, encoder)
    say_what_is_not_heard(session, dataset, encoder)
    return encoder


def require_room(dataset: Dataset, encoder: "Encoder", options: ExtractOptions, path: Path) -> None:
    """Refuse to begin where recordings are missing altogether, or the disk would be too small."""
    require_recordings(dataset, encoder.sample_rate_hz)
    require_free_space(path.parent, _estimated_bytes(dataset, encoder, options), f"extracting {options.encoder}")


def refuse_problems(path: Path, embeddings: Embeddings) -> None:
    """For parts that an earlier call made without --strict."""
    if embeddings.problems:
        first = embeddings.problems[0]
        raise IntegrityError(
            f"{path}: {len(embeddings.problems)} clips are not as they should be (--strict); the first is "
            f"{first['item']!r}, {first['action']}: {first['reason']}"
        )


def _checkpoint_used_before(path: Path, options: ExtractOptions) -> str | None:
    """The weights of the embeddings there, where they are what is asked for: asking again needs no network.

    With --overwrite nothing is taken from what is replaced but the place where the published weights lie.
    """
    if not path.is_file():
        return None
    try:
        header = load_header(path)
    except IntegrityError:
        return None  # said when it matters; --overwrite replaces a damaged file
    used: str | None = header.notes.get("checkpoint")
    if used is None or not Path(used).exists():
        return None
    spec = ENCODERS[options.encoder]
    there = header.provenance["settings"].get("variant")
    asked = options.settings.get("variant", spec.default_variant if options.overwrite else there)
    is_wanted = there == asked or not spec.default_variant
    has_published = bool(spec.checkpoints)
    return used if is_wanted and (not options.overwrite or not has_published or _is_published(header)) else None


def _is_published(header: StoreHeader) -> bool:
    return bool(header.notes.get("weights_are_published"))


def _estimated_bytes(dataset: Dataset, encoder: "Encoder", options: ExtractOptions) -> int:
    itemsize = np.dtype(options.frame_dtype).itemsize
    frames = sum(clip.duration_s / encoder.frame_period_s + 1 for clip in dataset.clips)
    per_clip = 4 * (encoder.clip_dim + len(encoder.labels or ())) + 1000
    # twice: the parts and the file they are joined into stand side by side for a moment
    return int(2 * (frames * encoder.frame_dim * itemsize + len(dataset.clips) * per_clip))
