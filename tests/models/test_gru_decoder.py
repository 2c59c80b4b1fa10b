"""The GRU decoder against a loop in numpy, a clip and a word at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.models import GruDecoder, seeded_initialisation
from atrkit.text.vocabulary import BOS_ID, PAD_ID

VOCAB, DIM = 9, 6


def make_decoder(seed: int = 1, dropout: float = 0.3) -> GruDecoder:
    with seeded_initialisation(seed):
        return GruDecoder(VOCAB, dim=DIM, dropout=dropout)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def logits_by_numpy(decoder: GruDecoder, tokens_L: list[int], memory_TD: np.ndarray) -> np.ndarray:
    """Bahdanau attention (score = v tanh(W k + U q)), then a GRU cell on word and context, then the classifier."""
    p = {name: parameter.detach().double().numpy() for name, parameter in decoder.named_parameters()}
    hidden_D = np.tanh(p["first_state.weight"] @ memory_TD.mean(0) + p["first_state.bias"])
    logits = []
    for token in tokens_L:
        scores = []
        for frame_D in memory_TD:
            key_D = p["attention_key.weight"] @ frame_D + p["attention_key.bias"]
            query_D = p["attention_query.weight"] @ hidden_D
            scores.append(float(p["attention_score.weight"][0] @ np.tanh(key_D + query_D)))
        weights_T = np.exp(scores) / np.exp(scores).sum()
        context_D = sum(weight * frame_D for weight, frame_D in zip(weights_T, memory_TD, strict=True))
        x = np.concatenate([p["word_embeddings.weight"][token], context_D])
        from_input = p["cell.weight_ih"] @ x + p["cell.bias_ih"]
        from_hidden = p["cell.weight_hh"] @ hidden_D + p["cell.bias_hh"]
        (reset_i, update_i, new_i), (reset_h, update_h, new_h) = np.split(from_input, 3), np.split(from_hidden, 3)
        update_D = sigmoid(update_i + update_h)
        new_D = np.tanh(new_i + sigmoid(reset_i + reset_h) * new_h)
        hidden_D = (1 - update_D) * new_D + update_D * hidden_D
        logits.append(p["classifier.weight"] @ hidden_D + p["classifier.bias"])
    return np.array(logits)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(1, 8), min_size=1, max_size=4), words=st.integers(0, 6), seed=st.integers(0, 99))
def test_logits_are_those_of_the_loop(lengths: list[int], words: int, seed: int) -> None:
    decoder, rng = make_decoder(seed).eval(), np.random.default_rng(seed)
    tokens_BL = np.concatenate([np.full((len(lengths), 1), BOS_ID), rng.integers(4, VOCAB, (len(lengths), words))], 1)
    memory_BTD = rng.normal(size=(len(lengths), max(lengths), DIM))  # padding is anything
    with torch.no_grad():
        word_emb_BLD = decoder.embed_words(torch.from_numpy(tokens_BL))
        ours = decoder(word_emb_BLD, torch.from_numpy(memory_BTD).float(), torch.tensor(lengths))
    for row, length in enumerate(lengths):
        expected_LV = logits_by_numpy(decoder, tokens_BL[row].tolist(), memory_BTD[row, :length])
        np.testing.assert_allclose(ours[row], expected_LV, atol=1e-5)


def test_padding_of_words_is_a_vector_of_zeros_that_is_never_learned() -> None:
    decoder = make_decoder()
    embedded_BLD = decoder.embed_words(torch.tensor([[BOS_ID, PAD_ID]]))
    assert not embedded_BLD[0, 1].any() and embedded_BLD[0, 0].any()
    embedded_BLD.sum().backward()
    assert not decoder.word_embeddings.weight.grad[PAD_ID].any()


def test_gradients_reach_every_parameter() -> None:
    decoder = make_decoder()
    memory_BTD = torch.randn(2, 4, DIM, generator=torch.Generator().manual_seed(0))
    logits_BLV = decoder(decoder.embed_words(torch.tensor([[2, 5, 6], [2, 7, 8]])), memory_BTD, torch.tensor([4, 2]))
    logits_BLV.square().sum().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name


def test_dropout_works_in_training_and_only_then() -> None:
    decoder, memory_BTD = make_decoder(dropout=0.5), torch.ones(1, 2, DIM)

    def logits() -> torch.Tensor:
        return decoder(decoder.embed_words(torch.tensor([[2, 5, 6]])), memory_BTD, torch.tensor([2]))

    assert not torch.equal(logits(), logits())
    decoder.eval()
    assert torch.equal(logits(), logits())


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_a_frame_that_stands_out_is_attended_to(scale: float) -> None:
    """With sharp scores the context is one frame, not the mean of all."""
    decoder = make_decoder().eval()
    memory_BTD = torch.randn(1, 5, DIM, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        decoder.attention_score.weight.mul_(scale)
        state = decoder.start(memory_BTD, torch.tensor([5]))
        scores_T = decoder.attention_score((state.keys_BTD + decoder.attention_query(state.hidden_BD)[:, None]).tanh())
        largest = int(scores_T.flatten().argmax())
        alone = decoder.start(memory_BTD[:, largest : largest + 1], torch.tensor([1]))
        seen, seen_alone = (
            decoder.read(decoder.embed_words(torch.tensor([5])), type(state)(state.hidden_BD, *rest)).hidden_BD
            for rest in (
                (state.memory_BTD, state.keys_BTD, state.is_valid_BT),
                (alone.memory_BTD, alone.keys_BTD, alone.is_valid_BT),
            )
        )
    assert torch.allclose(seen, seen_alone, atol=0.02) == (scale == 30.0)
