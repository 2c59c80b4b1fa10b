"""Which pairs of kinds and which single events are kept for which split.

A model is tested on combinations that it never heard in training: a pair of kinds belongs to exactly one split, and
single events with held-out (kind, property) cells are not in dev. Every kind and every property is in dev all the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Literal

import numpy as np

from atrkit.datasets.synthetic.events import KINDS, Cell, all_cells

SplitName = Literal["dev", "val", "eval"]
SPLITS: tuple[SplitName, ...] = ("dev", "val", "eval")

VAL_PAIRS = 14
EVAL_PAIRS = 27
HELD_OUT_CELL_SHARE = 0.25
# of the held-out cells, in the proportion of the pairs
VAL_CELL_SHARE = VAL_PAIRS / (VAL_PAIRS + EVAL_PAIRS)

Pair = frozenset[str]


@dataclass(frozen=True)
class Partition:
    """The split of every pair of kinds, and of every held-out cell."""

    split_of_pair: Mapping[Pair, SplitName]
    split_of_cell: Mapping[Cell, SplitName]

    def pairs(self, split: SplitName) -> list[tuple[str, str]]:
        """Pairs of kinds that belong to a split, in the order of KINDS."""
        return [pair for pair in combinations(KINDS, 2) if self.split_of_pair[frozenset(pair)] == split]

    def cells(self, split: SplitName) -> list[Cell]:
        """Cells held out for a split, sorted."""
        return sorted(cell for cell, owner in self.split_of_cell.items() if owner == split)

    def triples(self, split: SplitName) -> list[list[tuple[str, str, str]]]:
        """Orders of three kinds that a split may play, grouped by set of kinds.

        Neighbours are a pair of the split; first and last are one of it or of dev. Triangles of held-out pairs alone
        would be too few (about five of 680). No clip of dev ever contains a held-out pair.
        """
        by_set: dict[frozenset[str], list[tuple[str, str, str]]] = {}
        for first, second, third in permutations(KINDS, 3):
            neighbours = self.split_of_pair[frozenset((first, second))], self.split_of_pair[frozenset((second, third))]
            outer = self.split_of_pair[frozenset((first, third))]
            if neighbours == (split, split) and outer in (split, "dev"):
                by_set.setdefault(frozenset((first, second, third)), []).append((first, second, third))
        return list(by_set.values())


def draw_partition(rng: np.random.Generator) -> Partition:
    """Hold out 14 pairs for val and 27 for eval, and a quarter of the cells; every kind is in some pair of eval."""
    pairs = [frozenset(pair) for pair in combinations(KINDS, 2)]
    while True:
        shuffled = [pairs[position] for position in rng.permutation(len(pairs))]
        if frozenset().union(*shuffled[:EVAL_PAIRS]) == frozenset(KINDS):
            break
    return Partition(
        {pair: _split_of_rank(rank) for rank, pair in enumerate(shuffled)},
        _draw_cells(rng),
    )


def _split_of_rank(rank: int) -> SplitName:
    if rank < EVAL_PAIRS:
        return "eval"
    return "val" if rank < EVAL_PAIRS + VAL_PAIRS else "dev"


def _draw_cells(rng: np.random.Generator) -> dict[Cell, SplitName]:
    """A quarter of the cells: one of every kind, then more, never both values of a property: dev must hear the kind."""
    cells = all_cells()
    wanted = round(HELD_OUT_CELL_SHARE * len(cells))
    shuffled = [cells[position] for position in rng.permutation(len(cells))]
    of_kind: dict[str, Cell] = {}
    of_axis: dict[tuple[str, str], Cell] = {}
    for cell in shuffled:
        of_kind.setdefault(cell.kind, cell)
    for cell in [*of_kind.values(), *shuffled]:
        of_axis.setdefault((cell.kind, cell.axis), cell)
    for_val = round(VAL_CELL_SHARE * wanted)
    return {cell: "val" if rank < for_val else "eval" for rank, cell in enumerate(list(of_axis.values())[:wanted])}
