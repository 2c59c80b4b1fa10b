"""A clip as one line of `manifest.jsonl`, and back.

A line is written from named fields in a fixed order, and read with every type checked: a manifest that came from
elsewhere with a hash that fits must not turn into an error hours later.
"""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from atrkit.datasets.clip import AudioFile, Caption, Clip, Twin

_Value = TypeVar("_Value")


def clip_line(clip: Clip) -> str:
    """One line of JSON without its line end; what a clip does not have is left out.

    Copies are sorted by rate and metadata by key, so that equal clips give equal bytes.
    """
    record: dict[str, Any] = {"id": clip.id, **_file_record(clip), "split": clip.split}
    record["captions"] = [{"id": c.id, "text": c.text, "normalised": c.normalised} for c in clip.captions]
    if clip.twin is not None:
        record["twin"] = {"group": clip.twin.group, "relation": clip.twin.relation}
    if clip.copies:
        copies = sorted(clip.copies, key=lambda copy: (copy.sample_rate_hz, copy.path))
        record["copies"] = [_file_record(copy) for copy in copies]
    if clip.metadata is not None:
        record["metadata"] = dict(sorted(clip.metadata.items()))
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def clip_from(line: str) -> Clip:
    """The clip of one line.

    Raises:
        ValueError: it is no clip; says what is wrong.
    """
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    file = _file_from(record)
    twin = record.get("twin")
    return Clip(
        id=_get(record, "id", str),
        path=file.path,
        sha256=file.sha256,
        sample_rate_hz=file.sample_rate_hz,
        frames=file.frames,
        channels=file.channels,
        split=_get(record, "split", str),
        captions=tuple(Caption(_get(c, "id", str), _get(c, "text", str)) for c in _get(record, "captions", list)),
        twin=None if twin is None else _twin_from(twin),
        copies=tuple(_file_from(copy) for copy in (_get(record, "copies", list) if "copies" in record else ())),
        metadata=_get(record, "metadata", dict) if "metadata" in record else None,
    )


def _file_record(file: Clip | AudioFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "sha256": file.sha256,
        "sample_rate_hz": file.sample_rate_hz,
        "frames": file.frames,
        "channels": file.channels,
    }


def _file_from(record: Any) -> AudioFile:
    file = AudioFile(
        path=_get(record, "path", str),
        sha256=_get(record, "sha256", str),
        sample_rate_hz=_get(record, "sample_rate_hz", int),
        frames=_get(record, "frames", int),
        channels=_get(record, "channels", int),
    )
    if min(file.sample_rate_hz, file.channels) < 1 or file.frames < 0:
        raise ValueError("'sample_rate_hz', 'channels' or 'frames' is no count")
    return file


def _twin_from(record: Any) -> Twin:
    group = _get(record, "group", str)
    match _get(record, "relation", str):
        case ("a_then_b" | "b_then_a" | "a_with_b") as relation:
            return Twin(group, relation)
        case other:
            raise ValueError(f"'relation' is {other!r}")


def _get(record: Any, key: str, kind: type[_Value]) -> _Value:
    if not isinstance(record, Mapping) or key not in record:
        raise ValueError(f"{key!r} is missing")
    value = record[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key!r} is no {kind.__name__}")
    return value
