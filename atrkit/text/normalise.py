"""Caption text, brought to one form: the one function that everything which reads captions goes through."""

import unicodedata

_APOSTROPHES = frozenset("'’‘ʼ`´＇")


def normalise_caption(text: str) -> str:
    """Unicode NFC, lower case, no punctuation, single spaces.

    Vocabularies, TF-IDF, sentence encoders and metrics must see the same words, whoever wrote the caption. Apostrophes
    vanish, so that "dog's" and "doesn't" stay one word ("dogs", "doesnt"). All other punctuation, hyphens and
    symbols become a space, so that "high-pitched" and "rain,wind" are two words each and nothing is glued together.
    Invisible format characters (zero-width, soft hyphen) are removed. Applying it twice changes nothing.

    Args:
        text: a caption as it was written.

    Returns:
        The normalised caption; empty when it had neither letter nor digit.

    Source: paper 004, section 3.1 (lower case, no punctuation); apostrophes and hyphens are our choice.

    Example:
        >>> normalise_caption("  A dog's high-pitched BARK, then   rain… ")
        'a dogs high pitched bark then rain'
    """
    lowered = unicodedata.normalize("NFC", text).lower()
    kept = "".join(map(_replacement, lowered))
    # a removed character may have stood between a letter and its accent: compose once more
    return " ".join(unicodedata.normalize("NFC", kept).split())


def words_of(text: str) -> list[str]:
    """Words of a caption, normalised.

    >>> words_of("Rain falls; a bell rings.")
    ['rain', 'falls', 'a', 'bell', 'rings']
    """
    return normalise_caption(text).split()


def _replacement(character: str) -> str:
    if character.isalnum():
        return character
    if character in _APOSTROPHES:
        return ""
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return " " if category[0] in "PSZ" or category == "Cc" else character
