"""Cross-entropy of all captions of a trie with some clips, by a transformer decoder."""

import math
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.models.positions import sinusoidal_positions
from atrkit.models.transformer_decoder import DecoderLayer, TransformerDecoder
from atrkit.scoring.caption_trie import CaptionTrie
from atrkit.scoring.cross_entropy_attention import CrossAttention, JoinedSteps, KeysValues, join_heads, split_heads
from atrkit.scoring.cross_entropy_chunks import BlockLayout, block_layout, trie_chunks
from atrkit.scoring.cross_entropy_edges import Classifier
from atrkit.scoring.cross_entropy_products import Product


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
        self.x_ND = self._after_first_self_attention(decoder, torch.empty(trie.num_slots, decoder.dim, device=device))

    def losses(self, memory_GTD: Tensor) -> Tensor:
        """Mean loss of every distinct caption with G clips of equal length, (G, U) float32."""
        memories = [layer.cross.of_clips(memory_GTD) for layer in self.layers]
        loss_GU = torch.empty(len(memory_GTD), self.num_captions, device=memory_GTD.device)
        for chunk, layout in zip(self.chunks, self.layouts, strict=True):
            x_GRD = self.x_ND[chunk.slots].expand(len(memory_GTD), -1, -1)
            x_GRD = self._after_layers(x_GRD, chunk.slots, layout.repeated(len(memory_GTD)), memories)
            loss_GU[:, chunk.captions] = chunk.mean_losses(self.classifier.edge_losses(x_GRD, chunk))
        return loss_GU

    def _after_layers(
        self, x_GRD: Tensor, slots: slice, layout: BlockLayout, memories: list[JoinedSteps | KeysValues]
    ) -> Tensor:
        for number, (layer, memory) in enumerate(zip(self.layers, memories, strict=True)):
            if number:
                x_GRD = layer.add_self(x_GRD, layout)
                attended_GRD = memory(x_GRD)
            elif isinstance(memory, KeysValues):
                attended_GRD = memory(x_GRD, self.first_query_ND[slots].expand(len(x_GRD), -1, -1))
            else:
                attended_GRD = memory(x_GRD)
            x_GRD = layer.add_feed_forward(_add_and_normalise(x_GRD, attended_GRD, layer.norm_cross))
        return x_GRD

    def _after_first_self_attention(self, decoder: TransformerDecoder, x_ND: Tensor) -> Tensor:
        """Fill in the rows that the first layer makes before it has heard anything."""
        longest = max(int(chunk.depth_R.max()) for chunk in self.chunks) + 1
        positions_LD = sinusoidal_positions(longest, decoder.dim, x_ND.device)
        for chunk, layout in zip(self.chunks, self.layouts, strict=True):
            word_emb_RD = decoder.embed_words(chunk.token_R)
            x_RD = word_emb_RD * math.sqrt(decoder.dim) + positions_LD[chunk.depth_R]
            x_ND[chunk.slots] = self.layers[0].add_self(x_RD[None], layout)[0]
        return x_ND

    @cached_property
    def first_query_ND(self) -> Tensor:
        """Queries of these rows to the frames, where they are used as such."""
        query = self.layers[0].cross.query
        query_ND = torch.empty_like(self.x_ND, dtype=query.weight_OI.dtype)
        for chunk in self.chunks:
            query_ND[chunk.slots] = query(self.x_ND[chunk.slots])
        return query_ND


class _Layer:
    """One decoder layer on rows that are slots of a trie."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype, inner_elements: int) -> None:
        self.num_heads = layer.num_heads
        self.inner_rows = max(1, inner_elements // layer.ff_in.out_features)
        self.self_qkv = Product.of(layer.self_qkv, dtype)
        self.self_out = Product.of(layer.self_out, dtype)
        self.cross = CrossAttention(layer, dtype)
        self.ff_in = Product.of(layer.ff_in, dtype, layer.activation)
        self.ff_out = Product.of(layer.ff_out, dtype)
        self.norm_self, self.norm_cross, self.norm_ff = layer.norm_self, layer.norm_cross, layer.norm_ff

    def add_self(self, x_GRD: Tensor, layout: BlockLayout) -> Tensor:
        """Self-attention within blocks, which are padded here and nowhere else."""
        clips, dim = len(x_GRD), x_GRD.shape[-1]
        qkv = self.self_qkv(x_GRD)
        padded = qkv.new_zeros(clips, math.prod(layout.shape), 3 * dim).index_copy_(1, layout.place_R, qkv)
        parts = padded.view(-1, layout.shape[1], 3 * dim).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in parts)
        is_causal = layout.mask_K1WW is None
        attended = F.scaled_dot_product_attention(q, k, v, layout.mask_K1WW, is_causal=is_causal)
        attended_GPD = join_heads(attended).reshape(clips, -1, dim)
        return _add_and_normalise(x_GRD, self.self_out(attended_GPD.index_select(1, layout.place_R)), self.norm_self)

    def add_feed_forward(self, x_GRD: Tensor) -> Tensor:
        parts = []
        for x_ND in x_GRD.flatten(0, 1).split(self.inner_rows):
            parts.append(_add_and_normalise(x_ND, self.ff_out(self.ff_in(x_ND)), self.norm_ff))
        return torch.cat(parts).view_as(x_GRD)


def _add_and_normalise(x: Tensor, change: Tensor, norm: nn.LayerNorm) -> Tensor:
    """In float32, whatever the change comes in."""
    changed = change.add_(x) if change.dtype == x.dtype else change + x
    return F.layer_norm(changed, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
