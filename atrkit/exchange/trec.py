"""TREC's run files, read as trec_eval reads them: the order is that of the scores, not of the ranks."""

import io
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atrkit.errors import IntegrityError
from atrkit.exchange.foreign import FoundLists, FoundMatrix
from atrkit.exchange.pairs import Pairs
from atrkit.exchange.pairs_csv import as_score
from atrkit.exchange.truth import Truth

FORMAT_NAME = "TREC run"
_RUN_COLUMNS = 6
_LONGEST_RANK = 18


def looks_like_a_run(line: str) -> bool:
    """Whether a line is `query Q0 clip rank score tag`; some write another word for Q0, which nobody reads.

    Example:
        >>> [looks_like_a_run(f"rain#1 {word} rain.wav 1 0.9 ours") for word in ("Q0", "0")]
        [True, True]
        >>> looks_like_a_run("clip caption score")
        False
    """
    cells = line.split()
    if len(cells) == _RUN_COLUMNS and cells[3].isdecimal():
        return True
    return len(cells) > 1 and cells[1].upper() == "Q0"


def read_trec_run(path: Path, truth: Truth | None) -> FoundMatrix | FoundLists:
    """Read a run; a matrix when it lists every clip for every query.

    Args:
        path: lines of `query Q0 clip rank score tag`, ids without blanks (percent-encoded where they have any).
        truth: whose caption is whose.

    Raises:
        IntegrityError: a line is none of a run, or a pair occurs again; with file, line and column (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    pairs = Pairs(path)
    rank_P = array("q")
    for number, line in _lines(path):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != _RUN_COLUMNS:
            raise IntegrityError(
                f"{path}:{number}: {len(cells)} columns where a TREC run has {_RUN_COLUMNS} (query Q0 clip rank "
                "score tag): write blanks within ids as %20"
            )
        query, _, clip, rank, score, _ = cells
        pairs.add(query, clip, as_score(path, number, "5 (score)", score), number)
        rank_P.append(int(rank) if rank.isdecimal() and len(rank) < _LONGEST_RANK else 0)
    arranged = pairs.arranged(None, is_encoded=True)
    notes = _rank_notes(pairs, rank_P)
    is_encoded = truth is not None and truth.is_encoded(arranged.captions, arranged.clips)
    if not arranged.missing and (truth is None or truth.has_no_more_than(arranged.clips, is_encoded=is_encoded)):
        return arranged.as_matrix(FORMAT_NAME, is_encoded=True, notes=notes)
    fewest, most = int(arranged.listed_C.min()), int(arranged.listed_C.max())
    depth = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    notes += (f"taken as lists of the best {depth} clips: those that are not listed were not retrieved",)
    return arranged.as_lists(FORMAT_NAME, is_encoded=True, notes=notes)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with path.open("rb") as binary, io.TextIOWrapper(binary, "utf-8-sig") as text:
        try:
            for number, line in enumerate(text, start=1):
                yield number, line
        except UnicodeDecodeError as error:
            raise IntegrityError(
                f"{path}:{number + 1} or later: byte 0x{error.object[error.start]:02x} is not UTF-8: write ids in UTF-8"
            ) from None


def _rank_notes(pairs: Pairs, rank_P: "array[int]") -> tuple[str, ...]:
    """Say where the ranks do not follow the scores: whoever made the file may have meant the ranks."""
    caption_P, score_P = np.array(pairs.caption_P), np.array(pairs.score_P)
    order_P = np.lexsort((-score_P, np.array(rank_P), caption_P))
    is_same_query = np.diff(caption_P[order_P]) == 0
    rises = score_P[order_P][1:] > score_P[order_P][:-1]
    wrong = len(np.unique(caption_P[order_P][1:][is_same_query & rises]))
    if not wrong:
        return ()
    return (f"the ranks of {wrong:,} queries are not in the order of their scores: the scores are taken",)
