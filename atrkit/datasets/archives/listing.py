"""What an archive says it holds, read and judged before anything is written (FAULTS.md row 16)."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from atrkit.datasets.archives.formats import format_of
from atrkit.datasets.archives.members import Member, opened, refused, safe_path
from atrkit.errors import IntegrityError

MOST_EXPANSION = 500
ALWAYS_ALLOWED_BYTES = 8_000_000


@dataclass(frozen=True)
class ArchiveListing:
    """The files of an archive, all of which lie in one folder of it or in none.

    Args:
        members: name of the extracted file -> size in bytes.
        missing: names that were expected and are not there, sorted.
        unexpected: names that are there and were not expected, sorted.
    """

    members: Mapping[str, int]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Size of all extracted files together."""
        return sum(self.members.values())


def scan_archive(path: Path, *, expected_names: Collection[str] | None = None) -> ArchiveListing:
    """List the files of a 7z, zip or tar archive, and refuse one that would do harm.

    An archive is refused as a whole: one bad member means that the rest is not the publisher's either. Names that
    differ in case only are the same file where the archive's own file system says so. The bound on expansion is far
    from any sound: WAV files pack to between a half and a thirtieth, zeros to a thousandth (zip) or less (7z).

    Args:
        path: the archive.
        expected_names: names of the files that should be in it; None expects nothing in particular.

    Returns:
        The files, without the folder that they lie in.

    Raises:
        IntegrityError: a name leads elsewhere or occurs twice, a member is a link or no file, files lie in several
            folders, the declared sizes are more than 500 times the archive's and more than 8 MB (our choice), none of
            the expected names is there, or the archive is encrypted or damaged (exit code 5).
        MissingPrerequisiteError: there is no archive.
        ResourceError: it may not be read.
    """
    names = _Names(path)
    members: dict[str, int] = {}
    allowed_bytes = max(ALWAYS_ALLOWED_BYTES, MOST_EXPANSION * _size_bytes(path))
    total_bytes = 0
    for member in _members(path):
        total_bytes += member.size_bytes
        if total_bytes > allowed_bytes:
            raise _bomb(path, member, total_bytes)
        if member.kind == "folder":
            safe_path(path, member.name)
        else:
            members[names.take(member)] = member.size_bytes
    if not members:
        raise IntegrityError(f"{path} holds no files: delete it and run the same command again")
    return _compared(path, members, expected_names)


def _members(path: Path) -> Iterator[Member]:
    with opened(path) as file:
        yield from format_of(path, file).members(file)


def _size_bytes(path: Path) -> int:
    with opened(path) as file:
        return file.seek(0, 2)


def _bomb(path: Path, member: Member, total_bytes: int) -> IntegrityError:
    return refused(
        path,
        member.name,
        f"brings the extracted size to {total_bytes / 1e6:,.0f} MB, {total_bytes / _size_bytes(path):,.0f} times the "
        f"archive's (at most {MOST_EXPANSION} are allowed)",
    )


def _compared(path: Path, members: Mapping[str, int], expected_names: Collection[str] | None) -> ArchiveListing:
    if expected_names is None:
        return ArchiveListing(members)
    expected = set(expected_names)
    if expected and expected.isdisjoint(members):
        raise IntegrityError(
            f"{path} holds none of the {len(expected)} files that should be in it, but {next(iter(members))!r} and "
            f"{len(members) - 1} others: it is another archive; delete it and run the same command again"
        )
    return ArchiveListing(members, tuple(sorted(expected - set(members))), tuple(sorted(set(members) - expected)))


class _Names:
    """Judges the members one after another: each name with regard to those before it."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._folds_case = _folds_case(archive)
        self._folder: PurePosixPath | None = None
        self._seen: dict[str, str] = {}

    def take(self, member: Member) -> str:
        """The name of the file that a member becomes."""
        path = safe_path(self._archive, member.name)
        match member.kind:
            case "link":
                raise refused(self._archive, member.name, "is a link")
            case "encrypted":
                raise refused(self._archive, member.name, "is encrypted")
            case "special":
                raise refused(self._archive, member.name, "is neither a file nor a folder")
        if self._folder is None:
            self._folder = path.parent
        if path.parent != self._folder:
            raise refused(self._archive, member.name, f"does not lie in {str(self._folder)!r} like those before it")
        key = _folded(path.name) if self._folds_case else path.name
        if key in self._seen:
            raise refused(self._archive, member.name, f"would overwrite {self._seen[key]!r}, another member")
        self._seen[key] = path.name
        return path.name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _folds_case(archive: Path) -> bool:
    """Whether the file system takes another spelling of the archive's own name for the archive."""
    other_spelling = archive.with_name(archive.name.swapcase())
    return other_spelling.name != archive.name and other_spelling.exists() and other_spelling.samefile(archive)
