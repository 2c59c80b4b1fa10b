"""What a user can say to `atrkit extract`, and what follows from it."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from atrkit.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """One of several processes that share the parts of an extraction: number `index` of `count`, counted from 1.

    >>> parse_shard("2/4")
    Shard(index=2, count=4)
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True)
class ExtractOptions:
    """What the user asked for.

    Args:
        encoder: name of the encoder.
        checkpoint: a checkpoint file (clap: a folder or hub id), or None to look in the cache and then download.
        settings: the encoder's own settings, for example pool_time_s; only what was said.
        frame_dtype: how frames are kept.
        overwrite: make everything anew, whatever is there.
        strict: any problem is an error.
        part_clips: clips per part: what a kill can cost, and what can share a batch; None: what suits the device.
        device: where torch computes; None: a GPU where there is one.
        batch_size: at most so many clips of ten seconds at once; None: what suits the device.
        compile: let torch compile the network first.
        decoders: processes that decode ahead; None: what suits the machine.
        shard: make only this share of the parts.
    """

    encoder: str
    checkpoint: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    frame_dtype: Literal["float16", "float32"] = "float16"
    overwrite: bool = False
    strict: bool = False
    part_clips: int | None = None
    device: str | None = None
    batch_size: int | None = None
    compile: bool = False
    decoders: int | None = None
    shard: Shard | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.shard is not None and self.overwrite:
            raise UsageError("--overwrite would delete what other shards make: delete the embeddings by hand first")


def parse_shard(text: str) -> Shard:
    """Read "i/n".

    Raises:
        UsageError: says what is expected.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text!r}: expected I/N with I from 1 to N, for example 1/4")
    return Shard(int(match[1]), int(match[2]))


def parse_batch_size(text: str) -> int | None:
    """Read a number, or "auto": None.

    Raises:
        UsageError: says what is expected.
    """
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"--batch-size {text!r}: expected auto, or a number of clips of ten seconds, 1 or more")
    return int(text)


def parse_device(text: str) -> str | None:
    """Read a device of torch, or "auto": None.

    Raises:
        UsageError: says what is expected.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise UsageError(f"--device {text!r}: expected auto, cpu, cuda or cuda:N")
    return text
