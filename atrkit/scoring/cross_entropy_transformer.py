"""Cross-entropy of all captions of a trie with some clips, by a transformer decoder."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.models.positions import sinusoidal_positions
from atrkit.models.transformer_decoder import DecoderLayer, TransformerDecoder
from atrkit.scoring.caption_trie import CaptionTrie
from atrkit.scoring.cross_entropy_chunks import BlockLayout, block_layout, trie_chunks
from atrkit.scoring.cross_entropy_edges import Classifier
from atrkit.scoring.cross_entropy_products import Product

KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class _SharedRows:
    """What the first layer knows of a chunk before any audio: its rows after self-attention, and their queries."""

    x_RD: Tensor
    cross_q_RD: Tensor


class TransformerPass:
    """One decoder over one trie, again and again for different clips.

    Args:
        decoder: its weights are read as they are now; later changes to them are not seen.
        trie: the captions.
        dtype: of matrix products.
        chunk_rows: slots that go through the layers together; bounds memory, and decides speed.
        inner_elements: hidden units or logits that are in memory at a time.
    """

    def __init__(
        self,
        decoder: TransformerDecoder,
        trie: CaptionTrie,
        dtype: torch.dtype,
        *,
        chunk_rows: int,
        inner_elements: int,
    ) -> None:
        device = decoder.word_embeddings.weight.device
        self.num_captions = trie.num_distinct
        self.layers = [_Layer(layer, dtype, inner_elements) for layer in decoder.decoder_layers()]
        self.classifier = Classifier(decoder.classifier, dtype, inner_elements)
        self.chunks = list(trie_chunks(trie, chunk_rows, device))
        self.layouts = [block_layout(trie, chunk.blocks, device) for chunk in self.chunks]
        self.shared = list(self._before_audio(decoder))

    def losses(self, memory_GTD: Tensor) -> Tensor:
        """Mean loss of every distinct caption with G clips of equal length, (G, U) float32."""
        keys_values = [layer.memory_keys_values(memory_GTD) for layer in self.layers]
        loss_GU = torch.empty(len(memory_GTD), self.num_captions, device=memory_GTD.device)
        for chunk, layout, shared in zip(self.chunks, self.layouts, self.shared, strict=True):
            x_GRD = self._after_layers(layout.repeated(len(memory_GTD)), shared, keys_values)
            loss_GU[:, chunk.captions] = chunk.mean_losses(self.classifier.edge_losses(x_GRD, chunk))
        return loss_GU

    def _after_layers(self, layout: BlockLayout, shared: _SharedRows, keys_values: list[KeysValues]) -> Tensor:
        clips = len(keys_values[0][0])
        x_GRD = shared.x_RD.expand(clips, -1, -1)
        q_GRD = shared.cross_q_RD.expand(clips, -1, -1)
        for number, (layer, memory) in enumerate(zip(self.layers, keys_values, strict=True)):
            if number:
                x_GRD = layer.add_self(x_GRD, layout)
                q_GRD = layer.cross_q(x_GRD)
            x_GRD = layer.add_feed_forward(layer.add_cross(x_GRD, q_GRD, memory))
        return x_GRD

    def _before_audio(self, decoder: TransformerDecoder) -> Iterator[_SharedRows]:
        longest = max(int(chunk.depth_R.max()) for chunk in self.chunks) + 1
        positions_LD = sinusoidal_positions(longest, decoder.dim, decoder.word_embeddings.weight.device)
        for chunk, layout in zip(self.chunks, self.layouts, strict=True):
            word_emb_RD = decoder.embed_words(chunk.token_R)
            x_RD = word_emb_RD * math.sqrt(decoder.dim) + positions_LD[chunk.depth_R]
            x_RD = self.layers[0].add_self(x_RD[None], layout)[0]
            yield _SharedRows(x_RD, self.layers[0].cross_q(x_RD))


class _Layer:
    """One decoder layer on rows that are slots of a trie."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype, inner_elements: int) -> None:
        self.num_heads = layer.num_heads
        self.inner_rows = max(1, inner_elements // layer.ff_in.out_features)
        self.self_qkv = Product.of(layer.self_qkv, dtype)
        self.self_out = Product.of(layer.self_out, dtype)
        self.cross_q = Product.of(layer.cross_q, dtype)
        self.cross_kv = Product.of(layer.cross_kv, dtype)
        self.cross_out = Product.of(layer.cross_out, dtype)
        self.ff_in = Product.of(layer.ff_in, dtype, layer.activation)
        self.ff_out = Product.of(layer.ff_out, dtype)
        self.norm_self, self.norm_cross, self.norm_ff = layer.norm_self, layer.norm_cross, layer.norm_ff

    def memory_keys_values(self, memory_GTD: Tensor) -> KeysValues:
        k, v = self.cross_kv(memory_GTD).chunk(2, dim=-1)
        return self._split_heads(k).contiguous(), self._split_heads(v).contiguous()

    def add_self(self, x_GRD: Tensor, layout: BlockLayout) -> Tensor:
        """Self-attention within blocks, which are padded here and nowhere else."""
        clips, dim = len(x_GRD), x_GRD.shape[-1]
        qkv = self.self_qkv(x_GRD)
        padded = qkv.new_zeros(clips, math.prod(layout.shape), 3 * dim).index_copy_(1, layout.place_R, qkv)
        q, k, v = (self._split_heads(part) for part in padded.view(-1, layout.shape[1], 3 * dim).chunk(3, dim=-1))
        is_causal = layout.mask_K1WW is None
        attended = F.scaled_dot_product_attention(q, k, v, layout.mask_K1WW, is_causal=is_causal)
        attended_GPD = self._join_heads(attended).reshape(clips, -1, dim)
        return _add_and_normalise(x_GRD, self.self_out(attended_GPD.index_select(1, layout.place_R)), self.norm_self)

    def add_cross(self, x_GRD: Tensor, q_GRD: Tensor, memory: KeysValues) -> Tensor:
        attended = F.scaled_dot_product_attention(self._split_heads(q_GRD), *memory)
        return _add_and_normalise(x_GRD, self.cross_out(self._join_heads(attended)), self.norm_cross)

    def add_feed_forward(self, x_GRD: Tensor) -> Tensor:
        parts = []
        for x_ND in x_GRD.flatten(0, 1).split(self.inner_rows):
            parts.append(_add_and_normalise(x_ND, self.ff_out(self.ff_in(x_ND)), self.norm_ff))
        return torch.cat(parts).view_as(x_GRD)

    def _split_heads(self, x: Tensor) -> Tensor:
        """(G, L, D) to (G, H, L, E)."""
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return heads.transpose(1, 2)

    @staticmethod
    def _join_heads(x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)


def _add_and_normalise(x: Tensor, change: Tensor, norm: nn.LayerNorm) -> Tensor:
    """In float32, whatever the change comes in."""
    changed = change.add_(x) if change.dtype == x.dtype else change + x
    return F.layer_norm(changed, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
