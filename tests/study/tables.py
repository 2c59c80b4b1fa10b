"""From finished runs to tables: means over seeds, and differences with intervals that hold seeds and test clips."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from atrkit.metrics.tie_blocks import TieBlocks, audio_to_text_blocks, text_to_audio_blocks
from atrkit.reports.style import RULED
from atrkit.scoring.scaling import audio_to_text_matrix
from atrkit.store import load_scores
from tests.study.runs import Sizes
from tests.study.systems import SYSTEMS, System

Float64Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
COLUMNS = ("system", "seeds", "T2A R@1", "A2T R@1", "order", "replace", "against", "paper", "T2A", "A2T", "order")
TEXT_COLUMNS = ("system", "against", "paper")


@dataclass(frozen=True, eq=False)
class Hits:
    """What one run finds first, by group of test clips: twins, which share their events, are one group.

    Args:
        text_to_audio_G: captions of the group whose clip comes first; ties count by their share.
        audio_to_text_G: clips of the group with one of their own captions first.
        captions_G: captions of the group.
        clips_G: clips of the group.
    """

    text_to_audio_G: Float64Array
    audio_to_text_G: Float64Array
    captions_G: Float64Array
    clips_G: Float64Array


def show_tables(sizes: Sizes, seeds: Sequence[int]) -> None:
    """Tables on the screen, one per part of the study."""
    console = Console(width=160, highlight=False)
    for part, rows in _parts(sizes, seeds):
        table = Table(title=part, title_justify="left", box=RULED, show_edge=False, pad_edge=False)
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in TEXT_COLUMNS else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print()


def markdown_tables(sizes: Sizes, seeds: Sequence[int]) -> None:
    """The same as one Markdown table."""
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---|" * (len(COLUMNS) - 1))
    for _, rows in _parts(sizes, seeds):
        for row in rows:
            print("| " + " | ".join(row) + " |")


def _parts(sizes: Sizes, seeds: Sequence[int]) -> list[tuple[str, list[tuple[str, ...]]]]:
    parts: dict[str, list[tuple[str, ...]]] = {}
    for system in SYSTEMS:
        for scaling in system.scalings.split(","):
            if row := _row(system, scaling, sizes, seeds):
                parts.setdefault(system.name.partition("/")[0], []).append(row)
    return list(parts.items())


def _row(system: System, scaling: str, sizes: Sizes, seeds: Sequence[int]) -> tuple[str, ...] | None:
    finished = [seed for seed in seeds if (sizes.run_folder(system.name, seed) / "results.json").is_file()]
    if not finished:
        return None
    folders = [sizes.run_folder(system.name, seed) for seed in finished]
    results = [_result(folder, scaling) for folder in folders]
    shown = [
        [100 * each["text_to_audio"]["R@1"] for each in results],
        [100 * each["audio_to_text"]["R@1"] for each in results],
        [100 * each["twin_order"]["accuracy"] for each in results],
        [100 * _before_after(folder) for folder in folders],
    ]
    name = system.name.partition("/")[2] + ("" if scaling == "none" else f", {scaling}")
    return (name, str(len(finished)), *map(_mean_and_deviation, shown), *_against(system, sizes, finished))


def _against(system: System, sizes: Sizes, seeds: Sequence[int]) -> tuple[str, str, str, str, str]:
    other = next((each for each in SYSTEMS if each.name == system.against), None)
    both = [seed for seed in seeds if other and (sizes.run_folder(other.name, seed) / "results.json").is_file()]
    if other is None or not both:
        return ("", "", "", "", "")
    own = [_hits(sizes.run_folder(system.name, seed)) for seed in both]
    others = [_hits(sizes.run_folder(other.name, seed)) for seed in both]
    orders = [
        100
        * (
            _result(sizes.run_folder(system.name, seed), "none")["twin_order"]["accuracy"]
            - _result(sizes.run_folder(other.name, seed), "none")["twin_order"]["accuracy"]
        )
        for seed in both
    ]
    name = other.name.partition("/")[2] if other.name.split("/")[0] == system.name.split("/")[0] else other.name
    differences = [
        _difference(
            np.stack([mine.text_to_audio_G - theirs.text_to_audio_G for mine, theirs in zip(own, others, strict=True)]),
            own[0].captions_G,
        ),
        _difference(
            np.stack([mine.audio_to_text_G - theirs.audio_to_text_G for mine, theirs in zip(own, others, strict=True)]),
            own[0].clips_G,
        ),
    ]
    return (name, system.claim, *differences, f"{mean(orders):+.1f}")


def _difference(surplus_SG: Float64Array, counts_G: Float64Array) -> str:
    """Points of R@1 between two systems, and an interval: seeds and groups of clips are both drawn with replacement.

    Seeds alone would say how sure the difference is on these very clips; clips alone, for these very trainings.
    """
    generator = np.random.default_rng(0)
    seeds, groups = surplus_SG.shape
    drawn = np.empty(RESAMPLES)
    for r in range(RESAMPLES):
        groups_G = generator.integers(groups, size=groups)
        seeds_S = generator.integers(seeds, size=seeds)
        drawn[r] = surplus_SG[seeds_S][:, groups_G].sum() / seeds / counts_G[groups_G].sum()
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    middle = 100 * surplus_SG.sum() / seeds / counts_G.sum()
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


@cache
def _hits(folder: Path) -> Hits:
    matrix = load_scores(folder / "scores.h5")
    group_of_clip = _groups(folder)
    names = sorted({group_of_clip[clip_id] for clip_id in matrix.clip_ids})
    index_A = np.array([names.index(group_of_clip[clip_id]) for clip_id in matrix.clip_ids])
    index_C = index_A[matrix.clip_index_of_caption_C]
    found_C = _found_first(text_to_audio_blocks(matrix))
    found_A = _found_first(audio_to_text_blocks(audio_to_text_matrix(matrix, "none", None)))
    count = len(names)
    return Hits(
        np.bincount(index_C, found_C, count),
        np.bincount(index_A, found_A, count),
        np.bincount(index_C, minlength=count).astype(float),
        np.bincount(index_A, minlength=count).astype(float),
    )


def _found_first(blocks: TieBlocks) -> Float64Array:
    """For each query the chance that something relevant comes first, ties in random order."""
    best = blocks.is_first & (blocks.better == 0)
    found = np.zeros(blocks.queries)
    found[blocks.query[best]] = blocks.relevant[best] / blocks.tied[best]
    return found


def _groups(folder: Path) -> dict[str, str]:
    """The group of every clip of the data set: its twins', or itself."""
    workspace = folder.parents[[path.name for path in folder.parents].index("runs") + 1]
    lines = (workspace / "data/synthetic/manifest.jsonl").read_text().splitlines()
    clips = [json.loads(line) for line in lines]
    return {clip["id"]: (clip.get("twin") or {}).get("group", clip["id"]) for clip in clips if "id" in clip}


@cache
def _result(folder: Path, scaling: str) -> dict[str, Any]:
    results = json.loads((folder / "results.json").read_text())
    many = results if isinstance(results, list) else [results]
    return next(each for each in many if each["column_scaling"] == scaling)


def _before_after(folder: Path) -> float:
    tests = json.loads((folder / "perturbation_results.json").read_text())["perturbation"]["tests"]
    return float(next(t["accuracy"] for t in tests if (t["kind"], t["set_name"]) == ("replace", "before_after")))


def _mean_and_deviation(values: Sequence[float]) -> str:
    return f"{mean(values):.1f}" + (f" ({stdev(values):.1f})" if len(values) > 1 else "")
