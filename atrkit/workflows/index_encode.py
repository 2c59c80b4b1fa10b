"""Vectors of the contents that an index lacks: in parts, resumable to the same bits, into one new segment."""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit import __version__
from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import Clip, Dataset
from atrkit.errors import IntegrityError, TerminatedError
from atrkit.files import require_free_space
from atrkit.reports.counting import counted
from atrkit.reports.progress import Advance
from atrkit.search.changes import FoundFile
from atrkit.search.index_files import segment_path
from atrkit.search.segments import as_embeddings
from atrkit.search.windows import WINDOW_S
from atrkit.store.embeddings import Embeddings
from atrkit.store.merge import merge_parts
from atrkit.store.part_plan import PartPlan
from atrkit.store.parts import PartFolder
from atrkit.store.plan_folder import PlanFolder
from atrkit.workflows.encode_ahead import EncodedClip, encode_parts
from atrkit.workflows.query_model import QueryModel
from atrkit.workflows.session import Session
from atrkit.workflows.throughput import Balance
from atrkit.workflows.window_encoder import WindowEncoder

# our choice: a minute of work, and enough files to find those of like length among them
_PART_FILES = 256
_PART_S = 3600.0
_BYTES_PER_NUMBER = 4
_LONG_S = 3600.0
_GB_PER_HOUR = 0.8  # measured with two hours of stereo at 44.1 kHz


class SegmentParts(PartFolder):
    """Finished parts of a segment that is being made.

    Args:
        folder: of the index.
        number: of the segment.
    """

    def __init__(self, folder: Path, number: int) -> None:
        PlanFolder.__init__(self, segment_path(folder, number), "vectors", f"atrkit index --name {folder.name}")


@dataclass(frozen=True)
class Contents:
    """What is to be encoded: each content once, in order of the first file that has it.

    Args:
        name: of the index.
        files: one for each content.
        dataset: they are of; None: of folders.
    """

    name: str
    files: Sequence[FoundFile]
    dataset: Dataset | None

    def as_dataset(self) -> Dataset:
        """The files as clips of a dataset, which is what parts are encoded from."""
        clips = tuple(
            Clip(file.path, str(file.full_path), file.sha256, file.sample_rate_hz, file.frames, 1, split="index")
            for file in self.files
        )
        if self.dataset is None:
            return Dataset(self.name, clips, Path())
        return Dataset(self.dataset.name, clips, self.dataset.folder, self.dataset.about)


def provenance_of(model: QueryModel) -> dict[str, Any]:
    """Everything that changes the vectors."""
    return {
        "encoder": f"windows by {model.name}",
        "window_s": WINDOW_S,
        "model": model.identity,
        "sample_rate_hz": model.sample_rate_hz,
        "resampler": "soxr HQ",
        "atrkit_version": __version__,
    }


def plan_of(contents: Contents, model: QueryModel) -> PartPlan:
    """What is to be made, of which contents."""
    sha256s = tuple(file.sha256 for file in contents.files)
    total_s = sum(file.duration_s for file in contents.files)
    of_hours = int(_PART_S * len(sha256s) / total_s) if total_s else _PART_FILES
    return PartPlan(provenance_of(model), sha256s, sha256s, max(1, min(_PART_FILES, of_hours)))


def encode_contents(
    session: Session, folder: Path, number: int, contents: Contents, model: QueryModel, *, strict: bool
) -> None:
    """Make the segment of some contents, or finish what an earlier call began.

    A recording is decoded as a whole: memory grows with the longest one, by about 0.8 GB for each hour of it.

    Args:
        session: where to speak.
        folder: of the index.
        number: of the segment.
        contents: that have no vectors yet.
        model: that embeds.
        strict: a content that is skipped or padded is an error.

    Raises:
        IntegrityError: a file changed since it was read; or, with `strict`, a content is skipped or padded.
        ResourceError: the disk would be too small, or cannot be written; finished parts stay.
        MissingPrerequisiteError: the weights of the audio encoder are not there.
    """
    encoder = model.window_encoder()
    plan, parts = plan_of(contents, model), SegmentParts(folder, number)
    require_free_space(folder.parent, _estimated_bytes(contents, encoder), "this index")
    parts.start(plan)
    _make_parts(session, contents, encoder, plan, parts, strict=strict)
    parts.merge(plan)


def salvage_parts(folder: Path, number: int, plan: PartPlan | None, provenance: dict[str, Any]) -> bool:
    """Settle parts of another plan: the files were others when it was made. What is finished becomes a segment.

    Args:
        folder: of the index.
        number: of the segment.
        plan: of what is to be made now; None: nothing.
        provenance: that vectors must have to be of use.

    Returns:
        Whether there is a segment now.
    """
    parts = SegmentParts(folder, number)
    if not parts.folder.exists():
        return False
    if segment_path(folder, number).is_file():  # a kill came between joining the parts and removing them
        parts.clear()
        return False
    if plan is not None and parts.is_under_way and parts.difference(plan) is None:
        return False
    is_saved = False
    try:
        begun = parts.plan() if parts.is_under_way else None
    except IntegrityError:
        begun = None
    if begun is not None and begun.provenance == provenance and (finished := sorted(parts.finished(begun))):
        merge_parts(parts.final_path, parts.expected(begun, finished), begun.provenance)
        is_saved = True
    parts.clear()
    return is_saved


def _make_parts(
    session: Session, contents: Contents, encoder: WindowEncoder, plan: PartPlan, parts: PartFolder, *, strict: bool
) -> None:
    todo = parts.missing(plan)
    if len(todo) < len(plan.parts):
        there = len(plan.parts) - len(todo)
        session.say(f"{there} of {len(plan.parts)} parts are there from an earlier call")
    if not todo:
        return
    _say_long_files(session, contents)
    dataset = contents.as_dataset()
    clips_of = {part: [dataset.clips[index] for index in plan.parts[part]] for part in todo}
    balance = Balance()
    try:
        total_s = math.ceil(sum(clip.duration_s for clips in clips_of.values() for clip in clips))
        with session.open_progress(f"{encoder.name} windows", total_s, "s of audio") as advance:
            heard = _SecondsHeard(total_s, advance, balance)
            encoder.on_audio = heard.add
            encoded_parts = encode_parts(
                dataset,
                clips_of.items(),
                encoder.as_encoder(),
                on_clips=lambda count, audio_s: None,  # the encoder tells, in the midst of long recordings as well
                on_remark=session.say,
                balance=balance,
            )
            with closing(encoded_parts):
                for part, encoded in encoded_parts:
                    parts.save(part, plan, _gather(clips_of[part], encoded, encoder, plan, strict=strict))
            heard.finish()
    except (KeyboardInterrupt, TerminatedError):
        done = len(parts.finished(plan))
        session.say(f"stopped with {done} of {len(plan.parts)} parts finished; the same command makes the others")
        raise
    if balance.sentence:
        session.say(balance.sentence)


class _SecondsHeard:
    """Whole seconds of audio on a progress display, from several threads that encode.

    Args:
        total_s: of all.
        advance: moves the display on.
        balance: knows what limits the speed.
    """

    def __init__(self, total_s: int, advance: Advance, balance: Balance) -> None:
        self._total_s, self._advance, self._balance = total_s, advance, balance
        self._lock, self._heard_s, self._shown_s = Lock(), 0.0, 0

    def add(self, seconds: float) -> None:
        """So much was encoded just now; what is encoded again, as memory ran out, does not go beyond the end."""
        with self._lock:
            self._heard_s += seconds
            self._show(min(int(self._heard_s), self._total_s))

    def finish(self) -> None:
        """Nothing more comes: what is missing could not be read."""
        with self._lock:
            self._show(self._total_s)

    def _show(self, until_s: int) -> None:
        if until_s > self._shown_s:
            self._advance(until_s - self._shown_s, float(until_s - self._shown_s), self._balance.bottleneck)
            self._shown_s = until_s


def _say_long_files(session: Session, contents: Contents) -> None:
    long = [file for file in contents.files if file.duration_s > _LONG_S]
    if long:
        hours = max(file.duration_s for file in long) / 3600
        session.say(
            f"{counted(len(long), 'file')} longer than an hour: each is decoded as a whole, and the longest "
            f"({hours:.1f} h) may need {hours * _GB_PER_HOUR:.1f} GB of memory; cut files into pieces where that is "
            "too much"
        )


def _gather(
    clips: Sequence[Clip],
    encoded: Sequence[EncodedClip | UnusableAudioError],
    encoder: WindowEncoder,
    plan: PartPlan,
    *,
    strict: bool,
) -> Embeddings:
    kept: list[str] = []
    vectors: list[npt.NDArray[np.float32]] = [np.zeros((0, encoder.dim), np.float32)]
    problems: list[dict[str, Any]] = []

    def note(clip: Clip, action: str, reason: str) -> None:
        if strict:
            raise IntegrityError(f"{clip.path}: {reason} (--strict refuses it; without, it is {action})")
        problems.append({"item": clip.sha256, "action": action, "reason": reason})

    for clip, result in zip(clips, encoded, strict=True):
        if isinstance(result, UnusableAudioError):
            note(clip, "skipped", str(result))
        elif not np.isfinite(result.frames_TF).all():
            note(clip, "skipped", "its embedding is NaN or infinite")
        else:
            if result.is_padded:
                shortest_s = encoder.min_samples / encoder.sample_rate_hz
                reason = f"{clip.duration_s:.4f} s, shorter than the encoder's {shortest_s:.4f} s: zeros appended"
                note(clip, "padded", reason)
            kept.append(clip.sha256)
            vectors.append(result.frames_TF)
    windows_A = [len(vectors_WD) for vectors_WD in vectors[1:]]
    return as_embeddings(kept, np.concatenate(vectors), windows_A, plan.provenance, problems)


def _estimated_bytes(contents: Contents, encoder: WindowEncoder) -> int:
    windows = sum(file.duration_s / WINDOW_S + 1 for file in contents.files)
    # twice: the parts and the segment they are joined into stand side by side for a moment
    return int(2 * windows * encoder.dim * _BYTES_PER_NUMBER + 1000 * len(contents.files))
