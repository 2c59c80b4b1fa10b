"""Stemmed TF-IDF: a text embedding that needs no network and no training beyond counting."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt
import snowballstemmer

from atrkit.text.normalise import words_of


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """Snowball's English stem of one lower-case word.

    >>> stem("barking"), stem("barks")
    ('bark', 'bark')
    """
    return str(_stemmer().stemWord(word))


@lru_cache(maxsize=1)
def _stemmer() -> "snowballstemmer.stemmer":
    return snowballstemmer.stemmer("english")


class TfIdf:
    """Texts as sparse directions: stem counts times inverse document frequency, length 1.

    Rare words tell clips apart, and "barking" should find "barks": for a few dozen captions this beats word
    embeddings trained from scratch (METHODS.md).

    Args:
        stems: V stems, the dimensions of the space.
        idf_V: weight of each, (V,).

    Source: smoothed idf `ln((1 + n) / (1 + df)) + 1` and length-1 rows as in scikit-learn's TfidfVectorizer, which
    the tests use as oracle; stemming is METHODS.md's.

    Example:
        >>> tfidf = TfIdf.fit(["a dog barks", "a cat meows"])
        >>> vectors_NV = tfidf.embed(["barking dogs", "a trumpet"])
        >>> vectors_NV.shape, float(vectors_NV[0] @ tfidf.embed(["the dog barks"])[0]) > 0.99
        ((2, 5), True)
    """

    def __init__(self, stems: Sequence[str], idf_V: npt.ArrayLike) -> None:
        self.stems = tuple(stems)
        self.idf_V = np.asarray(idf_V, dtype=np.float64)

    @classmethod
    def fit(cls, texts: Iterable[str]) -> "TfIdf":
        """Count in how many of the texts each stem occurs."""
        documents = [set(_stems_of(text)) for text in texts]
        document_frequency = Counter(word for document in documents for word in document)
        stems = sorted(document_frequency)
        df_V = np.array([document_frequency[word] for word in stems], dtype=np.float64)
        return cls(stems, np.log((1 + len(documents)) / (1 + df_V)) + 1)

    @cached_property
    def _index_of_stem(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.stems)}

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Embed texts.

        Args:
            texts: N texts, normalised or not.

        Returns:
            (N, V), rows of length 1; a text without any known stem is a row of zeros.
        """
        counts_NV = np.zeros((len(texts), len(self.stems)))
        for row, text in enumerate(texts):
            for word in _stems_of(text):
                if word in self._index_of_stem:
                    counts_NV[row, self._index_of_stem[word]] += 1
        weighted_NV = counts_NV * self.idf_V
        norm_N1 = np.linalg.norm(weighted_NV, axis=1, keepdims=True)
        return weighted_NV / np.where(norm_N1 == 0, 1, norm_N1)

    def unknown_words(self, texts: Sequence[str]) -> Counter[str]:
        """Words whose stems are not in the space, each by its occurrences.

        >>> TfIdf.fit(["a dog barks"]).unknown_words(["barking dogs", "a zeppelin"])
        Counter({'zeppelin': 1})
        """
        return Counter(word for text in texts for word in words_of(text) if stem(word) not in self._index_of_stem)


def _stems_of(text: str) -> list[str]:
    return [stem(word) for word in words_of(text)]
