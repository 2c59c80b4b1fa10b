"""From a name and settings to an encoder with its weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from atrkit.encoders.base import Encoder, Running
from atrkit.encoders.catalogue import COMMON_SETTINGS, ENCODERS, OWN_WEIGHTS, VGGISH_PCA, EncoderSpec
from atrkit.encoders.checkpoints import Checkpoint, find_checkpoint
from atrkit.errors import UsageError
from atrkit.files import md5_of_file

_DEFAULTS = {"clip_output": "embedding", "pca": False, "long_audio": "windows", "sample_rate_hz": 32000}


def build_encoder(
    name: str,
    checkpoint: Checkpoint | str | Path | None,
    settings: dict[str, Any],
    on_progress: Callable[[int, int | None], None] | None,
    on_remark: Callable[[str], None] | None,
) -> Encoder:
    """As `atrkit.encoders.load_encoder`, with names that are known to be right and published weights that are found."""
    spec = ENCODERS[name]
    default_pool = {"pool_time_s": 0.32} if name == "logmel" else {}
    running = Running(**default_pool | {key: value for key, value in settings.items() if key in COMMON_SETTINGS})
    own = {key: value for key, value in settings.items() if key in spec.settings and key != "variant"}
    encoder: Encoder
    match name:
        case "logmel":
            from atrkit.encoders.logmel import LogmelEncoder

            if checkpoint is not None:
                raise UsageError(f"encoder logmel has no weights: leave the checkpoint {checkpoint} out")
            encoder = LogmelEncoder(running, **own)
        case "waveform":
            from atrkit.encoders.waveform import WaveformEncoder

            if checkpoint is not None:
                raise UsageError(f"encoder waveform has no weights: leave the checkpoint {checkpoint} out")
            encoder = WaveformEncoder(running, **own)
        case "mn04":
            from atrkit.encoders.mobilenet import Mn04Encoder

            encoder = Mn04Encoder(_found(checkpoint), running, **own)
        case "cnn14" | "cnn14_16k" | "cnn10" | "resnet38":
            from atrkit.encoders.panns import PannsEncoder

            encoder = PannsEncoder(name, _found(checkpoint), running, **own)
        case "convnext_tiny":
            from atrkit.encoders.convnext import ConvNeXtEncoder

            encoder = ConvNeXtEncoder(_found(checkpoint), running, **own)
        case "vggish":
            from atrkit.encoders.vggish import VggishEncoder

            pca = (
                find_checkpoint(VGGISH_PCA, None, on_progress=on_progress, on_remark=on_remark)
                if own.get("pca")
                else None
            )
            encoder = VggishEncoder(_found(checkpoint), pca, running)
        case "vggsound_resnet18":
            from atrkit.encoders.resnet_vggsound import VggsoundResnet18Encoder

            encoder = VggsoundResnet18Encoder(_found(checkpoint), running, **own)
        case "clap":
            from atrkit.encoders.clap import ClapEncoder

            assert not isinstance(checkpoint, Checkpoint)
            encoder = ClapEncoder(checkpoint, running, on_remark)
        case _:
            raise UsageError(f"encoder {name!r} cannot be built")
    # as they can be said, so that a recipe's word and a store's can be compared
    chosen = {key: own.get(key, default) for key, default in _DEFAULTS.items() if key in spec.settings}
    if spec.default_variant:
        chosen["variant"] = _variant_of(spec, encoder, settings.get("variant"))
    encoder.settings = {**encoder.settings, **chosen}
    encoder.weights_are_published = checkpoint is None or (
        isinstance(checkpoint, Checkpoint) and checkpoint.is_published
    )
    encoder.on_remark = on_remark
    return encoder


def _found(checkpoint: Checkpoint | str | Path | None) -> Checkpoint:
    assert isinstance(checkpoint, Checkpoint)
    return checkpoint


def _variant_of(spec: EncoderSpec, encoder: Encoder, asked: str | None) -> str:
    """Which of the published weights these are, also when they were given as a file; `OWN_WEIGHTS` when they are none.

    Raises:
        UsageError: the file holds another variant than the one that was asked for.
    """
    assert encoder.checkpoint_path is not None
    md5 = md5_of_file(encoder.checkpoint_path)
    found = next((variant for variant, checkpoint in spec.checkpoints.items() if checkpoint.md5 == md5), OWN_WEIGHTS)
    if asked is not None and asked != found:
        raise UsageError(f"{encoder.checkpoint_path} is not variant {asked!r} of {spec.name}: leave --variant out")
    return found
