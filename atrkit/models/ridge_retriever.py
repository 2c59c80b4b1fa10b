"""A fitted ridge with its text embedding, as a folder: `RidgeRetriever.from_pretrained(folder)`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file, write_atomic, write_json_atomic
from atrkit.models.ridge import LabelPrior, RidgeWeights, fit_ridge
from atrkit.models.text_embedding import TextEmbedding, restore_text_embedding

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


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

    def save_pretrained(self, folder: Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        from safetensors.numpy import save

        weights = self.weights
        arrays = {
            "feature_mean": weights.feature_mean_F,
            "feature_scale": weights.feature_scale_F,
            "weights": weights.weights_FD,
            "caption_mean": weights.caption_mean_D,
        }
        config: dict[str, Any] = {"model": "ridge", "text": self.text.config()}
        if weights.prior is not None:
            arrays |= {"label_emb": weights.prior.label_emb_KD, "prior_mean": weights.prior.mean_D}
            config["prior_weight"] = weights.prior.weight
        arrays |= {f"text.{name}": values for name, values in self.text.arrays().items()}
        write_atomic(folder / WEIGHTS_NAME, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
        config["weights_sha256"] = sha256_of_file(folder / WEIGHTS_NAME)
        write_json_atomic(folder / CONFIG_NAME, config)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "RidgeRetriever":
        """Read what `save_pretrained` wrote.

        Raises:
            MissingPrerequisiteError: there is no such folder, or its sentence encoder is gone.
            IntegrityError: a file is damaged; names it.
        """
        from safetensors.numpy import load

        folder = Path(folder)
        if not (folder / CONFIG_NAME).is_file():
            raise MissingPrerequisiteError(f"no trained ridge in {folder}; run: atrkit train own_recordings")
        try:
            config = json.loads((folder / CONFIG_NAME).read_bytes())
            if sha256_of_file(folder / WEIGHTS_NAME) != config["weights_sha256"]:
                raise ValueError(f"{WEIGHTS_NAME} does not have the sha256 it was written with")
            arrays = load((folder / WEIGHTS_NAME).read_bytes())
            prior = None
            if "prior_weight" in config:
                prior = LabelPrior(arrays["label_emb"], arrays["prior_mean"], config["prior_weight"])
            weights = RidgeWeights(
                arrays["feature_mean"], arrays["feature_scale"], arrays["weights"], arrays["caption_mean"], prior
            )
            text_arrays = {name.removeprefix("text."): a for name, a in arrays.items() if name.startswith("text.")}
            text_config = config["text"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{folder} is damaged ({error}); train it again with --overwrite") from error
        return cls(weights, restore_text_embedding(text_config, text_arrays))
