"""`atrkit extract`: frozen embeddings of a dataset, in parts, resumable to the same bits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from atrkit import __version__
from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import AudioFile, Clip, Dataset, Problem, command_that_makes
from atrkit.encoders import load_encoder
from atrkit.errors import IntegrityError, MissingPrerequisiteError, TerminatedError
from atrkit.files import require_free_space, single_writer, write_jsonl_atomic
from atrkit.store.embeddings import Embeddings, gather_embeddings, load_embeddings
from atrkit.store.parts import PartFolder, PartPlan, describe_difference
from atrkit.workflows.encode_ahead import UNREADABLE, encode_ahead, refuse_changed_audio
from atrkit.workflows.session import Advance, Session

if TYPE_CHECKING:
    from atrkit.encoders import Encoder


@dataclass(frozen=True)
class ExtractOptions:
    """What the user asked for.

    Args:
        encoder: name of the encoder.
        checkpoint: a checkpoint file, or None to look in the cache and then download.
        settings: the encoder's own settings, for example pool_time_s.
        frame_dtype: how frames are kept.
        overwrite: make everything anew, whatever is there.
        strict: any problem is an error.
        part_clips: clips per part: what a kill can cost.
    """

    encoder: str
    checkpoint: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    frame_dtype: Literal["float16", "float32"] = "float16"
    overwrite: bool = False
    strict: bool = False
    part_clips: int = 64


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


def extract(session: Session, dataset: Dataset, options: ExtractOptions) -> ExtractOutcome:
    """Make the embeddings of a dataset, or finish what an earlier call began.

    Raises:
        MissingPrerequisiteError: not one of the recordings is where it was.
        IntegrityError: embeddings made with other settings or audio are there, audio changed since the dataset was
            made, or, with `strict`, a clip is unusable or too short.
        ResourceError: the disk would be too small, or cannot be written.
        DivergedError: an embedding is not finite; names the clips.
    """
    path = session.workspace.embeddings_path(dataset.name, options.encoder)
    checkpoint = options.checkpoint or _checkpoint_used_before(path)
    encoder = load_encoder(options.encoder, checkpoint=checkpoint, **options.settings)
    if encoder.checkpoint_note:
        session.say(encoder.checkpoint_note)
    plan = _plan(dataset, encoder, options)
    parts = PartFolder(path)
    with single_writer(path):
        # with --overwrite the old file stays until the new one replaces it, and so do parts of this very plan: the same
        # command continues after a kill
        if options.overwrite and parts.difference(plan):
            parts.clear()
        was_there, made = path.is_file() and not options.overwrite, 0
        if was_there:
            embeddings = _reuse(session, dataset, path, plan)
            parts.clear()
        else:
            _require_recordings(dataset, encoder.sample_rate_hz)
            needed_bytes = _estimated_bytes(dataset, encoder, options)
            require_free_space(path.parent, needed_bytes, f"extracting {options.encoder}")
            parts.start(plan)
            made = _make_missing_parts(session, dataset, encoder, options, plan, parts)
            embeddings = parts.merge(plan)
        # also when the embeddings were there: the last call may have been killed just before this
        write_jsonl_atomic(problems_path_of(path), embeddings.problems)
    if options.strict:
        _refuse_problems(path, embeddings)
    return ExtractOutcome(path, embeddings, was_there=was_there, parts_made=made)


def _require_recordings(dataset: Dataset, sample_rate_hz: int) -> None:
    """One missing file is a problem of that file; when all are missing, a disk is not there."""
    paths = [dataset.audio_path(clip.best_file(sample_rate_hz)) for clip in dataset.clips]
    if not any(path.is_file() for path in paths):
        raise MissingPrerequisiteError(
            f"none of the {len(dataset.clips)} recordings of {dataset.name!r} is there, the first {paths[0]}: "
            "put them back (is a disk not mounted?), or make "
            f"the dataset again: {command_that_makes(dataset.name, dataset.about)}"
        )


def _refuse_problems(path: Path, embeddings: Embeddings) -> None:
    """For parts that an earlier call made without --strict."""
    if embeddings.problems:
        first = embeddings.problems[0]
        raise IntegrityError(
            f"{path}: {len(embeddings.problems)} clips are not as they should be (--strict); the first is "
            f"{first['item']!r}, {first['action']}: {first['reason']}"
        )


def _plan(dataset: Dataset, encoder: "Encoder", options: ExtractOptions) -> PartPlan:
    return PartPlan(
        provenance={
            "encoder": encoder.name,
            "sample_rate_hz": encoder.sample_rate_hz,
            "checkpoint_sha256": encoder.checkpoint_sha256,
            "settings": encoder.settings,
            "frame_dtype": options.frame_dtype,
            "resampler": "soxr HQ",
            "atrkit_version": __version__,
        },
        clip_ids=tuple(clip.id for clip in dataset.clips),
        audio_sha256=tuple(clip.best_file(encoder.sample_rate_hz).sha256 for clip in dataset.clips),
        part_clips=options.part_clips,
    )


def _reuse(session: Session, dataset: Dataset, path: Path, plan: PartPlan) -> Embeddings:
    """Check that what lies there is what would be made now, down to the audio bytes."""
    embeddings = load_embeddings(path)
    difference = describe_difference(clips_record(embeddings), plan.as_record())
    if difference:
        raise IntegrityError(f"{path} was made with other input: {difference}; replace it with --overwrite")
    encoded, sample_rate_hz = set(embeddings.clip_ids), embeddings.provenance["sample_rate_hz"]
    with session.open_progress("checking audio", len(dataset.clips), "clips") as advance:
        for clip in dataset.clips:
            if clip.id in encoded:
                _refuse_gone_or_changed(dataset, clip.best_file(sample_rate_hz))
            advance(1, clip.duration_s)
    gone = [problem["item"] for problem in embeddings.problems if problem["reason"].startswith(UNREADABLE)]
    lost = [clip for clip in dataset.clips if clip.id in gone]
    back = [clip.id for clip in lost if dataset.audio_path(clip.best_file(sample_rate_hz)).is_file()]
    if back:
        raise IntegrityError(
            f"{path} lacks {len(back)} clips whose recordings were gone and are back, the first {back[0]!r}: "
            "make it anew with --overwrite"
        )
    return embeddings


def _refuse_gone_or_changed(dataset: Dataset, file: AudioFile) -> None:
    try:
        refuse_changed_audio(dataset, file)
    except UnusableAudioError as error:
        raise IntegrityError(
            f"{dataset.audio_path(file)} has an embedding and {error}: put it back, or make the dataset without it: "
            f"{command_that_makes(dataset.name, dataset.about)}"
        ) from error


def _checkpoint_used_before(path: Path) -> str | None:
    """The weights that the embeddings at `path` were made with, if both are there: asking again needs no network."""
    if not path.is_file():
        return None
    try:
        used: str | None = load_embeddings(path).notes.get("checkpoint")
    except IntegrityError:
        return None  # said when it matters; --overwrite replaces a damaged file
    return used if used is not None and Path(used).is_file() else None


def clips_record(embeddings: Embeddings) -> dict[str, Any]:
    """Provenance and clips of a store as `describe_difference` compares them; skipped clips count as dealt with."""
    clips = dict(zip(embeddings.clip_ids, embeddings.audio_sha256, strict=True))
    for problem in embeddings.problems:
        clips.setdefault(problem["item"], problem["sha256"])
    return {"provenance": embeddings.provenance, "clips": clips}


def _estimated_bytes(dataset: Dataset, encoder: "Encoder", options: ExtractOptions) -> int:
    itemsize = np.dtype(options.frame_dtype).itemsize
    frames = sum(clip.duration_s / encoder.frame_period_s + 1 for clip in dataset.clips)
    per_clip = 4 * (encoder.clip_dim + len(encoder.labels or ())) + 1000
    # twice: the parts and the file they are joined into stand side by side for a moment
    return int(2 * (frames * encoder.frame_dim * itemsize + len(dataset.clips) * per_clip))


def _make_missing_parts(
    session: Session,
    dataset: Dataset,
    encoder: "Encoder",
    options: ExtractOptions,
    plan: PartPlan,
    parts: PartFolder,
) -> int:
    finished = parts.finished(plan)
    todo = [part for part in range(len(plan.parts)) if part not in finished]
    if finished:
        session.say(f"{len(finished)} of {len(plan.parts)} parts are there from an earlier call; making the others")
    total = sum(len(plan.parts[part]) for part in todo)
    try:
        with session.open_progress(f"{encoder.name} of {dataset.name}", total, "clips") as advance:
            for part in todo:
                clips = [dataset.clips[index] for index in plan.parts[part]]
                parts.save(part, plan, _encode_part(dataset, clips, encoder, options, plan, advance))
    except (KeyboardInterrupt, TerminatedError):
        done = len(parts.finished(plan))
        session.say(f"stopped with {done} of {len(plan.parts)} parts finished; the same command makes the others")
        raise
    return len(todo)


def _encode_part(
    dataset: Dataset,
    clips: Sequence[Clip],
    encoder: "Encoder",
    options: ExtractOptions,
    plan: PartPlan,
    advance: Advance,
) -> Embeddings:
    kept: list[tuple[str, str]] = []
    frames, clip_embs, tag_probs, problems = [], [], [], []
    for clip, encoded in encode_ahead(dataset, clips, encoder):
        file = clip.best_file(encoder.sample_rate_hz)
        if isinstance(encoded, UnusableAudioError):
            problems.append(_problem(file, Problem(clip.id, "skipped", str(encoded)), options.strict))
        else:
            if encoded.padded[0]:
                shortest_s = encoder.min_samples / encoder.sample_rate_hz
                reason = f"{clip.duration_s:.4f} s, shorter than the encoder's {shortest_s:.4f} s: zeros appended"
                problems.append(_problem(file, Problem(clip.id, "padded", reason), options.strict))
            kept.append((clip.id, file.sha256))
            frames.append(encoded.frames[0])
            clip_embs.append(encoded.clip[0])
            if encoded.logits is not None:
                tag_probs.append(_sigmoid(encoded.logits[0]))
        advance(1, clip.duration_s)
    return gather_embeddings(
        [clip_id for clip_id, _ in kept],
        [sha256 for _, sha256 in kept],
        frames,
        clip_embs,
        tag_probs if encoder.labels else None,
        labels=encoder.labels or (),
        frame_dim=encoder.frame_dim,
        clip_dim=encoder.clip_dim,
        frame_dtype=options.frame_dtype,
        provenance=plan.provenance,
        problems=problems,
        notes={"checkpoint": str(encoder.checkpoint_path) if encoder.checkpoint_path else None},
    )


def _problem(file: AudioFile, problem: Problem, strict: bool) -> dict[str, Any]:
    if strict:
        raise IntegrityError(f"{file.path}: {problem.reason} (--strict refuses it; without, it is {problem.action})")
    return {**asdict(problem), "sha256": file.sha256}


def _sigmoid(logits_K: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (1 / (1 + np.exp(-logits_K.astype(np.float64)))).astype(np.float32)
