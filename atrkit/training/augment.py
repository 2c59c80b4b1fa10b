"""How a captioner's training pairs are varied: mixup and SpecAugment on embeddings."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from atrkit.errors import UsageError


@dataclass(frozen=True)
class Augmentation:
    """Mixes each pair's sound and words with another's, then sets bands of features to zero.

    What the caption should say is not mixed. Everything drawn comes from the generator that is passed in.

    Args:
        mixup_alpha: the pair's own share is max(lambda, 1 - lambda), lambda from Beta(alpha, alpha) for each pair;
            0: nothing is mixed.
        feature_stripes: bands of features that are set to zero in all frames of a clip.
        stripe_width: largest width of a band; the least is 0.

    Raises:
        UsageError: a negative value.

    Source: paper 004, section 2.2. One lambda for each pair, an own share of at least a half (the target is the pair's
    own caption), the larger of both numbers of frames, and stripes after mixing are our choice.

    Example:
        >>> frames_BTF, lengths_B, words_BLD = torch.ones(2, 3, 8), torch.tensor([3, 3]), torch.ones(2, 4, 5)
        >>> augment = Augmentation(mixup_alpha=0.4, feature_stripes=6, stripe_width=2)
        >>> mixed_BTF, _, _ = augment(frames_BTF, lengths_B, words_BLD, np.random.default_rng(1))
        >>> mixed_BTF[:, 0].round()
        tensor([[1., 1., 0., 0., 0., 0., 0., 1.],
                [0., 1., 0., 1., 1., 1., 0., 0.]])
    """

    mixup_alpha: float = 0.0
    feature_stripes: int = 0
    stripe_width: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise UsageError(f"{name} is {value}, and must be 0 or more")

    def __call__(
        self, frames_BTF: Tensor, frame_lengths_B: Tensor, word_emb_BLD: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Vary a batch.

        Args:
            frames_BTF: standardised, zero where padded.
            frame_lengths_B: frames of each clip.
            word_emb_BLD: embeddings of `<bos>` and words, zero where padded.
            rng: of this batch.

        Returns:
            The three, varied; shapes stay.

        Raises:
            UsageError: a band is wider than the frames.
        """
        if self.mixup_alpha > 0 and len(frames_BTF) > 1:
            mixup = draw_mixup(len(frames_BTF), self.mixup_alpha, rng).to(frames_BTF.device)
            frames_BTF, word_emb_BLD = mixup.mix(frames_BTF), mixup.mix(word_emb_BLD)
            frame_lengths_B = mixup.lengths(frame_lengths_B)
        if self.feature_stripes and self.stripe_width:
            is_dropped_BF = draw_stripes(
                len(frames_BTF), frames_BTF.shape[2], self.feature_stripes, self.stripe_width, rng
            )
            frames_BTF = frames_BTF.masked_fill(torch.from_numpy(is_dropped_BF).to(frames_BTF.device)[:, None], 0.0)
        return frames_BTF, frame_lengths_B, word_emb_BLD


@dataclass(frozen=True, eq=False)
class Mixup:
    """Who is mixed with whom, and how much of each is its own.

    Args:
        partner_B: another pair of the batch for each.
        own_share_B: 0.5 to 1, float32.
    """

    partner_B: Tensor
    own_share_B: Tensor

    def to(self, device: torch.device) -> "Mixup":
        """Copy to a device."""
        return Mixup(self.partner_B.to(device), self.own_share_B.to(device))

    def mix(self, x: Tensor) -> Tensor:
        """(B, ..., N) mixed; padding that is zero adds nothing."""
        share = self.own_share_B[:, None, None]
        return share * x + (1 - share) * x[self.partner_B]

    def lengths(self, lengths_B: Tensor) -> Tensor:
        """The longer of both, but the own length where nothing is mixed in."""
        both_B = torch.maximum(lengths_B, lengths_B[self.partner_B])
        return torch.where(self.own_share_B == 1, lengths_B, both_B)


def draw_mixup(batch_size: int, alpha: float, rng: np.random.Generator) -> Mixup:
    """Draw partners and shares.

    Args:
        batch_size: B, 2 or more.
        alpha: of the Beta distribution.
        rng: where it is drawn from.

    Returns:
        Partners that form one random circle, so that each pair is mixed with another one.
    """
    circle_B = rng.permutation(batch_size)
    partner_B = np.empty_like(circle_B)
    partner_B[circle_B] = np.roll(circle_B, -1)
    lambda_B = rng.beta(alpha, alpha, size=batch_size)
    share_B = np.maximum(lambda_B, 1 - lambda_B).astype(np.float32)
    return Mixup(torch.from_numpy(partner_B), torch.from_numpy(share_B))


def draw_stripes(
    batch_size: int, frame_dim: int, stripes: int, largest_width: int, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Draw which features of which clip are set to zero.

    Args:
        batch_size: B.
        frame_dim: F.
        stripes: per clip; they may overlap.
        largest_width: widths are 0 to this, each as likely.
        rng: where it is drawn from.

    Returns:
        (B, F), True where a feature is set to zero.

    Raises:
        UsageError: a band is wider than the frames.

    Source: Park et al. 2019, section 2: width, then the first feature among all places where the band fits.
    """
    if largest_width > frame_dim:
        raise UsageError(f"stripe_width is {largest_width}, and a frame has {frame_dim} features")
    width_BS = rng.integers(0, largest_width, size=(batch_size, stripes), endpoint=True)
    first_BS = rng.integers(0, frame_dim - width_BS, endpoint=True)
    offset_BSF = np.arange(frame_dim) - first_BS[:, :, None]
    is_dropped_BSF = (offset_BSF >= 0) & (offset_BSF < width_BS[:, :, None])
    return np.asarray(is_dropped_BSF.any(axis=1))
