"""Whose caption is whose: the ground truth that foreign scores are judged by, and how their names are found in it.

A name is looked for as it stands, or percent-decoded where the format encodes blanks and most names of the file are
known so; then by its file name (clips) or by its words (captions). Every way but the first is counted and said.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from atrkit.datasets.captions_csv import find_caption_columns, read_captions_csv, read_columns
from atrkit.datasets.clip import Clip
from atrkit.datasets.csv_records import read_records, shown
from atrkit.errors import UsageError
from atrkit.text.normalise import normalise_caption

CLIP_COLUMNS = ("clip_id", "clip", "file_name", "filename", "fname", "audio_id", "audio", "fid")
CAPTION_ID_COLUMNS = ("caption_id", "query_id", "tid")
CAPTION_TEXT_COLUMNS = ("caption", "query", "text")
DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True, eq=False)
class Truth:
    """Captions and the clips they belong to.

    Args:
        source: where it comes from, for messages.
        clip_of_caption: caption id -> clip id.
        clip_ids: the gallery, clips without captions included.
        texts: caption id -> text, where they are known.
        is_judged: it is made of judgements: only what was judged is known, and the gallery may have more clips.
        notes: what was accepted when it was read, counted, for people.

    Example:
        >>> truth = Truth("example", {"rain#1": "rain.wav"}, ("rain.wav",), {"rain#1": "It rains."})
        >>> truth.captions_named("it rains")
        Named(ids=('rain#1',), way='by their words')
    """

    source: str
    clip_of_caption: Mapping[str, str]
    clip_ids: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    is_judged: bool = False
    notes: tuple[str, ...] = ()

    def captions_named(self, name: str, *, is_encoded: bool = False) -> "Named":
        """Captions that a name, percent-encoded or not, means: one by its id, perhaps several by their text."""
        meant = unquote(name) if is_encoded else name
        if meant in self.clip_of_caption:
            return Named((meant,), "" if meant == name else "percent-decoded")
        name = meant
        if found := self._by_text.get(name):
            return Named(found, "by their text")
        return Named(self._by_words.get(normalise_caption(name), ()), "by their words")

    def clip_named(self, name: str, *, is_encoded: bool = False) -> "Named":
        """The clip that a name means; none where no clip, or more than one, has that file name."""
        meant = unquote(name) if is_encoded else name
        if meant in self._clips:
            return Named((meant,), "" if meant == name else "percent-decoded")
        found = self._by_file_name.get(PurePosixPath(meant).name, ())
        return Named(found if len(found) == 1 else (), "by their file name")

    def is_encoded(self, captions: Iterable[str], clips: Iterable[str]) -> bool:
        """Whether the names of a file are percent-encoded: all of them, or none.

        Ids may have `%20` in them that means no blank, and `a b` beside `a%20b`; so no name is decided by itself.

        Args:
            captions: names of captions in the file.
            clips: names of clips in it.

        Returns:
            Whether decoding finds as many of them as taking them as they stand does, or more.

        Example:
            >>> truth = Truth("example", {"a b#1": "a b", "a%20b#1": "a%20b"}, ("a b", "a%20b"))
            >>> truth.is_encoded(["a%20b#1"], ["a%20b", "a%2520b"]), truth.is_encoded(["a%20b#1"], ["a%20b", "c"])
            (True, True)
            >>> Truth("example", {"a%20b#1": "a%20b"}, ("a%20b",)).is_encoded(["a%20b#1"], ["a%20b"])
            False
        """
        captions, clips = [name for name in captions if "%" in name], [name for name in clips if "%" in name]
        decoded, as_they_stand = (
            len({self.captions_named(name, is_encoded=way).ids for name in captions} - {()})
            + len({self.clip_named(name, is_encoded=way).ids for name in clips} - {()})
            for way in (True, False)
        )
        return decoded >= as_they_stand

    def has_no_more_than(self, names: Iterable[str], *, is_encoded: bool = False) -> bool:
        """Whether every clip of the gallery is among those that are named."""
        named = {clip_id for name in names for clip_id in self.clip_named(name, is_encoded=is_encoded).ids}
        return self._clips <= named

    @cached_property
    def _clips(self) -> frozenset[str]:
        return frozenset(self.clip_ids)

    @cached_property
    def _by_text(self) -> dict[str, tuple[str, ...]]:
        return _inverted(self.texts.items())

    @cached_property
    def _by_words(self) -> dict[str, tuple[str, ...]]:
        return _inverted((caption_id, normalise_caption(text)) for caption_id, text in self.texts.items())

    @cached_property
    def _by_file_name(self) -> dict[str, tuple[str, ...]]:
        return _inverted((clip_id, PurePosixPath(clip_id).name) for clip_id in self.clip_ids)


@dataclass(frozen=True)
class Named:
    """What a name means.

    Args:
        ids: of the truth; none: the name is not known.
        way: how it was found; empty: as it stands.
    """

    ids: tuple[str, ...]
    way: str


def truth_of_clips(source: str, clips: Iterable[Clip]) -> Truth:
    """The captions of a dataset's clips."""
    clips = tuple(clips)
    captions = [(clip.id, caption) for clip in clips for caption in clip.captions]
    return Truth(
        source,
        {caption.id: clip_id for clip_id, caption in captions},
        tuple(clip.id for clip in clips),
        {caption.id: caption.text for _, caption in captions},
    )


def truth_of_grades(source: str, grades: Mapping[str, Mapping[str, int]]) -> Truth:
    """Judgements alone: a caption is taken to belong to the clip that is most relevant to it.

    Which one that is decides nothing but which captions move together in intervals; of several that are equally
    relevant it is the first by id, whatever the order of the judgements. Captions without a relevant clip are left out:
    they are no query.

    Args:
        source: where they come from.
        grades: caption id -> clip id -> grade.

    Example:
        >>> truth_of_grades("qrels", {"rain": {"c": 2, "a": 1, "b": 2}, "sea": {"a": 0}}).clip_of_caption
        {'rain': 'b'}
    """
    relevant = {caption: graded for caption, graded in grades.items() if any(grade > 0 for grade in graded.values())}
    best = {caption: min(graded, key=lambda clip: (-graded[clip], clip)) for caption, graded in relevant.items()}
    clips = dict.fromkeys(clip for graded in grades.values() for clip in graded)
    return Truth(source, best, tuple(clips), is_judged=True)


def read_truth_csv(path: Path) -> Truth:
    """Read a table of captions: Clotho's layout, one caption per row, or caption_id and clip_id; any delimiter.

    Captions without an id are called as in a dataset of one's own: the clip's name, `#`, and their number from 1.

    Args:
        path: `file_name,caption_1,...`, `file_name,caption`, or `caption_id,clip_id[,caption]`.

    Raises:
        UsageError: any fault of the table, with file, line, column and the fix (exit code 2).
    """
    delimiter = _delimiter_of(path)
    header = read_columns(path, delimiter)
    clip_column = next((name for name in CLIP_COLUMNS if name in header), None)
    if clip_column is None:
        raise UsageError(
            f"{path}:1: no column names the clips ({', '.join(CLIP_COLUMNS)}); the columns are "
            f"{', '.join(map(shown, header))}: rename one"
        )
    notes = () if delimiter in ",\t" else (f"columns are separated by {shown(delimiter)}",)
    id_column = next((name for name in CAPTION_ID_COLUMNS if name in header), None)
    if id_column is not None:
        return _with_ids(path, id_column, clip_column, delimiter, notes)
    numbered = find_caption_columns(header)
    one_per_row = next((name for name in CAPTION_TEXT_COLUMNS if name in header), None)
    table = read_captions_csv(
        path,
        file_column=clip_column,
        caption_columns=None if one_per_row is None or numbered not in ((), ("caption",)) else (one_per_row,),
        delimiter=delimiter,
        has_options=False,
    )
    captions = [
        (f"{row.file_name}#{number}", row.file_name, text)
        for row in table.rows
        for number, text in enumerate(row.captions, start=1)
    ]
    return Truth(
        str(path),
        {caption_id: clip_id for caption_id, clip_id, _ in captions},
        tuple(row.file_name for row in table.rows),
        {caption_id: text for caption_id, _, text in captions},
        notes=(*notes, *table.notes),
    )


def _delimiter_of(path: Path) -> str:
    """What separates the columns in the first line: whatever makes one of them a column of clips."""
    first = _first_line(path)
    found = next((each for each in DELIMITERS if set(CLIP_COLUMNS) & set(_cells(first, each))), None)
    return found or next((each for each in DELIMITERS if each in first), DELIMITERS[0])


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            lines = (line.decode("utf-8-sig", errors="replace").strip("\r\n") for line in file)
            return next((line for line in lines if line), "")
    except OSError:
        return ""  # who reads the table says why


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _with_ids(path: Path, id_column: str, clip_column: str, delimiter: str, notes: tuple[str, ...]) -> Truth:
    records = read_records(path, delimiter)
    header = records.header.fields
    text_column = next((name for name in CAPTION_TEXT_COLUMNS if name in header), None)
    clip_of_caption: dict[str, str] = {}
    texts: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for row in records.rows:
        caption_id, clip_id = row.fields[header.index(id_column)], row.fields[header.index(clip_column)]
        for column, value in ((id_column, caption_id), (clip_column, clip_id)):
            if not value.strip():
                raise UsageError(f"{path}:{row.line}: column {shown(column)} is empty: fill it in, or remove the row")
        if caption_id in line_of:
            raise UsageError(
                f"{path}:{row.line}: column {shown(id_column)}: {shown(caption_id)} is on line {line_of[caption_id]} "
                "too: ids must be unique"
            )
        line_of[caption_id] = row.line
        clip_of_caption[caption_id] = clip_id
        if text_column is not None:
            texts[caption_id] = row.fields[header.index(text_column)]
    clip_ids = tuple(dict.fromkeys(clip_of_caption.values()))
    return Truth(str(path), clip_of_caption, clip_ids, texts, notes=(*notes, *records.notes))


def _inverted(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    ids_of: dict[str, list[str]] = defaultdict(list)
    for item_id, name in pairs:
        ids_of[name].append(item_id)
    return {name: tuple(ids) for name, ids in ids_of.items()}


def ways_in_words(kind: str, ways: Counter[str]) -> list[str]:
    """Notes on how names were found, where that was not as they stand.

    Example:
        >>> ways_in_words("captions", Counter({"": 3, "by their text": 2}))
        ['2 of 5 captions were found by their text']
    """
    total = ways.total()
    return [f"{count:,} of {total:,} {kind} were found {way}" for way, count in sorted(ways.items()) if way]
