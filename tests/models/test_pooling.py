from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.audio_tower import AudioTower
from atrkit.models.gating import ContextGating
from atrkit.models.pooling import LstmPooling, MaxPooling, MeanPooling, PoolingName, make_pooling
from atrkit.models.text_towers import WordTower

POOLINGS = get_args(PoolingName)
LENGTHS = st.lists(st.integers(1, 7), min_size=1, max_size=5)


def pooling_of(name: PoolingName) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make_pooling(name, in_dim=3, hidden_dim=4).double()


def batch(lengths: list[int], padding: float, extra_padding: int, seed: int) -> tuple[Tensor, Tensor, list[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    clips = [torch.randn(length, 3, generator=generator, dtype=torch.float64) for length in lengths]
    x_BTF = torch.full((len(lengths), max(lengths) + extra_padding, 3), padding, dtype=torch.float64)
    for row, clip in zip(x_BTF, clips, strict=True):
        row[: len(clip)] = clip
    return x_BTF, torch.tensor(lengths), clips


@pytest.mark.parametrize("name", POOLINGS)
@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, padding=st.sampled_from([0.0, 1e6, -1e6]), extra=st.integers(0, 3), seed=st.integers(0, 99))
def test_padding_and_batch_change_nothing(
    name: PoolingName, lengths: list[int], padding: float, extra: int, seed: int
) -> None:
    pooling = pooling_of(name)
    x_BTF, lengths_B, clips = batch(lengths, padding, extra, seed)
    pooled_BF = pooling(x_BTF, lengths_B)
    alone = torch.cat([pooling(clip[None], torch.tensor([len(clip)])) for clip in clips])
    torch.testing.assert_close(pooled_BF, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", POOLINGS)
def test_no_gradient_reaches_the_padding(name: PoolingName) -> None:
    x_BTF, lengths_B, _ = batch([2, 5, 1], padding=3.0, extra_padding=2, seed=1)
    x_BTF.requires_grad_()
    pooling_of(name)(x_BTF, lengths_B).square().sum().backward()
    assert x_BTF.grad is not None
    for gradient_TF, length in zip(x_BTF.grad, lengths_B, strict=True):
        assert gradient_TF[:length].any() and not gradient_TF[length:].any()


@pytest.mark.parametrize("name", POOLINGS)
def test_out_dim_says_how_wide_the_result_is(name: PoolingName) -> None:
    x_BTF, lengths_B, _ = batch([2, 3], padding=0.0, extra_padding=0, seed=1)
    pooling = pooling_of(name)
    assert pooling(x_BTF, lengths_B).shape == (2, pooling.out_dim)


def test_mean_and_max_of_the_frames_that_are_there() -> None:
    x_BTF = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [9.0, 9.0]]])
    assert MeanPooling(2)(x_BTF, torch.tensor([2])).tolist() == [[2.0, -3.0]]
    assert MaxPooling(2)(x_BTF, torch.tensor([2])).tolist() == [[3.0, -2.0]]


def test_lstm_last_and_mean_are_those_of_the_written_out_recurrence() -> None:
    x_BTF, lengths_B, clips = batch([4], padding=0.0, extra_padding=0, seed=2)
    pooling = pooling_of("lstm_last")
    weight_ih, weight_hh, bias_ih, bias_hh = (p.detach() for p in pooling.lstm.parameters())
    h, c, states = torch.zeros(4).double(), torch.zeros(4).double(), []
    for frame_F in clips[0]:
        i, f, g, o = (weight_ih @ frame_F + bias_ih + weight_hh @ h + bias_hh).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    torch.testing.assert_close(pooling(x_BTF, lengths_B)[0], states[-1])
    torch.testing.assert_close(pooling_of("lstm_mean")(x_BTF, lengths_B)[0], torch.stack(states).mean(dim=0))


@pytest.mark.parametrize("name", POOLINGS)
def test_only_the_lstm_hears_order(name: PoolingName) -> None:
    x_BTF, lengths_B, _ = batch([5], padding=0.0, extra_padding=0, seed=3)
    pooling = pooling_of(name)
    same = torch.allclose(pooling(x_BTF, lengths_B), pooling(x_BTF.flip(1), lengths_B))
    assert same is not name.startswith("lstm")


def test_an_unknown_pooling_is_refused_with_the_choices() -> None:
    with pytest.raises(UsageError, match="no pooling is called 'median': choose mean, max"):
        make_pooling("median", in_dim=3, hidden_dim=4)  # type: ignore[arg-type]


def test_lstm_pooling_has_no_width_but_its_own() -> None:
    assert LstmPooling(in_dim=3, hidden_dim=7).out_dim == 7


@pytest.mark.parametrize("name", ["netvlad", "netrvlad"])
def test_sums_by_cluster_have_norm_1_where_the_name_says_so(name: PoolingName) -> None:
    x_BTF, lengths_B, _ = batch([2, 3], padding=0.0, extra_padding=0, seed=1)
    norm_B, scaled_norm_B = (
        pooling_of(each)(x_BTF, lengths_B).norm(dim=1)
        for each in (name, f"{name}_normalised")  # type: ignore[arg-type]
    )
    torch.testing.assert_close(scaled_norm_B, torch.ones(2).double())
    assert ((norm_B - 1).abs() > 0.01).all()


@pytest.mark.parametrize("tower", [AudioTower, WordTower])
def test_towers_take_the_number_of_clusters_and_open_configurations_from_before_there_were_any(
    tower: type[AudioTower] | type[WordTower],
) -> None:
    first = 6 if tower is AudioTower else ("<pad>", "<unk>", "rain")
    made = tower(first, 8, pooling="netrvlad", clusters=5)  # type: ignore[arg-type]
    assert made.pooling.out_dim == 5 * made.pooling.assignment.in_features
    older = {key: value for key, value in made.arguments.items() if key not in ("clusters", "name")}
    assert tower(**{**older, "pooling": "lstm_mean"}).pooling.out_dim == 256


def test_context_gating_is_equation_7() -> None:
    gating = ContextGating(2)
    with torch.no_grad():
        gating.gate.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        gating.gate.bias.copy_(torch.tensor([0.5, 0.0]))
    x, y = 3.0, -1.0
    expected = [x / (1 + 2.718281828 ** -(x + 2 * y + 0.5)), y / (1 + 2.718281828**y)]
    torch.testing.assert_close(gating(torch.tensor([[x, y]])), torch.tensor([expected]))
