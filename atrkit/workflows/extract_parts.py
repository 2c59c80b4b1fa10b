"""The parts of an extraction: what is planned, and how the missing ones are made."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from atrkit import __version__
from atrkit.audio.read import UnusableAudioError
from atrkit.datasets.manifest import AudioFile, Clip, Dataset, Problem
from atrkit.errors import IntegrityError, TerminatedError
from atrkit.store.embeddings import Embeddings, gather_embeddings
from atrkit.store.parts import PartFolder, PartPlan
from atrkit.workflows.encode_ahead import EncodedClip, encode_parts
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.session import Session
from atrkit.workflows.throughput import Balance

if TYPE_CHECKING:
    from atrkit.encoders import Encoder


# our choice: a minute of work, or of a GPU's a few seconds, and enough clips to find those of like length among them
_PART_CLIPS = {"cpu": 64, "cuda": 512}
# whose frames are held in memory until the part is written: 90 MB of CNN14's an hour
_PART_S = {"cpu": 3600.0, "cuda": 7200.0}
_VERSIONED = ("torch", "numpy", "soxr", "transformers")


def plan_parts(dataset: Dataset, encoder: "Encoder", options: ExtractOptions) -> PartPlan:
    """What is to be made, of which audio, with everything that changes the numbers."""
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
        part_clips=options.part_clips or _part_clips(dataset, encoder),
    )


def _part_clips(dataset: Dataset, encoder: "Encoder") -> int:
    total_s = sum(clip.duration_s for clip in dataset.clips)
    of_hours = int(_PART_S[encoder.device.type] * len(dataset.clips) / total_s) if total_s else 1
    return max(1, min(_PART_CLIPS[encoder.device.type], of_hours))


def make_parts(
    session: Session,
    dataset: Dataset,
    encoder: "Encoder",
    options: ExtractOptions,
    plan: PartPlan,
    parts: PartFolder,
    wanted: Iterable[int],
) -> list[int]:
    """Make those of the wanted parts that are not there yet, and say how fast it went and what limited it.

    Returns:
        The parts that were made.

    Raises:
        IntegrityError: audio changed since the dataset was made, or, with `strict`, a clip is unusable or too short.
        ResourceError: the disk is full, or memory runs out with a single window.
        DivergedError: an embedding is not finite; names the clips.
    """
    wanted = list(wanted)
    finished = parts.finished(plan)
    todo = [part for part in wanted if part not in finished]
    if len(todo) < len(wanted):
        there = len(wanted) - len(todo)
        others = "making the others" if todo else "none is left to make"
        session.say(f"{there} of {len(wanted)} parts are there from an earlier call; {others}")
    if not todo:
        return []
    clips_of = {part: [dataset.clips[index] for index in plan.parts[part]] for part in todo}
    total = sum(map(len, clips_of.values()))
    balance = Balance()
    try:
        with session.open_progress(f"{encoder.name} of {dataset.name}", total, "clips") as advance:

            def on_clips(count: int, audio_s: float) -> None:
                advance(count, audio_s, balance.bottleneck)

            encoded_parts = encode_parts(
                dataset,
                clips_of.items(),
                encoder,
                decoders=options.decoders,
                on_clips=on_clips,
                on_remark=session.say,
                balance=balance,
            )
            with closing(encoded_parts):
                for part, encoded in encoded_parts:
                    parts.save(part, plan, _gather(clips_of[part], encoded, encoder, options, plan))
    except (KeyboardInterrupt, TerminatedError):
        done = len(parts.finished(plan) & set(wanted))
        session.say(f"stopped with {done} of {len(wanted)} parts finished; the same command makes the others")
        raise
    if balance.sentence:
        session.say(balance.sentence)
    return todo


def _gather(
    clips: Sequence[Clip],
    encoded: Sequence[EncodedClip | UnusableAudioError],
    encoder: "Encoder",
    options: ExtractOptions,
    plan: PartPlan,
) -> Embeddings:
    kept: list[tuple[str, str]] = []
    frames, clip_embs, tag_probs, problems = [], [], [], []
    for clip, result in zip(clips, encoded, strict=True):
        file = clip.best_file(encoder.sample_rate_hz)
        if isinstance(result, UnusableAudioError):
            problems.append(_problem(file, Problem(clip.id, "skipped", str(result)), options.strict))
            continue
        if result.is_padded:
            shortest_s = encoder.min_samples / encoder.sample_rate_hz
            reason = f"{clip.duration_s:.4f} s, shorter than the encoder's {shortest_s:.4f} s: zeros appended"
            problems.append(_problem(file, Problem(clip.id, "padded", reason), options.strict))
        kept.append((clip.id, file.sha256))
        frames.append(result.frames_TF)
        clip_embs.append(result.clip_emb_D)
        if encoder.labels and result.logits_K is not None:
            tag_probs.append(tag_probabilities(result.logits_K))
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
        notes={
            "checkpoint": str(encoder.checkpoint_path.resolve()) if encoder.checkpoint_path else None,
            "weights_are_published": encoder.weights_are_published,
            "frame_period_s": encoder.frame_period_s,
            "versions": {name: version(name) for name in _VERSIONED},
        },
    )


def _problem(file: AudioFile, problem: Problem, strict: bool) -> dict[str, Any]:
    if strict:
        raise IntegrityError(f"{file.path}: {problem.reason} (--strict refuses it; without, it is {problem.action})")
    return {**asdict(problem), "sha256": file.sha256}


def tag_probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What an encoder's classifier says of each of its classes, from its logits."""
    with np.errstate(over="ignore"):  # exp of a very negative logit's opposite: the probability is 0, as it should be
        return (1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32)
