"""An audio network that learns hears what the frozen encoder hears, and passes gradients on."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from atrkit.encoders import load_encoder, panns_networks, trainable
from atrkit.encoders.panns_networks import Cnn, ResNet38, panns_network
from atrkit.encoders.trainable import TrainablePanns, trainable_network
from atrkit.encoders.waveform import samples_of_rows
from atrkit.errors import IntegrityError, UsageError
from atrkit.models import Ragged

TOLERANCE = 1e-4


def fill(network: nn.Module) -> nn.Module:
    """Weights that keep a signal alive, and statistics that differ from those of a new BatchNorm."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            noise = torch.randn(value.shape, generator=generator)
            if value.ndim > 1:
                value.copy_(noise * (2.0 / value[0].numel()) ** 0.5)
            elif key == "bn0.running_mean":
                value.copy_(noise - 30.0)
            elif key == "bn0.running_var":
                value.copy_(400.0 + noise)
            elif key.endswith(("running_var", "weight")):
                value.copy_(1.0 + 0.1 * noise)
            elif value.is_floating_point():
                value.copy_(0.1 * noise)
    return network


def small_cnn() -> Cnn:
    """Cnn10 with few channels."""
    return fill(Cnn((4, 6, 8, 12), num_halvings=4))


def learning(**settings) -> TrainablePanns:
    return TrainablePanns("cnn10", small_cnn(), **settings)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def rows_of(waves, sample_rate_hz: int = 32000) -> tuple[torch.Tensor, list[int]]:
    encoded = load_encoder("waveform", sample_rate_hz=sample_rate_hz).encode(waves)
    rows_BTR, lengths_B = Ragged.from_sequences(encoded.frames).gather(torch.arange(len(waves)))
    return rows_BTR, lengths_B.tolist()


@pytest.fixture(scope="module")
def cnn10(tmp_path_factory) -> Path:
    """An official file of Cnn10."""
    network = panns_network("cnn10")
    network.to_empty(device="cpu")
    path = tmp_path_factory.mktemp("weights") / "cnn10.pth"
    torch.save({"model": fill(network).state_dict()}, path)
    return path


# --- equal to the frozen encoder


def test_in_evaluation_mode_its_frames_are_those_of_the_frozen_encoder(cnn10):
    waves = [noise(40_000), noise(9_001, 1), noise(100, 2), noise(30_000, 3)]
    expected = load_encoder("cnn10", cnn10).encode(waves).frames
    frames_BTF, lengths_B = trainable_network("cnn10", cnn10).eval()(*rows_of(waves))
    assert lengths_B.tolist() == [len(frames_TF) for frames_TF in expected]
    for frames_TF, length, expected_TF in zip(frames_BTF.detach(), lengths_B, expected, strict=True):
        np.testing.assert_allclose(frames_TF[:length], expected_TF, rtol=TOLERANCE, atol=TOLERANCE)
        assert not frames_TF[length:].any()


def test_frames_are_pooled_over_time_and_long_clips_cut_as_the_frozen_encoder_does(cnn10, monkeypatch):
    monkeypatch.setattr("atrkit.encoders.panns.WINDOW_S", 0.32)
    monkeypatch.setattr(trainable, "WINDOW_S", 0.32)
    waves = [noise(50_000), noise(10_300, 1), noise(14_000, 2)]  # the second's rest is too short for a frame
    expected = load_encoder("cnn10", cnn10, pool_time_s=0.48).encode(waves).frames
    network = trainable_network("cnn10", cnn10, pool_time_s=0.48).eval()
    assert network.frame_period_s == pytest.approx(0.48)
    frames_BTF, lengths_B = network(*rows_of(waves))
    for frames_TF, length, expected_TF in zip(frames_BTF.detach(), lengths_B, expected, strict=True):
        np.testing.assert_allclose(frames_TF[:length], expected_TF, rtol=TOLERANCE, atol=TOLERANCE)


def test_what_was_learned_is_read_by_the_frozen_encoder(cnn10, tmp_path):
    network = trainable_network("cnn10", cnn10, spec_augment=False, dropout=0.0)
    rows, lengths = rows_of([noise(20_000), noise(20_000, 1)])
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    network(rows, lengths)[0].square().mean().backward()
    optimizer.step()
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(network.checkpoint_bytes())
    tuned, before = load_encoder("cnn10", path), load_encoder("cnn10", cnn10)
    wave = noise(25_000, 5)
    frames_TF = network.eval()(*rows_of([wave]))[0][0].detach()
    np.testing.assert_allclose(tuned.encode([wave]).frames[0], frames_TF, rtol=TOLERANCE, atol=TOLERANCE)
    assert np.abs(before.encode([wave]).frames[0] - frames_TF.numpy()).max() > 100 * TOLERANCE
    assert tuned.checkpoint_sha256 in tuned.checkpoint_note and not tuned.weights_are_published


def test_a_damaged_file_of_ours_is_refused(cnn10, tmp_path):
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(trainable_network("cnn10", cnn10).checkpoint_bytes()[:-10])
    with pytest.raises(IntegrityError, match="is no readable safetensors file"):
        load_encoder("cnn10", path)


# --- gradients


@pytest.mark.parametrize("seconds", [(0.3, 0.3), (0.3, 0.5)], ids=["equal", "unlike"])
@pytest.mark.parametrize("make", [lambda: ("cnn10", small_cnn()), lambda: ("resnet38", None)], ids=["cnn", "resnet"])
def test_gradients_reach_every_weight_but_those_of_the_tagger(make, seconds, monkeypatch):
    name, network = make()
    if network is None:
        monkeypatch.setattr(panns_networks, "_stage", narrow_stage)
        network = narrow_resnet()
    audio = TrainablePanns(name, network, spec_augment=False)  # a stripe may cover a clip this short
    torch.manual_seed(1)
    frames_BTF, _ = audio(*rows_of([noise(int(s * 32_000), n) for n, s in enumerate(seconds)]))
    frames_BTF.square().sum().backward()
    without = {key for key, p in audio.named_parameters() if p.grad is None or not p.grad.any()}
    head = {f"network.{layer}.{kind}" for layer in ("fc1", "fc_audioset") for kind in ("weight", "bias")}
    assert without == head
    assert all(p.grad.isfinite().all() for p in audio.parameters() if p.grad is not None)


WIDTHS = {64: 4, 128: 5, 256: 6, 512: 7, 2048: 9}


def narrow_stage(num_blocks: int, in_channels: int, out_channels: int) -> nn.ModuleList:
    widths = [WIDTHS[in_channels]] + [WIDTHS[out_channels]] * num_blocks
    return nn.ModuleList(panns_networks._ResidualBlock(before, after) for before, after in pairwise(widths))


def narrow_resnet() -> ResNet38:
    network = ResNet38()
    network.conv_block1 = panns_networks._ConvBlock(1, WIDTHS[64])
    network.conv_block_after1 = panns_networks._ConvBlock(WIDTHS[512], WIDTHS[2048])
    network.fc1 = nn.Linear(WIDTHS[2048], WIDTHS[2048])
    return fill(network)


def test_the_gradient_of_a_weight_is_the_slope_of_the_loss():
    audio = learning(batch_norm="frozen", spec_augment=False).eval()
    rows, lengths = rows_of([noise(9_000), noise(13_000, 1)])
    weight = audio.network.conv_block2.conv1.weight

    def loss() -> torch.Tensor:
        return audio(rows, lengths)[0].double().square().mean()

    loss().backward()
    step = 0.02
    with torch.no_grad():
        weight[2, 1, 0, 1] += step
        above = loss()
        weight[2, 1, 0, 1] -= 2 * step
        below = loss()
    assert weight.grad[2, 1, 0, 1].item() == pytest.approx((above - below).item() / (2 * step), rel=0.02)


# --- BatchNorm


def test_statistics_of_a_batch_leave_padding_out():
    """A batch of unlike lengths against mean and variance of the clips' own values, in numpy."""
    audio = learning(spec_augment=False, batch_norm="batch")
    rows, lengths = rows_of([noise(9_000), noise(21_000, 1), noise(15_000, 2)])
    mel_BTM, frames_B = audio._front_end(samples_of_rows(rows, lengths))
    own = np.concatenate([mel_TM[:t].numpy() for mel_TM, t in zip(mel_BTM, frames_B, strict=True)]).astype(np.float64)
    mean, variance = audio.network.bn0.running_mean.clone(), audio.network.bn0.running_var.clone()
    audio(rows, lengths)
    np.testing.assert_allclose(
        audio.network.bn0.running_mean.numpy(), 0.9 * mean.numpy() + 0.1 * own.mean(0), rtol=1e-5
    )
    np.testing.assert_allclose(
        audio.network.bn0.running_var.numpy(), 0.9 * variance.numpy() + 0.1 * own.var(0, ddof=1), rtol=1e-4
    )


def test_in_training_too_padding_changes_nothing():
    audio = learning(spec_augment=False, batch_norm="batch", dropout=0.0)
    waves = [noise(9_000), noise(9_000, 1)]
    padded, lengths = rows_of([*waves, noise(20_000, 2)])
    both = torch.cat([padded, torch.full_like(padded[:, :5], 7.0)], dim=1)  # what lies behind is never heard
    torch.testing.assert_close(audio(padded, lengths)[0], audio(both, lengths)[0])


def test_frozen_norms_keep_their_statistics_and_clips_apart():
    audio = learning(batch_norm="frozen", spec_augment=False, dropout=0.0).train()
    before = {key: value.clone() for key, value in audio.state_dict().items()}
    rows, lengths = rows_of([noise(12_000), noise(12_000, 1)])
    together = audio(rows, lengths)[0]
    alone = audio(rows[:1], lengths[:1])[0]
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, before[key]) for key, value in audio.state_dict().items())
    assert any(isinstance(m, nn.Dropout) and m.training for m in audio.modules())


# --- SpecAugment


def test_stripes_are_drawn_in_training_only_and_within_each_clip(monkeypatch):
    drawn = []
    stripes = trainable._stripes
    monkeypatch.setattr(trainable, "_stripes", lambda *of: drawn.append(stripes(*of)) or drawn[-1])
    audio = learning()
    rows, lengths = rows_of([noise(32_000), noise(64_000, 1)])
    torch.manual_seed(0)
    for _ in range(20):
        audio(rows, lengths)
    frames = [101, 201]
    is_dropped = torch.stack(drawn)[:, :, 0]  # draws, clips, frames, bands
    for clip in range(2):
        over_time = is_dropped[:, clip].all(dim=-1).sum(-1)
        over_bands = is_dropped[:, clip].all(dim=-2).sum(-1)
        assert over_time.max() <= 2 * 63 and 20 < over_time.float().mean() < 80
        assert over_bands.max() <= 2 * 7 and 3 < over_bands.float().mean() < 9
        assert not is_dropped[:, clip, frames[clip] :].all(dim=-1).any()
    count = len(drawn)
    audio.eval()(rows, lengths)
    assert len(drawn) == count


def test_the_same_generator_gives_the_same_bits():
    rows, lengths = rows_of([noise(20_000), noise(9_000, 1)])
    outputs = []
    for _ in range(2):
        torch.manual_seed(3)
        outputs.append(learning()(rows, lengths)[0])
    assert torch.equal(*outputs)


# --- what is refused


def test_other_networks_and_settings_are_refused(cnn10):
    with pytest.raises(UsageError, match="'vggish' cannot be fine-tuned; these can: cnn14"):
        trainable_network("vggish", cnn10)
    with pytest.raises(UsageError, match="pool_time_s"):
        trainable_network("cnn10", cnn10, pool_time_s=0.2)
    with pytest.raises(UsageError, match="neither batch nor frozen"):
        trainable_network("cnn10", cnn10, batch_norm="none")
    with pytest.raises(IntegrityError, match="weights of another network"):
        trainable_network("cnn14", cnn10)


def test_a_network_at_16_khz_hears_rows_at_its_rate():
    audio = TrainablePanns("cnn14_16k", fill(Cnn((3, 3, 3, 3, 3, 4), num_halvings=5)))
    assert audio.sample_rate_hz == 16000
    frames_BTF, lengths_B = audio(*rows_of([noise(16_000)], 16_000))
    assert frames_BTF.shape == (1, 3, 4) and lengths_B.tolist() == [3]
