"""The data set `synthetic`: plan, render, describe."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Caption, Clip, Dataset, Twin
from atrkit.datasets.synthetic.layouts import ClipPlan, Plan, SyntheticSizes, draw_plan
from atrkit.datasets.synthetic.oracle import ceilings
from atrkit.datasets.synthetic.partition import Partition, SplitName
from atrkit.datasets.synthetic.pool import AUDIO_FOLDER, WrittenClip, write_all
from atrkit.datasets.synthetic.signals import SAMPLE_RATE_HZ
from atrkit.errors import UsageError
from atrkit.files import write_atomic

EVENTS_NAME = "events.jsonl"
HELD_OUT_SPLITS: tuple[SplitName, ...] = ("val", "eval")


def generate(
    folder: Path,
    sizes: SyntheticSizes,
    seed: int,
    workers: int,
    on_progress: Callable[[int], None] | None = None,
) -> Dataset:
    """Render the data set `synthetic` into a folder.

    It is there so that everything in atrkit can be tried, and every claim tested, without a download. Its captions
    say what is audible and its eval split can only be solved by a model that hears kinds, properties and order.

    Args:
        folder: gets `audio/<split>/<number>.wav` and `events.jsonl` (what each clip holds, when, and how loud).
        sizes: clips per split.
        seed: everything depends on it, to the byte, and on nothing else.
        workers: processes that render; the result is the same for any number.
        on_progress: called with the number of clips finished since its last call.

    Returns:
        The data set, not saved: `save_dataset` writes its manifest when all else is there.

    Raises:
        UsageError: the seed is negative or there is no worker.
        ResourceError: the folder cannot be written.

    Source: the words of relation are paper 004's (table 4), the pairing of held-out kinds and twin groups are ours.
    """
    if workers < 1:
        raise UsageError(f"rendering needs at least one worker, not {workers}: try --workers 1")
    plan = draw_plan(sizes, seed)
    written: list[WrittenClip] = []
    for batch in write_all(folder, plan.clips, seed, workers):
        written += batch
        if on_progress is not None:
            on_progress(len(batch))
    tag = tag_of(sizes, seed)
    write_atomic(folder / EVENTS_NAME, "".join(_events_line(clip, tag) for clip in written).encode())
    clips = sorted((_manifest_clip(clip, tag) for clip in written), key=lambda clip: (clip.split, clip.id))
    return Dataset("synthetic", tuple(clips), folder, _about(plan, sizes, seed))


def tag_of(sizes: SyntheticSizes, seed: int) -> str:
    """What ids of clips begin with."""
    return f"seed{seed}-{sizes.dev}-{sizes.val}-{sizes.eval}"


def clip_id_of(plan: ClipPlan, tag: str) -> str:
    """Clips of another seed or size are other clips, and pool ids are made of clip ids."""
    return f"{tag}/{plan.audio_name}"


def _manifest_clip(written: WrittenClip, tag: str) -> Clip:
    plan = written.plan
    clip_id = clip_id_of(plan, tag)
    captions = (Caption(f"{clip_id}#{number}", text) for number, text in enumerate(plan.captions, start=1))
    twin = Twin(plan.group, plan.relation) if plan.group is not None and plan.relation is not None else None
    return Clip(
        id=clip_id,
        path=f"{AUDIO_FOLDER}/{plan.audio_name}",
        sha256=written.sha256,
        sample_rate_hz=SAMPLE_RATE_HZ,
        frames=written.frames,
        channels=1,
        split=plan.split,
        captions=tuple(captions),
        twin=twin,
    )


def _events_line(written: WrittenClip, tag: str) -> str:
    events = [
        {
            "kind": event.kind,
            "properties": dict(event.properties),
            "level_dbfs": round(place.level_dbfs, 2),
            "start_s": round(place.start_s, 4),
            "end_s": round(place.end_s, 4),
        }
        for event, place in zip(written.plan.events, written.placements, strict=True)
    ]
    return json.dumps({"id": clip_id_of(written.plan, tag), "layout": written.plan.layout, "events": events}) + "\n"


def _about(plan: Plan, sizes: SyntheticSizes, seed: int) -> dict[str, Any]:
    return {
        "source": {
            "generator": "embedded: rendered by atrkit",
            "seed": seed,
            "sizes": {"dev": sizes.dev, "val": sizes.val, "eval": sizes.eval},
        },
        "licence": "CC0-1.0 (rendered; contains no recordings)",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "held_out_pairs": {split: [list(pair) for pair in plan.partition.pairs(split)] for split in HELD_OUT_SPLITS},
        "held_out_cells": {split: _cell_names(plan.partition, split) for split in HELD_OUT_SPLITS},
        "ceilings": ceilings([clip for clip in plan.clips if clip.split == "eval"]),
        "vocabulary_size": len(_words([text for clip in plan.clips for text in clip.captions])),
    }


def _cell_names(partition: Partition, split: SplitName) -> list[list[str]]:
    return [[cell.kind, cell.axis, cell.value] for cell in partition.cells(split)]


def _words(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in text.replace(",", " ").split()}
