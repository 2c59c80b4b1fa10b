"""The recall table: measured figures in both directions, what chance gives, and what recall does not say.

Takes the JSON objects of `atrkit eval --json` (or a run's results.json), so that a table can be printed again without
computing anything. Reads well in 80 columns and without colour.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.directions import DIRECTIONS
from atrkit.reports.figure_cells import RANKS, as_measured, as_percent, as_published
from atrkit.reports.interval_rows import difference_cells, interval_notes, interval_rows
from atrkit.reports.protocol_table import protocol_table
from atrkit.reports.recall_notes import captions_of, notes_of
from atrkit.reports.style import RULED

__all__ = [
    "as_measured",
    "as_percent",
    "as_published",
    "empty_figures_table",
    "published_figures",
    "published_rows",
    "recall_table",
    "scalings_table",
]

_MAP_COLUMN = "mAP@10"
_MANY_COLUMNS = 7
_SCREEN_COLUMNS = 80
NDCG_COLUMN = "nDCG@10"  # where judgements are graded


def recall_table(
    results: Sequence[Mapping[str, Any]], *, show_tie_bounds: bool = False, show_full: bool = False
) -> RenderableType:
    """One table for each result, with what else was found below it.

    Args:
        results: objects as in DESIGN.md, section 9 (fractions in [0, 1], ranks 1-based). "target", "twin_order",
            "hubness", "duplicate_captions" and "clips_trained_on" are shown when they are there, and so is
            "audio_to_text_raw": what unscaled losses give where columns are scaled.
        show_tie_bounds: rows for ties that all fall out well, or badly.
        show_full: the fractions of relevant items found, mAP@16, and nDCG at every cut-off.

    Returns:
        Something that a rich console prints.
    """
    parts: list[RenderableType] = []
    for result in results:
        if parts:
            parts.append(Text())
        parts += [
            _title(result),
            _table(result, show_tie_bounds, show_full),
            Text(),
            *(Text(note) for note in (*interval_notes([result]), *notes_of(result))),
        ]
        if show_tie_bounds and not any((result.get(direction) or {}).get("tied_queries") for direction in DIRECTIONS):
            parts.append(Text("ties: no tied query"))
        if result.get("protocols"):
            parts += [Text(), protocol_table(result)]
    return Group(*parts)


def scalings_table(results: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One table for several column scalings of the same scores, audio-to-text side by side.

    Args:
        results: as for `recall_table`, of one run and split, each with its column scaling; text-to-audio is the same in
            all of them.

    Returns:
        Something that a rich console prints.
    """
    first = results[0]
    columns = _columns_of(first["text_to_audio"])
    table = empty_figures_table(columns)
    table.add_column("distinct", justify="right", no_wrap=True)
    to_audio = first["text_to_audio"]
    table.add_row("text to audio", *(as_measured(to_audio, column) for column in columns), "", style="bold")
    _add_intervals(table, to_audio, columns)
    table.add_row("  chance", *(as_measured(to_audio, f"chance_{column}") for column in columns), "", style="dim")
    table.add_section()
    table.add_row("audio to text", style="bold")
    for result in results:
        figures, hubness = result["audio_to_text"], result["hubness"]["audio_to_text"]
        distinct = f"{hubness['distinct_at_rank_1']:,.1f}"
        name = "unscaled" if result["column_scaling"] == "none" else result["column_scaling"]
        table.add_row(f"  {name}", *(as_measured(figures, column) for column in columns), distinct)
        _add_intervals(table, figures, columns, indent="    ")
    chance = first["audio_to_text"]
    table.add_row("  chance", *(as_measured(chance, f"chance_{column}") for column in columns), "", style="dim")
    clips = results[0]["hubness"]["audio_to_text"]["queries"]
    about_distinct = f"distinct: captions at rank 1 for {clips:,} clips"
    calibrated = next((result["calibration_clips"] for result in results if result.get("calibration_clips")), None)
    if calibrated:
        about_distinct += f"; minmax-calib and pmi compare with {calibrated:,} training clips"
    without_differences = [{**result, "target_difference": None} for result in results]  # which have no row here
    notes = map(Text, (*interval_notes(without_differences), *notes_of({**first, "hubness": None})))
    return Group(_title(first, several=True), table, Text(), Text(about_distinct), *notes)


def _title(result: Mapping[str, Any], *, several: bool = False) -> Text:
    to_audio = result["text_to_audio"]
    scoring = result["scoring"]
    if result["column_scaling"] != "none" and not several:
        scoring = f"{scoring}, column scaling {result['column_scaling']}"
    where = f" on {result['dataset']}/{result['split']}" if result["dataset"] is not None else ""
    title = Text(f"{result['run']}{where}\n", style="bold")
    size = f"{captions_of(result)}, {to_audio['candidates']:,} clips, pool {result['pool_id'][:8]}"
    line = f"{size}; scores: {scoring}"
    unit = "R@k, mAP in %"
    would_be_torn = len(f"{line};") <= _SCREEN_COLUMNS < len(f"{line}; {unit}")
    apart = ";\n" if would_be_torn else "; "
    return title.append(f"{line}{apart}{unit}", style="not bold")


def _table(result: Mapping[str, Any], show_tie_bounds: bool, show_full: bool) -> Table:
    columns = _columns_of(result["text_to_audio"])
    table = empty_figures_table(columns)
    for direction, name in DIRECTIONS.items():
        figures = result.get(direction)
        if figures is None:  # lists of the best clips, and judgements of clips, say nothing about audio to text
            continue
        table.add_row(name, *(as_measured(figures, column) for column in columns), style="bold")
        _add_intervals(table, figures, columns)
        if show_full:
            for label, names in _full_rows(figures, columns).items():
                table.add_row(f"  {label}", *(as_measured(figures, names.get(column, "")) for column in columns))
                ci = {column: figures["ci"][name] for column, name in names.items() if name in figures.get("ci", {})}
                _add_intervals(table, {"ci": ci} if ci else {}, columns, indent="    ")
        raw = result.get(f"{direction}_raw")
        if raw:
            table.add_row("  unscaled", *(as_measured(raw, column) for column in columns))
            _add_intervals(table, raw, columns, indent="    ")
        table.add_row("  chance", *(as_measured(figures, f"chance_{column}") for column in columns), style="dim")
        bounds = figures.get("tie_bounds", {}) if show_tie_bounds else {}
        for bound, bounded in bounds.items():
            table.add_row(f"  {bound}", *(as_measured(bounded, column) for column in columns))
        for key, label, published in published_rows(result, direction):
            table.add_row(label, *(as_published(published, column) for column in columns))
            differences = (result.get("target_difference") or {}).get(key)
            if differences:
                table.add_row("  difference", *difference_cells(differences, columns))
        table.add_section()
    return table


def _add_intervals(table: Table, figures: Mapping[str, Any], columns: Sequence[str], indent: str = "  ") -> None:
    for label, cells in interval_rows(figures, columns, indent):
        table.add_row(label, *cells)


def _full_rows(figures: Mapping[str, Any], columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Label -> column -> the figure that stands in it."""
    recalls = [column for column in columns if column.startswith("R@")]
    rows = {"share found": {column: f"fractional_{column}" for column in recalls}}
    rows["mAP@16"] = {_MAP_COLUMN: "mAP@16"}
    if NDCG_COLUMN in figures:
        rows["nDCG@k"] = {column: f"nDCG@{column[2:]}" for column in recalls}
    return rows


def empty_figures_table(columns: Sequence[str]) -> Table:
    """A table with a column for row labels, and one for each figure; many stand closer, to fit in 80 columns."""
    padding = (0, 0, 0, 1) if len(columns) > _MANY_COLUMNS else (0, 1)
    table = Table(box=RULED, show_edge=False, pad_edge=False, padding=padding, header_style="")
    table.add_column("", overflow="fold", min_width=len(DIRECTIONS["text_to_audio"]))
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _columns_of(figures: Mapping[str, Any]) -> list[str]:
    recalls = sorted((name for name in figures if name.startswith("R@")), key=lambda name: int(name[2:]))
    return [*recalls, _MAP_COLUMN, *([NDCG_COLUMN] if NDCG_COLUMN in figures else []), *RANKS]


def published_figures(result: Mapping[str, Any], direction: str) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Rows of the paper, those of unscaled losses beside unscaled losses."""
    for _, label, published in published_rows(result, direction):
        yield label, published


def published_rows(result: Mapping[str, Any], direction: str) -> Iterator[tuple[str, str, Mapping[str, float]]]:
    """The same, each behind the key that its differences have in "target_difference"."""
    target = result.get("target") or {}
    values = target.get("values") or {}
    is_scaled = f"{direction}_raw" in result
    if values.get(direction) and (is_scaled or f"{direction}_raw" not in values):
        yield direction, f"  paper {target['paper']}", values[direction]
    if values.get(f"{direction}_raw"):
        yield f"{direction}_raw", "  paper, unscaled", values[f"{direction}_raw"]
