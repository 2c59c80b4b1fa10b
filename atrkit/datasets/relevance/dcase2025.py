"""The annotation of DCASE 2025, task 6: several relevant clips for a caption of Clotho's evaluation subset.

The organisers had people judge what earlier systems retrieved, and ranked the challenge by mAP@16 on the result. It is
one CSV file: the caption's text, and a Python list of file names. In the copy that we know (`metadata_eval.csv`, from
a fork of the baseline) 1,037 of the 5,225 captions are queries, all of them exact and unique captions of Clotho v2.1;
3,116 clips are relevant, 1 to 12 for a query. The clip that the caption was written for is not always among them: it
is missing for 46 queries, and is not added here. Clips that are not listed were judged irrelevant or not judged; the
file does not tell which, so only grade 1 occurs.

Published: https://dcase.community/challenge2025/task-language-based-audio-retrieval (Clotho's evaluation subset is
the challenge's "development-testing" split).
"""

import ast
import re
from pathlib import Path

from atrkit.datasets.csv_records import shown
from atrkit.datasets.relevance.judgements import (
    CaptionedSplits,
    Collector,
    Relevance,
    SplitIndex,
    rows_of,
    split_called,
)
from atrkit.errors import UsageError

NAME = "dcase2025"
COLUMNS = ("query", "audio_filenames")
_STRING = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LIST_OF_STRINGS = re.compile(rf"\[\s*(?:{_STRING}(?:\s*,\s*{_STRING})*)?\s*\]")


def read_dcase2025(path: Path, dataset: CaptionedSplits) -> Relevance:
    """Read the annotation and express it in the ids of a dataset.

    Args:
        path: `metadata_eval.csv`.
        dataset: Clotho, with its evaluation subset.

    Returns:
        Grade 1 for every relevant clip. `problems` has the queries that are no caption, or the text of several
        captions, and the files that the dataset does not have.

    Raises:
        UsageError: the file is not as published, or the dataset has no evaluation split (exit code 2).
    """
    split = split_called(dataset, "evaluation")
    if split is None:
        raise UsageError(
            f"{path} judges Clotho's evaluation clips, and {dataset.name} has none: get them first (--subset eval)"
        )
    index = SplitIndex(dataset.split(split))
    found = Collector(NAME, split)
    own_missing = 0
    for line, (query, cell) in rows_of(path, COLUMNS):
        names = _names_in(path, line, cell)
        captions = index.captions(query)
        if len(captions) != 1:
            found.leave_out(query, "several captions have the query's text" if captions else "the query is no caption")
            continue
        ((caption, own_clip),) = captions
        graded = {}
        for name in names:
            clip = index.clip(name)
            if clip is None:
                found.leave_out(f"{query} -> {name}", "the relevant clip is not in the dataset")
            else:
                graded[clip.id] = 1
        found.add(query, caption.id, graded)
        own_missing += caption.id in found.grades and own_clip.id not in graded
    notes = [f"{own_missing} queries do not have the clip they were written for among their relevant ones"]
    return Relevance(NAME, path, (found.qrels,), tuple(found.problems), tuple(notes if own_missing else ()))


def _names_in(path: Path, line: int, cell: str) -> list[str]:
    """The strings of a Python list; anything else is refused before Python parses it."""
    if not _LIST_OF_STRINGS.fullmatch(cell):
        raise UsageError(f"{path}:{line}: column {COLUMNS[1]!r}: {shown(cell)} is no list of file names")
    try:
        return list(ast.literal_eval(cell))
    except (ValueError, SyntaxError) as error:
        raise UsageError(f"{path}:{line}: column {COLUMNS[1]!r}: {shown(cell)}: {error}") from None
