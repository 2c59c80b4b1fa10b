"""What was extracted, kept beside where the archive was, so that the archive itself can go."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from atrkit.errors import IntegrityError
from atrkit.files import write_json_atomic


@dataclass(frozen=True)
class ExtractionRecord:
    """Which archive a folder was extracted from, and what is in it.

    Args:
        archive: the archive's name.
        md5: of the archive's bytes, as they were verified.
        members: file name -> size in bytes.
    """

    archive: str
    md5: str
    members: Mapping[str, int]


def record_path(archive_path: Path) -> Path:
    """Where the record of an archive lies.

    >>> record_path(Path("archives/clotho_audio_development.7z")).name
    'clotho_audio_development.7z.extracted.json'
    """
    return archive_path.with_name(f"{archive_path.name}.extracted.json")


def save_record(path: Path, record: ExtractionRecord) -> None:
    """Write a record; call this when the folder is in its place.

    Raises:
        ResourceError: the file cannot be written.
    """
    write_json_atomic(path, asdict(record))


def load_record(path: Path) -> ExtractionRecord | None:
    """Read a record; None where there is none.

    Raises:
        IntegrityError: the file is not a record.
    """
    try:
        content = json.loads(path.read_bytes())
        members = {str(name): int(size_bytes) for name, size_bytes in content["members"].items()}
        return ExtractionRecord(str(content["archive"]), str(content["md5"]), members)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path} is damaged ({type(error).__name__}): delete it and run the same command again"
        ) from error


def missing_or_changed(record: ExtractionRecord, folder: Path) -> list[str]:
    """Names of files that are not there or do not have the size they were extracted with, sorted.

    Sizes are asked of the file system, so that thousands of files take a fraction of a second; what was altered
    within its size is found by `atrkit info --verify`.
    """
    return sorted(name for name, size_bytes in record.members.items() if not _has_size(folder / name, size_bytes))


def _has_size(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes
