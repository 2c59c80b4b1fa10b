"""The command that makes certain embeddings: every error about embeddings ends with it, so it must be the whole one."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from atrkit.encoders.catalogue import ENCODERS, OWN_WEIGHTS

_LOGMEL_POOL_TIME_S = 0.32


def extraction_settings(encoder: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a store's settings that a user can choose; the others follow from the encoder's name.

    >>> extraction_settings("convnext_tiny", {"front_end": "stft ...", "pool_time_s": None, "variant": "own"})
    {'pool_time_s': None}
    """
    options = ("pool_time_s", "precision", *ENCODERS[encoder].settings)
    chosen = {key: settings[key] for key in options if key in settings}
    if chosen.get("variant") == OWN_WEIGHTS:  # a name for what has none: the checkpoint says which they are
        del chosen["variant"]
    return chosen


def command_that_extracts(
    encoder: str,
    dataset_name: str,
    settings: Mapping[str, Any],
    *,
    checkpoint: str | None = None,
    frame_dtype: str = "float16",
    overwrite: bool = False,
) -> str:
    """The command a user types to get these embeddings.

    Args:
        encoder: its name.
        dataset_name: of the dataset.
        settings: as in a store's provenance; what cannot be chosen is passed over, what is the default is left out.
        checkpoint: the weights, where they are not the published ones.
        frame_dtype: how frames are kept.
        overwrite: replace what is there.

    >>> settings = {"front_end": "stft ...", "pool_time_s": 0.64, "clip_output": "clip", "precision": "fp32"}
    >>> command_that_extracts("cnn14", "mine", settings, overwrite=True)
    'atrkit extract --encoder cnn14 --dataset mine --pool-time 0.64 --clip-output clip --overwrite'
    >>> command_that_extracts("logmel", "mine", {"pool_time_s": None}, frame_dtype="float32")
    'atrkit extract --encoder logmel --dataset mine --pool-time 0 --dtype float32'
    """
    words = ["atrkit", "extract", "--encoder", encoder, "--dataset", dataset_name]
    words += ["--checkpoint", checkpoint] if checkpoint else []
    for key, value in extraction_settings(encoder, settings).items():
        words += _words_for(encoder, key, value)
    words += ["--dtype", frame_dtype] if frame_dtype != "float16" else []
    words += ["--overwrite"] if overwrite else []
    return shlex.join(words)


def _words_for(encoder: str, key: str, value: Any) -> Iterator[str]:
    match key:
        case "pool_time_s":
            default = _LOGMEL_POOL_TIME_S if encoder == "logmel" else None
            if value != default:
                yield from ("--pool-time", f"{value or 0:g}")
        case "pca":
            if value:
                yield "--pca"
        case "sample_rate_hz":
            if value != ENCODERS[encoder].sample_rate_hz:
                yield from ("--sample-rate", f"{value}")
        case "variant":
            if value != ENCODERS[encoder].default_variant:
                yield from ("--variant", value)
        case _:
            if value != {"precision": "fp32", "clip_output": "embedding", "long_audio": "windows"}[key]:
                yield from (f"--{key.replace('_', '-')}", value)
