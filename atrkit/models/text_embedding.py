"""Text embeddings that `ridge` can stand on: stemmed TF-IDF, or a frozen sentence encoder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError
from atrkit.files import sha256_of_file
from atrkit.text.tfidf import TfIdf

Array = npt.NDArray[np.float64]


class TextEmbedding(Protocol):
    """Maps texts to rows of length 1, and can be written down and restored."""

    def embed(self, texts: Sequence[str]) -> Array:
        """(N, D) for N texts; a text of which nothing is known is a row of zeros."""

    def unknown_words(self, texts: Sequence[str]) -> Counter[str]:
        """Words that are left out of the rows, each by its occurrences."""

    def config(self) -> dict[str, Any]:
        """JSON-able description."""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays that belong to it."""


class StemmedTfIdf:
    """TF-IDF over stems, fitted on captions and on the encoder's class names.

    Class names are in the vocabulary so that a query can find a sound that no training caption mentions.
    """

    def __init__(self, tfidf: TfIdf) -> None:
        self._tfidf = tfidf

    @classmethod
    def fit(cls, captions: Sequence[str], labels: Sequence[str]) -> "StemmedTfIdf":
        """Count stems in captions and class names."""
        return cls(TfIdf.fit([*captions, *labels]))

    def embed(self, texts: Sequence[str]) -> Array:
        """(N, V) rows of length 1."""
        return self._tfidf.embed(texts)

    def unknown_words(self, texts: Sequence[str]) -> Counter[str]:
        """Words without a known stem."""
        return self._tfidf.unknown_words(texts)

    def config(self) -> dict[str, Any]:
        """The stems, in order."""
        return {"name": "stemmed_tfidf", "stems": self._tfidf.stems}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The weight of each stem."""
        return {"idf": self._tfidf.idf_V}


class SentenceEmbedding:
    """A frozen transformers sentence encoder: mean over tokens, then length 1 (as sentence-transformers' MiniLM).

    The run keeps the folder or hub id and the weights' hash, not the weights: another file under the same name is
    refused.

    Args:
        model: folder or hub id.
        expected_sha256: of the weights in training, None when fitting.
    """

    def __init__(self, model: str, expected_sha256: str | None = None) -> None:
        from atrkit.models.text_encoders import load_sentence_encoder

        self._model = model
        self._encoder = load_sentence_encoder(model)
        self._sha256 = _weights_sha256(model)
        if expected_sha256 not in (None, self._sha256):
            raise IntegrityError(f"sentence encoder {model} is not the one this run was trained with: train again")

    def embed(self, texts: Sequence[str]) -> Array:
        """(N, D) rows of length 1."""
        return np.asarray(self._encoder.embed(texts), dtype=np.float64)

    def unknown_words(self, texts: Sequence[str]) -> Counter[str]:
        """None: its tokenizer knows pieces of any word."""
        return Counter()

    def config(self) -> dict[str, Any]:
        """Folder or hub id, and the hash of the weights."""
        return {"name": "sentence_encoder", "model": self._model, "weights_sha256": self._sha256}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """None: the weights stay where they are."""
        return {}


def _weights_sha256(model: str) -> str | None:
    weights = sorted(Path(model).glob("*.safetensors")) or sorted(Path(model).glob("pytorch_model.bin"))
    return sha256_of_file(weights[0]) if weights else None


def restore_text_embedding(config: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> TextEmbedding:
    """The text embedding that `config` and `arrays` describe.

    Raises:
        IntegrityError: the description is of no known kind, or the sentence encoder changed.
        MissingPrerequisiteError: the sentence encoder is not where it was.
    """
    match config.get("name"):
        case "stemmed_tfidf":
            return StemmedTfIdf(TfIdf(config["stems"], arrays["idf"]))
        case "sentence_encoder":
            return SentenceEmbedding(config["model"], config["weights_sha256"])
        case unknown:
            raise IntegrityError(f"unknown text embedding {unknown!r} in config.json; train the run again")
