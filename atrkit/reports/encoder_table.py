"""The frozen encoders as a table, and where their weights come from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrkit.reports.style import RULED


def encoder_view(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What people see of `encoder_records`; reads well in 80 columns."""
    return Group(_encoders(records), Text(), _checkpoints(records))


def _encoders(records: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=RULED, show_edge=False, pad_edge=False, header_style="")
    table.add_column("encoder", no_wrap=True)
    for heading in ("rate", "frame", "dim", "clip", "shortest"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("paper")
    for record in records:
        table.add_row(
            record["name"],
            f"{record['sample_rate_hz'] / 1000:g} kHz",
            f"{record['frame_period_s']:g} s",
            f"{record['frame_dim']}",
            "any" if record["clip_dim"] is None else f"{record['clip_dim']}",
            f"{record['min_samples'] / record['sample_rate_hz']:.2f} s" if record["min_samples"] > 1 else "any",
            record["paper"],
        )
    return table


def _checkpoints(records: Sequence[Mapping[str, Any]]) -> Table:
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for record in records:
        label = record["name"]
        for text in _weights_of(record):
            lines.add_row(Text(label), Text(text))
            label = ""
    return lines


def _weights_of(record: Mapping[str, Any]) -> Iterator[str]:
    if not record["checkpoints"]:
        yield record["weights"]
    for checkpoint in record["checkpoints"]:
        size = f"{checkpoint['about_mb']:,.3g} MB" if checkpoint["about_mb"] else "size not stated"
        where = "here" if checkpoint["in_cache"] else "not here yet"
        yield f"{checkpoint['file_name']}: {size}, {checkpoint['licence']}; {where}"
        if checkpoint["variant"]:
            default = " (default)" if checkpoint["is_default"] else ""
            yield f"  --variant {checkpoint['variant']}{default}: {checkpoint['note']}"
        yield f"  {_digest(checkpoint)}"


def _digest(checkpoint: Mapping[str, Any]) -> str:
    if checkpoint["md5"]:
        return f"md5 {checkpoint['md5']}"
    return f"sha256 {checkpoint['sha256']}" if checkpoint["sha256"] else "no checksum is published"
