"""Rows that say how sure a measured figure is: its 95 % interval, and how far it is from the published one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import as_measured, is_rank

FEW_CLIPS = 30


def interval_rows(
    figures: Mapping[str, Any], columns: Sequence[str], indent: str = "  "
) -> Iterator[tuple[str, list[str]]]:
    """Two rows, the lower ends and the upper ends, below each other as the figures are; none without intervals.

    Args:
        figures: of a direction, with "ci" where intervals were computed.
        columns: figures that have a column.
        indent: before the label.

    Yields:
        The label of a row, and its cells.

    Example:
        >>> for label, cells in interval_rows({"ci": {"R@1": [0.401, 0.452]}}, ["R@1"]):
        ...     print(label, cells)
          95 % interval ['40.1']
                     to ['45.2']
    """
    if "ci" in figures:
        label = f"{indent}95 % interval"
        for end, name in enumerate((label, "to".rjust(len(label)))):
            ends = {column: interval and interval[end] for column, interval in figures["ci"].items()}
            yield name, [as_measured(ends, column) for column in columns]


def difference_cells(differences: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Measured minus published, in points; a star where the published value lies outside the interval.

    Args:
        differences: figure -> "difference" (a fraction; ranks for MedR and MnR) and "inside_ci".
        columns: figures that have a column.

    Example:
        >>> difference_cells({"R@1": {"difference": -0.012, "inside_ci": False}}, ["R@1", "R@5"])
        ['-1.2*', '']
    """
    cells = []
    for column in columns:
        found = differences.get(column)
        star = "*" if found and found["inside_ci"] is False else ""
        cells.append(f"{as_difference(found['difference'], column)}{star}" if found else "")
    return cells


def as_difference(difference: float, column: str) -> str:
    """With its sign; fractions in points.

    >>> as_difference(0.0123, "R@1"), as_difference(-2.0, "MedR"), as_difference(-0.0001, "R@1")
    ('+1.2', '-2.0', '0.0')
    """
    shown = f"{difference if is_rank(column) else 100 * difference:+,.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown


def few_clips_note(clips: int) -> Iterator[str]:
    """What an interval over few clips is worth; nothing where there are enough.

    Source: our choice of 30; by simulation, percentile intervals over 20 clips hold the true value too rarely.

    Example:
        >>> list(few_clips_note(12)), list(few_clips_note(1)), list(few_clips_note(30))
        (['12 clips: the interval is too narrow'], ['1 clip: it says nothing about others, so no interval'], [])
    """
    if clips == 1:
        yield "1 clip: it says nothing about others, so no interval"
    elif clips < FEW_CLIPS:
        yield f"{clips} clips: the interval is too narrow"


def few_clips_notes(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The same of the intervals in results, said once, of those over the fewest clips."""
    clips = [figures["ci_clips"] for figures in _with_intervals(results) if "ci_clips" in figures]
    if clips:
        yield from few_clips_note(min(clips))


def _with_intervals(results: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for result in results:
        for direction in (*DIRECTIONS, "audio_to_text_raw"):
            if "ci" in (result.get(direction) or {}):
                yield result[direction]


def interval_notes(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the rows mean, said once for a table."""
    if any(_with_intervals(results)):
        yield "95 % interval: bootstrap over clips with their captions, 10,000 resamples"
        yield from few_clips_notes(results)
    differences = [
        figure
        for result in results
        for of_direction in (result.get("target_difference") or {}).values()
        for figure in of_direction.values()
    ]
    if differences:
        yield "difference: measured - published, in points" + (
            "; *: the published value lies outside the interval"
            if any(figure["inside_ci"] is False for figure in differences)
            else "; every published value lies inside the interval"
            if all(figure["inside_ci"] for figure in differences)
            else ""
        )
