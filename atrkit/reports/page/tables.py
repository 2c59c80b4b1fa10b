"""The page's tables, from the JSON objects of `atrkit eval`."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrkit.reports.comparison_rows import difference_rows, has_holm
from atrkit.reports.directions import CAPITALISED
from atrkit.reports.figure_cells import as_measured, as_published
from atrkit.reports.interval_rows import as_difference, few_clips_notes
from atrkit.reports.page.content import Cell, Row, Table
from atrkit.reports.perturbation_table import CHANCE_PERCENT, measured_cells, remarks_of
from atrkit.reports.recall_notes import notes_of, target_note, trained_on_note
from atrkit.reports.recall_table import published_figures
from atrkit.reports.seeds_table import mean_and_deviation_text

_NOTHING = Cell("")
_INSIDE = {True: "inside", False: "outside"}

Result = Mapping[str, Any]


def recall_table_of(result: Result) -> Table:
    """Measured figures with their intervals, chance, and the published row with the difference to it.

    Args:
        result: an object of `atrkit eval --metric recall`, with "ci" in its directions where intervals are known.
    """
    columns = columns_of(result["text_to_audio"])
    parts = tuple(_direction_rows(result, direction, columns) for direction in CAPITALISED if result.get(direction))
    warnings = set(trained_on_note(result))
    notes = [note.strip() for note in notes_of(result) if note not in warnings]
    if _has_intervals(result):
        about = "below each figure its 95 % interval: bootstrap over clips with their captions, 10,000 resamples"
        notes[:0] = ["; ".join((about, *few_clips_notes([result])))]
    if result.get("target_difference"):
        notes.insert(
            1, "difference: measured - published, in points; the published value is in or outside the interval"
        )
    return Table(_what(result), ("", *columns), parts, tuple(notes))


def columns_of(figures: Mapping[str, Any]) -> list[str]:
    """The figures of a table, in their order.

    >>> columns_of({"R@10": 0.5, "R@1": 0.1, "mAP@10": 0.3, "MedR": 2.0, "MnR": 3.0, "queries": 9})
    ['R@1', 'R@10', 'mAP@10', 'MedR', 'MnR']
    """
    recalls = sorted((name for name in figures if name.startswith("R@")), key=lambda name: int(name[2:]))
    return [*recalls, "mAP@10", "MedR", "MnR"]


def _what(result: Result) -> str:
    to_audio = result["text_to_audio"]
    where = f" on {result['dataset']}/{result['split']}" if result["dataset"] else ""
    return (
        f"Recall{where}: {to_audio['queries']:,} captions, "
        f"{to_audio['candidates']:,} clips. R@k and mAP in %, ranks from 1"
    )


def _has_intervals(result: Result) -> bool:
    return any(result[direction].get("ci") for direction in CAPITALISED if result.get(direction))


def _direction_rows(result: Result, direction: str, columns: Sequence[str]) -> tuple[Row, ...]:
    figures = result[direction]
    rows = [Row(CAPITALISED[direction], _measured(figures, columns), "measured")]
    raw = result.get(f"{direction}_raw")
    if raw:
        rows.append(Row("unscaled", _measured(raw, columns)))
    rows.append(_chance(figures, columns))
    for label, published in published_figures(result, direction):
        rows.append(Row(label.strip(), tuple(Cell(as_published(published, column)) for column in columns), "aside"))
        key = f"{direction}_raw" if label.endswith("unscaled") else direction
        differences = (result.get("target_difference") or {}).get(key)
        if differences:
            rows.append(Row("difference", tuple(_difference(differences, column) for column in columns), "aside"))
    return tuple(rows)


def _chance(figures: Mapping[str, Any], columns: Sequence[str]) -> Row:
    return Row("chance", tuple(Cell(as_measured(figures, f"chance_{column}")) for column in columns), "aside")


def _measured(figures: Mapping[str, Any], columns: Sequence[str]) -> tuple[Cell, ...]:
    intervals = figures.get("ci") or {}
    return tuple(Cell(as_measured(figures, column), _interval(intervals.get(column), column)) for column in columns)


def _interval(bounds: Sequence[float] | None, column: str) -> str:
    if bounds is None:
        return ""
    low, high = (as_measured({column: bound}, column) for bound in bounds)
    return f"{low}\u2009\u2013\u2009{high}"


def _difference(differences: Mapping[str, Any], column: str) -> Cell:
    found = differences.get(column)
    if found is None:
        return _NOTHING
    inside = found["inside_ci"]
    return Cell(as_difference(found["difference"], column), "" if inside is None else _INSIDE[inside])


def seeds_table_of(results: Sequence[Result], summary: Result, anchors: Sequence[str]) -> Table:
    """A row per seed of one training, and mean ± deviation.

    Args:
        results: of the seeds.
        summary: of `workflows.several_runs`.
        anchors: of the seeds' sections.
    """
    columns = columns_of(results[0]["text_to_audio"])
    parts = []
    for direction, name in CAPITALISED.items():
        mean = _means(summary[direction], columns)
        rows = [Row(f"{name}: mean of {summary['n']}", mean, "measured")]
        for result, seed, anchor in zip(results, summary["seeds"], anchors, strict=True):
            rows.append(Row(f"seed {seed}", _measured(result[direction], columns), link=anchor))
        parts.append(tuple(rows))
    note = "below a mean: ± sample standard deviation over seeds (n - 1); below a seed: its 95 % interval"
    return Table(f"Seeds: {_what(results[0])}", ("", *columns), tuple(parts), (note,))


def summary_table_of(entries: Sequence[tuple[str, str, Result, Result | None]]) -> Table:
    """Runs of one pool beside each other, those of one training as their mean.

    Args:
        entries: name, anchor, the (first) run's result, and the summary of its seeds or None.
    """
    first = entries[0][2]
    columns = columns_of(first["text_to_audio"])
    parts = []
    for direction, title in CAPITALISED.items():
        if not first.get(direction):
            continue
        rows = [Row(title, tuple(_NOTHING for _ in columns), "heading")]
        for name, anchor, result, summary in entries:
            cells = _measured(result[direction], columns) if summary is None else _means(summary[direction], columns)
            label = name if summary is None else f"{name}, {summary['n']} seeds"
            rows.append(Row(label + _scores_suffix(result, entries), cells, link=anchor))
            rows += [
                Row(
                    f"{label.strip()}, table {result['target']['table']}",
                    tuple(Cell(as_published(published, c)) for c in columns),
                    "aside",
                )
                for label, published in published_figures(result, direction)
            ]
        parts.append((*rows, _chance(first[direction], columns)))
    notes = ["below a figure: its 95 % interval (bootstrap over clips), or ± the sample standard deviation over seeds"]
    notes += [note for _, _, result, _ in entries for note in target_note(result.get("target"))]
    return Table(
        f"{_what(first)}; pool {first['pool_id'][:8]}", ("", *columns), tuple(parts), tuple(dict.fromkeys(notes))
    )


def _means(figures: Mapping[str, Any], columns: Sequence[str]) -> tuple[Cell, ...]:
    """Means, with the deviation below."""
    shown = (mean_and_deviation_text(figures[column], column).partition(" ±") for column in columns)
    return tuple(Cell(mean, f"±{deviation}" if deviation else "") for mean, _, deviation in shown)


def _scores_suffix(result: Result, entries: Sequence[tuple[str, str, Result, Result | None]]) -> str:
    """How a run was scored, where not all of them were scored alike."""
    kinds = {(each["scoring"], each["column_scaling"]) for _, _, each, _ in entries}
    if len(kinds) == 1:
        return ""
    scaling = "" if result["column_scaling"] == "none" else f", {result['column_scaling']}"
    return f" ({result['scoring']}{scaling})"


def perturbation_table_of(result: Result) -> Table:
    """Accuracies with changed captions, from the object of `atrkit eval --metric perturbation`."""
    tests = result["perturbation"]["tests"]
    values = (result.get("target") or {}).get("values") or {}
    is_published = any(test["set_name"] in values.get(test["kind"], {}) for test in tests)
    header = ["test", "accuracy", "95 % interval", "n", "chance"]
    header += [f"paper {result['target']['paper']}"] if is_published else []
    parts = []
    for kind in dict.fromkeys(test["kind"] for test in tests):
        rows = []
        for test in (each for each in tests if each["kind"] == kind):
            cells = [*map(Cell, measured_cells(test)), Cell(f"{CHANCE_PERCENT:.1f}")]
            if is_published:
                published = values.get(kind, {}).get(test["set_name"])
                cells.append(Cell("" if published is None else f"{published:.1f}"))
            rows.append(Row(f"{kind} {test['set_name']}", tuple(cells)))
        parts.append(tuple(rows))
    about = result["perturbation"]
    title = f"Accuracy in % with changed captions: {about['captions']:,} captions, {about['clips']:,} clips"
    return Table(title, tuple(header), tuple(parts), tuple(remarks_of(tests)))


def differences_table_of(comparison: Result, record: Result) -> Table:
    """One system against the first: difference, interval and p of each figure.

    Args:
        comparison: one of "comparisons" of the record.
        record: the JSON object of `atrkit compare`.
    """
    with_holm = has_holm(record)
    header = ("", "difference", "95 % interval", "p", *(("p (Holm)",) if with_holm else ()))
    rows: dict[str, list[Row]] = {}
    for found in difference_rows(comparison, record):
        cells = [found.difference, found.interval, found.p, *([found.p_holm] if with_holm else [])]
        heading = Row(CAPITALISED[found.direction], tuple(_NOTHING for _ in cells), "heading")
        rows.setdefault(found.direction, [heading]).append(Row(found.figure, tuple(map(Cell, cells))))
    title = f"{comparison['system']} minus {comparison['baseline']}, in points; MedR in ranks"
    return Table(title, header, tuple(map(tuple, rows.values())))
