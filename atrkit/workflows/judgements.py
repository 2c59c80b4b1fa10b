"""`--qrels`: finds what people judged relevant, in a file or beside the manifest."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from atrkit.datasets.clip import Caption
from atrkit.datasets.manifest import Dataset
from atrkit.datasets.relevance import HIGHEST_GRADES, KeptQrels, Qrels, detect_and_read, kept_qrels, load_qrels
from atrkit.datasets.relevance.qrels import HEADER, parse_qrels
from atrkit.errors import IntegrityError, UsageError
from atrkit.exchange.trec_qrels import is_trec_qrels, read_trec_qrels
from atrkit.exchange.truth import Truth
from atrkit.workflows.session import Session

_Judged = TypeVar("_Judged", Qrels, KeptQrels)


@dataclass(frozen=True, eq=False)
class Judgements:
    """What is relevant to which caption, in the ids of a dataset.

    Args:
        name: of the annotation, or of the file.
        grades: caption id -> clip id -> grade; 0: judged, and not relevant.
        notes: what was left out when it was read, counted, for people.
        as_they_stand: the same with names that were not percent-decoded, where that makes a difference.
    """

    name: str
    grades: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()
    as_they_stand: Mapping[str, Mapping[str, int]] | None = None

    def fitting(self, caption_ids: Collection[str], clip_ids: Collection[str]) -> "Judgements":
        """The judgements with all names percent-decoded or all as they stand, whichever knows more of the ids.

        Args:
            caption_ids: that scores have.
            clip_ids: likewise.

        Example:
            >>> read = Judgements("run.qrels", {"a b": {"c": 1}}, as_they_stand={"a%20b": {"c": 1}})
            >>> list(read.fitting(["a b"], ["c"]).grades), list(read.fitting(["a%20b"], ["c"]).grades)
            (['a b'], ['a%20b'])
        """
        if self.as_they_stand is None:
            return self
        captions, clips = frozenset(caption_ids), frozenset(clip_ids)
        decoded, as_they_stand = (
            len(captions & grades.keys()) + len(clips & {clip for graded in grades.values() for clip in graded})
            for grades in (self.grades, self.as_they_stand)
        )
        return replace(self, grades=self.grades if decoded >= as_they_stand else self.as_they_stand, as_they_stand=None)

    @property
    def highest_grade(self) -> int:
        """The end of the scale where the annotation has one that we know, else the highest that occurs."""
        annotation = self.name.partition(".")[0]  # that are kept have files called <annotation>.<split>.tsv
        if annotation in HIGHEST_GRADES:
            return HIGHEST_GRADES[annotation]
        return max((grade for graded in self.grades.values() for grade in graded.values()), default=0)

    @property
    def is_graded(self) -> bool:
        """Whether some relevant clips are more so than others."""
        return len({grade for graded in self.grades.values() for grade in graded.values() if grade > 0}) > 1

    @property
    def least_grade(self) -> int:
        """From which grade a clip counts as relevant where nobody says so.

        Our choice: every one above 0 in judgements that know relevant and not relevant, half of the highest in graded
        ones: of the scale where it is known, so that every subset of a published annotation has the same, else of the
        highest that occurs.

        Example:
            >>> Judgements("ours", {"rain#1": {"rain": 100, "dog": 30}}).least_grade
            50
            >>> Judgements("graded2023", {"rain#1": {"rain": 60, "dog": 30}}).least_grade
            50
            >>> Judgements("ours", {"rain#1": {"rain": 1, "dog": 0}}).least_grade
            1
        """
        return -(-self.highest_grade // 2) if self.is_graded else 1


def judgements_for(
    session: Session, named: str | None, dataset: Dataset | None, split: str | None, truth: Truth | None = None
) -> Judgements | None:
    """What `find_judgements` finds, said with what was left out; None where none are asked for."""
    if named is None:
        return None
    found = find_judgements(named, dataset, split, truth)
    session.say(f"judgements: {found.name}, {len(found.grades):,} captions")
    for note in found.notes:
        session.say(f"  {note}")
    return found


def find_judgements(named: str, dataset: Dataset | None, split: str | None, truth: Truth | None = None) -> Judgements:
    """The judgements that are meant, for the split that is evaluated.

    Args:
        named: a file (tab-separated as beside a manifest, TREC qrels, or the annotation of DCASE 2025 as published), a
            folder (the graded relevances of 2023), or the name of judgements beside the manifest.
        dataset: whose captions are the queries; None where scores come without one: only files that have its ids.
        split: of it.
        truth: captions and file names that an annotation as published is matched with where there is no dataset.

    Raises:
        UsageError: there is no such file or name, it is in no form that is known, or it has nothing on this split.
        IntegrityError: what was kept beside the manifest has changed, or a file is damaged.
    """
    path = Path(named)
    if path.is_file():
        return _from_file(path, dataset, split, truth)
    if path.is_dir():
        return _published(path, dataset, split, truth)
    if dataset is None:
        raise UsageError(f"--qrels {named}: no such file; the name of judgements that were kept needs --dataset")
    return _kept(named, dataset, split)


def _from_file(path: Path, dataset: Dataset | None, split: str | None, truth: Truth | None) -> Judgements:
    with path.open("rb") as file:
        first_line = file.readline().decode("utf-8-sig", errors="replace")
    if first_line.rstrip("\r\n") == "\t".join(HEADER):
        return Judgements(path.name, load_qrels(path).grades)
    if is_trec_qrels(first_line):
        decoded, as_they_stand = (read_trec_qrels(path, is_encoded=way) for way in (True, False))
        return Judgements(path.name, decoded, as_they_stand=None if decoded == as_they_stand else as_they_stand)
    return _published(path, dataset, split, truth)


def _published(path: Path, dataset: Dataset | None, split: str | None, truth: Truth | None) -> Judgements:
    """An annotation as its authors published it: texts and file names, which captions turn into ids."""
    if dataset is None and truth is not None:
        return _published_of_table(path, truth)
    if dataset is None:
        raise UsageError(
            f"--qrels {path}: neither tab-separated with the header {', '.join(HEADER)} nor TREC qrels; "
            "an annotation as published needs --dataset, or --truth with the captions' texts, to find its captions"
        )
    read = detect_and_read(path, dataset, option="--qrels")
    found = _of_split(read.qrels, split)
    if found is None:
        there_are = ", ".join(qrels.split for qrels in read.qrels)
        raise UsageError(f"--qrels {path} judges {there_are} of {dataset.name}, not {split}: choose another --split")
    left_out = [f"{count:,} times left out: {reason}" for reason, count in read.problem_counts.items()]
    return Judgements(read.name, found.grades, (*left_out, *read.notes))


@dataclass(frozen=True)
class _TableClip:
    id: str
    captions: tuple[Caption, ...]


@dataclass(frozen=True, eq=False)
class _Table:
    """A truth as whatever split of Clotho an annotation judges: a table of captions does not say which it is."""

    name: str
    clips: tuple[_TableClip, ...]
    splits: tuple[str, ...] = ("dev", "eval", "val")

    def split(self, name: str) -> tuple[_TableClip, ...]:
        return self.clips


def _published_of_table(path: Path, truth: Truth) -> Judgements:
    """The judgements of the subset whose captions the table has."""
    if not truth.texts:
        raise UsageError(
            f"--qrels {path} names captions by their text, and {truth.source} has none: add a column 'caption' there"
        )
    captions_of: dict[str, list[Caption]] = {clip_id: [] for clip_id in truth.clip_ids}
    for caption_id, clip_id in truth.clip_of_caption.items():
        captions_of[clip_id].append(Caption(caption_id, truth.texts[caption_id]))
    clips = tuple(_TableClip(clip_id, tuple(captions)) for clip_id, captions in captions_of.items())
    read = detect_and_read(path, _Table(truth.source, clips), option="--qrels")
    found = max(read.qrels, key=lambda qrels: len(qrels.grades))
    if not found.grades:
        raise UsageError(
            f"--qrels {path}: none of its queries is a caption of {truth.source}: is it of another subset?"
        )
    reasons = Counter(each.reason for each in read.problems if each.item.startswith(f"{found.split}: "))
    left_out = [f"{count:,} times left out: {reason}" for reason, count in reasons.most_common()]
    return Judgements(read.name, found.grades, (*left_out, *read.notes))


def _kept(name: str, dataset: Dataset, split: str | None) -> Judgements:
    kept = kept_qrels(dataset.folder)
    found = _of_split([each for each in kept if each.name == name], split)
    if found is None:
        there_are = ", ".join(f"{each.name} ({each.split})" for each in kept) or "none"
        raise UsageError(
            f"--qrels {name}: no such file, and no judgements of that name of {dataset.name}/{split}; there are: "
            f"{there_are}; --relevance of the command that makes the dataset keeps some"
        )
    try:
        data = found.path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"{found.path}: {error.strerror}; keep the judgements again with --relevance") from None
    if hashlib.sha256(data).hexdigest() != found.sha256:
        raise IntegrityError(f"{found.path} has changed since it was written; keep it again with --relevance")
    return Judgements(name, parse_qrels(found.path, data).grades)


def _of_split(judged: Sequence[_Judged], split: str | None) -> _Judged | None:
    """The one of that split; where no split is known, the only one there is."""
    of_split = [each for each in judged if split is None or each.split == split]
    return of_split[0] if len(of_split) == 1 else None
