"""Frozen audio encoders: waves in, frame and clip embeddings out."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit.encoders.catalogue import ENCODERS, require_known

if TYPE_CHECKING:
    from atrkit.encoders.base import Encoded, Encoder
    from atrkit.encoders.checkpoints import Checkpoint

__all__ = ["ENCODER_NAMES", "Encoded", "Encoder", "load_encoder"]

ENCODER_NAMES = tuple(ENCODERS)


def load_encoder(
    name: str,
    checkpoint: "Checkpoint | str | Path | None" = None,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
    **settings: Any,
) -> "Encoder":
    """Build a frozen encoder in eval mode, with its weights strictly loaded.

    Args:
        name: one of `ENCODER_NAMES`.
        checkpoint: the weights file (clap: a folder or a hub id), or what `checkpoints.find_weights` found; None takes
            the published one from the cache, or downloads it.
        on_progress: called with the bytes that are there and the total (None: unknown) while weights are downloaded.
        on_remark: called with lines for people: of the download, and of memory that ran out.
        settings: of every encoder `pool_time_s`, `precision`, `device`, `batch_size`, `compile`; and the encoder's own:
            `clip_output` ("embedding", or "clip": max + mean of the frames, before the last layer; PANNs and ConvNeXt),
            `variant` (convnext_tiny: which weights), `pca` (vggish), `long_audio` (vggsound_resnet18),
            `sample_rate_hz` (waveform).

    Returns:
        The encoder; `encoder.encode([wave, ...])` embeds waves at `encoder.sample_rate_hz`.

    Raises:
        UsageError: unknown name or setting, or a checkpoint for an encoder without weights.
        MissingPrerequisiteError: the checkpoint file is not there.
        IntegrityError: the checkpoint is damaged, unsafe, or of another network.
        NetworkError: the checkpoint has to be downloaded and cannot be.

    Example:
        >>> load_encoder("logmel", pool_time_s=0.64).frame_period_s
        0.64
    """
    from atrkit.encoders.checkpoints import Checkpoint, find_weights  # what downloads takes a while to import

    require_known(name, settings)
    if ENCODERS[name].checkpoints and not isinstance(checkpoint, Checkpoint):
        file = None if checkpoint is None else Path(checkpoint)
        checkpoint = find_weights(name, file, settings.get("variant"), on_progress=on_progress, on_remark=on_remark)
    from atrkit.encoders.load import build_encoder

    return build_encoder(name, checkpoint, settings, on_progress, on_remark)


def __getattr__(name: str) -> Any:
    """Import torch only for those who ask for more than names."""
    if name in ("Encoded", "Encoder"):
        from atrkit.encoders import base

        return getattr(base, name)
    raise AttributeError(f"module 'atrkit.encoders' has no attribute {name!r}")
