"""A saved model is a folder whose every file is checked by sha256, and which can be moved and shared.

safetensors does not detect flipped data, so `model.sha256` (the format of `sha256sum`) lists all files of the model.
It is written last: an interrupted save is recognised.
"""

import json
import os
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError
from atrkit.files import write_atomic

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
CHECKSUMS_NAME = "model.sha256"
AUDIO_ENCODER_NAME = "audio_encoder.safetensors"  # of runs that fine-tuned one: weights that `load_encoder` reads

_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
_RUNS = "runs"  # of a workspace


def write_model_folder(folder: Path, config: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a model's configuration and files, each atomically, and then their checksums.

    Args:
        folder: made when it is missing; files of other names in it are left alone.
        config: JSON values, becomes config.json.
        files: path below the folder (with `/`) to content.

    Raises:
        ResourceError: the folder cannot be written.
    """
    config_bytes = (json.dumps(config, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    contents = {**files, CONFIG_NAME: config_bytes}
    for name, content in contents.items():
        write_atomic(folder / name, content)
    lines = [f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items())]
    write_atomic(folder / CHECKSUMS_NAME, "".join(lines).encode())


def read_model_folder(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a saved model and check every byte of it.

    Args:
        folder: as written by `write_model_folder`.

    Returns:
        The configuration, and the other files by path below the folder.

    Raises:
        MissingPrerequisiteError: there is no model in the folder.
        IntegrityError: a file is missing, truncated or changed.
    """
    if not (folder / CONFIG_NAME).is_file():
        raise MissingPrerequisiteError(f"{folder} holds no trained model ({CONFIG_NAME} is missing): run atrkit train")
    contents = {name: _checked(folder / name, digest) for name, digest in _checksums(folder).items()}
    missing = {CONFIG_NAME, WEIGHTS_NAME} - contents.keys()
    if missing:
        raise _damaged(folder / CHECKSUMS_NAME, f"does not list {min(missing)}")
    return json.loads(contents.pop(CONFIG_NAME)), contents


def read_model_kind(folder: Path) -> str | None:
    """The kind of model in a folder, before anything is checked; None where its configuration says none.

    Raises:
        MissingPrerequisiteError: there is no model in the folder.
        IntegrityError: its configuration cannot be read.
    """
    path = folder / CONFIG_NAME
    if not path.is_file():
        raise MissingPrerequisiteError(f"{folder} holds no trained model ({CONFIG_NAME} is missing): run atrkit train")
    try:
        config = json.loads(path.read_bytes())
        kind = config.get("model")
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(path, "cannot be read") from error
    return kind if isinstance(kind, str) else None


def find_model_folder(folder_or_hub_id: str | os.PathLike[str]) -> Path:
    """Find a model on disk, or download it from the Hugging Face hub.

    Raises:
        MissingPrerequisiteError: no such folder, and the name is a path: no hub id, or below a folder that is there,
            or below `runs`. The hub is not asked, which would take long and say nothing of the path.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
    """
    folder = Path(folder_or_hub_id).expanduser()
    if folder.is_dir():
        return folder
    hub_id = str(folder_or_hub_id)
    above = folder.parts[0] if folder.parts else ""
    if not _HUB_ID.fullmatch(hub_id) or above == _RUNS or Path(above).exists():
        raise MissingPrerequisiteError(f"there is no model folder {hub_id}: run atrkit train, or check the path")
    from huggingface_hub import snapshot_download

    try:
        patterns = [CONFIG_NAME, "model.*", "text_encoder/*", AUDIO_ENCODER_NAME]
        return Path(snapshot_download(hub_id, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise NetworkError(
            f"the model {hub_id!r} is no folder, and as a hub id it is neither in the local cache nor to be had "
            f"({reason}): check the name, go online, or give a folder"
        ) from error


def _checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS_NAME
    if not path.is_file():
        raise _damaged(path, "is missing")
    digest_of_name = {}
    # not splitlines, which takes other characters for a line's end as well
    *lines, end = path.read_bytes().decode(errors="replace").split("\n")
    if end:
        raise _damaged(path, "is cut off")
    for line in lines:
        digest, separator, name = line.partition("  ")
        relative = Path(name)
        if not separator or not name or relative.is_absolute() or ".." in relative.parts:
            raise _damaged(path, "is not a list of checksums")
        digest_of_name[name] = digest
    return digest_of_name


def _checked(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})") from error
    if sha256(content).hexdigest() != digest:
        raise _damaged(path, "is damaged or half written (its sha256 differs)")
    return content


def _damaged(path: Path, how: str) -> IntegrityError:
    return IntegrityError(f"{path} {how}: train the model again with --overwrite, or copy its folder again")
