"""Embed many clips or captions in batches of similar length, and refuse what has no finite embedding by its name."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError

EmbeddingArray = npt.NDArray[np.float32]


@torch.inference_mode()
def embed_in_batches(
    embed: Callable[[Tensor], Tensor],
    lengths_N: Tensor,
    out_dim: int,
    *,
    kind: str,
    batch_size: int,
    ids: Sequence[str] | None,
    on_progress: Callable[[int], None] | None,
) -> EmbeddingArray:
    """Embed every item once.

    Args:
        embed: from positions (B,) to embeddings (B, out_dim), on any device.
        lengths_N: of the items; similar ones share a batch, so that little of it is padding.
        out_dim: width of an embedding.
        kind: what an item is called in messages: clip, caption.
        batch_size: items embedded at once.
        ids: names of the items, for messages; None: their positions.
        on_progress: called with the number of items done, after every batch.

    Returns:
        (N, out_dim) float32, in the order of the items.

    Raises:
        UsageError: an item of length 0.
        DivergedError: an embedding is not finite; names the item.
    """

    def named(position: int) -> str:
        return f"{kind} {ids[position]!r}" if ids is not None else f"{kind} {position} (counted from 0)"

    if (empty := (lengths_N == 0).nonzero()).numel():
        raise UsageError(f"{named(int(empty[0]))} has nothing to embed: its length is 0")
    emb_ND = torch.empty(len(lengths_N), out_dim)
    done = 0
    for index_B in lengths_N.argsort(stable=True).split(batch_size):
        emb_ND[index_B.cpu()] = embed(index_B).float().cpu()
        done += len(index_B)
        if on_progress is not None:
            on_progress(done)
    if (broken := (~emb_ND.isfinite()).any(dim=1).nonzero()).numel():
        raise DivergedError(f"{named(int(broken[0]))} has an embedding that is not finite")
    return emb_ND.numpy()
