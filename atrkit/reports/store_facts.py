"""A store of embeddings or scores in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_KINDS = {
    "embeddings": "embeddings",
    "parts": "unfinished embeddings",
    "scores": "scores",
    "score parts": "unfinished scores",
}


def store_view(record: Mapping[str, Any]) -> RenderableType:
    """What people see of a `store_record`; reads well in 80 columns."""
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text in _facts(record):
        facts.add_row(Text(label), Text(text))
    return Group(Text(f"{record['path']}: {_KINDS[record['kind']]}, {_megabytes(record['size_bytes'])}"), facts)


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "holds", ", ".join(_counts(record))
    if record["parts"]:
        yield "parts", _parts(record["parts"])
    if record["largest_cosine_loss"]:  # 0: nothing was lost, as in float32
        yield "precision", f"cosine of a frame to its float32 at least 1 - {record['largest_cosine_loss']:.1e}"
    for action, count in record["problems_by_action"].items():
        yield "problems", f"{count:,} clips {action}"
    label = "arrays"
    for name, array in record["arrays"].items():
        shape = " x ".join(f"{length:,}" for length in array["shape"])
        yield label, f"{name}: {shape} {array['dtype']}, {_megabytes(array['size_bytes'])}"
        label = ""
    for name, values in (("made with", record["provenance"]), ("notes", record["notes"])):
        label = name
        for key, value in _flat(values):
            yield label, f"{key}: {value}"
            label = ""
    if record["sha256"]:
        yield "sha256", f"{record['sha256']} (as it was written)"
    else:
        yield "sha256", "every finished part is as it was written"


def _counts(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"{record['clips']:,} clips"
    if record["frames"] is not None:
        yield f"{record['frames']:,} frames"
    if record.get("frame_hours") is not None:
        yield f"{record['frame_hours']:,.2f} hours of frames"
    if record["labels"]:
        yield f"{record['labels']:,} tags per clip"


def _parts(parts: Mapping[str, Any]) -> str:
    text = f"{len(parts['finished']):,} of {parts['total']:,} are there, of {parts['clips']:,} clips"
    if parts["unfinished_shards"]:
        return f"{text}; shards to be finished: {', '.join(parts['unfinished_shards'])}"
    return text


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.1f} kB"
