"""Cross-entropy of all captions of a trie with some clips, by a GRU decoder."""

import torch
from torch import Tensor

from atrkit.models.gru_decoder import GruDecoder
from atrkit.scoring.caption_trie import CaptionTrie
from atrkit.scoring.cross_entropy_chunks import TrieChunk, trie_chunks
from atrkit.scoring.cross_entropy_edges import Classifier
from atrkit.scoring.cross_entropy_products import Product


class GruPass:
    """One decoder over one trie, again and again for different clips: level by level, each prefix once.

    Args:
        decoder: its weights are read as they are now; later changes to them are not seen.
        trie: the captions; few, large blocks share most.
        dtype: of matrix products.
        chunk_rows: slots whose states are in memory at a time.
        inner_elements: logits, or comparisons of slots with frames, that are in memory at a time.
    """

    def __init__(
        self, decoder: GruDecoder, trie: CaptionTrie, dtype: torch.dtype, *, chunk_rows: int, inner_elements: int
    ) -> None:
        device = decoder.word_embeddings.weight.device
        self.decoder = decoder
        self.num_captions = trie.num_distinct
        self.inner_elements = inner_elements
        self.chunks = list(trie_chunks(trie, chunk_rows, device))
        self.classifier = Classifier(decoder.classifier, dtype, inner_elements)
        self.query = Product.of(decoder.attention_query, dtype)
        self.score_D = decoder.attention_score.weight.detach()[0]
        cell = decoder.cell
        word_weight, context_weight = cell.weight_ih.split(decoder.dim, dim=1)
        self.context_gates = Product(context_weight, None, dtype)
        self.hidden_gates = Product(cell.weight_hh, cell.bias_hh, dtype)
        # what the cell makes of a word depends on nothing else
        word_gates = Product(word_weight, cell.bias_ih, dtype)
        self.word_gates_V3D = word_gates(decoder.word_embeddings.weight.detach()).float()

    def losses(self, memory_GTD: Tensor) -> Tensor:
        """Mean loss of every distinct caption with G clips of equal length, (G, U) float32."""
        lengths_G = torch.full((len(memory_GTD),), memory_GTD.shape[1], device=memory_GTD.device)
        start = self.decoder.start(memory_GTD, lengths_G)
        loss_GU = memory_GTD.new_empty(len(memory_GTD), self.num_captions)
        for chunk in self.chunks:
            hidden_GRD = self._hidden(chunk, start.hidden_BD, memory_GTD, start.keys_BTD)
            loss_GU[:, chunk.captions] = chunk.mean_losses(self.classifier.edge_losses(hidden_GRD, chunk))
        return loss_GU

    def _hidden(self, chunk: TrieChunk, first_GD: Tensor, memory_GTD: Tensor, keys_GTD: Tensor) -> Tensor:
        clips, frames, dim = memory_GTD.shape
        step = max(1, self.inner_elements // (clips * frames * dim))
        hidden_GRD = memory_GTD.new_empty(clips, chunk.rows, dim)
        for depth, (rows, parents) in enumerate(chunk.levels):
            for row_N, parent_N in zip(rows.split(step), parents.split(step), strict=True):
                before_GND = hidden_GRD[:, parent_N] if depth else first_GD[:, None].expand(-1, len(row_N), -1)
                context_GND = self._look(before_GND, memory_GTD, keys_GTD)
                word_gates_N3D = self.word_gates_V3D[chunk.token_R[row_N]]
                hidden_GRD[:, row_N] = self._read(word_gates_N3D, context_GND, before_GND)
        return hidden_GRD

    def _look(self, hidden_GND: Tensor, memory_GTD: Tensor, keys_GTD: Tensor) -> Tensor:
        """Additive attention to the frames, (G, N, D)."""
        compared_GNTD = keys_GTD[:, None] + self.query(hidden_GND).float()[:, :, None]
        weight_GNT = (compared_GNTD.tanh_() @ self.score_D).softmax(dim=-1)
        return weight_GNT @ memory_GTD

    def _read(self, word_gates_N3D: Tensor, context_GND: Tensor, hidden_GND: Tensor) -> Tensor:
        """The GRU's new state, as in `nn.GRUCell`."""
        reset, update, new = (self.context_gates(context_GND).float() + word_gates_N3D).chunk(3, dim=-1)
        hidden_reset, hidden_update, hidden_new = self.hidden_gates(hidden_GND).float().chunk(3, dim=-1)
        update_GND = (update + hidden_update).sigmoid_()
        new_GND = (new + (reset + hidden_reset).sigmoid_() * hidden_new).tanh_()
        return new_GND + update_GND * (hidden_GND - new_GND)
