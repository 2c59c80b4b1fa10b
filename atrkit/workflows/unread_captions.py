"""What a retrieval model does not read of captions: words that its text side does not know, and ends that it cuts."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from atrkit.text.normalise import words_of
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.models.retriever import Retriever

_NAMED_WORDS = 5


def say_what_is_not_read(
    session: Session, model: "Retriever", captions: Sequence[str], generated: Sequence[str] | None, which: str
) -> Counter[str]:
    """Count and say unknown words, and captions that are cut.

    Args:
        session: where to speak.
        model: that reads them.
        captions: of clips, written by people.
        generated: captions of the same clips that the model reads too; None: it reads none.
        which: split or use of the clips, as messages call it: "training".

    Returns:
        Unknown words of `captions`, each by its occurrences; those of the generated ones are only said.
    """
    unknown_words = _say_of(session, model, captions, f"{which} captions")
    if generated:
        _say_of(session, model, generated, f"generated captions of {which} clips")
    return unknown_words


def _say_of(session: Session, model: "Retriever", captions: Sequence[str], name: str) -> Counter[str]:
    unknown = model.count_unknown_words(captions)
    if unknown:
        words = sum(len(words_of(caption)) for caption in captions)
        session.say(unknown_words_line(unknown, words, f"the {name}", "the text side"))
    if cut := model.count_cut_captions(captions):
        session.say(f"{cut:,} of {len(captions):,} {name} are longer than max_tokens: their ends are not read")
    return unknown


def unknown_words_line(unknown: Counter[str], words: int, place: str, reader: str) -> str:
    """How many words are unknown, and the most frequent of them.

    >>> unknown_words_line(Counter({"cat": 2, "eel": 1}), 9, "the captions", "the captioner")
    "3 of 9 words in the captions are unknown to the captioner and read as <unk>: 'cat', 'eel'"
    """
    first = ", ".join(repr(word) for word, _ in unknown.most_common(_NAMED_WORDS))
    return (
        f"{unknown.total():,} of {words:,} words in {place} are unknown to {reader} and read as <unk>: "
        f"{first}{', ...' if len(unknown) > _NAMED_WORDS else ''}"
    )
