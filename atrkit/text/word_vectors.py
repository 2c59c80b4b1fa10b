"""Word vectors of a vocabulary, picked from a published file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError
from atrkit.text.vector_files import VectorFile, VectorRow, recognise

_GREATEST_SHARE_NOT_UTF8 = 0.01


@dataclass(frozen=True, eq=False)
class WordVectors:
    """What a file of word vectors holds of a vocabulary.

    Args:
        vectors_VF: a row per word, float32; rows of NaN are words without a vector.
        missing: those words, in the order of the vocabulary.
        other_case: words that the file has only with other capitals, and how it writes them.
        repeated: rows of the file that hold a word of the vocabulary once more; the first row counts.
        not_utf8: words of the file that are not UTF-8 and were passed over.
        file: its format, and how many numbers a vector has.
        words_in_file: all of them.
    """

    vectors_VF: npt.NDArray[np.float32]
    missing: tuple[str, ...]
    other_case: dict[str, str]
    repeated: int
    not_utf8: int
    file: VectorFile
    words_in_file: int


def read_word_vectors(path: Path, words: Sequence[str]) -> WordVectors:
    """Pick the vectors of some words from a file in word2vec's format, text or binary, or GloVe's; .gz works too.

    The file is streamed: in memory are the vectors that were picked, and a few megabytes. Vocabularies are lower-case
    and many files are not: a word that the file lacks takes the vector of the first word that is the same but for its
    capitals ("TV" for "tv"), which `other_case` says. word2vec's own tool cuts long words between two bytes of a
    letter; a few words that are not UTF-8 are counted and passed over.

    Args:
        path: of the file; its format is recognised by its content.
        words: the vocabulary, V words without repetition.

    Returns:
        The vectors, and what is missing.

    Raises:
        IntegrityError: the file is no file of word vectors, or is damaged: cut off, a row of another width, more than 1
            word in 100 not UTF-8, NaN in a vector that is wanted; says in which line or word.
        ResourceError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "glove.txt"
        ...     _ = path.write_text("rain .5 1.5\\nTV 2 0\\n")
        ...     found = read_word_vectors(path, ["tv", "rain", "dog"])
        >>> found.vectors_VF.tolist(), found.missing, found.other_case
        ([[2.0, 0.0], [0.5, 1.5], [nan, nan]], ('dog',), {'tv': 'TV'})
    """
    file = recognise(path)
    index_of_word = {word: index for index, word in enumerate(words)}
    vectors_VF = np.full((len(words), file.width), np.nan, dtype=np.float32)
    found: set[str] = set()
    in_other_case: dict[str, tuple[str, VectorRow]] = {}
    first_not_utf8, not_utf8, repeated, count = 0, 0, 0, 0
    for row in file.rows():
        count += 1
        try:
            word = row.word.decode()
        except UnicodeDecodeError:
            first_not_utf8, not_utf8 = first_not_utf8 or row.number, not_utf8 + 1
            continue
        if word in found:
            repeated += 1
        elif word in index_of_word:
            vectors_VF[index_of_word[word]] = file.numbers(row)
            found.add(word)
        elif (lower := word.lower()) in index_of_word:
            in_other_case.setdefault(lower, (word, row))
    if not_utf8 > _GREATEST_SHARE_NOT_UTF8 * count:
        raise IntegrityError(
            f"{file.place(first_not_utf8)}: the word is not UTF-8, as {not_utf8:,} of {count:,} in this file are not: "
            "the file is damaged, or must be written as UTF-8 first"
        )
    other_case = {word: in_other_case[word][0] for word in words if word not in found and word in in_other_case}
    for word in other_case:
        vectors_VF[index_of_word[word]] = file.numbers(in_other_case[word][1])
    missing = tuple(word for word in words if word not in found and word not in other_case)
    return WordVectors(vectors_VF, missing, other_case, repeated, not_utf8, file, count)
