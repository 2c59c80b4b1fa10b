"""What was prepared before: one line per recording and rate, so that the same command does nothing twice.

The journal is a memory, not a source: a line that cannot be read is a recording to prepare again. Paths in it start at
its own folder where they can, so that a dataset may be moved.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import AudioFile
from atrkit.files import as_resource_error, write_atomic


@dataclass(frozen=True)
class Prepared:
    """A recording that can be used.

    Args:
        original: the file that was read, with its absolute path.
        is_original_there: False when it was deleted after its copy was made.
        copy: the same at the wanted rate, with its absolute path; None when the original has that rate, or no copy
            was wanted.
        clipped_samples: samples of the copy that were beyond full scale.
        repairs: one line for each thing about the original that was worked around.
    """

    original: AudioFile
    is_original_there: bool
    copy: AudioFile | None
    clipped_samples: int
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class Unusable:
    """A recording that cannot be used.

    Args:
        reason: one line, without the path.
    """

    reason: str


@dataclass(frozen=True)
class FileState:
    """What changes when a file is written."""

    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "FileState | None":
        """The state of what lies there, or None when nothing can be reached there."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """What was found of one recording.

    Args:
        clip_id: of the recording.
        sample_rate_hz: of the copy that was wanted; None for none.
        source: the file that was read, absolute.
        source_state: before it was read.
        outcome: what came of it.
        copy_state: after the copy was written.
    """

    clip_id: str
    sample_rate_hz: int | None
    source: str
    source_state: FileState
    outcome: Prepared | Unusable
    copy_state: FileState | None = None

    def has_copy_at(self, path: Path) -> bool:
        """Whether there is a copy, and it lies there as it was written."""
        copy = self.outcome.copy if isinstance(self.outcome, Prepared) else None
        return copy is not None and copy.path == str(path) and FileState.of(path) == self.copy_state

    @property
    def key(self) -> tuple[str, int]:
        """Entries are sorted by this, and each replaces those before it with the same one."""
        return self.clip_id, self.sample_rate_hz or 0


@dataclass
class Journal:
    """Entries by clip and rate, in memory and in a file; only one process may have it open.

    Args:
        path: the file, which need not be there.
        entries: by `Entry.key`.
        is_compact: whether the file holds nothing but these, sorted.
    """

    path: Path
    entries: dict[tuple[str, int], Entry] = field(default_factory=dict)
    is_compact: bool = True

    def __post_init__(self) -> None:
        self._folder = f"{self.path.absolute().parent}/"

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Read what is there; what a kill has cut off is left out, and the next `appending` writes the file anew."""
        journal = cls(path)
        try:
            text = path.read_text(errors="replace")
        except FileNotFoundError:
            return journal
        lines = text.split("\n")
        journal.is_compact = lines.pop() == ""
        before = ("", -1)
        for line in lines:
            try:
                entry = journal._from_line(line)
            except (ValueError, KeyError, TypeError):
                journal.is_compact = False
                continue
            journal.is_compact &= before < entry.key
            journal.entries[entry.key] = entry
            before = entry.key
        return journal

    @contextmanager
    def appending(self) -> Iterator[Callable[[Entry], None]]:
        """Give a function that keeps an entry where a kill cannot reach it; the file is compact again after the block.

        Raises:
            ResourceError: the disk is full or the folder cannot be written.
        """
        self._compact()  # nothing may be appended to half a line
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # what a kill left of writing entries that had come in order: they are compact as they are
            self.path.with_name(f"{self.path.name}.part").unlink(missing_ok=True)
            file = self.path.open("ab", buffering=0)  # nothing is left to write, and to fail again, when it is closed
        except OSError as error:
            raise as_resource_error(error, self.path) from error

        def append(entry: Entry) -> None:
            line = self._to_line(entry).encode("ascii")
            try:
                while line:
                    line = line[file.write(line) :]
            except OSError as error:
                raise as_resource_error(error, self.path) from error
            self.entries[entry.key] = entry
            self.is_compact = False

        with file:
            yield append
        self._compact()

    def _compact(self) -> None:
        """Write all entries, sorted, one each: the file does not depend on what was interrupted when."""
        if self.is_compact:
            return
        lines = (self._to_line(self.entries[key]) for key in sorted(self.entries))
        write_atomic(self.path, "".join(lines).encode("ascii"))
        self.is_compact = True

    def _to_line(self, entry: Entry) -> str:
        record: dict[str, Any] = {
            "clip_id": entry.clip_id,
            "sample_rate_hz": entry.sample_rate_hz,
            "source": self._shortened(entry.source),
            "source_state": dataclasses.astuple(entry.source_state),
        }
        match entry.outcome:
            case Unusable(reason):
                record["reason"] = reason
            case Prepared() as prepared:
                record |= {
                    "original": self._facts(prepared.original),
                    "copy": None if prepared.copy is None else self._facts(prepared.copy),
                    "copy_state": None if entry.copy_state is None else dataclasses.astuple(entry.copy_state),
                    "clipped_samples": prepared.clipped_samples,
                    "repairs": prepared.repairs,
                }
        return json.dumps(record) + "\n"

    def _facts(self, file: AudioFile) -> dict[str, Any]:
        return vars(file) | {"path": self._shortened(file.path)}

    def _from_line(self, line: str) -> Entry:
        record = json.loads(line)
        outcome: Prepared | Unusable
        copy_state = None
        if "reason" in record:
            outcome = Unusable(record["reason"])
        else:
            copy = None if record["copy"] is None else self._file(record["copy"])
            copy_state = None if copy is None else FileState(*record["copy_state"])
            original, repairs = self._file(record["original"]), tuple(record["repairs"])
            outcome = Prepared(original, True, copy, record["clipped_samples"], repairs)
        source, state = self._absolute(record["source"]), FileState(*record["source_state"])
        return Entry(record["clip_id"], record["sample_rate_hz"], source, state, outcome, copy_state)

    def _file(self, facts: dict[str, Any]) -> AudioFile:
        facts["path"] = self._absolute(facts["path"])
        return AudioFile(**facts)

    def _shortened(self, path: str) -> str:
        return path.removeprefix(self._folder)

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else self._folder + path
