"""The file of word vectors that a recipe names: found, hashed, and read into a model's word embedding."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file
from atrkit.recipe.retrievers import RETRIEVERS
from atrkit.recipe.schema import Recipe
from atrkit.recipe.towers import WordsPart
from atrkit.text.normalise import words_of
from atrkit.text.vector_files import recognise
from atrkit.text.vocabulary import Vocabulary
from atrkit.text.word_vectors import WordVectors, read_word_vectors

if TYPE_CHECKING:
    from atrkit.models.word_embedding import WordEmbedding

_NAMED_WORDS = 5
_PUBLISHED = {
    "GoogleNews-vectors-negative300.bin": "https://code.google.com/archive/p/word2vec/ has it as "
    "GoogleNews-vectors-negative300.bin.gz, 1.6 GB, unpacked 3.6 GB (packed does as well: "
    "--set model.text.vectors=FILE)"
}


@dataclass(frozen=True)
class WordsOf:
    """Captions whose words a text side is to know.

    Args:
        training: learned from.
        further: not learned from, of other splits for example; only frozen vectors are kept for their words.
    """

    training: Sequence[str]
    further: Sequence[str] = ()


def word_vectors_input(recipe: Recipe, further: Sequence[str] = ()) -> dict[str, str]:
    """What a run records of its word vectors, so that it does not go on with others; empty for runs without.

    Args:
        recipe: of the run.
        further: what `further_captions` gives.

    Raises:
        MissingPrerequisiteError: the file is not there; says where it comes from.
    """
    text = recipe.model.text if isinstance(recipe.model, RETRIEVERS) else None
    if not isinstance(text, WordsPart) or text.vectors is None:
        return {}
    of_file = {"word_vectors_sha256": _sha256(*_state(_path(text.vectors)))}
    if not further:
        return of_file
    words = sorted({word for caption in further for word in words_of(caption)})
    return {**of_file, "further_words_sha256": sha256(" ".join(words).encode()).hexdigest()}


def further_captions(recipe: Recipe, dataset: Dataset, generated: Sequence[str] | None = None) -> tuple[str, ...]:
    """Captions that a model with frozen word vectors is to know the words of besides those that it learns from.

    Nothing is learned from a word whose vector is frozen, so that knowing more of them takes nothing from the test.

    Args:
        recipe: of the run.
        dataset: captions of all its splits are taken.
        generated: captions of its clips that a captioner wrote.

    Returns:
        Nothing where vectors are trained, or there is no file of them.
    """
    text = recipe.model.text if isinstance(recipe.model, RETRIEVERS) else None
    if not isinstance(text, WordsPart) or text.trainable:
        return ()
    written = (caption.text for clip in dataset.clips for caption in clip.captions)
    return (*written, *(generated or ()))


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


def vocabulary_of(text: WordsPart, words: WordsOf) -> tuple[str, ...]:
    """All words that the text side knows, in the order of their ids.

    These are the words of the training captions. With frozen vectors those of further captions that the file has come
    behind them, as good as the others; what it lacks, and no training caption has, stays `<unk>`.

    Raises:
        MissingPrerequisiteError: the file is not there.
        IntegrityError: it is damaged.
    """
    training = Vocabulary.from_captions(words.training).words
    if text.vectors is None or text.trainable:
        return training
    asked = _asked_words(text, words)
    missing = set(_vectors(*_state(_path(text.vectors)), asked).missing)
    own = set(training)
    return (*training, *(word for word in asked if word not in own and word not in missing))


def start_from_vectors(embedding: "WordEmbedding", text: WordsPart, words: WordsOf, say: Callable[[str], None]) -> None:
    """Take the words' vectors from the recipe's file, where it names one, and say how many words have none.

    Words without a vector keep their random one, at the scale of the file's, where vectors are trained. Where they are
    not, they become zero like `<unk>`: a random vector that is never trained would say something random.

    Args:
        embedding: of `vocabulary_of`, as wide as the file's vectors.
        text: settings that may name a file.
        words: those that `vocabulary_of` was given.
        say: told what was found.

    Raises:
        MissingPrerequisiteError: the file is not there.
        IntegrityError: it is damaged.
        UsageError: none of the words of the training captions is in it.
    """
    import torch

    if text.vectors is None:
        return
    path = _path(text.vectors)
    say(f"reading word vectors: {path}")
    asked = _asked_words(text, words)
    found = _vectors(*_state(path), asked)
    training = Vocabulary.from_captions(words.training).words[len(Vocabulary.specials) :]
    missing = set(found.missing)
    if missing.issuperset(training):
        raise UsageError(f"{path} has none of the {len(training):,} words of the training captions: name another file")
    vectors_VF = np.full((len(embedding.vocabulary), found.file.width), np.nan, dtype=np.float32)
    row_of_word = {word: row for row, word in enumerate(asked)}
    known = embedding.vocabulary.words[len(Vocabulary.specials) :]
    vectors_VF[len(Vocabulary.specials) :] = found.vectors_VF[[row_of_word[word] for word in known]]
    if not text.trainable:
        vectors_VF = np.nan_to_num(vectors_VF, nan=0.0)
    embedding.start_from(torch.from_numpy(vectors_VF))
    for line in _findings(found, training, words, trainable=text.trainable):
        say(line)


def _asked_words(text: WordsPart, words: WordsOf) -> tuple[str, ...]:
    """Words that the file is asked for: those of the training captions first, each group by falling count."""
    specials = len(Vocabulary.specials)
    training = Vocabulary.from_captions(words.training).words[specials:]
    if text.trainable or not words.further:
        return training
    own = set(training)
    return (*training, *(word for word in Vocabulary.from_captions(words.further).words[specials:] if word not in own))


def _findings(found: WordVectors, training: Sequence[str], words: WordsOf, *, trainable: bool) -> Iterable[str]:
    file, counts = found.file, Counter(word for caption in words.training for word in words_of(caption))
    missing = [word for word in found.missing if word in counts]
    share = sum(counts[word] for word in missing) / sum(counts.values())
    yield (
        f"word vectors: {file.format}, {found.words_in_file:,} words of {file.width} numbers; "
        f"{len(training) - len(missing):,} of the {len(training):,} words of the training captions have one"
    )
    if missing:
        most_frequent = sorted(missing, key=lambda word: -counts[word])
        become = "start at random and are trained" if trainable else "are zero, like <unk>"
        yield f"{len(missing):,} words have none ({_named(most_frequent)}), {share:.1%} of the text: {become}"
    if further := len(found.vectors_VF) - len(training):
        unknown = [word for word in found.missing if word not in counts]
        yield (
            f"{further - len(unknown):,} of {further:,} words that only other captions of the dataset have are in the "
            "file, and kept: vectors are frozen"
            + (f"; {len(unknown):,} are read as <unk> ({_named(unknown)})" if unknown else "")
        )
    if found.other_case:
        pairs = [f"{theirs} for {word}" for word, theirs in found.other_case.items()]
        yield f"{len(pairs):,} words have one only with other capitals, which is taken ({_named(pairs)})"
    if found.repeated:
        yield f"{found.repeated:,} rows hold a word of the vocabulary again: the first one counts"
    if found.not_utf8:
        yield f"{found.not_utf8:,} words of the file are not UTF-8: passed over"


def _named(words: Sequence[str]) -> str:
    return ", ".join(words[:_NAMED_WORDS]) + (" ..." if len(words) > _NAMED_WORDS else "")
