"""The file of word vectors that a recipe names: found, hashed, and read into a model's word embedding."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file
from atrkit.recipe.retrievers import RETRIEVERS
from atrkit.recipe.schema import Recipe
from atrkit.recipe.towers import WordsPart
from atrkit.text.normalise import words_of
from atrkit.text.vector_files import recognise
from atrkit.text.word_vectors import WordVectors, read_word_vectors

if TYPE_CHECKING:
    from atrkit.models.word_embedding import WordEmbedding

_NAMED_WORDS = 5
_PUBLISHED = {
    "GoogleNews-vectors-negative300.bin": "https://code.google.com/archive/p/word2vec/ has it as "
    "GoogleNews-vectors-negative300.bin.gz, 1.6 GB, unpacked 3.6 GB (packed does as well: "
    "--set model.text.vectors=FILE)"
}


def word_vectors_input(recipe: Recipe) -> dict[str, str]:
    """What a run records of its word vectors, so that it does not go on with others; empty for runs without.

    Raises:
        MissingPrerequisiteError: the file is not there; says where it comes from.
    """
    text = recipe.model.text if isinstance(recipe.model, RETRIEVERS) else None
    if not isinstance(text, WordsPart) or text.vectors is None:
        return {}
    return {"word_vectors_sha256": _sha256(*_state(_path(text.vectors)))}


def _state(path: Path) -> tuple[Path, int, int]:
    """A file as the caches below know it: some have gigabytes, and are hashed and read once for all seeds."""
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


@lru_cache(maxsize=4)
def _sha256(path: Path, _size: int, _changed_ns: int) -> str:
    return sha256_of_file(path)


@lru_cache(maxsize=2)
def _vectors(path: Path, _size: int, _changed_ns: int, words: tuple[str, ...]) -> WordVectors:
    return read_word_vectors(path, words)


def _path(vectors: str) -> Path:
    """The file, looked for from the current folder.

    Raises:
        MissingPrerequisiteError: it is not there; says where it comes from.
    """
    path = Path(vectors).absolute()  # for messages, and so that the cache of hashes holds
    if path.is_file():
        return path
    source = _PUBLISHED.get(path.name, "give one in word2vec's or GloVe's format with --set model.text.vectors=FILE")
    raise MissingPrerequisiteError(f"there is no file of word vectors {path}: {source}")


def word_dim(text: WordsPart) -> int:
    """Width of the word vectors: the file's, where there is one.

    Raises:
        MissingPrerequisiteError: the file is not there.
        IntegrityError: it is no file of word vectors.
    """
    return text.dim if text.vectors is None else recognise(_path(text.vectors)).width


def start_from_vectors(
    embedding: "WordEmbedding", text: WordsPart, captions: Sequence[str], say: Callable[[str], None]
) -> None:
    """Take the words' vectors from the recipe's file, where it names one, and say how many words have none.

    Words without a vector keep their random one where vectors are trained. Where they are not, they become zero like
    `<unk>`: a random vector that is never trained would say something random.

    Args:
        embedding: of the vocabulary, as wide as the file's vectors.
        text: settings that may name a file.
        captions: training captions, to say how often words without a vector occur.
        say: told what was found.

    Raises:
        MissingPrerequisiteError: the file is not there.
        IntegrityError: it is damaged.
        UsageError: none of the words is in it.
    """
    import torch

    if text.vectors is None:
        return
    path = _path(text.vectors)
    specials = embedding.vocabulary.specials
    words = embedding.vocabulary.words[len(specials) :]
    say(f"reading word vectors: {path}")
    found = _vectors(*_state(path), words)
    if len(found.missing) == len(words):
        raise UsageError(f"{path} has none of the {len(words):,} words of the training captions: name another file")
    vectors_VF = np.full((len(embedding.vocabulary), found.file.width), np.nan, dtype=np.float32)
    vectors_VF[len(specials) :] = found.vectors_VF
    if not text.trainable:
        vectors_VF = np.nan_to_num(vectors_VF, nan=0.0)
    embedding.start_from(torch.from_numpy(vectors_VF))
    for line in _findings(found, words, captions, trainable=text.trainable):
        say(line)


def _findings(found: WordVectors, words: Sequence[str], captions: Sequence[str], *, trainable: bool) -> Iterable[str]:
    file, counts = found.file, Counter(word for caption in captions for word in words_of(caption))
    share = sum(counts[word] for word in found.missing) / sum(counts.values())
    yield (
        f"word vectors: {file.format}, {found.words_in_file:,} words of {file.width} numbers; "
        f"{len(words) - len(found.missing):,} of the {len(words):,} words of the training captions have one"
    )
    if found.missing:
        most_frequent = sorted(found.missing, key=lambda word: -counts[word])
        become = "start at random and are trained" if trainable else "are zero, like <unk>"
        yield f"{len(found.missing):,} words have none ({_named(most_frequent)}), {share:.1%} of the text: {become}"
    if found.other_case:
        pairs = [f"{theirs} for {word}" for word, theirs in found.other_case.items()]
        yield f"{len(pairs):,} words have one only with other capitals, which is taken ({_named(pairs)})"
    if found.repeated:
        yield f"{found.repeated:,} rows hold a word of the vocabulary again: the first one counts"
    if found.not_utf8:
        yield f"{found.not_utf8:,} words of the file are not UTF-8: passed over"


def _named(words: Sequence[str]) -> str:
    return ", ".join(words[:_NAMED_WORDS]) + (" ..." if len(words) > _NAMED_WORDS else "")
