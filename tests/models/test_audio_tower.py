import numpy as np
import pytest
import torch

from atrkit.errors import DivergedError, UsageError
from atrkit.models import AudioTower, seeded_initialisation


def frames(count: int = 500) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy((rng.normal(size=(count, 4)) * [1, 10, 0.1, 3] + [0, -80, 5, 1e4]).astype(np.float32))


def test_standardisation_is_that_of_the_training_frames() -> None:
    tower = AudioTower(frame_dim=4, out_dim=8)
    assert tower.fit_standardisation(frames()) == 0
    expected = frames().numpy().astype(np.float64)
    np.testing.assert_allclose(tower.frame_mean_F.numpy(), expected.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(tower.frame_std_F.numpy(), expected.std(axis=0), rtol=1e-4)


def test_scale_and_offset_of_the_features_do_not_matter() -> None:
    clip_BTF = frames(6).reshape(2, 3, 4)
    embeddings = []
    for scale, offset in ((1.0, 0.0), (40.0, -7.0)):
        with seeded_initialisation(2):
            tower = AudioTower(frame_dim=4, out_dim=8)
        tower.fit_standardisation(frames() * scale + offset)
        embeddings.append(tower(clip_BTF * scale + offset, torch.tensor([3, 2])))
    torch.testing.assert_close(*embeddings, rtol=0, atol=1e-3)


def test_constant_features_are_counted_and_only_centred() -> None:
    constant = frames()
    constant[:, 1] = 0.1
    constant[:, 2] = 0.0
    tower = AudioTower(frame_dim=4, out_dim=8)
    assert tower.fit_standardisation(constant) == 2
    assert tower.frame_std_F[[1, 2]].tolist() == [1, 1]


def test_embeddings_have_norm_1_with_every_option() -> None:
    for options in ({"hidden_dims": ()}, {"gating": False}, {"pooling": "max"}, {"dropout": 0.5}):
        tower = AudioTower(frame_dim=4, out_dim=8, **options)
        emb_BD = tower(frames(6).reshape(2, 3, 4), torch.tensor([3, 1]))
        assert emb_BD.shape == (2, 8)
        torch.testing.assert_close(emb_BD.norm(dim=1), torch.ones(2))


def test_half_precision_frames_are_taken() -> None:
    tower = AudioTower(frame_dim=4, out_dim=8)
    assert tower(torch.ones(2, 3, 4, dtype=torch.float16), torch.tensor([3, 1])).dtype == torch.float32


def test_frames_of_another_encoder_are_refused() -> None:
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 4"):
        AudioTower(frame_dim=4)(torch.zeros(1, 2, 5), torch.tensor([2]))


def test_frames_that_are_not_finite_are_refused() -> None:
    broken = frames()
    broken[7, 2] = torch.nan
    with pytest.raises(DivergedError, match="NaN or infinity"):
        AudioTower(frame_dim=4).fit_standardisation(broken)
