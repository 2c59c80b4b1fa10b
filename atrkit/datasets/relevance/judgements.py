"""From published texts and file names to the ids of a dataset, with everything that fits nowhere listed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from atrkit.datasets.csv_records import Record, read_records, shown
from atrkit.datasets.manifest import Caption, Problem
from atrkit.datasets.relevance.qrels import Qrels
from atrkit.errors import UsageError
from atrkit.text.normalise import normalise_caption

# the publishers' names for Clotho's subsets, and what a dataset may call the split
SPLIT_NAMES = {
    "development": ("dev", "development"),
    "validation": ("val", "validation"),
    "evaluation": ("eval", "evaluation", "test"),
}


class Captioned(Protocol):
    """A clip as far as judgements look at it: its id, which ends with its file name, and its captions."""

    @property
    def id(self) -> str:
        """Unique among the clips."""

    @property
    def captions(self) -> tuple[Caption, ...]:
        """Any number."""


class CaptionedSplits(Protocol):
    """What judgements are expressed in the ids of: a dataset, or a table of captions without any audio."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""

    def split(self, name: str) -> Sequence[Captioned]:
        """Clips of one of them."""


@dataclass(frozen=True)
class Relevance:
    """An annotation, as far as the dataset has its clips and captions.

    Args:
        name: "dcase2025" or "graded2023".
        source: the file or folder it was read from.
        qrels: one for each split.
        problems: queries and judgements that were left out, each with its reason.
        notes: what is true of the whole and might surprise.
    """

    name: str
    source: Path
    qrels: tuple[Qrels, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def problem_counts(self) -> dict[str, int]:
        """How often each reason for leaving something out occurs, the most frequent first."""
        return dict(Counter(problem.reason for problem in self.problems).most_common())


class SplitIndex:
    """Finds clips by file name and captions by text in one split.

    Args:
        clips: of the split.
    """

    def __init__(self, clips: Iterable[Captioned]) -> None:
        self._clips_of_name: dict[str, list[Captioned]] = defaultdict(list)
        self._by_text: dict[str, list[tuple[Caption, Captioned]]] = defaultdict(list)
        self._by_words: dict[str, list[tuple[Caption, Captioned]]] = defaultdict(list)
        for clip in clips:
            self._clips_of_name[PurePosixPath(clip.id).name].append(clip)
            for caption in clip.captions:
                self._by_text[caption.text].append((caption, clip))
                self._by_words[caption.normalised].append((caption, clip))

    def clip(self, file_name: str) -> Captioned | None:
        """The one clip with that file name; None when there is none, or more than one."""
        clips = self._clips_of_name.get(file_name, [])
        return clips[0] if len(clips) == 1 else None

    def captions(self, text: str) -> list[tuple[Caption, Captioned]]:
        """Captions with that text and their clips; where no text is equal, those with the same words."""
        return self._by_text.get(text) or self._by_words.get(normalise_caption(text), [])


@dataclass
class Collector:
    """Gathers the judgements of one split, and what had to be left out.

    Args:
        name: of the annotation.
        split: the dataset's name for it.
    """

    name: str
    split: str
    grades: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, item: str, reason: str) -> None:
        """List something that was left out."""
        self.problems.append(Problem(f"{self.split}: {item}", "skipped", reason))

    def add(self, query: str, caption_id: str, graded: Mapping[str, int]) -> None:
        """Take a query's judgements; one that is left without a relevant clip can be no query."""
        if caption_id in self.grades:
            self.leave_out(query, "the query occurs more than once")
        elif not any(graded.values()):
            self.leave_out(query, "none of the clips that are relevant to the query is in the dataset")
        else:
            self.grades[caption_id] = dict(graded)

    @property
    def qrels(self) -> Qrels:
        """What was gathered."""
        return Qrels(self.name, self.split, self.grades)


def split_called(dataset: CaptionedSplits, published: str) -> str | None:
    """The dataset's name for a subset of Clotho; None when it has no such split."""
    return next((name for name in SPLIT_NAMES[published] if name in dataset.splits), None)


def rows_of(path: Path, columns: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Rows of a CSV file, reduced to some of its columns, each with its line number.

    Raises:
        UsageError: the file is not there, is no CSV or lacks a column (exit code 2).
    """
    records = read_records(path)
    absent = [column for column in columns if column not in records.header.fields]
    if absent:
        raise UsageError(f"{path}:1: there is no column {shown(absent[0])}: is it the file as it was published?")
    places = [records.header.fields.index(column) for column in columns]
    return [(row.line, _cells(row, places)) for row in records.rows]


def _cells(row: Record, places: list[int]) -> tuple[str, ...]:
    return tuple(row.fields[place] for place in places)
