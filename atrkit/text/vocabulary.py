"""The words that a model with trainable word embeddings knows, and counting those that it does not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from atrkit.errors import IntegrityError, UsageError
from atrkit.text.normalise import words_of

PAD = "<pad>"
UNK = "<unk>"
PAD_ID = 0
UNK_ID = 1


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

    def __post_init__(self) -> None:
        if self.words[:2] != (PAD, UNK):
            raise IntegrityError(f"a vocabulary starts with {PAD} and {UNK}, this one with {self.words[:2]}")
        if len(set(self.words)) != len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise IntegrityError(f"the word {twice!r} occurs more than once in the vocabulary")

    @classmethod
    def from_captions(cls, captions: Iterable[str], *, min_count: int = 1) -> "Vocabulary":
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
        return cls((PAD, UNK, *sorted(frequent, key=lambda word: (-counts[word], word))))

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
