"""What YouTube said of each clip, kept over runs: one line per answer, the last one of a clip counts.

It is only appended to, one whole line at a time, so a kill costs at most the line being written. Whether a clip is
there is not asked here but of the disk.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.youtube import FetchedAudio
from atrkit.files import as_resource_error


@dataclass(frozen=True)
class Entry:
    """All that is known of a clip.

    Args:
        attempts: how often it was asked for, in all runs.
        reason: why it is missing; None when it was written.
        audio: what was written; None when it is missing.
    """

    attempts: int
    reason: Reason | None
    audio: FetchedAudio | None


@dataclass
class FetchJournal:
    """Answers by clip id, in memory and in a file; only one process may have it open.

    Args:
        path: the file, which need not be there.
        entries: by clip id.
        unreadable_lines: lines that were left out; 1 after a kill, more when the file is damaged.
    """

    path: Path
    entries: dict[str, Entry] = field(default_factory=dict)
    unreadable_lines: int = 0
    _descriptor: int | None = None

    def __enter__(self) -> Self:
        """Read what is there, and get ready to append.

        Raises:
            ResourceError: the file cannot be read or written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            text = self.path.read_text(encoding="ascii", errors="replace")
            if text and not text.endswith("\n"):
                os.write(self._descriptor, b"\n")
        except OSError as error:
            self.__exit__(None, None, None)
            raise as_resource_error(error, self.path) from error
        for line in filter(None, text.split("\n")):
            try:
                clip_id, entry = _from_line(line)
            except (ValueError, KeyError, TypeError):
                self.unreadable_lines += 1
            else:
                self.entries[clip_id] = entry
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def attempts(self, clip_id: str) -> int:
        """How often a clip was asked for, in all runs."""
        return self.entries[clip_id].attempts if clip_id in self.entries else 0

    def add(self, clip_id: str, answer: FetchedAudio | Reason) -> Entry:
        """Keep an answer where a kill cannot reach it.

        Raises:
            ResourceError: the disk is full.
        """
        assert self._descriptor is not None, "open it with `with`"
        attempts = self.attempts(clip_id) + 1
        entry = Entry(attempts, answer, None) if isinstance(answer, Reason) else Entry(attempts, None, answer)
        try:
            os.write(self._descriptor, _to_line(clip_id, entry))
        except OSError as error:
            raise as_resource_error(error, self.path) from error
        self.entries[clip_id] = entry
        return entry


def _to_line(clip_id: str, entry: Entry) -> bytes:
    record: dict[str, object] = {"clip_id": clip_id, "attempts": entry.attempts}
    if entry.reason is not None:
        record |= {"reason": vars(entry.reason) | {"kind": entry.reason.kind.value}}
    if entry.audio is not None:
        record |= {"audio": vars(entry.audio)}
    return (json.dumps(record) + "\n").encode("ascii")


def _from_line(line: str) -> tuple[str, Entry]:
    record = json.loads(line)
    reason = audio = None
    if "reason" in record:
        reason = Reason(**record["reason"] | {"kind": Kind(record["reason"]["kind"])})
    if "audio" in record:
        audio = FetchedAudio(**record["audio"])
    return str(record["clip_id"]), Entry(int(record["attempts"]), reason, audio)
