"""Files of paraphrases: other words for training captions, by a language model, by templates, or by hand.

A file is a CSV table in UTF-8 with a header and one paraphrase per row:

    caption,paraphrase,clip
    A dog barks twice,"Two barks, from a dog",
    Rain falls on a roof,A roof is hit by rain,rain.wav

`caption` is the text of a caption of the dataset; case and punctuation do not matter. `clip`, a column that may be
missing or empty, is the id of the clip that it belongs to, as in the dataset's manifest.jsonl; without it the
paraphrase is taken for every training clip that has this caption. Other columns are left alone.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.csv_records import read_records, shown
from atrkit.errors import UsageError

CAPTION_COLUMN, PARAPHRASE_COLUMN, CLIP_COLUMN = "caption", "paraphrase", "clip"


@dataclass(frozen=True)
class Paraphrase:
    """One row: the caption, the same in other words, and the clip that is meant, or None for all that have it."""

    caption: str
    text: str
    clip_id: str | None = None


def read_paraphrases(path: Path) -> list[Paraphrase]:
    """Read a file of paraphrases, as it is written; what a row is worth is for the reader to say.

    Raises:
        UsageError: the file cannot be read, is no such table, or a column is missing; names file, line and the fix.
    """
    records = read_records(path)
    columns = records.header.fields
    for column in (CAPTION_COLUMN, PARAPHRASE_COLUMN):
        if column not in columns:
            raise UsageError(
                f"{path}:{records.header.line}: there is no column {shown(column)}; the columns are "
                f"{', '.join(map(shown, columns))}: a file of paraphrases begins with caption,paraphrase or "
                "caption,paraphrase,clip"
            )
    caption, text = columns.index(CAPTION_COLUMN), columns.index(PARAPHRASE_COLUMN)
    clip = columns.index(CLIP_COLUMN) if CLIP_COLUMN in columns else None
    return [
        Paraphrase(row.fields[caption], row.fields[text], None if clip is None else row.fields[clip].strip() or None)
        for row in records.rows
    ]


def paraphrases_as_csv(paraphrases: Iterable[Paraphrase]) -> bytes:
    r"""Write a file of paraphrases.

    >>> paraphrases_as_csv([Paraphrase("rain falls", "drizzle patters, softly", "a.wav")]).decode()
    'caption,paraphrase,clip\nrain falls,"drizzle patters, softly",a.wav\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([CAPTION_COLUMN, PARAPHRASE_COLUMN, CLIP_COLUMN])
    writer.writerows([each.caption, each.text, each.clip_id or ""] for each in paraphrases)
    return text.getvalue().encode()
