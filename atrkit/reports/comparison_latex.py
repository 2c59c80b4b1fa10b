"""Compared systems as LaTeX with booktabs, to be pasted as it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atrkit.reports.comparison_rows import (
    FigureCell,
    caption,
    columns_of,
    difference_notes,
    difference_rows,
    differences_caption,
    directions_of,
    figures_of,
    has_holm,
    system_notes,
    system_rows,
    target_row,
)
from atrkit.reports.directions import CAPITALISED

_ESCAPES = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    # at the beginning of a row they would be read as options of the line break before it
    "[": "{[}",
    "*": "{*}",
}


def comparison_latex(record: Mapping[str, Any]) -> str:
    r"""Two tables: systems with the best of each column in \textbf, and differences to the first.

    Args:
        record: of `atrkit compare --json`.

    Returns:
        Complete `table` environments with caption, label and notes; a comment names the packages that they need.
    """
    return "\n".join(
        ["% needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}", *_systems(record), "", *_differences(record)]
    )


def escaped(text: str) -> str:
    r"""Text that LaTeX prints as it is.

    >>> print(escaped("a_b & 5 %"))
    a\_b \& 5 \%
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def _systems(record: Mapping[str, Any]) -> list[str]:
    columns = columns_of(record)
    published = target_row(record)
    directions = directions_of(record)
    wide = len(figures_of(record))
    spans = [(2 + wide * number, 1 + wide * (number + 1)) for number in range(len(directions))]
    groups = " & ".join(f"\\multicolumn{{{wide}}}{{c}}{{{CAPITALISED[direction]}}}" for direction in directions)
    lines = [
        f"& {groups} \\\\",
        " ".join(f"\\cmidrule(lr){{{first}-{last}}}" for first, last in spans),
        f"System & {' & '.join(figure for _, figure in columns)} \\\\",
        "\\midrule",
        *(_row([escaped(row.name_and_seeds), *map(_cell, row.cells)]) for row in system_rows(record)),
    ]
    if published:
        lines += ["\\midrule", _row([escaped(published.name), *map(_cell, published.cells)])]
    return _table("l" + "r" * len(columns), lines, caption(record), "tab:systems", system_notes(record))


def _differences(record: Mapping[str, Any]) -> list[str]:
    holm = has_holm(record)
    header = ["", "Difference", "95 \\% interval", "$p$", *(["$p$ (Holm)"] if holm else [])]
    lines = [_row(header)]
    for comparison in record["comparisons"]:
        heading = escaped(f"{comparison['system']} - {comparison['baseline']}")
        lines += ["\\midrule", f"\\multicolumn{{{len(header)}}}{{l}}{{{heading}}} \\\\"]
        for row in difference_rows(comparison, record):
            cells = [
                f"{CAPITALISED[row.direction]} {row.figure}",
                _signed(row.difference),
                f"{{{_signed(row.interval)}}}",
            ]
            lines.append(_row([*cells, row.p, *([row.p_holm] if holm else [])]))
    of_columns = "l" + "r" * (len(header) - 1)
    return _table(of_columns, lines, differences_caption(record), "tab:differences", difference_notes(record))


def _signed(text: str) -> str:
    """Minus signs as long as plus signs."""
    return text.replace("-", "$-$").replace("+", "$+$")


def _cell(cell: FigureCell) -> str:
    shown = escaped(f"{cell.mean} ± {cell.deviation}" if cell.deviation else cell.mean)
    return f"\\textbf{{{shown}}}" if cell.is_best else shown


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _table(columns: str, lines: Sequence[str], above: str, name: str, below: Iterable[str]) -> list[str]:
    return [
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{escaped(above)}}}",
        f"  \\label{{{name}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        "    \\toprule",
        *(f"    {line}" for line in lines),
        "    \\bottomrule",
        "  \\end{tabular}",
        "  \\par\\medskip",
        "  \\begin{minipage}{\\linewidth}",
        "    \\footnotesize\\raggedright",
        *(f"    {escaped(note.strip())}.\\par" for note in below),
        "  \\end{minipage}",
        "\\end{table}",
    ]
