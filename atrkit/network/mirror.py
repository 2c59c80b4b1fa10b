"""Another server in place of the publisher's, for people behind proxies, on closed networks, and in tests."""

import os
from urllib.parse import urlsplit

from atrkit.errors import UsageError

MIRROR_VARIABLE = "ATRKIT_MIRROR"


def mirrored(url: str) -> str:
    """Where to ask for `url`: there, or at the same path below `$ATRKIT_MIRROR`.

    The query is dropped, because a mirror is a folder of files. An address that is below the mirror already stays, so
    that asking twice changes nothing.

    Args:
        url: of the publisher.

    Returns:
        The address to fetch from.

    Raises:
        UsageError: the variable holds no http or https address.
    """
    mirror = os.environ.get(MIRROR_VARIABLE, "").strip()
    if not mirror:
        return url
    if not _is_server(mirror):
        raise UsageError(
            f"{MIRROR_VARIABLE} is {mirror!r}, which is no address of a server: "
            "write it as http://host or https://host/folder, or unset it"
        )
    folder = mirror.rstrip("/")
    return url if url.startswith(folder + "/") else folder + urlsplit(url).path


def _is_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or an unclosed bracket
        return False
