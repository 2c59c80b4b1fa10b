"""What kind of file something is, by its first bytes; the name decides nothing."""

import codecs
from enum import Enum
from pathlib import Path

from atrkit.errors import IntegrityError, UsageError

_HEAD_BYTES = 1 << 16
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Kind(Enum):
    """Kinds of files that are told apart before they are read."""

    sealed = "HDF5 file of atrkit"
    npz = "npz archive"
    npy = "npy array"
    text = "text"


def kind_of(path: Path) -> Kind:
    """Look at the first bytes.

    Raises:
        UsageError: there is no such file, or it cannot be read (exit code 2).
        IntegrityError: it is empty, or a kind that is never right here; says which, and the way out (exit code 5).
    """
    head = head_of(path)
    if not head:
        raise IntegrityError(f"{path} is empty: copy or save it again")
    if head.startswith(b"atrkit; sha256"):
        return Kind.sealed
    if head.startswith(b"PK\x03\x04"):
        return Kind.npz
    if head.startswith(b"\x93NUMPY"):
        return Kind.npy
    why_not = _never_right(head)
    if why_not:
        raise IntegrityError(f"{path} {why_not}")
    return Kind.text


def head_of(path: Path) -> bytes:
    """The first 64 KB.

    Raises:
        UsageError: there is no such file, or it cannot be read (exit code 2).
    """
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def _never_right(head: bytes) -> str | None:
    start = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")[:64].lower()
    if head.startswith(b"\x89HDF") or head[512:520].startswith(b"\x89HDF"):
        return "is an HDF5 file that atrkit did not write: read it with h5py and save scores and ids with np.savez"
    if head.startswith((b"\x80", b"(dp", b"(lp")):
        return "is a Python pickle, which can run code and is not read: save scores and ids with np.savez"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")):
        return "is compressed: unpack it first"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page (or XML), not a file of scores: download the file itself"
    if start.startswith((b"{", b"[")):
        return "is JSON: write a table of clip, caption, score, or save scores and ids with np.savez"
    if head.startswith(_UTF_16):
        return "is UTF-16, not UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW"
    if b"\0" in head:
        return (
            "is a binary file of no known kind: tried .h5 of atrkit, .npz and .npy; save scores and ids with np.savez"
        )
    return None
