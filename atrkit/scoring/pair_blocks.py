"""Listed pairs in blocks of clips and captions, so that memory does not grow with the collection."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

# frames and words that are in memory at a time, with padding; captions start again for each block of clips, which is a
# hundredth of the work where a clip has thirty frames
BLOCK_FRAMES, BLOCK_WORDS = 1 << 14, 1 << 11


def pairs_in_blocks(item_N: IntArray, lengths_M: IntArray, rows: int) -> list[IntArray]:
    """Positions of pairs, so that the distinct items of each part take so many rows or less, or it has one item.

    Args:
        item_N: clip, or caption, of each pair.
        lengths_M: of all clips, or captions, that `item_N` refers to.
        rows: of a part, with the padding to its longest item.

    >>> [part.tolist() for part in pairs_in_blocks(np.array([0, 1, 0, 2]), np.array([3, 3, 9]), 6)]
    [[0, 1, 2], [3]]
    """
    blocks = by_length(lengths_M, np.unique(item_N), rows)
    block_of_item = np.zeros(len(lengths_M), dtype=np.int64)
    for number, items in enumerate(blocks):
        block_of_item[items] = number
    order_N = np.argsort(block_of_item[item_N], kind="stable")
    ends = np.cumsum(np.bincount(block_of_item[item_N], minlength=len(blocks)))
    return np.split(order_N, ends[:-1]) if len(order_N) else []


def by_length(lengths_M: IntArray, items: IntArray, rows: int) -> list[IntArray]:
    """Items, the shortest first, in blocks that take so many rows or less when they are padded, or hold one item."""
    ordered = items[np.argsort(lengths_M[items], kind="stable")]
    blocks: list[list[int]] = []
    for item in ordered.tolist():
        if not blocks or (len(blocks[-1]) + 1) * int(lengths_M[item]) > rows:
            blocks.append([])
        blocks[-1].append(item)
    return [np.array(block, dtype=np.int64) for block in blocks]
