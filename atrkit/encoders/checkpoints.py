"""Published weights: find them, fetch them, check them, and load them without running what is inside.

A checkpoint comes from a stranger's server and a pickle can run any code, so the hash is checked before the file gets
its name, and torch reads tensors only (`weights_only=True`, which no environment variable overrides).
"""

import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from atrkit.encoders.catalogue import CheckpointSpec
from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.network import fetch

CACHE_VARIABLE = "ATRKIT_CACHE"


@dataclass(frozen=True)
class Checkpoint:
    """A weights file on this machine.

    Args:
        path: where it is.
        sha256: of its bytes.
        note: what a user should know: fetched just now, or not the published file; else None.
    """

    path: Path
    sha256: str
    note: str | None = None


def find_checkpoint(
    spec: CheckpointSpec,
    file: Path | None = None,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> Checkpoint:
    """The weights file: the one given, else the cached one, else the published one, downloaded.

    Args:
        spec: the published file.
        file: a file to use instead; any hash, but another one than the published is noted.
        on_progress: called with the bytes that are there and the total (None: unknown).
        on_remark: called with a line when a transfer starts again or waits.

    Returns:
        The file with its hash.

    Raises:
        MissingPrerequisiteError: `file` is not there.
        IntegrityError: the cached or downloaded file has another hash; it is set aside.
        NetworkError: the download failed; says what is needed and where to put it; what was received is kept.
        ResourceError: the cache cannot be written.
        UsageError: `$ATRKIT_MIRROR` is no address.
    """
    if file is not None:
        return _given_checkpoint(spec, file)
    path = cache_folder() / spec.file_name
    fetched = fetch(
        spec.url,
        path,
        what=f"the weights of encoder {spec.name}",
        sha256=spec.sha256,
        md5=spec.md5,
        size_bytes=spec.size_bytes,
        place_hint=f"give it with --checkpoint FILE, or put it at {path}",
        on_progress=on_progress,
        on_remark=on_remark,
    )
    digest = spec.sha256 or sha256_of_file(path)
    if not fetched.transferred_bytes:
        return Checkpoint(path, digest)
    return Checkpoint(path, digest, f"downloaded {spec.file_name} ({spec.licence}) to {path.parent}")


def cache_folder() -> Path:
    """Where downloaded checkpoints are kept: `$ATRKIT_CACHE/checkpoints`, else `~/.cache/atrkit/checkpoints`."""
    root = os.environ.get(CACHE_VARIABLE)
    return (Path(root) if root else Path.home() / ".cache" / "atrkit") / "checkpoints"


def _given_checkpoint(spec: CheckpointSpec, file: Path) -> Checkpoint:
    try:
        digest = sha256_of_file(file)
    except OSError as error:
        raise MissingPrerequisiteError(
            f"checkpoint {file} cannot be read ({error.strerror}); give the path of {spec.file_name}, "
            f"or leave it out to download {spec.url}"
        ) from error
    if digest == spec.sha256:
        return Checkpoint(file, digest)
    return Checkpoint(file, digest, f"{file} is not the published {spec.file_name}: its sha256 is {digest}")


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a state dict: every entry, and nothing else.

    Args:
        network: gets the weights, on the CPU.
        path: a file of `torch.save(state_dict)`.

    Raises:
        IntegrityError: no state dict, other entries or shapes than the network's, code in the pickle, or weights
            that are not finite. Nothing in the file is run.
    """
    state = _read_state_dict(path)
    own = network.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unexpected:
        differences = [
            f"{len(keys)} entries are {what} (the first: {keys[0]})"
            for keys, what in ((missing, "missing"), (unexpected, "unknown"))
            if keys
        ]
        raise IntegrityError(f"{path} holds the weights of another network: {'; '.join(differences)}")
    for key, value in state.items():
        if value.shape != own[key].shape:
            shapes = f"{tuple(value.shape)} instead of {tuple(own[key].shape)}"
            raise IntegrityError(f"{path} holds the weights of another network: {key} has shape {shapes}")
        if not bool(torch.isfinite(value).all()):
            raise IntegrityError(f"{path} is damaged: {key} has NaN or infinite weights; fetch it again")
    network.load_state_dict(state, strict=True)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on odd pickles: the errors below say it in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise IntegrityError(
            f"{path} is refused: it holds more than tensors, or is damaged, and reading it could run code; "
            "use the published file"
        ) from error
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise IntegrityError(f"{path} is no readable torch checkpoint; use the published file") from error
    if not isinstance(content, dict) or not all(_is_weight(key, value) for key, value in content.items()):
        raise IntegrityError(f"{path} holds no state dict (names and tensors); use the published file")
    return content


def _is_weight(key: object, value: object) -> bool:
    if not isinstance(key, str) or not isinstance(value, Tensor):
        return False
    return value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
