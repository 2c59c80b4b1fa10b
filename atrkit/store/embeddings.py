"""Frozen embeddings on disk: one HDF5 file of contiguous ragged arrays, checked by hash whenever it is read.

A dataset per clip would be read four times slower (FACTS.md), compression slower still, and an HDF5 file held open
by a killed process is lost: so a file is built in memory, written at once, and never touched again.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError
from atrkit.store.hdf5_file import DamagedFileError, open_hdf5, write_hdf5

Float32Array = npt.NDArray[np.float32]
FrameDtype = Literal["float16", "float32"]

_HEADER = "header"


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

    def frames_of(self, index: int) -> npt.NDArray[np.floating]:
        """Frames of the clip at `index`, (T, F)."""
        return self.frames_NF[self.offsets[index] : self.offsets[index + 1]]

    def select(self, clip_ids: Sequence[str]) -> "Embeddings":
        """The same for some clips, in the order asked for.

        Raises:
            MissingPrerequisiteError: a clip has no embedding; names the first one.
        """
        index_of_id = {clip_id: index for index, clip_id in enumerate(self.clip_ids)}
        missing = [clip_id for clip_id in clip_ids if clip_id not in index_of_id]
        if missing:
            raise MissingPrerequisiteError(
                f"{len(missing)} clips have no {self.provenance.get('encoder')} embedding, the first {missing[0]!r}; "
                f"run: atrkit extract --encoder {self.provenance.get('encoder')} --overwrite"
            )
        indices = [index_of_id[clip_id] for clip_id in clip_ids]
        lengths = [int(self.offsets[i + 1] - self.offsets[i]) for i in indices]
        frames = [self.frames_of(i) for i in indices]
        return dataclasses.replace(
            self,
            clip_ids=tuple(clip_ids),
            audio_sha256=tuple(self.audio_sha256[i] for i in indices),
            frames_NF=np.concatenate(frames) if frames else self.frames_NF[:0],
            offsets=_offsets_of(lengths),
            clip_emb_AD=self.clip_emb_AD[indices],
            tag_probs_AK=None if self.tag_probs_AK is None else self.tag_probs_AK[indices],
        )


def _offsets_of(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


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
        offsets=_offsets_of([len(frame_TF) for frame_TF in stored]),
        clip_emb_AD=np.stack(clip_embs).astype(np.float32) if clip_embs else np.zeros((0, clip_dim), np.float32),
        tag_probs_AK=None if tag_probs is None else np.array(tag_probs, np.float32).reshape(-1, len(labels)),
        labels=tuple(labels),
        provenance=provenance,
        problems=tuple(problems),
        notes=notes or {},
    )


def concatenate(parts: Sequence[Embeddings]) -> Embeddings:
    """Join parts of one plan, in order."""
    first = parts[0]
    tags = [part.tag_probs_AK for part in parts if part.tag_probs_AK is not None]
    return dataclasses.replace(
        first,
        clip_ids=tuple(clip_id for part in parts for clip_id in part.clip_ids),
        audio_sha256=tuple(digest for part in parts for digest in part.audio_sha256),
        frames_NF=np.concatenate([part.frames_NF for part in parts]),
        offsets=_offsets_of([length for part in parts for length in np.diff(part.offsets).tolist()]),
        clip_emb_AD=np.concatenate([part.clip_emb_AD for part in parts]),
        tag_probs_AK=np.concatenate(tags) if tags else None,
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def save_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write an embedding file atomically; the same content gives the same bytes.

    Raises:
        ResourceError: the disk is full or cannot be written; nothing is left behind.
    """

    def fill(file: h5py.File) -> None:
        file.attrs["format"] = "atrkit embeddings 1"
        file.attrs["encoder"] = str(embeddings.provenance.get("encoder"))
        for name, values in _arrays_of(embeddings).items():
            file.create_dataset(name, data=values, track_times=False)
        # what is no array, as JSON
        header = np.frombuffer(_header_of(embeddings), dtype=np.uint8)
        file.create_dataset(_HEADER, data=header, track_times=False)

    write_hdf5(path, fill)


def load_embeddings(path: Path) -> Embeddings:
    """Read an embedding file whole and check every byte that is used.

    Raises:
        MissingPrerequisiteError: there is no such file.
        IntegrityError: it is truncated or altered; names the file and the command that makes it again.
    """
    if not path.is_file():
        raise MissingPrerequisiteError(f"no embeddings at {path}; run: atrkit extract --encoder {path.stem}")
    try:
        with open_hdf5(path) as file:
            arrays = {name: file[name][()] for name in file if name != _HEADER}
            return _from_parts(json.loads(file[_HEADER][()].tobytes()), arrays)
    except (DamagedFileError, KeyError) as error:
        raise IntegrityError(
            f"{path} is damaged ({error}); make it again: atrkit extract --encoder {path.stem} --overwrite"
        ) from error


def _header_of(embeddings: Embeddings) -> bytes:
    return json.dumps(
        {
            "clip_ids": embeddings.clip_ids,
            "audio_sha256": embeddings.audio_sha256,
            "labels": embeddings.labels,
            "provenance": embeddings.provenance,
            "problems": embeddings.problems,
            "notes": embeddings.notes,
        },
        ensure_ascii=False,
        allow_nan=False,
        sort_keys=True,
    ).encode()


def _arrays_of(embeddings: Embeddings) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {
        "clip": embeddings.clip_emb_AD,
        "frames": embeddings.frames_NF,
        "offsets": embeddings.offsets,
    }
    if embeddings.tag_probs_AK is not None:
        arrays["tag_probs"] = embeddings.tag_probs_AK
    return arrays


def _from_parts(header: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Embeddings:
    return Embeddings(
        clip_ids=tuple(header["clip_ids"]),
        audio_sha256=tuple(header["audio_sha256"]),
        frames_NF=arrays["frames"],
        offsets=arrays["offsets"],
        clip_emb_AD=arrays["clip"],
        tag_probs_AK=arrays.get("tag_probs"),
        labels=tuple(header["labels"]),
        provenance=header["provenance"],
        problems=tuple(header["problems"]),
        notes=header["notes"],
    )


def first_difference(there: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> str | None:
    """The first setting in which two provenances differ, in words, or None.

    >>> first_difference({"encoder": "x", "settings": {"hop": 320}}, {"encoder": "x", "settings": {"hop": 160}})
    'settings.hop is 320 there and 160 now'
    """
    for key in sorted(set(there) | set(asked)):
        old, new = there.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            inner = first_difference(old, new, f"{prefix}{key}.")
            if inner:
                return inner
        elif old != new:
            return f"{prefix}{key} is {old} there and {new} now"
    return None
