"""The plan of a dataset: what every clip contains and what is said of it, before anything is rendered.

The plan is a pure function of seed and sizes. Val and eval have the same mixture of layouts as dev; in eval, sequences
and overlaps come in twin groups: A then B, B then A, and A with B, of the same events and in the same words, so that
nothing but the relation tells them apart.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from atrkit.datasets.synthetic.captions import (
    Layout,
    Slot,
    draw_overlap_relations,
    draw_sequence_relations,
    draw_slots,
    relate_overlap,
    relate_sequence,
)
from atrkit.datasets.synthetic.events import KINDS, Cell, Event, draw_event
from atrkit.datasets.synthetic.partition import SPLITS, Partition, SplitName, draw_partition
from atrkit.errors import UsageError

Relation = Literal["a_then_b", "b_then_a", "a_with_b"]
# How many of a split's clips hold two events, a third of them overlapping; one event and three events share the rest.
# Were all of eval twins, no oracle of kinds and properties could pass 1/3; the prototype's reached .475.
PAIR_SHARE: Mapping[SplitName, float] = {"dev": 2 / 3, "val": 2 / 3, "eval": 2 / 3}
# First word of every generator's seed: the streams never meet.
PARTITION_STREAM, PLAN_STREAM, RENDER_STREAM, NOISE_STREAM = 1, 2, 3, 4
SMALLEST_DEV = 12
SMALLEST_HELD_OUT = 12

T = TypeVar("T")


@dataclass(frozen=True)
class SyntheticSizes:
    """Clips per split.

    Args:
        dev: for training.
        val: for choosing an epoch.
        eval: for testing.
    """

    dev: int = 1200
    val: int = 120
    eval: int = 240

    def __post_init__(self) -> None:
        """Refuse sizes at which a split would lack a layout."""
        for split, smallest in (("dev", SMALLEST_DEV), ("val", SMALLEST_HELD_OUT), ("eval", SMALLEST_HELD_OUT)):
            if getattr(self, split) < smallest:
                raise UsageError(f"synthetic: {split} needs at least {smallest} clips, not {getattr(self, split)}")

    @property
    def total(self) -> int:
        """Clips in all."""
        return self.dev + self.val + self.eval

    def groups_of_three(self, split: SplitName) -> int:
        """How often a split plays two sequences and an overlap; in eval these are the twin groups.

        >>> SyntheticSizes().groups_of_three("eval")
        54
        """
        size: int = getattr(self, split)
        return min(math.ceil(PAIR_SHARE[split] * size / 3), size // 3)


def sizes_for(clips: int, *, val: int | None = None, evaluation: int | None = None) -> SyntheticSizes:
    """Sizes for so many dev clips.

    Args:
        clips: of dev.
        val: clips of val; None: in the proportions of 1,200 / 120 / 240.
        evaluation: clips of eval; None: likewise. The number of candidates moves recall: data sets of different sizes
            are compared with the same one.

    Raises:
        UsageError: fewer than 12 clips in a split.

    Example:
        >>> sizes_for(1200)
        SyntheticSizes(dev=1200, val=120, eval=240)
        >>> sizes_for(40)
        SyntheticSizes(dev=40, val=12, eval=12)
        >>> sizes_for(3000, val=120, evaluation=240)
        SyntheticSizes(dev=3000, val=120, eval=240)
    """
    return SyntheticSizes(
        dev=clips,
        val=max(SMALLEST_HELD_OUT, round(clips / 10)) if val is None else val,
        eval=max(SMALLEST_HELD_OUT, 3 * round(clips / 15)) if evaluation is None else evaluation,
    )


@dataclass(frozen=True)
class ClipPlan:
    """One clip before it is rendered.

    Args:
        split: dev, val or eval.
        index: position in the split; with the seed and the split it seeds the rendering.
        layout: how the events lie in time.
        events: in the order in which they sound (for an overlap: in either).
        captions: five texts.
        mentioned: for each caption, the properties it says of each event.
        group: the twin group, in eval.
        relation: how this clip plays its group's events.
    """

    split: SplitName
    index: int
    layout: Layout
    events: tuple[Event, ...]
    captions: tuple[str, ...]
    mentioned: tuple[tuple[dict[str, str], ...], ...]
    group: str | None = None
    relation: Relation | None = None

    @property
    def audio_name(self) -> str:
        """Its path below the audio folder."""
        return f"{self.split}/{self.index:05d}.wav"


@dataclass(frozen=True)
class Plan:
    """All clips, and which pairs and cells were held out."""

    partition: Partition
    clips: tuple[ClipPlan, ...]


def draw_plan(sizes: SyntheticSizes, seed: int) -> Plan:
    """Plan a whole dataset; the same seed and sizes give the same plan.

    Raises:
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"the seed of synthetic must not be negative, and {seed} is: try --seed {-seed}")
    partition = draw_partition(np.random.default_rng([PARTITION_STREAM, seed]))
    clips: list[ClipPlan] = []
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng([PLAN_STREAM, seed, number])
        drawn = _draw_split(split, sizes, partition, rng)
        clips += [replace(clip, index=index) for index, clip in enumerate(drawn)]
    return Plan(partition, tuple(clips))


def _draw_split(
    split: SplitName, sizes: SyntheticSizes, partition: Partition, rng: np.random.Generator
) -> Iterator[ClipPlan]:
    size: int = getattr(sizes, split)
    groups = sizes.groups_of_three(split)
    singles = (size - 3 * groups) // 2
    pairs = partition.pairs(split)
    if split == "eval":
        for number, pair in enumerate(_cycle(pairs, groups, rng)):
            yield from _twins(f"twins-{number:03d}", _events(_shuffled(pair, rng), rng), rng)
    else:
        for pair in _cycle(pairs, 2 * groups, rng):
            events = _events(_shuffled(pair, rng), rng)
            yield _sequence(split, events, draw_slots(events, rng), draw_sequence_relations(rng))
        for pair in _cycle(pairs, groups, rng):
            events = _events(_shuffled(pair, rng), rng)
            yield _overlap(split, events, draw_slots(events, rng), draw_overlap_relations(rng))
    for event in _single_events(split, singles, partition, rng):
        slots = draw_slots([event], rng)
        yield _clip(split, "one", (event,), slots, [slot.phrases[0].clause for slot in slots])
    for orders in _cycle(partition.triples(split), size - 3 * groups - singles, rng):
        events = _events(orders[int(rng.integers(len(orders)))], rng)
        yield _sequence(split, events, draw_slots(events, rng), draw_sequence_relations(rng))


def _twins(group: str, events: tuple[Event, ...], rng: np.random.Generator) -> Iterator[ClipPlan]:
    """The same two events in the same words, related in three ways."""
    slots, relations = draw_slots(events, rng), draw_sequence_relations(rng)
    backwards = tuple(Slot(slot.phrases[::-1], slot.mentioned[::-1]) for slot in slots)
    members: dict[Relation, ClipPlan] = {
        "a_then_b": _sequence("eval", events, slots, relations),
        "b_then_a": _sequence("eval", events[::-1], backwards, relations),
        "a_with_b": _overlap("eval", events, slots, draw_overlap_relations(rng)),
    }
    for relation, clip in members.items():
        yield replace(clip, group=group, relation=relation)


def _single_events(split: SplitName, number: int, partition: Partition, rng: np.random.Generator) -> Iterator[Event]:
    """Events with a cell of the split and none of another; in dev, events with no held-out cell."""
    foreign = {cell for cell, owner in partition.split_of_cell.items() if owner != split}
    if split == "dev":
        for kind in _cycle(list(KINDS), number, rng):
            yield _event_outside(foreign, kind, {}, rng)
        return
    seen: list[Event] = []
    for cell in _cycle(partition.cells(split), number, rng):
        # unlike those before it, where the cell has others: few clips of a small split should be indistinguishable
        draws = [_event_outside(foreign, cell.kind, {cell.axis: cell.value}, rng) for _ in range(20)]
        seen.append(next((event for event in draws if event not in seen), draws[0]))
        yield seen[-1]


def _event_outside(foreign: set[Cell], kind: str, fixed: dict[str, str], rng: np.random.Generator) -> Event:
    # ends: a partition holds out at most one value of a property
    while True:
        drawn = draw_event(kind, rng)
        event = Event(kind, {**drawn.properties, **fixed})
        if not event.cells & foreign:
            return event


def _cycle(items: Sequence[T], number: int, rng: np.random.Generator) -> list[T]:
    """Items in random order, all of them before any returns, until there are `number`."""
    rounds = -(-number // len(items))
    return [items[position] for _ in range(rounds) for position in rng.permutation(len(items))][:number]


def _shuffled(pair: tuple[str, str], rng: np.random.Generator) -> tuple[str, str]:
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _events(kinds: Sequence[str], rng: np.random.Generator) -> tuple[Event, ...]:
    return tuple(draw_event(kind, rng) for kind in kinds)


def _clip(
    split: SplitName, layout: Layout, events: tuple[Event, ...], slots: Sequence[Slot], texts: Sequence[str]
) -> ClipPlan:
    mentioned = tuple(tuple(dict(said) for said in slot.mentioned) for slot in slots)
    return ClipPlan(split, 0, layout, events, tuple(texts), mentioned)


def _sequence(split: SplitName, events: tuple[Event, ...], slots: Sequence[Slot], relations: Sequence[str]) -> ClipPlan:
    texts = [relate_sequence(relation, slot.phrases) for relation, slot in zip(relations, slots, strict=True)]
    return _clip(split, "sequence" if len(events) == 2 else "three", events, slots, texts)


def _overlap(
    split: SplitName, events: tuple[Event, ...], slots: Sequence[Slot], relations: Sequence[tuple[str, bool]]
) -> ClipPlan:
    texts = [relate_overlap(*relation, slot.phrases) for relation, slot in zip(relations, slots, strict=True)]
    return _clip(split, "overlap", events, slots, texts)
