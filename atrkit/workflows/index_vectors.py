"""The vectors that an index has already: by content, so that a file keeps them under whatever name it goes."""

import shutil
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError
from atrkit.files import as_resource_error
from atrkit.search.index_files import SEGMENTS_FOLDER, DamagedPartError, Segment, damaged, segment_path
from atrkit.search.segments import OpenSegment, Place, open_segment, segments_on_disk


@dataclass
class KnownVectors:
    """Segments and what lies in them.

    Args:
        folder: of the index.
        segments: that are checked, in order of their numbers.
        next_number: of the next segment.
        places: of each content, in the first segment that has it.
        problems: (action, reason) of contents that were padded, or skipped by this very work, by sha256.
        damaged: what is wrong with segments of the index that cannot be used.
    """

    folder: Path
    segments: list[OpenSegment] = field(default_factory=list)
    next_number: int = 1
    places: dict[str, Place] = field(default_factory=dict)
    problems: dict[str, list[tuple[Any, str]]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        folder: Path,
        listed: Sequence[Segment],
        provenance: Mapping[str, Any],
        needed: Container[str],
        *,
        is_afresh: bool,
    ) -> "KnownVectors":
        """Check the segments of an index, and those that an interrupted call finished and did not come to list.

        Args:
            folder: of the index.
            listed: segments that index.json names.
            provenance: of what would be made now.
            needed: contents that some file has.
            is_afresh: make everything anew: what index.json names is not used.

        Returns:
            What can be used; a segment that is missing or damaged is left out, and with it only what it held.
        """
        known = cls(folder)
        numbers = {segment.number for segment in listed}
        for segment in [] if is_afresh else listed:
            try:
                opened = open_segment(folder, segment.number)
                if opened.about != segment:
                    raise damaged(segment.path(folder), "it is of another index")
            except DamagedPartError as error:
                known.damaged.append(error.what)
                continue
            known._add(opened, with_skipped=False)
        known.next_number = max(numbers, default=0) + 1
        for number in segments_on_disk(folder):
            if number not in numbers:
                known._adopt_leftover(number, provenance, needed)
        return known

    def lacks(self, content: str) -> bool:
        """Whether a content is still to be encoded: it has no vectors, and this work did not skip it."""
        return content not in self.places and content not in self.problems

    def adopt(self, number: int) -> None:
        """Take in a segment that was just made; one in which every content was skipped is not kept."""
        opened = open_segment(self.folder, number)
        self._add(opened, with_skipped=True)
        self.next_number = number + 1

    def _adopt_leftover(self, number: int, provenance: Mapping[str, Any], needed: Container[str]) -> None:
        try:
            opened = open_segment(self.folder, number)
        except IntegrityError:
            opened = None
        contents = [] if opened is None else [*opened.places, *(problem["item"] for problem in opened.problems)]
        is_of_use = any(content in needed and self.lacks(content) for content in contents)
        if opened is None or opened.provenance != provenance or not is_of_use:
            _remove(segment_path(self.folder, number))
            return
        self._add(opened, with_skipped=True)
        self.next_number = max(self.next_number, number + 1)

    def _add(self, opened: OpenSegment, *, with_skipped: bool) -> None:
        self.segments.append(opened)
        for content, place in opened.places.items():
            self.places.setdefault(content, place)
        for problem in opened.problems:
            # what was skipped long ago may go well today; what this work skipped would be skipped again and again
            if problem["action"] != "skipped" or with_skipped:
                of_content = self.problems.setdefault(problem["item"], [])
                entry = (problem["action"], problem["reason"])
                of_content += [] if entry in of_content else [entry]


def remove_what_is_no_part(folder: Path, about: Mapping[str, Any]) -> None:
    """Delete segments, parts and lists of files that index.json does not name; whoever reads them keeps them open.

    Raises:
        ResourceError: something could not be removed.
    """
    numbers = {record["number"] for record in about["segments"]}
    for number in segments_on_disk(folder):
        if number not in numbers:
            _remove(segment_path(folder, number))
    for parts in (folder / SEGMENTS_FOLDER).glob("*.parts"):
        try:
            shutil.rmtree(parts)
        except OSError as error:
            raise as_resource_error(error, parts) from error
    lists = {about["files"]["name"], about["places"]["name"]}
    for path in [*folder.glob("files-*.jsonl"), *folder.glob("places-*.npy")]:
        if path.name not in lists:
            _remove(path)
    segments = folder / SEGMENTS_FOLDER
    # locks of parts that are there no more, and what a killed process was writing
    for path in [*segments.glob(".*.lock"), *segments.glob("*.part"), *folder.glob("*.part")]:
        _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise as_resource_error(error, path) from error
