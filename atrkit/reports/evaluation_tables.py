"""All that `atrkit eval` found, one table below the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from atrkit.reports.caption_metrics_table import caption_metrics_table
from atrkit.reports.perturbation_table import perturbation_table
from atrkit.reports.recall_table import recall_table


def evaluation_tables(results: Sequence[Mapping[str, Any]], *, show_tie_bounds: bool = False) -> RenderableType:
    """Tables of results, in their order.

    Args:
        results: JSON objects of `atrkit eval`, each with its "metric".
        show_tie_bounds: of recall, see `recall_table`.
    """
    parts: list[RenderableType] = []
    for result in results:
        if parts:
            parts.append(Text())
        parts.append(_table(result, show_tie_bounds))
    return Group(*parts)


def _table(result: Mapping[str, Any], show_tie_bounds: bool) -> RenderableType:
    match result["metric"]:
        case "caption":
            return caption_metrics_table([result])
        case "perturbation":
            return perturbation_table(result)
        case _:
            return recall_table([result], show_tie_bounds=show_tie_bounds)
