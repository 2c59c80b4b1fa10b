"""Compared systems as Markdown, to be pasted as it is."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atrkit.reports.comparison_rows import (
    caption,
    columns_of,
    difference_notes,
    difference_rows,
    differences_caption,
    has_holm,
    system_notes,
    system_rows,
    target_row,
)
from atrkit.reports.directions import SHORT

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")


def comparison_markdown(record: Mapping[str, Any]) -> str:
    """A caption, the table of systems with the best of each column in bold, tables of differences, and the notes.

    Args:
        record: of `atrkit compare --json`.
    """
    columns = [f"{SHORT[direction]} {figure}" for direction, figure in columns_of(record)]
    rows = [
        [
            escaped(row.name_and_seeds),
            *(
                _bold(f"{cell.mean} ± {cell.deviation}" if cell.deviation else cell.mean, cell.is_best)
                for cell in row.cells
            ),
        ]
        for row in system_rows(record)
    ]
    published = target_row(record)
    if published:
        rows.append([f"*{escaped(published.name)}*", *(cell.mean for cell in published.cells)])
    parts = [escaped(caption(record)), _table(["System", *columns], rows), _listed(system_notes(record))]
    parts.append(escaped(differences_caption(record)))
    for comparison in record["comparisons"]:
        parts.append(f"{escaped(comparison['system'])} - {escaped(comparison['baseline'])}:")
        holm = has_holm(record)
        header = ["Figure", "Difference", "95 % interval", "p", *(["p (Holm)"] if holm else [])]
        differences = [
            [
                f"{SHORT[row.direction]} {row.figure}",
                row.difference,
                escaped(row.interval),
                row.p,
                *([row.p_holm] if holm else []),
            ]
            for row in difference_rows(comparison, record)
        ]
        parts.append(_table(header, differences))
    parts.append(_listed(difference_notes(record)))
    return "\n\n".join(parts)


def escaped(text: str) -> str:
    r"""Text that Markdown shows as it is.

    >>> print(escaped("runs/a_b|*"))
    runs/a\_b\|\*
    """
    return _SPECIAL.sub(r"\\\1", text)


def _listed(notes: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(note.strip())}" for note in notes)


def _bold(text: str, is_best: bool) -> str:
    return f"**{text}**" if is_best else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = [":---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ruler, *rows))
