"""`atrkit info encoders`: the frozen encoders there are, and which of their weights are on this machine."""

from dataclasses import asdict
from typing import Any

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import COMMON_SETTINGS, ENCODERS, CheckpointSpec, EncoderSpec

_WITHOUT_PUBLISHED_FILE = {
    "logmel": "no weights",
    "clap": "any ClapModel of transformers: --checkpoint FOLDER, or a hub id such as laion/clap-htsat-unfused",
}


def encoder_records() -> list[dict[str, Any]]:
    """Every encoder as JSON; nothing is loaded and nothing is asked of the network.

    Returns:
        For each encoder what the catalogue says of it, "settings" it takes, and "checkpoints": the published files by
        variant, each with "in_cache": its path where it has been downloaded, else null; "weights" says in words what
        an encoder without published files needs.
    """
    return [_record(spec) for spec in ENCODERS.values()]


def _record(spec: EncoderSpec) -> dict[str, Any]:
    record = asdict(spec)
    record["settings"] = [*spec.settings, *COMMON_SETTINGS]
    record["checkpoints"] = [
        {
            "variant": variant,
            "is_default": variant == spec.default_variant,
            **asdict(checkpoint),
            "in_cache": _path_in_cache(checkpoint),
        }
        for variant, checkpoint in spec.checkpoints.items()
    ]
    record["weights"] = _WITHOUT_PUBLISHED_FILE.get(spec.name)
    return record


def _path_in_cache(checkpoint: CheckpointSpec) -> str | None:
    path = cache_folder() / checkpoint.file_name
    return str(path) if path.is_file() else None
