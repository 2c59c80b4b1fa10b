import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from atrkit.errors import UsageError
from atrkit.training.augment import Augmentation, Mixup, draw_mixup, draw_stripes

SEEDS = st.integers(0, 2**32 - 1)


def batch_of(size: int, seed: int, frame_dim: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Frames that are zero where padded, their lengths, and word embeddings."""
    rng = np.random.default_rng(seed)
    lengths_B = torch.from_numpy(rng.integers(1, 5, size))
    frames_BTF = torch.from_numpy(rng.normal(size=(size, 4, frame_dim)).astype(np.float32))
    frames_BTF[torch.arange(4) >= lengths_B[:, None]] = 0
    return frames_BTF, lengths_B, torch.from_numpy(rng.normal(size=(size, 3, 5)).astype(np.float32))


# --- mixup ---


@given(st.integers(2, 9), SEEDS, st.sampled_from([0.1, 0.4, 1.0, 5.0]))
def test_each_pair_has_another_as_its_partner_and_is_itself_the_larger_part(size: int, seed: int, alpha: float) -> None:
    mixup = draw_mixup(size, alpha, np.random.default_rng(seed))
    partners = mixup.partner_B.tolist()
    assert sorted(partners) == list(range(size))
    assert all(partner != pair for pair, partner in enumerate(partners))
    assert mixup.own_share_B.dtype == torch.float32
    assert ((mixup.own_share_B >= 0.5) & (mixup.own_share_B <= 1)).all()


def test_every_other_pair_is_as_likely_a_partner() -> None:
    rng = np.random.default_rng(1)
    counts_BB = np.zeros((4, 4))
    for _ in range(3000):
        counts_BB[range(4), draw_mixup(4, 0.4, rng).partner_B.numpy()] += 1
    assert np.diag(counts_BB).sum() == 0
    np.testing.assert_allclose(counts_BB[~np.eye(4, dtype=bool)] / 3000, 1 / 3, atol=0.04)


@pytest.mark.parametrize("alpha", [0.4, 2.0])
def test_shares_are_distributed_as_the_larger_part_of_a_beta_variable(alpha: float) -> None:
    share_B = draw_mixup(20_000, alpha, np.random.default_rng(2)).own_share_B.double().numpy()
    # the density of Beta(a, a) is symmetric: its larger part has twice that density above a half
    x_N = np.linspace(0.5, 1, 200_001)[1:-1]
    density_N = 2 * (x_N * (1 - x_N)) ** (alpha - 1) * math.gamma(2 * alpha) / math.gamma(alpha) ** 2
    for threshold in (0.6, 0.75, 0.9):
        expected = density_N[x_N <= threshold].sum() * (x_N[1] - x_N[0])
        assert (share_B <= threshold).mean() == pytest.approx(expected, abs=0.015)


@given(st.integers(2, 6), SEEDS)
def test_frames_and_words_are_mixed_with_the_same_partner_in_the_same_shares(size: int, seed: int) -> None:
    frames_BTF, lengths_B, words_BLD = batch_of(size, seed)
    augment = Augmentation(mixup_alpha=0.4)
    mixed_BTF, mixed_lengths_B, mixed_BLD = augment(frames_BTF, lengths_B, words_BLD, np.random.default_rng(seed))
    mixup = draw_mixup(size, 0.4, np.random.default_rng(seed))
    for pair in range(size):
        partner, share = int(mixup.partner_B[pair]), float(mixup.own_share_B[pair])
        for mixed, own in ((mixed_BTF, frames_BTF), (mixed_BLD, words_BLD)):
            expected = share * own[pair].double() + (1 - share) * own[partner].double()
            torch.testing.assert_close(mixed[pair].double(), expected, rtol=1e-5, atol=1e-6)
        longer = max(int(lengths_B[pair]), int(lengths_B[partner]))
        assert int(mixed_lengths_B[pair]) == (int(lengths_B[pair]) if share == 1 else longer)
        assert not mixed_BTF[pair, longer:].any()


def test_an_own_share_of_one_is_no_mixup_to_the_bit() -> None:
    frames_BTF, lengths_B, words_BLD = batch_of(5, seed=3)
    mixup = Mixup(torch.tensor([1, 2, 3, 4, 0]), torch.ones(5))
    assert torch.equal(mixup.mix(frames_BTF), frames_BTF) and torch.equal(mixup.mix(words_BLD), words_BLD)
    assert torch.equal(mixup.lengths(lengths_B), lengths_B)


@pytest.mark.parametrize("augment", [Augmentation(), Augmentation(0.0, 0, 2), Augmentation(0.0, 6, 0)])
def test_nothing_to_do_is_nothing_done(augment: Augmentation) -> None:
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    batch = batch_of(3, seed=4)
    assert all(after is given for after, given in zip(augment(*batch, rng), batch, strict=True))
    assert rng.bit_generator.state == before


def test_a_pair_alone_is_mixed_with_nothing() -> None:
    batch = batch_of(1, seed=4)
    varied = Augmentation(mixup_alpha=0.4)(*batch, np.random.default_rng(1))
    assert all(torch.equal(after, given) for after, given in zip(varied, batch, strict=True))


def test_gradients_reach_the_words_of_both() -> None:
    words_BLD = torch.zeros(2, 1, 1, requires_grad=True)
    mixup = Mixup(torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    (mixup.mix(words_BLD) * torch.tensor([1.0, 10.0])[:, None, None]).sum().backward()
    assert words_BLD.grad is not None and words_BLD.grad.flatten().tolist() == [0.75 + 10 * 0.5, 10 * 0.5 + 0.25]


# --- bands of features set to zero ---


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4), SEEDS, st.data())
def test_stripes_are_bands_of_at_most_their_width(
    size: int, frame_dim: int, stripes: int, seed: int, data: st.DataObject
) -> None:
    width = data.draw(st.integers(0, frame_dim))
    dropped_BF = draw_stripes(size, frame_dim, stripes, width, np.random.default_rng(seed))
    assert dropped_BF.shape == (size, frame_dim) and (dropped_BF.sum(axis=1) <= stripes * width).all()
    one_BF = draw_stripes(size, frame_dim, 1, width, np.random.default_rng(seed))
    for dropped_F in one_BF:
        features = dropped_F.nonzero()[0]
        assert list(features) == list(range(features[0], features[0] + len(features))) if len(features) else True
        assert len(features) <= width


def test_widths_and_places_are_as_likely_as_specaugment_has_them() -> None:
    """Width uniform in 0..2, then the first feature uniform among the places where the band fits, of 5 features."""
    one_BF = draw_stripes(30_000, 5, 1, 2, np.random.default_rng(1))
    patterns, counts = np.unique(one_BF, axis=0, return_counts=True)
    share_of = {tuple(np.flatnonzero(p).tolist()): count / 30_000 for p, count in zip(patterns, counts, strict=True)}
    expected = {(): 1 / 3, **{(f,): 1 / 15 for f in range(5)}, **{(f, f + 1): 1 / 12 for f in range(4)}}
    assert share_of.keys() == expected.keys()
    assert all(share_of[band] == pytest.approx(share, abs=0.01) for band, share in expected.items())


def test_stripes_differ_from_clip_to_clip_and_hold_for_all_its_frames() -> None:
    frames_BTF = torch.full((50, 4, 40), 3.0)
    lengths_B = torch.full((50,), 4)
    words_BLD = torch.ones(50, 2, 3)
    rng = np.random.default_rng(5)
    varied_BTF, same_lengths_B, same_BLD = Augmentation(0.0, 6, 2)(frames_BTF, lengths_B, words_BLD, rng)
    assert (varied_BTF == varied_BTF[:, :1]).all()
    assert set(varied_BTF.unique().tolist()) == {0.0, 3.0}
    assert len(varied_BTF[:, 0].unique(dim=0)) > 45
    assert same_lengths_B is lengths_B and same_BLD is words_BLD
    assert (frames_BTF == 3).all()  # what lies in memory for the next epoch is left alone


def test_what_is_dropped_stays_dropped_when_pairs_are_mixed() -> None:
    ones_BTF, lengths_B, words_BLD = torch.ones(20, 1, 30), torch.ones(20, dtype=torch.int64), torch.ones(20, 2, 3)
    varied_BTF, _, _ = Augmentation(0.4, 6, 2)(ones_BTF, lengths_B, words_BLD, np.random.default_rng(6))
    dropped_BF = varied_BTF[:, 0] == 0
    assert dropped_BF.any(dim=1).all()
    torch.testing.assert_close(varied_BTF[:, 0][~dropped_BF], torch.ones(int((~dropped_BF).sum())))


@pytest.mark.parametrize("changes", [{"mixup_alpha": -0.1}, {"feature_stripes": -1}, {"stripe_width": -2}])
def test_senseless_settings_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(changes))} is -"):
        Augmentation(**changes)  # type: ignore[arg-type]


def test_a_band_wider_than_a_frame_is_refused() -> None:
    with pytest.raises(UsageError, match="stripe_width is 4, and a frame has 3 features"):
        draw_stripes(2, 3, 1, 4, np.random.default_rng(1))
