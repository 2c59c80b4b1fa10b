"""What a file is that holds no weights: said from its first bytes, because a download can end in anything."""

import zipfile
from pathlib import Path
from typing import Literal

_HEAD_BYTES = 512
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")
_LFS_POINTER = b"version https://git-lfs"
_ZIP = b"PK\x03\x04"


def kind_of_wrong_file(path: Path, wanted: Literal["torch", "safetensors"] = "torch") -> str | None:
    """What to tell whoever gave a file that could not be read as weights, as "it is empty"; None: it does not show.

    Args:
        path: the file.
        wanted: the kind of file that it should be.

    Source: github.com/huggingface/safetensors, "Format": 8 bytes of length, then JSON; git-lfs, docs/spec.md.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not head:
        return "it is empty"
    if text.startswith(_HTML) or (text.startswith((b"<?xml", b"<!--")) and b"<html" in text):
        return "this is a web page (an error page of a download?)"
    if text.startswith(_LFS_POINTER):
        return "this is a pointer of git-lfs, not the file itself"
    if wanted == "torch" and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "this is a safetensors file; a torch file is needed"
    return _what_is_wrong_with_a_zip(path) if head.startswith(_ZIP) else None


def _what_is_wrong_with_a_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "its end is missing or damaged (a download that was cut off?)"
    is_torch_file = any(name.rpartition("/")[2] == "data.pkl" for name in names)
    return None if is_torch_file else "this is a zip archive that holds no torch file"
