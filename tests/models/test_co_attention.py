"""Units and modes of co-attention against plain numpy, one pair, one head and one row at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.models import CoAttention, seeded_initialisation
from atrkit.models.attention_units import AttentionUnit
from atrkit.models.co_attention import CoAttentionLayer

DIM = 8


def weights_of(module):
    return {name: tensor.detach().double().numpy() for name, tensor in module.state_dict().items()}


def linear(weights, name, x):
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def layer_norm(weights, name, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def unit_oracle(unit, x_TD, guide_SD):
    """MCAN's equations for one sequence without padding."""
    weights, heads = weights_of(unit), unit.num_heads
    q_TD = linear(weights, "query", x_TD)
    k_SD, v_SD = np.split(linear(weights, "key_value", guide_SD), 2, axis=1)
    width = x_TD.shape[1] // heads
    attended_TD = np.zeros_like(x_TD)
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        for t in range(len(x_TD)):
            logits_S = k_SD[:, own] @ q_TD[t, own] / np.sqrt(width)
            weight_S = np.exp(logits_S - logits_S.max())
            attended_TD[t, own] = weight_S / weight_S.sum() @ v_SD[:, own]
    x_TD = layer_norm(weights, "norm_attention", x_TD + linear(weights, "out", attended_TD))
    fed_TD = linear(weights, "ff_out", np.maximum(linear(weights, "ff_in", x_TD), 0))
    return layer_norm(weights, "norm_ff", x_TD + fed_TD)


def co_attention_oracle(model, frames_TD, words_LD):
    """Figures 2 to 4 for one pair without padding."""
    layers = list(model.layers)

    def attend_self(layer, frames_TD, words_LD):
        return unit_oracle(layer.frames_self, frames_TD, frames_TD), unit_oracle(layer.words_self, words_LD, words_LD)

    def guide(layer, frames_TD, words_LD):
        return (
            unit_oracle(layer.frames_guided, frames_TD, words_LD),
            unit_oracle(layer.words_guided, words_LD, frames_TD),
        )

    if model.mode in ("single", "stacking"):
        for layer in layers:
            frames_TD, words_LD = guide(layer, *attend_self(layer, frames_TD, words_LD))
        return frames_TD, words_LD
    frames_TD, words_LD = attend_self(layers[0], frames_TD, words_LD)
    for _ in range(3):
        frames_TD, words_LD = guide(layers[0], frames_TD, words_LD)
    return frames_TD, words_LD


MODES = [("single", 1), ("stacking", 3), ("iterating", 3)]


def shift(module):
    """Away from where norms and biases start, which would hide a mistake."""
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)


def model_of(mode="single", num_layers=1, num_heads=2, dropout=0.0, seed=1):
    with seeded_initialisation(seed):
        model = CoAttention(DIM, mode=mode, num_layers=num_layers, num_heads=num_heads, ff_dim=12, dropout=dropout)
        shift(model)
    return model.eval()


def sequences_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, DIM)).astype(np.float32) for length in lengths]


def padded(sequences, longest=None, fill=7.0):
    """With something else than zeros in the padding."""
    lengths_P = torch.tensor([len(sequence) for sequence in sequences])
    padded_PTD = torch.full((len(sequences), longest or int(lengths_P.max()), DIM), fill)
    for row, sequence in zip(padded_PTD, sequences, strict=True):
        row[: len(sequence)] = torch.from_numpy(sequence)
    return padded_PTD, lengths_P


@pytest.mark.parametrize("num_heads", [1, 4])
def test_a_unit_is_what_its_equations_say(num_heads):
    with seeded_initialisation(3):
        unit = AttentionUnit(DIM, num_heads=num_heads, ff_dim=12).eval()
        shift(unit)
    x, guides = sequences_of([4, 1, 6]), sequences_of([3, 5, 1], seed=1)
    refined_PTD = unit(padded(x)[0], *padded(guides)).detach().numpy()
    alone_PTD = unit(padded(x)[0], *(padded(x)[0], padded(x)[1])).detach().numpy()
    for row in range(3):
        length = len(x[row])
        np.testing.assert_allclose(refined_PTD[row, :length], unit_oracle(unit, x[row], guides[row]), atol=2e-5)
        np.testing.assert_allclose(alone_PTD[row, :length], unit_oracle(unit, x[row], x[row]), atol=2e-5)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_pairs_are_refined_as_the_figures_say(mode, num_layers):
    model = model_of(mode, num_layers)
    frames, words = sequences_of([4, 1, 6]), sequences_of([2, 5, 1], seed=1)
    clip_PTD, caption_PLD = (part.detach().numpy() for part in model(*padded(frames), *padded(words)))
    for row in range(3):
        expected_TD, expected_LD = co_attention_oracle(model, frames[row], words[row])
        np.testing.assert_allclose(clip_PTD[row, : len(frames[row])], expected_TD, atol=1e-4)
        np.testing.assert_allclose(caption_PLD[row, : len(words[row])], expected_LD, atol=1e-4)


def test_iterating_shares_its_weights_and_stacking_does_not():
    def size(mode, num_layers):
        return sum(parameter.numel() for parameter in model_of(mode, num_layers).parameters())

    assert size("iterating", 5) == size("iterating", 1) == size("single", 1)
    assert size("stacking", 5) == 5 * size("single", 1)


def test_one_round_and_one_layer_are_a_single_one():
    frames, words = padded(sequences_of([4, 2])), padded(sequences_of([3, 3], seed=1))
    expected = model_of("single")(*frames, *words)
    for mode in ("stacking", "iterating"):
        assert all(torch.equal(a, b) for a, b in zip(model_of(mode)(*frames, *words), expected, strict=True))


@settings(max_examples=20, deadline=None)
@given(
    case=st.sampled_from(MODES),
    lengths=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5)), min_size=1, max_size=4),
    more=st.integers(0, 4),
    fill=st.sampled_from([-1e4, 0.0, 3.0]),
)
def test_padding_and_batch_change_nothing(case, lengths, more, fill):
    model = model_of(*case)
    frames, words = (sequences_of([pair[side] for pair in lengths], seed=side) for side in (0, 1))
    longest = max(max(pair) for pair in lengths) + more
    together = model(*padded(frames, longest, fill), *padded(words, longest, fill))
    for row, (clip, caption) in enumerate(zip(frames, words, strict=True)):
        alone = model(*padded([clip]), *padded([caption]))
        torch.testing.assert_close(together[0][row, : len(clip)], alone[0][0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together[1][row, : len(caption)], alone[1][0], atol=1e-5, rtol=1e-5)
    assert all(part.isfinite().all() for part in together)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_the_order_of_items_changes_only_the_order_of_rows(mode, num_layers):
    model = model_of(mode, num_layers)
    (frames_TD,), (words_LD,) = sequences_of([6]), sequences_of([5], seed=1)
    order_T, order_L = np.random.default_rng(2).permutation(6), np.random.default_rng(3).permutation(5)
    clip, caption = model(*padded([frames_TD]), *padded([words_LD]))
    moved_clip, moved_caption = model(*padded([frames_TD[order_T]]), *padded([words_LD[order_L]]))
    torch.testing.assert_close(moved_clip[0], clip[0, order_T], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(moved_caption[0], caption[0, order_L], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_each_side_hears_the_other(mode, num_layers):
    model = model_of(mode, num_layers)
    frames, words = sequences_of([4, 4]), sequences_of([3, 3], seed=1)
    clip, caption = model(*padded([frames[0]] * 2), *padded(words))
    assert not torch.allclose(clip[0], clip[1], atol=1e-3)
    clip, caption = model(*padded(frames), *padded([words[0]] * 2))
    assert not torch.allclose(caption[0], caption[1], atol=1e-3)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_gradients_are_finite_and_reach_every_weight(mode, num_layers):
    model = model_of(mode, num_layers, dropout=0.1).train()
    torch.manual_seed(0)
    clip, caption = model(*padded(sequences_of([4, 1]), fill=1e4), *padded(sequences_of([2, 5], seed=1), fill=1e4))
    (clip[0].square().sum() + clip[1, :1].sum() + caption[0, :2].sum() + caption[1].square().sum()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_dropout_works_in_training_alone():
    model = model_of(dropout=0.5)
    pair = (*padded(sequences_of([4])), *padded(sequences_of([3], seed=1)))
    assert torch.equal(model(*pair)[0], model(*pair)[0])
    model.train()
    assert not torch.equal(model(*pair)[0], model(*pair)[0])


def test_what_makes_no_co_attention_is_refused():
    with pytest.raises(UsageError, match=r"dim is 8 and num_heads 3"):
        CoAttention(8, num_heads=3)
    with pytest.raises(UsageError, match="'twice'"):
        CoAttention(8, mode="twice")
    with pytest.raises(UsageError, match="mode single with num_layers 2"):
        CoAttention(8, num_layers=2)
    with pytest.raises(UsageError, match="mode iterating with num_layers 0"):
        CoAttention(8, mode="iterating", num_layers=0)


def test_guided_units_see_what_self_attention_gave_and_not_each_other():
    """Neither modality comes first: the two sides may be swapped."""
    with seeded_initialisation(2):
        layer = CoAttentionLayer(DIM, num_heads=2, ff_dim=12, dropout=0.0)
        swapped = CoAttentionLayer(DIM, num_heads=2, ff_dim=12, dropout=0.0)
    for one, other in (("frames", "words"), ("words", "frames")):
        for kind in ("self", "guided"):
            getattr(swapped, f"{one}_{kind}").load_state_dict(getattr(layer, f"{other}_{kind}").state_dict())
    frames, words = padded(sequences_of([4])), padded(sequences_of([3], seed=1))
    clip, caption = layer.guide(layer.start_frames(*frames), layer.start_words(*words))
    other_caption, other_clip = swapped.guide(swapped.start_frames(*words), swapped.start_words(*frames))
    assert torch.equal(clip, other_clip) and torch.equal(caption, other_caption)
