"""`ridge`: retrieval for small collections in closed form, starting from what the encoder can already name.

Tens to hundreds of captioned clips are too few to train a network from scratch. A tagging encoder already describes
each clip in words (its class probabilities); ridge regression learns only what these words miss.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atrkit.errors import DivergedError, UsageError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelPrior:
    """What a clip's tags say about it, as a direction in the text space.

    `z = normalise(sum_c sqrt(p_c) (e(label_c) - mean label embedding)) - training mean`: the square root keeps faint
    classes audible, the mean label embedding removes what all labels share.

    Args:
        label_emb_KD: (K classes, D) embeddings of the class names.
        mean_D: the training clips' mean of the normalised sum.
        weight: how much of it the captions follow (g, by least squares).

    Source: METHODS.md, "ridge", step 1.
    """

    label_emb_KD: Array
    mean_D: Array
    weight: float

    def direction(self, tag_probs_AK: npt.ArrayLike) -> Array:
        """z for each clip, (A, D)."""
        return tag_direction(tag_probs_AK, self.label_emb_KD) - self.mean_D


def tag_direction(tag_probs_AK: npt.ArrayLike, label_emb_KD: Array) -> Array:
    """Tags as a text direction, before the training mean is taken off.

    Args:
        tag_probs_AK: (A clips, K classes) probabilities.
        label_emb_KD: (K, D) embeddings of the class names.

    Returns:
        (A, D), rows of length 1.
    """
    centred_KD = label_emb_KD - label_emb_KD.mean(axis=0)
    return normalise_rows(np.sqrt(np.asarray(tag_probs_AK, dtype=np.float64)) @ centred_KD)


def normalise_rows(values_ND: Array) -> Array:
    """Rows of length 1; a row of zeros stays as it is."""
    norm_N1 = np.linalg.norm(values_ND, axis=1, keepdims=True)
    return values_ND / np.where(norm_N1 == 0, 1, norm_N1)


@dataclass(frozen=True, eq=False)
class RidgeWeights:
    """Everything that was fitted.

    Args:
        feature_mean_F: mean of the training clips' embeddings.
        feature_scale_F: their standard deviation (1 where it is 0).
        weights_FD: from standardised embeddings to the text space.
        caption_mean_D: mu, the mean caption embedding, taken off both sides.
        prior: the label prior, or None.
    """

    feature_mean_F: Array
    feature_scale_F: Array
    weights_FD: Array
    caption_mean_D: Array
    prior: LabelPrior | None

    def embed_clips(self, clip_emb_AF: npt.ArrayLike, tag_probs_AK: npt.ArrayLike | None) -> Array:
        """Clips in the text space, (A, D), rows of length 1."""
        standardised_AF = (np.asarray(clip_emb_AF, dtype=np.float64) - self.feature_mean_F) / self.feature_scale_F
        predicted_AD = standardised_AF @ self.weights_FD
        if self.prior is not None:
            if tag_probs_AK is None:
                raise UsageError(
                    "this ridge was trained with a label prior, and these embeddings have no tags: "
                    "extract with the encoder of the training run"
                )
            predicted_AD = predicted_AD + self.prior.weight * self.prior.direction(tag_probs_AK)
        return normalise_rows(predicted_AD)

    def embed_captions(self, caption_emb_CD: npt.ArrayLike) -> Array:
        """Captions in the same space, (C, D), rows of length 1."""
        return normalise_rows(np.asarray(caption_emb_CD, dtype=np.float64) - self.caption_mean_D)


def fit_ridge(
    clip_emb_AF: npt.ArrayLike,
    caption_emb_AD: npt.ArrayLike,
    *,
    ridge_lambda: float = 1.0,
    tag_probs_AK: npt.ArrayLike | None = None,
    label_emb_KD: npt.ArrayLike | None = None,
) -> RidgeWeights:
    """Fit the closed form.

    Args:
        clip_emb_AF: (A, F) frozen clip embeddings.
        caption_emb_AD: (A, D) for each clip the mean of its captions' embeddings.
        ridge_lambda: on the Gram matrix of standardised features divided by F.
        tag_probs_AK: (A, K) class probabilities, for the label prior.
        label_emb_KD: (K, D) embeddings of the class names, for the label prior.

    Raises:
        DivergedError: NaN or infinity in an input.

    Source: METHODS.md, "ridge", steps 1 and 2.
    """
    for name, values in (("clip", clip_emb_AF), ("caption", caption_emb_AD), ("tag", tag_probs_AK)):
        if values is not None and not np.isfinite(np.asarray(values, dtype=np.float64)).all():
            raise DivergedError(f"NaN or infinity in the {name} inputs of a ridge: extract the embeddings again")
    features_AF = np.asarray(clip_emb_AF, dtype=np.float64)
    mean_F, scale_F = features_AF.mean(axis=0), features_AF.std(axis=0)
    scale_F = np.where(scale_F == 0, 1, scale_F)
    captions_AD = np.asarray(caption_emb_AD, dtype=np.float64)
    caption_mean_D = captions_AD.mean(axis=0)
    residual_AD = captions_AD - caption_mean_D

    prior = None
    if tag_probs_AK is not None and label_emb_KD is not None:
        labels_KD = np.asarray(label_emb_KD, dtype=np.float64)
        raw_AD = tag_direction(tag_probs_AK, labels_KD)
        direction_AD = raw_AD - raw_AD.mean(axis=0)
        energy = float((direction_AD**2).sum())
        weight = float((residual_AD * direction_AD).sum()) / energy if energy else 0.0
        prior = LabelPrior(labels_KD, raw_AD.mean(axis=0), weight)
        residual_AD = residual_AD - weight * direction_AD

    weights_FD = solve_ridge((features_AF - mean_F) / scale_F, residual_AD, ridge_lambda)
    return RidgeWeights(mean_F, scale_F, weights_FD, caption_mean_D, prior)


def solve_ridge(inputs_AF: Array, targets_AD: Array, ridge_lambda: float) -> Array:
    """Weights (F, D) of `min |X W - Y|^2 + lambda F |W|^2`, by the smaller of the two equivalent systems."""
    clips, features = inputs_AF.shape
    if clips <= features:
        gram_AA = inputs_AF @ inputs_AF.T / features
        dual_AD = np.linalg.solve(gram_AA + ridge_lambda * np.eye(clips), targets_AD)
        weights_FD: Array = inputs_AF.T @ dual_AD / features
    else:
        gram_FF = inputs_AF.T @ inputs_AF / features
        weights_FD = np.linalg.solve(gram_FF + ridge_lambda * np.eye(features), inputs_AF.T @ targets_AD / features)
    return weights_FD
