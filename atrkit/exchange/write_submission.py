"""The file that participants of DCASE's language-based audio retrieval hand in: ten file names for each caption."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from atrkit.errors import UsageError
from atrkit.exchange.queries import QueryScores, best_first, positions_in_order
from atrkit.files import write_atomic

LISTED = 10
HEADER = ("caption", *(f"file_name_{place}" for place in range(1, LISTED + 1)))


@dataclass(frozen=True)
class Submission:
    """What was written.

    Args:
        rows: one for each caption.
        tied: captions of which equal scores decided who is listed, or in which order.
        same_text: captions whose words another caption has, too: whoever evaluates by the text cannot tell them apart.
    """

    rows: int
    tied: int
    same_text: int


def write_submission(
    path: Path, queries: QueryScores, texts: Mapping[str, str], file_names: Mapping[str, str]
) -> Submission:
    """Write `caption,file_name_1..file_name_10`, atomically, sorted by the captions' ids.

    The format has no scores: clips with equal ones are listed in the order of their file names.

    Args:
        path: the file.
        queries: text to audio.
        texts: caption id -> text, as it was written.
        file_names: clip id -> name of its audio file.

    Raises:
        UsageError: two clips have one file name, a text is not known, or there are fewer than ten clips.
        ResourceError: the file cannot be written (exit code 4).

    Source: DCASE challenges 2022 to 2024, task "language-based audio retrieval"; the order of ties is our choice.
    """
    refuse_what_cannot_be_submitted(queries.candidate_ids, queries.query_ids, texts, file_names)
    names = [file_names[clip_id] for clip_id in queries.candidate_ids]
    order_of_names_N = positions_in_order(names)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(HEADER)
    tied = 0
    row_of = {caption_id: row for row, caption_id in enumerate(queries.query_ids)}
    for caption_id in sorted(row_of):
        scores_N = queries.scores_QN[row_of[caption_id]]
        order_N = best_first(scores_N, order_of_names_N)
        deciding = scores_N[order_N[: LISTED + 1]]
        tied += bool((deciding[1:] == deciding[:-1]).any())
        writer.writerow((texts[caption_id], *(names[clip] for clip in order_N[:LISTED])))
    write_atomic(path, text.getvalue().encode())
    count_of_text = Counter(texts[caption_id] for caption_id in row_of)
    return Submission(len(row_of), tied, sum(count for count in count_of_text.values() if count > 1))


def refuse_what_cannot_be_submitted(
    clip_ids: Sequence[str], caption_ids: Sequence[str], texts: Mapping[str, str], file_names: Mapping[str, str]
) -> None:
    """Refuse clips and captions that the format cannot hold, before anything is written.

    Args:
        clip_ids: the gallery.
        caption_ids: the queries.
        texts: caption id -> text.
        file_names: clip id -> name of its audio file.

    Raises:
        UsageError: two clips have one file name, a text is not known, or there are fewer than ten clips.
    """
    unknown = [caption_id for caption_id in caption_ids if caption_id not in texts]
    if unknown:
        of_whom = f"that of {unknown[0]!r} is not known" if texts else "these scores come without"
        raise UsageError(
            f"a submission names captions by their text, and {of_whom}: name their --dataset, or a --truth with texts"
        )
    if len(clip_ids) < LISTED:
        raise UsageError(f"a submission lists {LISTED} clips for each caption, and there are {len(clip_ids)}")
    _refuse_same_names([file_names[clip_id] for clip_id in clip_ids])


def _refuse_same_names(names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"a submission names clips by their files, and {len(twice)} names are those of several clips, the first "
            f"{min(twice)!r}: rename the files, or export trec"
        )
