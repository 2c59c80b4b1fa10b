"""A caption trie cut into chunks of tensors: what one pass through a decoder takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from atrkit.scoring.caption_trie import CaptionTrie, IntArray

_MASK_MULTIPLE = 16  # attention kernels want masks of an aligned width


@dataclass(frozen=True, eq=False)
class TrieChunk:
    """Some blocks of a trie, one after the other, all indices counted from the chunk's first slot.

    Attributes:
        blocks: which ones.
        slots: rows of the chunk among all slots.
        captions: distinct captions whose paths lie in it.
        token_R: last word of each row.
        depth_R: words before it.
        parent_R: row of the prefix without that word, -1 for `<bos>`.
        edge_row_E: row of each edge, rising.
        edge_target_E: the word after it.
        first_edge_R1: edges of rows before each row, on the CPU.
        edge_of_step_UL: edges of each caption, padded with E, for which a loss of zero is appended.
        predictions_U: words of each caption and `<eos>`.
    """

    blocks: range
    slots: slice
    captions: slice
    token_R: Tensor
    depth_R: Tensor
    parent_R: Tensor
    edge_row_E: Tensor
    edge_target_E: Tensor
    first_edge_R1: IntArray
    edge_of_step_UL: Tensor
    predictions_U: Tensor

    @property
    def rows(self) -> int:
        """Number of slots, R."""
        return len(self.token_R)

    @cached_property
    def levels(self) -> list[tuple[Tensor, Tensor]]:
        """Rows of each depth and their parents, from `<bos>` on."""
        levels = []
        for depth in range(int(self.depth_R.max()) + 1):
            row_N = (self.depth_R == depth).nonzero()[:, 0]
            levels.append((row_N, self.parent_R[row_N]))
        return levels

    def mean_losses(self, nll_GE: Tensor) -> Tensor:
        """Mean loss of each caption from the losses of the edges, (G, U) float32; summed in float64."""
        nothing_G1 = nll_GE.new_zeros(len(nll_GE), 1, dtype=torch.float64)
        step_GUL = torch.cat([nll_GE.double(), nothing_G1], dim=1)[:, self.edge_of_step_UL]
        return (step_GUL.sum(dim=-1) / self.predictions_U).float()


@dataclass(frozen=True, eq=False)
class BlockLayout:
    """Where the rows of a chunk stand in padded blocks, for self-attention alone.

    Attributes:
        shape: blocks and slots of each, (K, W).
        place_R: of each row among the K * W places.
        mask_K1WW: True where a slot (row) sees another (column), itself among them; None where each sees all before
            it, as in the one block of a very long caption.
    """

    shape: tuple[int, int]
    place_R: Tensor
    mask_K1WW: Tensor | None

    def repeated(self, clips: int) -> "BlockLayout":
        """The same for a batch of clips, whose blocks come one clip after the other."""
        if self.mask_K1WW is None or clips == 1:
            return self
        return BlockLayout(self.shape, self.place_R, self.mask_K1WW.repeat(clips, 1, 1, 1))


def trie_chunks(trie: CaptionTrie, rows: int, device: torch.device) -> Iterator[TrieChunk]:
    """Cut a trie between blocks.

    Args:
        trie: all captions.
        rows: a chunk has at most so many, or it is a single block. A block of a caption that is too long for the
            others is a chunk of its own.
        device: of the tensors.
    """
    slots_K = np.diff(trie.first_slot_K1)
    start, taken = 0, 0
    for block, slots in enumerate(slots_K.tolist()):
        is_long = slots > trie.block_slots
        if block > start and (is_long or taken + slots > rows or slots_K[start] > trie.block_slots):
            yield _chunk(trie, range(start, block), device)
            start, taken = block, 0
        taken += slots
    yield _chunk(trie, range(start, trie.num_blocks), device)


def _chunk(trie: CaptionTrie, blocks: range, device: torch.device) -> TrieChunk:
    first_slot, stop_slot = trie.first_slot_K1[[blocks.start, blocks.stop]].tolist()
    first_caption, stop_caption = trie.first_caption_K1[[blocks.start, blocks.stop]].tolist()
    first_edge, stop_edge = np.searchsorted(trie.edge_slot_E, [first_slot, stop_slot]).tolist()
    row_E = trie.edge_slot_E[first_edge:stop_edge] - first_slot
    parent_R = trie.parent_N[first_slot:stop_slot]
    steps_UL = _padded(trie, first_caption, stop_caption, first_edge, pad=stop_edge)

    def tensor(values: IntArray) -> Tensor:
        return torch.from_numpy(values).to(device)

    return TrieChunk(
        blocks=blocks,
        slots=slice(first_slot, stop_slot),
        captions=slice(first_caption, stop_caption),
        token_R=tensor(trie.token_N[first_slot:stop_slot]),
        depth_R=tensor(trie.depth_N[first_slot:stop_slot]),
        parent_R=tensor(np.where(parent_R < 0, -1, parent_R - first_slot)),
        edge_row_E=tensor(row_E),
        edge_target_E=tensor(trie.edge_target_E[first_edge:stop_edge]),
        first_edge_R1=np.searchsorted(row_E, np.arange(stop_slot - first_slot + 1)),
        edge_of_step_UL=tensor(steps_UL),
        predictions_U=tensor(np.diff(trie.first_step_U1)[first_caption:stop_caption]),
    )


def _padded(trie: CaptionTrie, first_caption: int, stop_caption: int, first_edge: int, pad: int) -> IntArray:
    bounds_U1 = trie.first_step_U1[first_caption : stop_caption + 1]
    steps_U = np.diff(bounds_U1)
    steps_UL = np.full((len(steps_U), steps_U.max()), pad, dtype=np.int64)
    is_step_UL = np.arange(steps_UL.shape[1]) < steps_U[:, None]
    steps_UL[is_step_UL] = trie.edge_of_step_S[bounds_U1[0] : bounds_U1[-1]]
    return steps_UL - first_edge


def block_layout(trie: CaptionTrie, blocks: range, device: torch.device) -> BlockLayout:
    """Padded blocks for the self-attention of a chunk.

    Args:
        trie: all captions.
        blocks: of the chunk.
        device: of the tensors.
    """
    slots_K = np.diff(trie.first_slot_K1)[blocks.start : blocks.stop]
    longest = int(slots_K.max())
    if longest > trie.block_slots:  # one caption, alone in its chunk: a plain sequence
        return BlockLayout((1, longest), torch.arange(longest, device=device), None)
    width = -(-longest // _MASK_MULTIPLE) * _MASK_MULTIPLE
    mask_K1WW = np.zeros((len(blocks), 1, width, width), dtype=bool)
    mask_K1WW |= np.eye(width, dtype=bool)  # padding sees itself, so that no softmax is over nothing
    for row, block in enumerate(blocks):
        mask_K1WW[row, 0, : slots_K[row], : slots_K[row]] = trie.ancestor_mask(block)
    place_R = np.concatenate([row * width + np.arange(slots) for row, slots in enumerate(slots_K)])
    return BlockLayout(
        (len(blocks), width), torch.from_numpy(place_R).to(device), torch.from_numpy(mask_K1WW).to(device)
    )
