"""Captions that begin alike, packed so that what they share is computed once."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import UsageError

BLOCK_SLOTS = 128

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CaptionTrie:
    """Distinct captions in blocks; each block is a small trie that holds all ancestors of its slots.

    A slot is a caption up to one of its words: the decoder's work on it is the same for all captions that begin so.
    Slots of a block lie one after the other, a parent before its children. An edge is a slot and the word predicted
    after it; every caption ends with an edge to `<eos>`. The whole path of a caption lies in one block, so that blocks
    can be computed apart from each other; slots near the root occur in several blocks.

    Attributes:
        token_N: last word of each slot, N slots in all.
        depth_N: words before it, 0 for `<bos>`.
        parent_N: the slot without its last word, -1 for `<bos>`.
        first_slot_K1: block k owns slots first_slot_K1[k] to first_slot_K1[k + 1].
        edge_slot_E: slot of each edge, rising; no edge occurs twice in a block.
        edge_target_E: the word after it.
        first_step_U1: distinct caption u owns entries first_step_U1[u] to first_step_U1[u + 1] of `edge_of_step_S`.
        edge_of_step_S: edges of each distinct caption, one for each of its words and one for `<eos>`.
        first_caption_K1: block k owns distinct captions first_caption_K1[k] to first_caption_K1[k + 1].
        distinct_C: for each caption as given, which distinct caption it is.
        block_slots: the most that a block holds, unless it is that of one longer caption.
    """

    token_N: IntArray
    depth_N: IntArray
    parent_N: IntArray
    first_slot_K1: IntArray
    edge_slot_E: IntArray
    edge_target_E: IntArray
    first_step_U1: IntArray
    edge_of_step_S: IntArray
    first_caption_K1: IntArray
    distinct_C: IntArray
    block_slots: int

    @property
    def num_slots(self) -> int:
        """Decoder positions that are computed for each clip."""
        return len(self.token_N)

    @property
    def num_blocks(self) -> int:
        """Number of blocks, K."""
        return len(self.first_slot_K1) - 1

    @property
    def num_distinct(self) -> int:
        """Number of distinct captions, U."""
        return len(self.first_step_U1) - 1

    @property
    def num_positions(self) -> int:
        """Decoder positions of all captions as given, each computed for itself."""
        return int(np.diff(self.first_step_U1)[self.distinct_C].sum())

    def ancestor_mask(self, block: int) -> npt.NDArray[np.bool_]:
        """(n, n) of a block with n slots: True where the column is an ancestor of the row or the row itself."""
        start, stop = self.first_slot_K1[block : block + 2]
        mask = np.eye(stop - start, dtype=bool)
        for row, parent in enumerate(self.parent_N[start:stop] - start):
            if parent >= 0:
                mask[row] |= mask[parent]
        return mask


def build_caption_trie(sequences: Sequence[Sequence[int]], *, block_slots: int = BLOCK_SLOTS) -> CaptionTrie:
    """Deduplicate captions, sort them by token ids, and pack neighbours into blocks.

    Args:
        sequences: `<bos>`, words, `<eos>` of each caption; duplicates allowed, one word or more.
        block_slots: slots of a block; a caption that is longer gets a block of its own.

    Returns:
        The trie. It does not depend on the order of the captions, but for `distinct_C`.

    Raises:
        UsageError: there is no caption.

    Source: our choice (PERFORMANCE.md, section 1).

    Example:
        Two captions of three words share two of them and `<bos>`: five slots for eight positions.

        >>> trie = build_caption_trie([[2, 7, 8, 9, 3], [2, 7, 8, 5, 3]])
        >>> trie.token_N.tolist(), trie.parent_N.tolist()
        ([2, 7, 8, 5, 9], [-1, 0, 1, 2, 2])
        >>> list(zip(trie.edge_slot_E.tolist(), trie.edge_target_E.tolist()))
        [(0, 7), (1, 8), (2, 5), (2, 9), (3, 3), (4, 3)]
        >>> trie.num_slots, trie.num_positions, trie.distinct_C.tolist()
        (5, 8, [1, 0])
    """
    if not sequences:
        raise UsageError("there is no caption to score")
    given = [tuple(sequence) for sequence in sequences]
    distinct = sorted(set(given), key=lambda sequence: sequence[:-1])
    number_of = {sequence: number for number, sequence in enumerate(distinct)}
    packing = _Packing(block_slots)
    for sequence in distinct:
        packing.add(sequence)
    distinct_C = np.array([number_of[sequence] for sequence in given], dtype=np.int64)
    return packing.finish(distinct_C)


class _Packing:
    """Blocks while they are filled with sorted captions."""

    def __init__(self, block_slots: int) -> None:
        self.block_slots = block_slots
        # arrays, not lists: a list keeps an object for every number, which is several times the trie itself
        self.token, self.depth, self.parent = array("q"), array("q"), array("q")
        self.edge_slot, self.edge_target = array("q"), array("q")
        self.edge_of_step, self.first_step = array("q"), array("q", [0])  # edges in their order of creation
        self.first_slot, self.first_caption = array("q"), array("q")
        self.words: tuple[int, ...] = ()  # of the caption before
        self.path: list[int] = []  # its slots
        self.steps: list[int] = []  # edges between them

    def add(self, sequence: tuple[int, ...]) -> None:
        words, last = sequence[:-1], sequence[-1]
        shared = _common_length(words, self.words)
        is_full = not self.first_slot or len(self.token) - self.first_slot[-1] + len(words) - shared > self.block_slots
        if is_full:
            shared = 0
            self.first_slot.append(len(self.token))
            self.first_caption.append(len(self.first_step) - 1)
        self.path, self.steps = self.path[:shared], self.steps[: max(shared - 1, 0)]
        for depth in range(shared, len(words)):
            self._add_slot(words[depth], depth)
        self.words = words
        self.edge_of_step.extend([*self.steps, self._add_edge(self.path[-1], last)])
        self.first_step.append(len(self.edge_of_step))

    def _add_slot(self, token: int, depth: int) -> None:
        slot, parent = len(self.token), self.path[-1] if depth else -1
        self.token.append(token)
        self.depth.append(depth)
        self.parent.append(parent)
        self.path.append(slot)
        if depth:
            self.steps.append(self._add_edge(parent, token))

    def _add_edge(self, slot: int, target: int) -> int:
        self.edge_slot.append(slot)
        self.edge_target.append(target)
        return len(self.edge_slot) - 1

    def finish(self, distinct_C: IntArray) -> CaptionTrie:
        edge_slot_E, edge_target_E = np.array(self.edge_slot), np.array(self.edge_target)
        order_E = np.lexsort((edge_target_E, edge_slot_E))
        rank_E = np.empty_like(order_E)
        rank_E[order_E] = np.arange(len(order_E))
        return CaptionTrie(
            token_N=np.array(self.token),
            depth_N=np.array(self.depth),
            parent_N=np.array(self.parent),
            first_slot_K1=np.array([*self.first_slot, len(self.token)]),
            edge_slot_E=edge_slot_E[order_E],
            edge_target_E=edge_target_E[order_E],
            first_step_U1=np.array(self.first_step),
            edge_of_step_S=rank_E[np.array(self.edge_of_step)],
            first_caption_K1=np.array([*self.first_caption, len(self.first_step) - 1]),
            distinct_C=distinct_C,
            block_slots=self.block_slots,
        )


def _common_length(a: Sequence[int], b: Sequence[int]) -> int:
    for length, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return length
    return min(len(a), len(b))
