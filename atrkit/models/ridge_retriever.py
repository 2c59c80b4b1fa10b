"""A fitted ridge with its text embedding, as a folder: `RidgeRetriever.from_pretrained(folder)`."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import numpy as safetensors_numpy

from atrkit.errors import IntegrityError
from atrkit.models.folder import WEIGHTS_NAME, find_model_folder, read_model_folder, write_model_folder
from atrkit.models.ridge import LabelPrior, RidgeWeights, fit_ridge
from atrkit.models.text_embedding import TextEmbedding, restore_text_embedding

_MODEL_NAME = "ridge"
_TEXT_PREFIX = "text."


class RidgeRetriever:
    """Clips and captions in the space of a text embedding.

    Args:
        weights: what `fit_ridge` found.
        text: embeds captions and class names.

    Source: METHODS.md, "Small captioned collections: ridge, closed form".
    """

    def __init__(self, weights: RidgeWeights, text: TextEmbedding) -> None:
        self.weights = weights
        self.text = text

    @classmethod
    def fit(
        cls,
        clip_emb_AF: npt.ArrayLike,
        captions: Sequence[Sequence[str]],
        text: TextEmbedding,
        *,
        ridge_lambda: float = 1.0,
        tag_probs_AK: npt.ArrayLike | None = None,
        labels: Sequence[str] = (),
    ) -> "RidgeRetriever":
        """Fit on captioned clips; with `tag_probs_AK` and `labels` the label prior is on.

        Args:
            clip_emb_AF: (A, F) frozen clip embeddings.
            captions: for each clip its captions, at least one.
            text: embeds captions and class names.
            ridge_lambda: on the Gram matrix of standardised features divided by F.
            tag_probs_AK: (A, K) class probabilities.
            labels: names of the K classes.
        """
        flat_CD = np.asarray(text.embed([caption for of_clip in captions for caption in of_clip]))
        ends = np.cumsum([len(of_clip) for of_clip in captions])
        mean_AD = np.stack([rows.mean(axis=0) for rows in np.split(flat_CD, ends[:-1])])
        with_prior = tag_probs_AK is not None and len(labels) > 0
        weights = fit_ridge(
            clip_emb_AF,
            mean_AD,
            ridge_lambda=ridge_lambda,
            tag_probs_AK=tag_probs_AK if with_prior else None,
            label_emb_KD=text.embed(list(labels)) if with_prior else None,
        )
        return cls(weights, text)

    def embed_clips(
        self, clip_emb_AF: npt.ArrayLike, tag_probs_AK: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Clips in the text space, (A, D), rows of length 1."""
        return self.weights.embed_clips(clip_emb_AF, tag_probs_AK)

    def embed_captions(self, captions: Sequence[str]) -> npt.NDArray[np.float64]:
        """Captions in the text space, (C, D), rows of length 1."""
        return self.weights.embed_captions(self.text.embed(captions))

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of captions that the text embedding does not know, each by its occurrences."""
        return self.text.unknown_words(captions)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json, model.safetensors and model.sha256.

        Raises:
            ResourceError: the folder cannot be written.
        """
        weights = self.weights
        config: dict[str, Any] = {"model": _MODEL_NAME, "text": self.text.config()}
        arrays = {
            "feature_mean": weights.feature_mean_F,
            "feature_scale": weights.feature_scale_F,
            "weights": weights.weights_FD,
            "caption_mean": weights.caption_mean_D,
        }
        if weights.prior is not None:
            arrays |= {"label_emb": weights.prior.label_emb_KD, "prior_mean": weights.prior.mean_D}
            config["prior_weight"] = weights.prior.weight
        arrays |= {f"{_TEXT_PREFIX}{name}": values for name, values in self.text.arrays().items()}
        contiguous = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        write_model_folder(Path(folder), config, {WEIGHTS_NAME: safetensors_numpy.save(contiguous)})

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | os.PathLike[str]) -> "RidgeRetriever":
        """Open what `save_pretrained` wrote.

        Raises:
            MissingPrerequisiteError: there is no such folder, or the sentence encoder is not where it was.
            IntegrityError: a file is damaged, or the folder holds another kind of model; names it.
            NetworkError: the hub id is not in the cache, and the hub cannot be asked.
        """
        folder = find_model_folder(folder_or_hub_id)
        config, files = read_model_folder(folder)
        if config.get("model") != _MODEL_NAME:
            raise IntegrityError(f"{folder} holds a model of kind {config.get('model')!r}, not a ridge")
        arrays = safetensors_numpy.load(files[WEIGHTS_NAME])
        prior = None
        if "prior_weight" in config:
            prior = LabelPrior(arrays["label_emb"], arrays["prior_mean"], config["prior_weight"])
        weights = RidgeWeights(
            arrays["feature_mean"], arrays["feature_scale"], arrays["weights"], arrays["caption_mean"], prior
        )
        text_arrays = {
            name.removeprefix(_TEXT_PREFIX): values for name, values in arrays.items() if name.startswith(_TEXT_PREFIX)
        }
        return cls(weights, restore_text_embedding(config["text"], text_arrays))
