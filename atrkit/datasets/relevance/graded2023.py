"""TAU Audio-Text Graded Relevances 2023: how well a clip matches a caption, from 0 to 100, judged by listeners.

For 200 captions of each of Clotho's subsets, 17 clips were rated: the caption's own (group TP), one drawn as a
negative (TN), and 15 candidates of a retrieval system (C15). Half of the ratings are an explicit 0; the own clip is
always rated, from 6 to 100. Three tables per subset: ratings by opaque ids, and what the ids stand for. The captions
were corrected by the authors, so that four of the 600 queries (three of development, one of validation) are no
caption of Clotho as published; they are left out and listed.

Published: https://github.com/xieh97/retrieval-relevance-crowdsourcing, folder data (MIT licence); Xie, Khorrami,
Räsänen and Virtanen, "Crowdsourcing and Evaluating Text-Based Audio Retrieval Relevances", DCASE 2023.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.csv_records import shown
from atrkit.datasets.relevance.judgements import (
    SPLIT_NAMES,
    CaptionedSplits,
    Collector,
    Relevance,
    SplitIndex,
    rows_of,
    split_called,
)
from atrkit.errors import UsageError

NAME = "graded2023"
RATINGS_FOLDER = "relevance_data"
_RATING = re.compile(r"[0-9]{1,3}")
HIGHEST_GRADE = 100


def read_graded2023(folder: Path, dataset: CaptionedSplits) -> Relevance:
    """Read the ratings of every subset that the dataset has, and express them in its ids.

    Args:
        folder: with relevance_data, text_data and audio_metadata.
        dataset: Clotho.

    Returns:
        Grades from 0 to 100. `problems` has the queries that are no caption of the clip they were written for, and
        the ratings of clips that the dataset does not have.

    Raises:
        UsageError: a table is missing or not as published, or the dataset has none of the splits (exit code 2).
    """
    found, notes = [], []
    for published in SPLIT_NAMES:
        split = split_called(dataset, published)
        if split is None:
            notes.append(f"{dataset.name} has no {published} clips: their ratings were left out")
        else:
            found.append(_read_subset(folder, published, dataset, split))
    if not found:
        raise UsageError(f"{folder} rates Clotho's clips, and {dataset.name} has no split of Clotho")
    problems = [problem for collector in found for problem in collector.problems]
    return Relevance(NAME, folder, tuple(c.qrels for c in found), tuple(problems), tuple(notes))


@dataclass(frozen=True)
class _Query:
    text: str
    own_file: str


def _read_subset(folder: Path, published: str, dataset: CaptionedSplits, split: str) -> Collector:
    ratings = _ratings(folder / RATINGS_FOLDER / f"{published}_relevances.csv")
    names = {
        file_id: name
        for _, (file_id, name) in rows_of(
            folder / "audio_metadata" / f"{published}_audio_metadata.csv", ("fid", "file_name")
        )
    }
    texts = rows_of(folder / "text_data" / f"{published}_text.csv", ("tid", "text", "fid"))
    queries = {tid: _Query(text, names.get(fid, "")) for _, (tid, text, fid) in texts if tid in ratings}
    index = SplitIndex(dataset.split(split))
    found = Collector(NAME, split)
    for text_id, rated in ratings.items():
        query = queries.get(text_id)
        if query is None:
            found.leave_out(text_id, "the query's text is in no table")
        else:
            _take(found, index, query, {names.get(file_id, file_id): rating for file_id, rating in rated.items()})
    return found


def _take(found: Collector, index: SplitIndex, query: _Query, rated: dict[str, int]) -> None:
    own_clip = index.clip(query.own_file)
    if own_clip is None:
        found.leave_out(query.text, "the clip that the query was written for is not in the dataset")
        return
    captions = [caption for caption, clip in index.captions(query.text) if clip.id == own_clip.id]
    if len(captions) != 1:
        reason = "several captions of its clip have the query's text" if captions else "the query is no caption"
        found.leave_out(query.text, reason)
        return
    graded = {}
    for name, rating in rated.items():
        clip = index.clip(name)
        if clip is None:
            found.leave_out(f"{query.text} -> {name}", "the rated clip is not in the dataset")
        else:
            graded[clip.id] = rating
    found.add(query.text, captions[0].id, graded)


def _ratings(path: Path) -> dict[str, dict[str, int]]:
    """Text id -> file id -> rating."""
    ratings: dict[str, dict[str, int]] = defaultdict(dict)
    for line, (text_id, file_id, rating) in rows_of(path, ("tid", "fid", "rating")):
        if not _RATING.fullmatch(rating) or int(rating) > HIGHEST_GRADE:
            raise UsageError(
                f"{path}:{line}: column 'rating': {shown(rating)} is no whole number from 0 to {HIGHEST_GRADE}"
            )
        if file_id in ratings[text_id]:
            raise UsageError(f"{path}:{line}: the same pair is rated on an earlier line: remove one of them")
        ratings[text_id][file_id] = int(rating)
    return dict(ratings)
