"""Queries to look at: the best, the median and the worst of each direction, and what each retrieves.

Laid out after paper 003's table 3, which shows one query that is answered and one that is not. Which queries are shown
depends on the scores alone, so that the page of a run is the same whenever it is made.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from atrkit.datasets.manifest import Clip
from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.reports.page.content import Examples, Found, Query, QueryGroup
from atrkit.score_matrix import ScoreMatrix

SHOWN = 5
BEST, MEDIAN, WORST = "Best", "Median", "Worst"
_ABOUT = (
    "Queries in the order of the rank of what should be found, those of one rank in the order of their ids: "
    "from the beginning, the middle and the end. Each clip is asked for once."
)
Float64Array = npt.NDArray[np.float64]
_MakeQuery = Callable[[int], Query]


def pick_queries(values: QueryValues, examples: int) -> dict[str, list[int]]:
    """Positions of the best, the median and the worst queries.

    Queries are ordered by rank, then by id. One at a time is taken from the beginning, the end and the middle of this
    order, of clips that were not taken, so that few queries are shared out evenly.

    Args:
        values: of one direction.
        examples: queries of each kind.

    Returns:
        Kind -> positions in `values`: the best and the median in the order of rank, the worst with the worst first.

    Source: our choice.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> clips = ["a", "b", "c"]
        >>> scores = [[.9, .8, .7], [.1, .7, .8], [.2, .1, .6]]
        >>> values = text_to_audio_values(ScoreMatrix(scores, clips, ["a#1", "b#1", "c#1"], clips))
        >>> values.first_rank_Q.tolist(), pick_queries(values, 1)
        ([1.0, 2.0, 3.0], {'Best': [0], 'Median': [1], 'Worst': [2]})
    """
    ranks = values.first_rank_Q
    ordered = sorted(range(len(ranks)), key=lambda query: (ranks[query], values.query_ids[query]))
    middle = (len(ordered) - 1) / 2
    ways = {
        BEST: iter(ordered),
        WORST: iter(sorted(ordered, key=lambda query: (-ranks[query], values.query_ids[query]))),
        MEDIAN: (ordered[place] for place in sorted(range(len(ordered)), key=lambda place: abs(place - middle))),
    }
    picked: dict[str, list[int]] = {kind: [] for kind in (BEST, MEDIAN, WORST)}
    used: set[int] = set()
    for _ in range(examples):
        for kind, way in ways.items():
            found = next((query for query in way if int(values.clip_Q[query]) not in used), None)
            if found is not None:
                picked[kind].append(found)
                used.add(int(values.clip_Q[found]))
    picked[MEDIAN].sort(key=ordered.index)
    return picked


def text_to_audio_examples(
    matrix: ScoreMatrix, clips: Mapping[str, Clip], examples: int, *, key_of: Mapping[str, str], score_name: str
) -> Examples:
    """Captions, and the clips that each retrieves.

    Args:
        matrix: raw scores.
        clips: by id, with their captions as written.
        examples: of each kind.
        key_of: clip id -> how the page calls its audio.
        score_name: what the scores are, in words.
    """
    values = text_to_audio_values(matrix)
    text_of = {caption.id: caption.text for clip in clips.values() for caption in clip.captions}
    column_of = {caption_id: column for column, caption_id in enumerate(matrix.caption_ids)}

    def query(position: int) -> Query:
        caption_id = values.query_ids[position]
        scores_A = matrix.scores_AC[:, column_of[caption_id]].astype(np.float64)
        own = int(values.clip_Q[position])

        def found(row: int, place: str) -> Found:
            clip_id = matrix.clip_ids[row]
            # the right clip by another of its captions than the one that is searched for
            shown = [caption.text for caption in clips[clip_id].captions if caption.id != caption_id]
            text = next(iter(shown), text_of[caption_id] if row == own else "(no caption)")
            remark = _tie(scores_A, row)
            return Found(place, _score(scores_A[row]), text, key_of[clip_id], clip_id, row == own, remark)

        rows = _best(scores_A, matrix.clip_ids)
        results = [found(row, str(place)) for place, row in enumerate(rows, start=1)]
        rank = _rank(values.first_rank_Q[position])
        if own not in rows:
            results.append(found(own, rank))
        return Query(text_of[caption_id], "", matrix.clip_ids[own], (), rank, tuple(results))

    return Examples("Text to audio", _ABOUT, score_name, _groups(values, examples, query))


def audio_to_text_examples(
    raw: ScoreMatrix,
    ranked: ScoreMatrix,
    clips: Mapping[str, Clip],
    examples: int,
    *,
    key_of: Mapping[str, str],
    score_name: str,
) -> Examples:
    """Clips, and the captions that each retrieves.

    Args:
        raw: the scores that are shown.
        ranked: of the same clips and captions: what captions are ranked by, where columns are scaled; else `raw`.
        clips: by id, with their captions as written.
        examples: of each kind.
        key_of: clip id -> how the page calls its audio.
        score_name: what the scores are, in words.
    """
    values = audio_to_text_values(ranked)
    text_of = {caption.id: caption.text for clip in clips.values() for caption in clip.captions}

    def query(position: int) -> Query:
        row = int(values.clip_Q[position])
        clip_id = raw.clip_ids[row]
        ranked_C = ranked.scores_AC[row].astype(np.float64)
        own = np.flatnonzero(raw.clip_index_of_caption_C == row).tolist()

        def found(column: int, place: str, remark: str = "") -> Found:
            caption_id = raw.caption_ids[column]
            remarks = ", ".join(filter(None, (remark, _tie(ranked_C, column))))
            score = _score(float(raw.scores_AC[row, column]))
            return Found(place, score, text_of[caption_id], "", raw.clip_of_caption[column], column in own, remarks)

        columns = _best(ranked_C, raw.caption_ids)
        results = [found(column, str(place)) for place, column in enumerate(columns, start=1)]
        rank = _rank(values.first_rank_Q[position])
        if not set(own) & set(columns):
            best = min(own, key=lambda column: (-ranked_C[column], raw.caption_ids[column]))
            results.append(found(best, rank, "the best of its captions"))
        captions = tuple(caption.text for caption in clips[clip_id].captions)
        return Query("", key_of[clip_id], clip_id, captions, rank, tuple(results))

    return Examples("Audio to text", _ABOUT, score_name, _groups(values, examples, query))


def clips_in(examples: Sequence[Examples]) -> list[str]:
    """Keys of the clips that can be listened to, in the order of the page, each once."""
    queries = [query for each in examples for group in each.groups for query in group.queries]
    keys = [key for query in queries for key in (query.sound, *(found.sound for found in query.found)) if key]
    return list(dict.fromkeys(keys))


def _groups(values: QueryValues, examples: int, query: _MakeQuery) -> tuple[QueryGroup, ...]:
    picked = pick_queries(values, examples)
    return tuple(QueryGroup(kind, tuple(map(query, positions))) for kind, positions in picked.items() if positions)


def _best(scores: Float64Array, ids: Sequence[str]) -> list[int]:
    """The first few, equal ones in the order of their ids."""
    return heapq.nsmallest(SHOWN, range(len(scores)), key=lambda index: (-scores[index], ids[index]))


def _tie(scores: Float64Array, index: int) -> str:
    equal = int(np.count_nonzero(scores == scores[index])) - 1
    return f"same score as {equal:,} other{'s' if equal > 1 else ''}" if equal else ""


def _score(value: float) -> str:
    return f"{value:.3f}".replace("-", "\u2212")


def _rank(value: float) -> str:
    """A rank as shown; between two where ties decide."""
    return f"{value:,.1f}".removesuffix(".0")
