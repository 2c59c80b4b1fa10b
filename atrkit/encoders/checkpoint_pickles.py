"""Reading torch files from strangers: tensors, plain values and numpy's numbers, and nothing that could run.

torch's restricted reader (`weights_only=True`) refuses numpy arrays, and published checkpoints hold some: the state of
a sampler beside the weights, or the weights themselves. numpy's own unpickling is C code that trusts what it reads, so
its names are not let in: they are answered with the stand-ins below, which keep what was written and make a tensor of
it when asked.
"""

import pickle
import threading
import warnings
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrkit.encoders.wrong_files import kind_of_wrong_file
from atrkit.errors import IntegrityError

_NUMBER_KINDS = "fiu"
_reading = threading.Lock()  # torch keeps one allow-list for the whole process


class PickledDtype:
    """What a pickle says of a numpy dtype: a code as "f8", and the byte order."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code
        self.byte_order: object = "="

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.byte_order = state[1]

    def number_type(self) -> "np.dtype[Any] | None":
        """The dtype where it is one of plain numbers, else None."""
        if isinstance(self.code, str) and self.code[:1] in _NUMBER_KINDS and self.byte_order in ("<", ">", "=", "|"):
            return np.dtype(f"{self.byte_order}{self.code}")
        return None


class PickledArray:
    """What a pickle says of a numpy array."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[object, ...] = ()

    def __setstate__(self, state: tuple[object, ...]) -> None:
        self.state = state

    def to_tensor(self) -> Tensor | None:
        """The array where it is one of plain numbers and whole, else None; nothing is unpickled."""
        match self.state:
            case (_, tuple(shape), PickledDtype() as dtype, bool(is_fortran), bytes(data)):
                number_type = dtype.number_type()
            case _:
                return None
        if number_type is None or not all(isinstance(size, int) and size >= 0 for size in shape):
            return None
        if prod(shape) * number_type.itemsize != len(data):
            return None
        array = np.frombuffer(data, number_type).reshape(shape, order="F" if is_fortran else "C")
        return torch.from_numpy(array.astype(number_type.newbyteorder("="), order="C"))


class PickledScalar:
    """What a pickle says of a numpy number; nobody asks for it."""

    def __init__(self, *_: object) -> None:
        pass


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _no_bytes() -> bytes:
    return b""  # all that pickles of protocol 2 call `bytes` for; with a number it would fill the memory


_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (PickledDtype, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    (_no_bytes, "builtins.bytes"),
    *[(_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")],
    *[(PickledScalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")],
]


def read_torch_file(path: Path) -> object:
    """What `torch.save` wrote, with `PickledArray` and `PickledScalar` in the place of numpy's values.

    Args:
        path: of a file in either of torch's formats; tensors come to the CPU.

    Raises:
        IntegrityError: it holds more than tensors, plain values and numpy's numbers, is damaged, or is another kind of
            file, which is said where its first bytes show it. Nothing was run.
    """
    try:
        with _reading, warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")  # torch's remarks on odd pickles: the errors below say it in one line
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the reader fail in any way
        if kind := kind_of_wrong_file(path):
            raise IntegrityError(f"{path} cannot be read: {kind}; use the published file") from error
        if isinstance(error, pickle.UnpicklingError):
            raise IntegrityError(
                f"{path} is refused: it holds more than tensors, or is damaged, and reading it could run code; "
                "use the published file"
            ) from error
        raise IntegrityError(f"{path} is no readable torch checkpoint; use the published file") from error
