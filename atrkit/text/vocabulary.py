"""The words that a model with trainable word embeddings knows, and counting those that it does not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from atrkit.errors import IntegrityError, UsageError
from atrkit.text.normalise import words_of

PAD = "<pad>"
UNK = "<unk>"
BOS = "<bos>"
EOS = "<eos>"
PAD_ID = 0
UNK_ID = 1
BOS_ID = 2  # of a CaptionVocabulary
EOS_ID = 3


@dataclass(frozen=True)
class Vocabulary:
    """Words with consecutive ids: `<pad>` is 0, `<unk>` is 1, then words by falling frequency.

    Normalised captions hold no angle brackets, so the special words cannot be confused with written ones.

    Args:
        words: all of them in the order of their ids, the two special ones first.

    Raises:
        IntegrityError: the special words are not the first two, or a word occurs twice.

    Example:
        >>> vocabulary = Vocabulary.from_captions(["A dog barks", "a dog howls, a bell rings"])
        >>> vocabulary.words[:4]
        ('<pad>', '<unk>', 'a', 'dog')
        >>> vocabulary.encode("a cat")
        [2, 1]
    """

    words: tuple[str, ...]

    specials: ClassVar[tuple[str, ...]] = (PAD, UNK)

    def __post_init__(self) -> None:
        there = self.words[: len(self.specials)]
        if there != self.specials:
            raise IntegrityError(f"a vocabulary starts with {' '.join(self.specials)}, this one with {' '.join(there)}")
        if len(set(self.words)) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise IntegrityError(f"the word {twice!r} occurs more than once in the vocabulary")

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, min_count: int = 1) -> Self:
        """Collect the words of training captions.

        Args:
            captions: as written or normalised.
            min_count: rarer words become `<unk>`, which is then trained on them.

        Returns:
            Words by falling count, equal counts alphabetically: the order of the captions does not matter.

        Raises:
            UsageError: no word is frequent enough.
        """
        counts = Counter(word for caption in captions for word in words_of(caption))
        frequent = [word for word, count in counts.items() if count >= min_count]
        if not frequent:
            raise UsageError(f"no word occurs at least {min_count} times in the training captions")
        return cls((*cls.specials, *sorted(frequent, key=lambda word: (-counts[word], word))))

    def __len__(self) -> int:
        """Number of ids, the special ones counted."""
        return len(self.words)

    @cached_property
    def id_of_word(self) -> dict[str, int]:
        """Id of each word."""
        return {word: word_id for word_id, word in enumerate(self.words)}

    def encode(self, caption: str) -> list[int]:
        """Word ids of a caption, `<unk>` where the word is unknown; empty for a caption without words."""
        return [self.id_of_word.get(word, UNK_ID) for word in words_of(caption)]

    def unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of `captions` that are encoded as `<unk>`, each by its number of occurrences."""
        return Counter(word for caption in captions for word in words_of(caption) if word not in self.id_of_word)


class CaptionVocabulary(Vocabulary):
    """Words of a model that writes captions: `<pad>` 0, `<unk>` 1, `<bos>` 2, `<eos>` 3, then words.

    Example:
        >>> vocabulary = CaptionVocabulary.from_captions(["rain falls", "rain"])
        >>> vocabulary.words
        ('<pad>', '<unk>', '<bos>', '<eos>', 'rain', 'falls')
        >>> vocabulary.decode(vocabulary.encode("Rain falls loudly."))
        'rain falls <unk>'
    """

    specials: ClassVar[tuple[str, ...]] = (PAD, UNK, BOS, EOS)

    def decode(self, ids: Iterable[int]) -> str:
        """The words of ids, joined; `<pad>`, `<bos>` and `<eos>` are left out."""
        return " ".join(self.words[word_id] for word_id in ids if word_id not in (PAD_ID, BOS_ID, EOS_ID))
