"""What a fusion is worth: the recall table, and what was fused with which weights."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from atrkit.reports.figure_cells import as_percent
from atrkit.reports.recall_table import recall_table


def fusion_table(result: Mapping[str, Any], *, show_tie_bounds: bool = False) -> RenderableType:
    """The table of `recall_table`, with the runs and their weights below it.

    Args:
        result: JSON object of `atrkit fuse`.
        show_tie_bounds: as for `recall_table`.
    """
    return Group(recall_table([result], show_tie_bounds=show_tie_bounds), *map(Text, _notes(result)))


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    fitted = result["fitted"]
    yield f"fused, weights {result['weights_from']} ({result['normalisation']}):"
    for number, (run, weight) in enumerate(zip(result["runs"], result["weights"], strict=True)):
        alone = f" (alone on {fitted['split']}: {as_percent(fitted['alone'][number])})" if fitted else ""
        yield f"  {weight:.3f} {run}{alone}"
    if fitted:
        yield (
            f"  chosen among {fitted['tried']} mixtures on {result['dataset']}/{fitted['split']} by {fitted['by']}: "
            f"{as_percent(fitted['value'])} (equal weights: {as_percent(fitted['equal'])})"
        )
