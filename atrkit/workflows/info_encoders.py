"""`atrkit info encoders`: the frozen encoders there are, and which of their weights are on this machine."""

from dataclasses import asdict
from typing import Any

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import COMMON_SETTINGS, ENCODERS, VGGISH_PCA, CheckpointSpec, EncoderSpec

_WITHOUT_PUBLISHED_FILE = {
    "logmel": "no weights",
    "waveform": "no weights: the sound itself, for networks that are fine-tuned",
    "clap": "any ClapModel of transformers: --checkpoint FOLDER, or a hub id such as laion/clap-htsat-unfused",
}
# what a setting needs beside the weights; there is no option for such a file: it is taken from the cache
_FILES_OF_SETTINGS = {"vggish": {"pca": VGGISH_PCA}}


def encoder_records() -> list[dict[str, Any]]:
    """Every encoder as JSON; nothing is loaded and nothing is asked of the network.

    Returns:
        For each encoder what the catalogue says of it, "settings" it takes, and "checkpoints": the published files by
        variant, each with "cache_path": where it is downloaded to, or taken from when it was put there, and "in_cache":
        that path where the file is there, else null; "files_of_settings": the same of files that a setting needs, by
        "setting"; "weights" says in words what an encoder without published files needs.
    """
    return [_record(spec) for spec in ENCODERS.values()]


def _record(spec: EncoderSpec) -> dict[str, Any]:
    record = asdict(spec)
    record["settings"] = [*spec.settings, *COMMON_SETTINGS]
    record["checkpoints"] = [
        {
            "variant": variant,
            "is_default": variant == spec.default_variant,
            **_file(checkpoint),
        }
        for variant, checkpoint in spec.checkpoints.items()
    ]
    record["files_of_settings"] = [
        {"setting": setting, **_file(file)} for setting, file in _FILES_OF_SETTINGS.get(spec.name, {}).items()
    ]
    record["weights"] = _WITHOUT_PUBLISHED_FILE.get(spec.name)
    return record


def _file(file: CheckpointSpec) -> dict[str, Any]:
    path = cache_folder() / file.file_name
    return {**asdict(file), "cache_path": str(path), "in_cache": str(path) if path.is_file() else None}
