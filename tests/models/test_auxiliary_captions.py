"""The audio-caption interaction against plain numpy, with masks."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from atrkit.errors import UsageError
from atrkit.models.auxiliary_captions import AudioCaptionInteraction
from atrkit.models.dual_encoder import seeded_initialisation

DIM, HEADS = 12, 3


def make_interaction(seed: int = 1) -> AudioCaptionInteraction:
    with seeded_initialisation(seed):
        interaction = AudioCaptionInteraction(DIM, HEADS, ff_dim=20)
        for parameter in interaction.parameters():  # norms begin at one and zero: errors in them would not show
            if parameter.ndim == 1:
                nn.init.normal_(parameter, mean=1.0 if parameter.mean() == 1 else 0.0, std=0.3)
    return interaction.eval()


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def written_out(interaction: AudioCaptionInteraction, frames_TD: np.ndarray, caption_D: np.ndarray) -> np.ndarray:
    """One clip without padding, from the two layers' definitions, in double precision."""
    w = {name: value.double().numpy() for name, value in interaction.state_dict().items()}

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(name, x):
        spread = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
        return (x - x.mean(axis=-1, keepdims=True)) / spread * w[f"{name}.weight"] + w[f"{name}.bias"]

    def feed_forward(name, x):
        return norm(f"{name}.norm", x + linear(f"{name}.outer", np.maximum(linear(f"{name}.inner", x), 0)))

    # one key: softmax over it is 1, so what is attended to is its value
    x = norm("norm_caption", frames_TD + linear("caption_out", linear("caption_value", caption_D)))
    x = feed_forward("caption_ff", x)
    position = np.array(
        [
            [(math.sin, math.cos)[d % 2](t / 10_000 ** ((d - d % 2) / DIM)) for d in range(DIM)]
            for t in range(len(frames_TD))
        ]
    )
    queries, keys = np.split(linear("query_key", x + position), 2, axis=-1)
    values, attended = linear("value", x), np.zeros_like(x)
    width = DIM // HEADS
    for head in range(HEADS):
        own = slice(head * width, (head + 1) * width)
        for t in range(len(x)):
            logits = [queries[t, own] @ keys[s, own] / math.sqrt(width) for s in range(len(x))]
            weights = np.exp(logits) / np.exp(logits).sum()
            attended[t, own] = sum(weight * values[s, own] for s, weight in enumerate(weights))
    x = norm("norm_attention", x + linear("attention_out", attended))
    return feed_forward("attention_ff", x)


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4), seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_enhanced_frames_are_those_written_out_and_padding_changes_nothing(lengths, seed):
    interaction = make_interaction()
    frames_BTD, caption_BD = numbers(seed, len(lengths), max(lengths), DIM), numbers(seed + 1, len(lengths), DIM)
    padded_BTD = frames_BTD.clone()
    for b, length in enumerate(lengths):
        padded_BTD[b, length:] = torch.nan
    with torch.no_grad():
        enhanced_BTD = interaction(padded_BTD, torch.tensor(lengths), caption_BD)
    for b, length in enumerate(lengths):
        expected_TD = written_out(interaction, frames_BTD[b, :length].double().numpy(), caption_BD[b].double().numpy())
        np.testing.assert_allclose(enhanced_BTD[b, :length].numpy(), expected_TD, rtol=0, atol=2e-5)


def test_a_frame_sees_the_caption_and_the_frames_around_it():
    interaction = make_interaction()
    frames_BTD, caption_BD, lengths_B = numbers(1, 1, 4, DIM), numbers(2, 1, DIM), torch.tensor([4])
    with torch.no_grad():
        as_is = interaction(frames_BTD, lengths_B, caption_BD)
        other_caption = interaction(frames_BTD, lengths_B, -caption_BD)
        swapped = interaction(frames_BTD[:, [0, 2, 1, 3]], lengths_B, caption_BD)
    assert ((as_is - other_caption).abs().amax(dim=2) > 1e-3).all()
    # frame 0 stayed where it was; the order of those after it changes what it becomes
    assert (as_is[0, 0] - swapped[0, 0]).abs().max() > 1e-5


def test_gradients_are_finite_and_every_weight_gets_one():
    interaction = make_interaction().train()
    frames_BTD = numbers(1, 2, 5, DIM).requires_grad_()
    interaction(frames_BTD, torch.tensor([1, 5]), numbers(2, 2, DIM))[:, 0].square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in interaction.named_parameters()}
    assert [
        name for name, grad in gradients.items() if grad is None or not grad.any() or not grad.isfinite().all()
    ] == []
    assert frames_BTD.grad is not None
    assert not frames_BTD.grad[0, 1:].any()  # padding


def test_heads_must_divide_the_width():
    with pytest.raises(UsageError, match="dim is 10 and num_heads 4"):
        AudioCaptionInteraction(10, 4)
