"""Frames as the captioner's scorers take them: checked first, named in errors, read clip by clip."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError
from atrkit.models.captioner import Captioner
from atrkit.models.ragged import Ragged
from atrkit.scoring.cross_entropy_products import Precision

_NAMED = 5


def require_usable_frames(frames: Ragged, clips: Sequence[int], clip_ids: Sequence[str] | None) -> None:
    """See that some clips have frames, all of them finite, before any is scored.

    Raises:
        UsageError: a clip has no frame, or there are ids for another number of clips.
        DivergedError: NaN or infinity in a clip's frames.
    """
    if clip_ids is not None and len(clip_ids) != len(frames):
        raise UsageError(f"{len(clip_ids)} clip ids for {len(frames)} clips: one for each")
    bounds = frames.offsets.tolist()
    if empty := [clip for clip in clips if bounds[clip] == bounds[clip + 1]]:
        raise UsageError(
            f"{len(empty)} clips have no frames: {_names(empty, clip_ids)}; leave them out or extract them again"
        )
    if broken := [clip for clip in clips if not frames.values[bounds[clip] : bounds[clip + 1]].isfinite().all()]:
        raise DivergedError(
            f"{len(broken)} clips have frames that are NaN or infinite: {_names(broken, clip_ids)}; "
            "extract their embeddings again"
        )


def require_finite_losses(
    loss_GU: Tensor, clips: Sequence[int], clip_ids: Sequence[str] | None, precision: Precision
) -> None:
    """See that the losses of some clips are numbers.

    Raises:
        DivergedError: NaN or infinity in a clip's losses.
    """
    is_finite_G = loss_GU.isfinite().all(dim=1).tolist()
    if broken := sorted({clip for clip, is_finite in zip(clips, is_finite_G, strict=True) if not is_finite}):
        way_out = (
            "the captioner has diverged: train it again"
            if precision == "fp32"
            else f"numbers of this model may be too large for {precision}: use precision fp32"
        )
        raise DivergedError(
            f"{len(broken)} clips have losses that are NaN or infinite in {precision}: {_names(broken, clip_ids)}; "
            f"{way_out}"
        )


def memory_of(captioner: Captioner, frames: Ragged, clips: Sequence[int]) -> Tensor:
    """Memory of clips of equal length, (G, T, D) float32, on the captioner's device."""
    bounds = frames.offsets.tolist()
    frames_GTF = torch.stack([frames.values[bounds[clip] : bounds[clip + 1]] for clip in clips])
    frames_GTF = frames_GTF.to(captioner.device).float()
    lengths_G = torch.full((len(clips),), frames_GTF.shape[1], device=captioner.device)
    return captioner.memory(frames_GTF, lengths_G)


@contextmanager
def evaluation_mode(captioner: Captioner) -> Iterator[None]:
    """Without dropout, gradients or a caller's autocast; every part's mode is put back afterwards."""
    in_training = [module for module in captioner.modules() if module.training]
    captioner.eval()
    try:
        with torch.inference_mode(), torch.autocast(captioner.device.type, enabled=False):
            yield
    finally:
        for module in in_training:
            module.training = True


def _names(clips: Sequence[int], clip_ids: Sequence[str] | None) -> str:
    shown = [repr(clip_ids[clip]) if clip_ids is not None else f"number {clip}" for clip in clips[:_NAMED]]
    return ", ".join(shown) + (", ..." if len(clips) > _NAMED else "")
