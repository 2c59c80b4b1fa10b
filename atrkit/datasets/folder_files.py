"""What lies below a folder: sound files, and what only looks like one."""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from atrkit.audio.read import AUDIO_SUFFIXES
from atrkit.datasets.manifest import DATASET_NAME, MANIFEST_NAME

_NOT_UTF_8 = "its name is not UTF-8: rename it"
_A_FOLDER = "a folder, not a sound file"
_UNLISTABLE = "a folder that may not be read: change its permissions"
_LINK_TO_FOLDER = "a link to a folder, which is not followed: name that folder with --audio-dir, or import it by itself"
_MAY_HOLD_SOUNDS = (_UNLISTABLE, _LINK_TO_FOLDER)
_LEAVES = "a link that leads out of the folder: copy the file here, or name its folder with --audio-dir"


@dataclass
class FolderListing:
    """Everything below a folder, by path relative to it, with `/`.

    Args:
        root: the folder, absolute.
        files: regular files of any kind, and links to such within the folder.
        refused: what cannot be used, and why.
        hidden: sound files that were passed over because their name begins with a dot (macOS writes such beside
            each real one).
        datasets: folders that are datasets of atrkit; nothing in them is listed.
    """

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    hidden: int = 0
    datasets: list[str] = field(default_factory=list)

    def sounds(self) -> list[str]:
        """Files with a suffix of audio, sorted."""
        return sorted(name for name in self.files if has_audio_suffix(name))

    def refused_sounds(self) -> list[str]:
        """What is named like a sound file, or may hold some, and cannot be used; sorted."""
        return sorted(name for name, why in self.refused.items() if has_audio_suffix(name) or why in _MAY_HOLD_SOUNDS)

    @property
    def is_readable(self) -> bool:
        """Whether the folder itself could be listed."""
        return self.refused.get(".") != _UNLISTABLE

    def refusal(self, name: str) -> str | None:
        """Why a file cannot be used: for what it is, or for a folder above it."""
        parts = PurePosixPath(name).parts
        outward = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((self.refused[path] for path in outward if path in self.refused), None)


def has_audio_suffix(name: str) -> bool:
    """Whether a file is called like a sound file.

    >>> has_audio_suffix("UPPER.WAV"), has_audio_suffix("notes.txt")
    (True, False)
    """
    return PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES


def list_folder(root: Path) -> FolderListing:
    """List a folder and all below it; links are followed to files within the folder only.

    Args:
        root: the folder; it may itself be a link.
    """
    listing = FolderListing(root.resolve())
    for name, path, mode in _walk(listing):
        reason = _why_refused(listing.root, name, path, mode)
        if any(part.startswith(".") for part in PurePosixPath(name).parts):
            listing.hidden += has_audio_suffix(name) and not stat.S_ISDIR(mode)
        elif reason is not None:
            listing.refused[printable(name)] = reason
        elif not stat.S_ISDIR(mode):
            listing.files[name] = path
    return listing


def printable(name: str) -> str:
    """A file name as text that can be written: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")


def _walk(listing: FolderListing) -> Iterator[tuple[str, Path, int]]:
    def note_unlistable(error: OSError) -> None:
        name = Path(error.filename).relative_to(listing.root).as_posix()
        listing.refused[printable(name)] = _UNLISTABLE

    for folder, folder_names, file_names in os.walk(listing.root, onerror=note_unlistable):
        relative = Path(folder).relative_to(listing.root)
        if relative.parts and {MANIFEST_NAME, DATASET_NAME} <= set(file_names):
            listing.datasets.append(relative.as_posix())
            folder_names.clear()
            continue
        for name in sorted(folder_names + file_names):
            try:
                mode = Path(folder, name).lstat().st_mode
            except PermissionError:  # names may be listed, and nothing more
                listing.refused[printable(relative.as_posix())] = _UNLISTABLE
                break
            except FileNotFoundError:  # deleted a moment ago
                continue
            yield (relative / name).as_posix(), Path(folder, name), mode


def _why_refused(root: Path, name: str, path: Path, mode: int) -> str | None:
    if printable(name) != name:
        return _NOT_UTF_8
    if stat.S_ISLNK(mode):
        return _why_link_refused(root, path)
    if stat.S_ISDIR(mode):
        return _A_FOLDER if has_audio_suffix(name) else None
    return None if stat.S_ISREG(mode) else "neither a file nor a folder"


def _why_link_refused(root: Path, path: Path) -> str | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return "a link to nowhere: remove it, or restore what it pointed to"
    if target.is_dir():
        return _LINK_TO_FOLDER
    if not target.is_relative_to(root):
        return _LEAVES
    return None if target.is_file() else "neither a file nor a folder"


class SimilarNames:
    """Finds the file that a table means by a name that is spelled slightly differently.

    Unicode writes "ü" in two ways, and macOS stores the one that tables rarely have. Such names are the same to a
    reader, so they are taken; names that differ in case or outer blanks are only suggested.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_nfc: dict[str, list[str]] = {}
        self._by_fold: dict[str, list[str]] = {}
        for name in names:
            self._by_nfc.setdefault(_nfc(name), []).append(name)
            self._by_fold.setdefault(_fold(name), []).append(name)

    def same_text(self, name: str) -> str | None:
        """The one file whose name is the same text in another Unicode form."""
        return _the_only(self._by_nfc, _nfc(name))

    def nearly(self, name: str) -> str | None:
        """The one file whose name differs in case or outer blanks only."""
        return _the_only(self._by_fold, _fold(name))


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _fold(name: str) -> str:
    return _nfc(name).casefold().strip()


def _the_only(names: Mapping[str, list[str]], key: str) -> str | None:
    candidates = names.get(key, [])
    return candidates[0] if len(candidates) == 1 else None
