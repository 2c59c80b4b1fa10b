"""Published weights: find them, fetch them, check them, and load them without running what is inside.

A checkpoint comes from a stranger's server and a pickle can run any code, so the hash is checked before the file is
used, and torch reads tensors only (`weights_only=True`, which no environment variable overrides).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import CheckpointSpec
from atrkit.encoders.checkpoint_pickles import PickledArray, read_torch_file
from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import as_resource_error
from atrkit.network import fetch

_READ_BYTES = 1 << 20
_SHA256_DIGITS = 64

# what the files of PANNs and ConvNeXt keep of their front end, which is computed here
FRONT_END_BUFFERS = frozenset(
    {
        "spectrogram_extractor.stft.conv_real.weight",
        "spectrogram_extractor.stft.conv_imag.weight",
        "logmel_extractor.melW",
    }
)


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
    place = f"put it at {path}{f' (md5 {spec.md5})' if spec.md5 else ''}"
    way_out = f"give it with {spec.option} FILE, or {place}" if spec.option else place
    is_there = path.is_file()  # then it is hashed below, once; what is fetched is proven before it gets its name
    whole_sha256 = spec.sha256 if _is_whole(spec.sha256) else None
    fetched = fetch(
        spec.url,
        path,
        what=f"the weights of encoder {spec.name}",
        sha256=None if is_there else whole_sha256,
        md5=None if is_there else spec.md5,
        size_bytes=spec.size_bytes,
        place_hint=way_out,
        on_progress=on_progress,
        on_remark=on_remark,
    )
    sha256 = whole_sha256 if whole_sha256 and not is_there else _prove(path, spec, way_out)
    news = f"downloaded {spec.file_name} ({spec.licence}) to {path.parent}" if fetched.transferred_bytes else None
    notes = [note for note in (news, _unproven(spec, path, sha256)) if note]
    return Checkpoint(path, sha256, "; ".join(notes) or None)


def _given_checkpoint(spec: CheckpointSpec, file: Path) -> Checkpoint:
    try:
        digests = _digests(file, spec)
    except OSError as error:
        raise MissingPrerequisiteError(
            f"checkpoint {file} cannot be read ({error.strerror}); give the path of {spec.file_name}, "
            f"or leave it out to download {spec.url}"
        ) from error
    sha256 = digests["sha256"]
    if _difference(spec, digests):
        return Checkpoint(file, sha256, f"{file} is not the published {spec.file_name}: its sha256 is {sha256}")
    return Checkpoint(file, sha256, _unproven(spec, file, sha256))


def _prove(path: Path, spec: CheckpointSpec, way_out: str) -> str:
    """The sha256 of a file in the cache; one that is not the published file is set aside."""
    try:
        digests = _digests(path, spec)
        if difference := _difference(spec, digests):
            aside = path.replace(path.with_name(path.name + ".rejected"))
            raise IntegrityError(
                f"{path.name} is not the published file ({difference}); it was set aside as {aside}: "
                f"run the same command again to fetch it anew from {spec.url}, or fetch it elsewhere and {way_out}"
            )
    except OSError as error:
        raise as_resource_error(error, path) from error
    return digests["sha256"]


def _digests(path: Path, spec: CheckpointSpec) -> dict[str, str]:
    """The sha256, and the md5 where nothing better is published, of a file that is read once."""
    names = ("sha256",) if spec.md5 is None or _is_whole(spec.sha256) else ("sha256", "md5")
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            for digest in hashes.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def _difference(spec: CheckpointSpec, digests: dict[str, str]) -> str | None:
    """How a file differs from the published one, expected and found; None: not at all, as far as can be said."""
    stated = {"sha256": spec.sha256 or "", "md5": spec.md5 or ""}
    for name, found in digests.items():
        expected = stated[name]
        if not found.startswith(expected):
            dots = "..." if name == "sha256" and not _is_whole(expected) else ""
            return f"{name} {expected}{dots} expected, {found} found"
    return None


def _unproven(spec: CheckpointSpec, path: Path, sha256: str) -> str | None:
    if spec.sha256 or spec.md5:
        return None
    return f"no checksum of {spec.file_name} is published, so {path} is taken as it is: its sha256 is {sha256}"


def _is_whole(sha256: str | None) -> bool:
    return sha256 is not None and len(sha256) == _SHA256_DIGITS


def load_weights(
    network: nn.Module, path: Path, *, nesting: str = "", prefix: str = "", ignored: frozenset[str] = frozenset()
) -> None:
    """Fill a network from a published state dict: every entry, and nothing else.

    A ConvNeXt once ran for months with its layer scales silently left out; so nothing is left out silently here.

    Args:
        network: gets the weights, on the CPU; its entries are named as published, without `prefix`.
        path: a file of `torch.save`: the state dict, or a dict that holds it under `nesting` beside other things.
        nesting: name of the entry that holds the state dict; a file that has none is the state dict itself.
        prefix: what stands before the name of every entry; a state dict where it stands before none is taken as well.
        ignored: names, without `prefix`, that may be there and are not used.

    Raises:
        IntegrityError: no state dict, other entries, shapes or kinds of numbers than the network's, code in the
            pickle, or weights that are not finite. Nothing in the file is run.
    """
    fill(network, read_state_dict(path, nesting), path, prefix=prefix, ignored=ignored)


def fill(
    network: nn.Module,
    state: dict[str, Tensor],
    path: Path,
    *,
    prefix: str = "",
    ignored: frozenset[str] = frozenset(),
) -> None:
    """Fill a network from a state dict that was read from `path`; for the rest see `load_weights`.

    Raises:
        IntegrityError: other entries, shapes or kinds of numbers than the network's, or weights that are not finite.
    """
    own = network.state_dict()
    written = prefix if any(key.startswith(prefix) for key in state) else ""
    wanted = {written + name: value for name, value in own.items()}
    given = {key: value for key, value in state.items() if key.removeprefix(written) not in ignored}
    _require_same_names(wanted, given, path)
    for key, value in given.items():
        _require_like(wanted[key], value, key, path)
    network.load_state_dict({name: given[written + name] for name in own}, strict=True)


def read_state_dict(path: Path, nesting: str = "") -> dict[str, Tensor]:
    """The names and tensors of a file of `torch.save`, on the CPU.

    Args:
        path: the state dict, or a dict that holds it under `nesting` beside other things.
        nesting: name of the entry; a file that has none is the state dict itself.

    Raises:
        IntegrityError: no state dict, or code in the pickle. Nothing in the file is run.
    """
    content = read_torch_file(path)
    is_nested = bool(nesting) and isinstance(content, dict) and nesting in content
    nested = content[nesting] if is_nested and isinstance(content, dict) else content
    where = f"entry {nesting!r} of {path}" if is_nested else f"{path}"
    if not isinstance(nested, dict) or not nested:
        raise IntegrityError(f"{where} holds no state dict (names and tensors); use the published file")
    state: dict[str, Tensor] = {}
    for key, value in nested.items():
        tensor = value.to_tensor() if isinstance(value, PickledArray) else value
        if not isinstance(key, str) or not isinstance(tensor, Tensor) or not _is_plain(tensor):
            raise IntegrityError(
                f"{where} holds no state dict (names and tensors): {key!r} is no plain tensor; use the published file"
            )
        state[key] = tensor
    return state


def _require_same_names(wanted: dict[str, Tensor], state: dict[str, Tensor], path: Path) -> None:
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    differences = [
        f"{len(keys)} entries are {what} (the first: {keys[0]})"
        for keys, what in ((missing, "missing"), (unknown, "unknown"))
        if keys
    ]
    if differences:
        raise IntegrityError(f"{path} holds the weights of another network: {'; '.join(differences)}")


def _require_like(wanted: Tensor, value: Tensor, key: str, path: Path) -> None:
    if value.shape != wanted.shape:
        shapes = f"{tuple(value.shape)} instead of {tuple(wanted.shape)}"
        raise IntegrityError(f"{path} holds the weights of another network: {key} has shape {shapes}")
    if value.is_floating_point() != wanted.is_floating_point():
        types = f"{_short(value.dtype)} instead of {_short(wanted.dtype)}"
        raise IntegrityError(f"{path} holds the weights of another network: {key} is of {types}")
    if not bool(torch.isfinite(value).all()):
        raise IntegrityError(f"{path} is damaged: {key} has NaN or infinite weights; fetch it again")


def _is_plain(value: Tensor) -> bool:
    is_dense = value.layout is torch.strided and value.device.type == "cpu"
    return is_dense and not value.is_complex() and not value.is_quantized


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
