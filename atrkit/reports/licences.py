"""Short names of licences that recordings state as links."""

import re

_CREATIVE_COMMONS = re.compile(r"https?://creativecommons\.org/licenses/([a-z+-]+)/([0-9.]+)/?")
_CC0 = re.compile(r"https?://creativecommons\.org/publicdomain/zero/([0-9.]+)/?")


def short_licence(link: str) -> str:
    """The usual name of a Creative Commons licence; anything else stays as it is.

    >>> short_licence("http://creativecommons.org/licenses/by-nc/3.0/")
    'CC BY-NC 3.0'
    >>> short_licence("http://creativecommons.org/publicdomain/zero/1.0/")
    'CC0 1.0'
    >>> short_licence("http://creativecommons.org/licenses/sampling+/1.0/")
    'CC Sampling+ 1.0'
    >>> short_licence("not stated")
    'not stated'
    """
    if match := _CC0.fullmatch(link):
        return f"CC0 {match[1]}"
    if match := _CREATIVE_COMMONS.fullmatch(link):
        name = match[1].capitalize() if match[1].startswith("sampling") else match[1].upper()
        return f"CC {name} {match[2]}"
    return link
