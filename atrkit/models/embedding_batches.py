"""Embed many clips or captions in batches of similar length, and refuse what has no finite embedding by its name."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import DivergedError, UsageError

EmbeddingArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


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
    distinct: tuple[IntArray, IntArray] | None = None,
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
        distinct: what `distinct_sequences` says of the items: equal ones are embedded once and get the same bits.

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
    everything = np.arange(len(lengths_N))
    first_U, place_N = (torch.from_numpy(index) for index in distinct or (everything, everything))
    items_U = place_N.bincount(minlength=len(first_U))
    emb_UD = torch.empty(len(first_U), out_dim)
    done = 0
    for place_B in lengths_N[first_U.to(lengths_N.device)].argsort(stable=True).cpu().split(batch_size):
        emb_UD[place_B] = embed(first_U[place_B].to(lengths_N.device)).float().cpu()
        done += int(items_U[place_B].sum())
        if on_progress is not None:
            on_progress(done)
    emb_ND = emb_UD if distinct is None else emb_UD[place_N]
    if (broken := (~emb_ND.isfinite()).any(dim=1).nonzero()).numel():
        raise DivergedError(f"{named(int(broken[0]))} has an embedding that is not finite")
    return emb_ND.numpy()
