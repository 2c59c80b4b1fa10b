"""The weights in a checkpoint: loaded strictly, and without running what is inside.

A checkpoint comes from a stranger's server and a pickle can run any code, so torch reads tensors only
(`weights_only=True`, which no environment variable overrides). What atrkit saves itself is safetensors, which holds
nothing else.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import Tensor, nn

from atrkit.encoders.checkpoint_pickles import PickledArray, read_torch_file
from atrkit.encoders.wrong_files import kind_of_wrong_file
from atrkit.errors import IntegrityError

SAFETENSORS_SUFFIX = ".safetensors"

# what the files of PANNs and ConvNeXt keep of their front end, which is computed here
FRONT_END_BUFFERS = frozenset(
    {
        "spectrogram_extractor.stft.conv_real.weight",
        "spectrogram_extractor.stft.conv_imag.weight",
        "logmel_extractor.melW",
    }
)


def load_weights(
    network: nn.Module, path: Path, *, nesting: str = "", prefix: str = "", ignored: frozenset[str] = frozenset()
) -> None:
    """Fill a network from a published state dict: every entry, and nothing else.

    A ConvNeXt once ran for months with its layer scales silently left out; so nothing is left out silently here.

    Args:
        network: gets the weights, on the CPU; its entries are named as published, without `prefix`.
        path: a file of `torch.save`: the state dict, or a dict that holds it under `nesting` beside other things; or
            a file of safetensors, by its name.
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
    """The names and tensors of a file, on the CPU.

    Args:
        path: of safetensors where it is called so, else of `torch.save`: the state dict, or a dict that holds it
            under `nesting` beside other things.
        nesting: name of the entry; a file that has none is the state dict itself.

    Raises:
        IntegrityError: no state dict, or code in the pickle. Nothing in the file is run.
    """
    content: object = read_safetensors(path) if path.suffix == SAFETENSORS_SUFFIX else read_torch_file(path)
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


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """The names and tensors of a safetensors file, on the CPU.

    Raises:
        IntegrityError: it is damaged, or another kind of file.
    """
    try:
        state: dict[str, Tensor] = safetensors_torch.load_file(path)
    except (SafetensorError, OSError) as error:
        kind = kind_of_wrong_file(path, "safetensors")
        reason = f": {kind}" if kind else ""
        raise IntegrityError(f"{path} is no readable safetensors file{reason}; use the file that was saved") from error
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
