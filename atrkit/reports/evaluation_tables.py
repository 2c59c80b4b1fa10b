"""All that `atrkit eval` found, one table below the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from atrkit.reports.caption_metrics_table import caption_metrics_table
from atrkit.reports.perturbation_table import perturbation_table
from atrkit.reports.recall_notes import trained_on_note
from atrkit.reports.recall_table import recall_table, scalings_table


def evaluation_tables(
    results: Sequence[Mapping[str, Any]], *, show_tie_bounds: bool = False, show_full: bool = False
) -> RenderableType:
    """Recall first, one table for all column scalings; then the other results in their order.

    Args:
        results: JSON objects of `atrkit eval`, each with its "metric".
        show_tie_bounds: of recall, see `recall_table`; each scaling then has a table of its own.
        show_full: of recall, likewise.
    """
    recalls = [result for result in results if result["metric"] == "recall"]
    tables: list[RenderableType] = []
    if recalls and recalls[0]["audio_to_text"] is None:
        recalls = recalls[:1]  # scaling columns does not change text to audio
    one_each = show_tie_bounds or show_full or any(result.get("protocols") for result in recalls)
    if len(recalls) > 1 and not one_each:  # they differ in the column scaling alone
        tables.append(scalings_table(recalls))
    else:
        tables += [recall_table([each], show_tie_bounds=show_tie_bounds, show_full=show_full) for each in recalls]
    tables += [_table(result) for result in results if result["metric"] != "recall"]
    return Group(*(part for table in tables for part in (table, Text())))


def _table(result: Mapping[str, Any]) -> RenderableType:
    notes = map(Text, trained_on_note(result))
    if result["metric"] == "caption":
        return Group(caption_metrics_table([result]), *notes)
    return Group(perturbation_table(result), *notes)
