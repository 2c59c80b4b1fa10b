"""Frozen audio encoders: waves in, frame and clip embeddings out."""

from pathlib import Path
from typing import Any

from atrkit.encoders.base import Encoded, Encoder
from atrkit.errors import UsageError

__all__ = ["ENCODER_NAMES", "Encoded", "Encoder", "load_encoder"]

ENCODER_NAMES = ("logmel", "mn04")

_LATER_NAMES = frozenset(
    {"cnn14", "cnn14_16k", "cnn10", "resnet38", "convnext_tiny", "vggish", "vggsound_resnet18", "clap"}
)
_SETTINGS_OF = {"logmel": ("pool_time_s", "device"), "mn04": ("device",)}


def load_encoder(name: str, checkpoint: str | Path | None = None, **settings: Any) -> Encoder:
    """Build a frozen encoder in eval mode, with its weights strictly loaded.

    Args:
        name: one of `ENCODER_NAMES`.
        checkpoint: the weights file; None takes the published one from the cache, or downloads it.
        settings: the encoder's own: `pool_time_s` (logmel), `device` (all).

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
    if name in _LATER_NAMES:
        raise UsageError(
            f"encoder {name!r} is not in this version of atrkit yet; there are: {', '.join(ENCODER_NAMES)}"
        )
    if name not in ENCODER_NAMES:
        raise UsageError(f"unknown encoder {name!r}; there are: {', '.join(ENCODER_NAMES)}")
    if unknown := sorted(set(settings) - set(_SETTINGS_OF[name])):
        raise UsageError(f"encoder {name}: unknown setting {unknown[0]!r}; it has: {', '.join(_SETTINGS_OF[name])}")
    match name:
        case "logmel":
            from atrkit.encoders.logmel import LogmelEncoder

            if checkpoint is not None:
                raise UsageError(f"encoder logmel has no weights: leave the checkpoint {checkpoint} out")
            return LogmelEncoder(**settings)
        case _:
            from atrkit.encoders.mobilenet import Mn04Encoder

            return Mn04Encoder(checkpoint=Path(checkpoint) if checkpoint is not None else None, **settings)
