"""Frozen embeddings of some clips in memory: contiguous ragged arrays, by clip id."""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, MissingPrerequisiteError, UsageError
from atrkit.files import as_resource_error

Float32Array = npt.NDArray[np.float32]
FrameDtype = Literal["float16", "float32"]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What one encoder made of some clips.

    Args:
        clip_ids: A ids.
        audio_sha256: for each clip the hash of the audio bytes that were encoded.
        frames_NF: frames of all clips, one after the other, (sum of T, F), float16 or float32.
        offsets: (A + 1,), clip a owns rows offsets[a] to offsets[a + 1].
        clip_emb_AD: (A, D) float32, one vector per clip.
        tag_probs_AK: (A, K) float32 probabilities of the encoder's own classes, or None.
        labels: names of the K classes, empty without them.
        provenance: everything that changes the numbers: encoder, checkpoint, settings, dtype, version.
        problems: JSON-able records of what was skipped, repaired or padded on the way.
        notes: facts that do not change the numbers, such as where the checkpoint lay.
        largest_cosine_loss: the largest 1 - cosine between a frame and what is kept of it, over all frames that are
            not zero; 0.0 in float32, None where it was never measured.
        more: what further encoders made of the same clips, in the same order; never stored in one file with these.
        auxiliary_captions: one generated caption of each clip, for models that read them; None without.
    """

    clip_ids: tuple[str, ...]
    audio_sha256: tuple[str, ...]
    frames_NF: npt.NDArray[np.floating]
    offsets: npt.NDArray[np.int64]
    clip_emb_AD: Float32Array
    tag_probs_AK: Float32Array | None
    labels: tuple[str, ...]
    provenance: dict[str, Any]
    problems: tuple[dict[str, Any], ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)
    largest_cosine_loss: float | None = None
    more: tuple["Embeddings", ...] = ()
    auxiliary_captions: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse companions that are not of the same clips."""
        if any(other.clip_ids != self.clip_ids for other in self.more):
            raise UsageError("embeddings of further encoders are of other clips, or in another order")
        if self.auxiliary_captions is not None and len(self.auxiliary_captions) != len(self.clip_ids):
            raise UsageError(f"{len(self.auxiliary_captions)} generated captions of {len(self.clip_ids)} clips")

    @property
    def all_encoders(self) -> tuple["Embeddings", ...]:
        """These, and those of further encoders."""
        return (self, *self.more)

    def frames_of(self, index: int) -> npt.NDArray[np.floating]:
        """Frames of the clip at `index`, (T, F)."""
        return self.frames_NF[self.offsets[index] : self.offsets[index + 1]]

    def select(self, clip_ids: Sequence[str], *, scratch_folder: Path | None = None) -> "Embeddings":
        """The same for some clips, in the order asked for.

        Clips that lie one after the other, all of them for example, are a view: nothing is copied.

        Args:
            clip_ids: of these embeddings.
            scratch_folder: where frames that must be copied go, in a file without a name that is mapped into memory;
                None: into memory.

        Raises:
            MissingPrerequisiteError: a clip has no embedding; names the first one.
            ResourceError: the file in `scratch_folder` cannot be written.
        """
        index_A = self._indices_of(clip_ids)
        is_run = bool((np.diff(index_A) == 1).all()) and len(index_A) > 0
        rows = slice(index_A[0], index_A[-1] + 1) if is_run else index_A
        if is_run:
            frames_NF = self.frames_NF[self.offsets[index_A[0]] : self.offsets[index_A[-1] + 1]]
        elif scratch_folder is None:
            frames_NF = np.concatenate([self.frames_NF[:0], *(self.frames_of(a) for a in index_A)])
        else:
            frames_NF = self._frames_in_a_file(index_A, scratch_folder)
        captions = self.auxiliary_captions
        return dataclasses.replace(
            self,
            clip_ids=tuple(clip_ids),
            audio_sha256=tuple(self.audio_sha256[a] for a in index_A),
            frames_NF=frames_NF,
            offsets=offsets_of(np.diff(self.offsets)[index_A]),
            clip_emb_AD=self.clip_emb_AD[rows],
            tag_probs_AK=None if self.tag_probs_AK is None else self.tag_probs_AK[rows],
            more=tuple(other.select(clip_ids, scratch_folder=scratch_folder) for other in self.more),
            auxiliary_captions=captions and tuple(captions[a] for a in index_A),
        )

    def _indices_of(self, clip_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        index_of_id = {clip_id: index for index, clip_id in enumerate(self.clip_ids)}
        missing = [clip_id for clip_id in clip_ids if clip_id not in index_of_id]
        if missing:
            raise MissingPrerequisiteError(
                f"{len(missing)} clips have no {self.provenance.get('encoder')} embedding, the first {missing[0]!r}; "
                f"run: atrkit extract --encoder {self.provenance.get('encoder')} --overwrite"
            )
        return np.array([index_of_id[clip_id] for clip_id in clip_ids], dtype=np.int64)

    def _frames_in_a_file(self, index_A: npt.NDArray[np.int64], folder: Path) -> npt.NDArray[np.floating]:
        rows = sum(len(self.frames_of(a)) for a in index_A)
        if not rows:
            return self.frames_NF[:0]
        try:
            with tempfile.TemporaryFile(dir=folder) as file:  # without a name, so that a kill leaves nothing
                for a in index_A:
                    file.write(np.ascontiguousarray(self.frames_of(a)).data)
                file.flush()
                return np.memmap(file, self.frames_NF.dtype, "r", shape=(rows, self.frames_NF.shape[1]))
        except OSError as error:
            raise as_resource_error(error, folder) from error


def offsets_of(lengths: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Where each of several sequences begins when they lie end to end, and where the last one ends, (A + 1,)."""
    return np.concatenate([[0], np.cumsum(np.asarray(lengths, dtype=np.int64))]).astype(np.int64)


def gather_embeddings(
    clip_ids: Sequence[str],
    audio_sha256: Sequence[str],
    frames: Sequence[Float32Array],
    clip_embs: Sequence[Float32Array],
    tag_probs: Sequence[Float32Array] | None,
    *,
    labels: Sequence[str],
    frame_dim: int,
    clip_dim: int,
    frame_dtype: FrameDtype,
    provenance: dict[str, Any],
    problems: Sequence[dict[str, Any]] = (),
    notes: dict[str, Any] | None = None,
) -> Embeddings:
    """Put the outputs for single clips together.

    Args:
        frames: for each clip (T, frame_dim) float32.
        clip_embs: for each clip (clip_dim,) float32.
        tag_probs: for each clip (K,) float32, or None.
        frame_dtype: how frames are kept; float16 halves the size.

    Raises:
        DivergedError: NaN or infinity in an embedding; names the clips (also values beyond float16).
    """
    with np.errstate(over="ignore"):  # what does not fit into float16 becomes infinite and is refused below
        stored = [np.asarray(frame_TF).astype(frame_dtype) for frame_TF in frames]
    broken = [
        clip_id
        for clip_id, frame_TF, clip_emb_D in zip(clip_ids, stored, clip_embs, strict=True)
        if not (np.isfinite(frame_TF).all() and np.isfinite(clip_emb_D).all())
    ]
    if broken:
        raise DivergedError(
            f"{len(broken)} clips have NaN or infinite embeddings in {frame_dtype}: {', '.join(broken[:5])}; "
            "remove them from the dataset, or use --dtype float32 where values are too large for float16"
        )
    return Embeddings(
        clip_ids=tuple(clip_ids),
        audio_sha256=tuple(audio_sha256),
        frames_NF=np.concatenate(stored) if stored else np.zeros((0, frame_dim), frame_dtype),
        offsets=offsets_of([len(frame_TF) for frame_TF in stored]),
        clip_emb_AD=np.stack(clip_embs).astype(np.float32) if clip_embs else np.zeros((0, clip_dim), np.float32),
        tag_probs_AK=None if tag_probs is None else np.array(tag_probs, np.float32).reshape(-1, len(labels)),
        labels=tuple(labels),
        provenance=provenance,
        problems=tuple(problems),
        notes=notes or {},
        largest_cosine_loss=max(map(_largest_cosine_loss, frames, stored), default=0.0),
    )


def _largest_cosine_loss(frames_TF: npt.NDArray[np.floating], stored_TF: npt.NDArray[np.floating]) -> float:
    """1 - cosine of the frame that lost most direction; a frame that became zero lost all of it.

    Three significant digits, which do not depend on the order in which a processor adds.
    """
    if stored_TF.dtype == np.float32:
        return 0.0
    true_TF, kept_TF = np.asarray(frames_TF, dtype=np.float64), stored_TF.astype(np.float64)
    norms_T = np.linalg.norm(true_TF, axis=1) * np.linalg.norm(kept_TF, axis=1)
    dots_T = np.einsum("tf,tf->t", true_TF, kept_TF)
    loss_T = 1 - np.divide(dots_T, norms_T, out=np.zeros_like(dots_T), where=norms_T > 0)
    loss_T[~true_TF.any(axis=1)] = 0
    return float(f"{max(0.0, loss_T.max(initial=0.0)):.3g}")
