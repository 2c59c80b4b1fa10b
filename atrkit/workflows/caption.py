"""`atrkit caption`: captions of sound files, or of the clips of a dataset, by a trained captioner."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit.datasets.manifest import Dataset, Problem
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import require_writable, write_atomic
from atrkit.workflows.caption_runs import (
    chosen_decoding,
    decoding_arguments,
    open_captioner,
    open_captioner_run,
    require_captioner,
)
from atrkit.workflows.frozen_encoder import choose_device
from atrkit.workflows.memory import fits_in_memory
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, choose_split, embeddings_as_trained

if TYPE_CHECKING:
    from atrkit.models.decoding import WrittenCaption

__all__ = ["CaptionOptions", "CaptionOutcome", "caption", "captions_of_split", "decoding_arguments"]

CSV_COLUMNS = ("file_name", "caption_predicted", "score")


@dataclass(frozen=True)
class CaptionOptions:
    """What the user asked for.

    Args:
        files: sound files, and folders of such; none: the clips of a dataset.
        run: folder or name; None: the newest finished captioner.
        dataset: None: the run's own.
        split: None: the run's test split, or the only one there is.
        out: a CSV to write; None: none.
        overwrite: replace that CSV.
        decoding: what is to be otherwise than in the run's recipe, as `write_captions` takes it.
        checkpoint: the encoder's weights, for files; None: those that the run's embeddings were made with.
        may_extract: make missing embeddings of a dataset.
    """

    files: Sequence[Path] = ()
    run: str | None = None
    dataset: str | None = None
    split: str | None = None
    out: Path | None = None
    overwrite: bool = False
    decoding: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    may_extract: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.files and (self.dataset is not None or self.split is not None):
            raise UsageError("captions are written of FILES, or of the clips of a --dataset and --split: leave one out")
        if self.checkpoint is not None and not self.files:
            raise UsageError(
                "--checkpoint is for FILES: the embeddings of a dataset are made by atrkit extract --checkpoint FILE"
            )


@dataclass(frozen=True)
class CaptionOutcome:
    """What came of it.

    Args:
        records: for each file `{"path", "caption", "score"}`, for each clip `{"clip", "caption", "score"}`, in order.
        problems: what was skipped, repaired or padded.
    """

    records: list[dict[str, Any]]
    problems: list[Problem]


def caption(session: Session, options: CaptionOptions) -> CaptionOutcome:
    """Write captions, and the CSV where one is asked for.

    Raises:
        MissingPrerequisiteError: there is no finished captioner, dataset, embedding, or weights of the encoder.
        UsageError: the run is no captioner, a file is not there, or what was asked makes no sense.
        IntegrityError: embeddings or weights are not those of the run, or not one of the files is usable.
        ResourceError: the CSV cannot be written, or memory runs out.
        DivergedError: probabilities of words are not finite; names the clips.
    """
    if options.out is not None:
        _require_free_place(options.out, overwrite=options.overwrite)
    trained = open_captioner_run(session, options.run)
    if options.files:
        from atrkit.workflows.caption_files import captions_of_files

        written, problems = captions_of_files(
            session, trained, options.files, decoding=options.decoding, checkpoint=options.checkpoint
        )
    else:
        dataset = session.workspace.load_dataset(options.dataset or trained.finished["dataset"])
        split = choose_split(session, trained, dataset, options.split)
        written = captions_of_split(
            session, trained, dataset, split, decoding=options.decoding, may_extract=options.may_extract
        )
        missing = [clip.id for clip in dataset.split(split) if clip.id not in written]
        problems = [Problem(clip_id, "skipped", "it has no embedding") for clip_id in missing]
    key = "path" if options.files else "clip"
    records = [{key: name, "caption": each.text, "score": round(each.score, 6)} for name, each in written.items()]
    if options.out is not None:
        write_atomic(options.out, captions_as_csv(records, key))
        session.say(f"wrote {len(records):,} captions to {options.out}")
    return CaptionOutcome(records, problems)


def captions_of_split(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    split: str,
    *,
    decoding: Mapping[str, Any] | None = None,
    may_extract: bool = True,
) -> "dict[str, WrittenCaption]":
    """A caption for each clip of a split that has an embedding, whether or not it has captions of its own.

    Args:
        session: where to speak.
        trained: a run of a captioner.
        dataset: of the clips.
        split: of the dataset.
        decoding: what is to be otherwise than in the run's recipe, as `write_captions` takes it.
        may_extract: make missing embeddings.

    Returns:
        Captions by clip id, in the order of the split.

    Raises:
        UsageError: the run is no captioner, there is no such split, or a number makes no sense.
        MissingPrerequisiteError: embeddings are missing and may not be made, or no clip has one.
        IntegrityError: embeddings were made with other settings than the run's.
        DivergedError: probabilities of words are not finite; names the clips.
    """
    from atrkit.models.decoding import write_captions
    from atrkit.models.ragged import Ragged

    require_captioner(session, trained)
    arguments = chosen_decoding(trained.recipe, decoding or {})
    place, clips = f"{dataset.name}/{split}", dataset.split(split)
    embeddings = embeddings_as_trained(session, trained, dataset, may_extract=may_extract)
    encoded = set(embeddings.clip_ids)
    clip_ids = [clip.id for clip in clips if clip.id in encoded]
    if not clip_ids:
        raise MissingPrerequisiteError(f"no clip of {place} has an embedding: no recording of it could be used")
    if len(clip_ids) < len(clips):
        session.say(f"{len(clips) - len(clip_ids)} of {len(clips)} clips of {place} have no embedding: left out")
    # a split lies in one piece in the store, and is not copied, unless clips are left out of its middle
    scratch_folder = None if fits_in_memory(embeddings.frames_NF.nbytes) else session.workspace.root
    chosen = embeddings.select(clip_ids, scratch_folder=scratch_folder)
    captioner = open_captioner(trained, choose_device(session, None))
    done = 0
    with session.open_progress(f"captions of {place}", len(clip_ids), "clips") as advance:

        def on_progress(done_now: int) -> None:
            nonlocal done
            advance(done_now - done)
            done = done_now

        captions = write_captions(
            captioner,
            Ragged.from_rows(chosen.frames_NF, chosen.offsets),
            **arguments,
            clip_ids=clip_ids,
            on_progress=on_progress,
            on_remark=session.say,
        )
    return dict(zip(clip_ids, captions, strict=True))


def _require_free_place(out: Path, *, overwrite: bool) -> None:
    """Find out before the work, not after it."""
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file, for example {out / 'captions.csv'}")
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already: --overwrite replaces it, --out NAME.csv writes another")
    if not out.parent.is_dir():
        raise UsageError(f"--out: there is no folder {out.parent}: make it, or correct its name")
    require_writable(out.parent)


def captions_as_csv(records: Sequence[Mapping[str, Any]], key: str) -> bytes:
    """The CSV of captions.

    Args:
        records: as in `CaptionOutcome`.
        key: of a record that names its file or clip.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([record[key], record["caption"], record["score"]] for record in records)
    return text.getvalue().encode()
