"""The transformer decoder against torch's own layers with the same weights, and against numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models import TransformerDecoder, seeded_initialisation
from atrkit.models.positions import sinusoidal_positions
from atrkit.models.transformer_decoder import DecoderLayer
from atrkit.text.vocabulary import BOS_ID, PAD_ID

VOCAB, DIM = 11, 12


def make_decoder(seed: int = 1, **arguments) -> TransformerDecoder:
    options = {"dim": DIM, "num_layers": 3, "num_heads": 3, "ff_dim": 20, "dropout": 0.2, **arguments}
    with seeded_initialisation(seed):
        decoder = TransformerDecoder(VOCAB, **options)
        for parameter in decoder.parameters():  # biases begin at zero and norms at one: errors in them would not show
            if parameter.ndim == 1:
                nn.init.normal_(parameter, mean=1.0 if parameter.mean() == 1 else 0.0, std=0.3)
    return decoder


def as_torchs_layer(layer: DecoderLayer, activation: str) -> nn.TransformerDecoderLayer:
    """`nn.TransformerDecoderLayer` with the weights of ours."""
    theirs = nn.TransformerDecoderLayer(
        layer.cross_q.in_features,
        layer.num_heads,
        layer.ff_in.out_features,
        layer.dropout,
        activation,
        batch_first=True,
        norm_first=False,
    )
    cross_in = {
        "in_proj_weight": torch.cat([layer.cross_q.weight, layer.cross_kv.weight]),
        "in_proj_bias": torch.cat([layer.cross_q.bias, layer.cross_kv.bias]),
    }
    self_in = {"in_proj_weight": layer.self_qkv.weight, "in_proj_bias": layer.self_qkv.bias}
    parts = {
        "self_attn": {**self_in, **prefixed("out_proj", layer.self_out)},
        "multihead_attn": {**cross_in, **prefixed("out_proj", layer.cross_out)},
        "linear1": dict(layer.ff_in.named_parameters()),
        "linear2": dict(layer.ff_out.named_parameters()),
        "norm1": dict(layer.norm_self.named_parameters()),
        "norm2": dict(layer.norm_cross.named_parameters()),
        "norm3": dict(layer.norm_ff.named_parameters()),
    }
    theirs.load_state_dict({f"{part}.{name}": value for part, own in parts.items() for name, value in own.items()})
    return theirs.train(layer.training)


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": parameter for name, parameter in module.named_parameters()}


def numpy_positions(length: int, dim: int) -> np.ndarray:
    """Vaswani et al. 2017, section 3.5, as it is written there."""
    positions_LD = np.zeros((length, dim))
    for position in range(length):
        for column in range(dim):
            angle = position / 10_000 ** ((column - column % 2) / dim)
            positions_LD[position, column] = math.sin(angle) if column % 2 == 0 else math.cos(angle)
    return positions_LD


def logits_by_torch(decoder: TransformerDecoder, tokens_BL: Tensor, memory_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    length = tokens_BL.shape[1]
    positions_LD = torch.from_numpy(numpy_positions(length, decoder.dim)).float()
    x_BLD = decoder.word_embeddings.weight[tokens_BL] * math.sqrt(decoder.dim) + positions_LD
    is_later_LL = nn.Transformer.generate_square_subsequent_mask(length)
    is_padding_BT = torch.arange(memory_BTD.shape[1]) >= lengths_B[:, None]
    for layer in decoder.decoder_layers():
        theirs = as_torchs_layer(layer, decoder.arguments["activation"])
        x_BLD = theirs(x_BLD, memory_BTD, tgt_mask=is_later_LL, memory_key_padding_mask=is_padding_BT)
    return x_BLD @ decoder.classifier.weight.T + decoder.classifier.bias


def batch_of(lengths: list[int], words: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Captions of so many words, and memories whose padding is anything."""
    generator = torch.Generator().manual_seed(seed)
    tokens_BL = torch.randint(4, VOCAB, (len(lengths), words + 1), generator=generator)
    tokens_BL[:, 0] = BOS_ID
    return tokens_BL, torch.randn(len(lengths), max(lengths), DIM, generator=generator), torch.tensor(lengths)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), words=st.integers(0, 6), heads=st.sampled_from([1, 3])
)
def test_logits_are_those_of_torchs_layers(activation: str, lengths: list[int], words: int, heads: int) -> None:
    decoder = make_decoder(num_heads=heads, activation=activation).eval()
    tokens_BL, memory_BTD, lengths_B = batch_of(lengths, words)
    with torch.no_grad():
        ours = decoder(decoder.embed_words(tokens_BL), memory_BTD, lengths_B)
        theirs = logits_by_torch(decoder, tokens_BL, memory_BTD, lengths_B)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


def test_gradients_are_those_of_torchs_layers() -> None:
    """In training mode, with no dropout: what is learned is the same, too."""
    decoder = make_decoder(dropout=0.0).train()
    tokens_BL, memory_BTD, lengths_B = batch_of([4, 2], 5)
    gradients = []
    for logits_of in (lambda *batch: decoder(decoder.embed_words(batch[0]), *batch[1:]), None):
        memory = memory_BTD.clone().requires_grad_()
        logits_BLV = (
            logits_of(tokens_BL, memory, lengths_B)
            if logits_of
            else logits_by_torch(decoder, tokens_BL, memory, lengths_B)
        )
        logits_BLV.logsumexp(-1).sum().backward()
        gradients.append(memory.grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dim", [12, 7])
def test_positions_are_the_published_formula(dim: int) -> None:
    np.testing.assert_allclose(sinusoidal_positions(50, dim), numpy_positions(50, dim), atol=1e-6)


def test_what_the_first_layer_reads_is_scaled_embeddings_plus_positions() -> None:
    decoder = make_decoder()
    tokens_BL = torch.tensor([[BOS_ID, 5, 6], [BOS_ID, 6, 5]])
    with torch.no_grad():
        read_BLD = decoder.add_positions(decoder.embed_words(tokens_BL), first=2)
    weight_VD = decoder.word_embeddings.weight.detach().numpy()
    expected_BLD = weight_VD[tokens_BL] * math.sqrt(DIM) + numpy_positions(5, DIM)[2:]
    np.testing.assert_allclose(read_BLD, expected_BLD, atol=1e-6)


def test_padding_is_a_vector_of_zeros_that_is_never_learned() -> None:
    decoder = make_decoder()
    embedded_BLD = decoder.embed_words(torch.tensor([[BOS_ID, PAD_ID]]))
    assert not embedded_BLD[0, 1].any() and embedded_BLD[0, 0].any()
    embedded_BLD.sum().backward()
    assert not decoder.word_embeddings.weight.grad[PAD_ID].any()


def test_a_word_is_predicted_from_those_before_it_only() -> None:
    decoder = make_decoder().eval()
    tokens_BL, memory_BTD, lengths_B = batch_of([4], 6)
    changed_BL = tokens_BL.clone()
    changed_BL[0, 4] = 4 if tokens_BL[0, 4] != 4 else 5
    with torch.no_grad():
        before, after = (
            decoder(decoder.embed_words(each), memory_BTD, lengths_B)[0] for each in (tokens_BL, changed_BL)
        )
    torch.testing.assert_close(before[:4], after[:4], rtol=0, atol=1e-6)
    assert not torch.allclose(before[4:], after[4:], atol=1e-3)


def test_word_embeddings_begin_with_a_variance_that_scaling_makes_one() -> None:
    with seeded_initialisation(0):
        decoder = TransformerDecoder(3000, dim=64, num_layers=1)
    scaled_VD = decoder.word_embeddings.weight[1:] * math.sqrt(64)
    assert scaled_VD.var().item() == pytest.approx(1.0, rel=0.02)


def test_dropout_works_in_training_and_only_then() -> None:
    decoder = make_decoder(dropout=0.5)
    tokens_BL, memory_BTD, lengths_B = batch_of([4, 2], 5)

    def logits() -> Tensor:
        return decoder(decoder.embed_words(tokens_BL), memory_BTD, lengths_B)

    assert not torch.equal(logits(), logits())
    decoder.eval()
    assert torch.equal(logits(), logits())


def test_the_paper_has_so_many_parameters() -> None:
    """Six layers, d 256, FFN 2048 (paper 004, section 2.1): 1.58 M each; what the scorer's cost is computed from."""
    decoder = TransformerDecoder(4_371)
    per_layer = 3 * 256 * 257 + 256 * 257 + 256 * 257 + 2 * 256 * 257 + 256 * 257 + 2048 * 257 + 256 * 2049 + 6 * 256
    words = 4_371 * 256 + 4_371 * 257
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 6 * per_layer + words


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UsageError, match="d_model is 10 and num_heads 4"):
        TransformerDecoder(VOCAB, dim=10, num_heads=4)
