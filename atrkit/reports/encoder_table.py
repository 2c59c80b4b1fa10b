"""The frozen encoders as a table, and where their weights come from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from atrkit.reports.style import RULED

_SHA256_DIGITS = 64


def encoder_view(records: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What people see of `encoder_records`; reads well in 80 columns."""
    return Group(_encoders(records), *(part for record in records for part in (Text(), *_weights(record))))


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
            _shortest(record["min_samples"], record["sample_rate_hz"]),
            record["paper"],
        )
    return table


def _shortest(min_samples: int, sample_rate_hz: int) -> str:
    """Rounded up to a millisecond, so that a clip of this length is long enough."""
    return f"{-(-1000 * min_samples // sample_rate_hz) / 1000:g} s" if min_samples > 1 else "any"


def _weights(record: Mapping[str, Any]) -> Iterator[RenderableType]:
    if not record["checkpoints"]:
        yield Text(f"{record['name']}: {record['weights']}")
    for checkpoint in record["checkpoints"]:
        yield _heading(record["name"], checkpoint)
        if checkpoint["variant"]:
            default = " (default)" if checkpoint["is_default"] else ""
            yield _indented(f"--variant {checkpoint['variant']}{default}: {checkpoint['note']}")
        yield from _about(checkpoint)
    for file in record["files_of_settings"]:
        yield _heading(f"{record['name']} --{file['setting']}", file)
        yield from _about(file)
        yield _indented("no option names another file; one that is put here is taken:")
        yield _indented(file["cache_path"])


def _heading(label: str, file: Mapping[str, Any]) -> Text:
    size = f"{file['about_mb']:,.3g} MB" if file["about_mb"] else "size not stated"
    return Text(f"{label}: {file['file_name']}, {size}, {'here' if file['in_cache'] else 'not here yet'}")


def _about(file: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield _indented(f"licence: {file['licence']}")
    if file["md5"]:
        yield _indented(f"md5 {file['md5']}, as stated by the publisher")
    if file["sha256"]:
        begins = "" if len(file["sha256"]) == _SHA256_DIGITS else "begins with "
        yield _indented(f"sha256 {begins}{file['sha256']}, as stated by {file['hash_source']}")
    if not file["md5"] and not file["sha256"]:
        yield _indented("no checksum is published")
    yield _indented(file["url"])


def _indented(text: str) -> RenderableType:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, 2), expand=False)
