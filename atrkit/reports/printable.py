"""Texts of others on a terminal: nothing in them moves the cursor or turns the direction of writing."""

import unicodedata

LONGEST_ECHO = 100
_KEPT = frozenset("\u200c\u200d")  # they join letters of some scripts, and parts of one emoji
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""A text with what is not seen written out.

    >>> print(printable("rain\u202egnp.wav"), printable("a\x1b[2Jb"), printable("日本語 🌧"))
    rain\u202egnp.wav a\x1b[2Jb 日本語 🌧
    """
    return "".join(map(_seen, text))


def echoed(text: str) -> str:
    """What somebody typed, as an answer repeats it: shortened, and printable.

    >>> echoed("rain"), len(echoed("rain " * 400))
    ('rain', 100)
    """
    return printable(text if len(text) <= LONGEST_ECHO else f"{text[: LONGEST_ECHO - 1]}…")


def _seen(character: str) -> str:
    if character in _KEPT or unicodedata.category(character) not in _ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
