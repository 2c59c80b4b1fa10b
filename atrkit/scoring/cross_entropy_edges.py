"""From the last layer of a decoder to the loss of each edge of a trie."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.scoring.cross_entropy_chunks import TrieChunk
from atrkit.scoring.cross_entropy_products import Product

_WIDTH_MULTIPLE = 32  # matrix products into rows of an odd width take half as long again


class Classifier:
    """The decoder's last linear layer, and the loss of words under it.

    Words that do not exist fill it up to a width that computes fast; their bias of -inf gives them probability zero.

    Args:
        linear: the decoder's.
        dtype: of matrix products.
        inner_elements: logits that are in memory at a time.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype, inner_elements: int) -> None:
        missing = -linear.out_features % _WIDTH_MULTIPLE
        weight = F.pad(linear.weight.detach(), (0, 0, 0, missing))
        bias = F.pad(linear.bias.detach(), (0, missing), value=-torch.inf)
        self.logits = Product(weight, bias, dtype)
        self.inner_rows = max(1, inner_elements // len(bias))

    def edge_losses(self, x_GRD: Tensor, chunk: TrieChunk) -> Tensor:
        """Negative log-probability of each edge's word after its row, (G, E) float32."""
        step = max(1, self.inner_rows // len(x_GRD))
        losses = []
        for start in range(0, chunk.rows, step):
            stop = min(start + step, chunk.rows)
            edges = slice(*chunk.first_edge_R1[[start, stop]].tolist())
            log_prob_GRV = self.logits(x_GRD[:, start:stop]).log_softmax(dim=-1, dtype=torch.float32)
            losses.append(-log_prob_GRV[:, chunk.edge_row_E[edges] - start, chunk.edge_target_E[edges]])
        return torch.cat(losses, dim=1)
