"""One request and its answer: redirects followed, bytes as they are, every failure with its kind."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError, NewConnectionError

from atrkit import __version__
from atrkit.network.failures import Interrupted, Refused, Unreachable
from atrkit.network.settings import TransferSettings

_HEADERS = {"User-Agent": f"atrkit/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_MOST_REDIRECTS = 10
_SCHEMES = ("http", "https")


def get(url: str, headers: Mapping[str, str], settings: TransferSettings) -> "Answer":
    """Ask for `url` and return once the headers of the answer are there.

    Args:
        url: http or https.
        headers: besides our own.
        settings: its timeouts.

    Returns:
        The answer, of any status that is no redirect; close it.

    Raises:
        Unreachable: no connection was made.
        Interrupted: the connection was lost, or the server is silent.
        Refused: the address or a redirect leads nowhere we go.
    """
    session = requests.Session()
    try:
        for _ in range(_MOST_REDIRECTS):
            response = _send(session, url, headers, settings)
            target = session.get_redirect_target(response)
            if target is None:
                return Answer(session, response)
            response.close()
            url = redirected(url, target)
        raise Refused(f"more than {_MOST_REDIRECTS} redirects")
    except BaseException:
        session.close()
        raise


def require_address(url: str) -> None:
    """Refuse what is no address of a file on a web server.

    Raises:
        Refused: another scheme than http and https, or no host.
    """
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not is_address:
        raise Refused("this is no http or https address")


def redirected(url: str, target: str) -> str:
    """Where a redirect leads, if we go there: from https never to http, and never to anything but these two.

    >>> redirected("https://zenodo.org/record/1/a.7z", "/records/1/a.7z")
    'https://zenodo.org/records/1/a.7z'

    Raises:
        Refused: we do not go there.
    """
    new_url = urljoin(url, target)
    scheme = urlsplit(new_url).scheme
    if scheme not in _SCHEMES or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise Refused(f"it redirects to {new_url}, which is not safe to follow")
    return new_url


def _send(session: requests.Session, url: str, headers: Mapping[str, str], settings: TransferSettings) -> Any:
    try:
        return session.get(
            url,
            headers={**_HEADERS, **headers},
            stream=True,
            allow_redirects=False,
            timeout=(settings.connect_timeout_s, settings.read_timeout_s),
        )
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise Refused(f"{url} is no address") from error
    except requests.exceptions.ReadTimeout as error:
        raise Interrupted(f"no answer within {settings.read_timeout_s:g} s") from error
    except requests.RequestException as error:
        if _was_never_connected(error):
            raise Unreachable(_in_words(error)) from error
        raise Interrupted(f"the connection was lost before an answer came: {_in_words(error)}") from error


def _was_never_connected(error: requests.RequestException) -> bool:
    kinds = (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.SSLError)
    return isinstance(error, kinds) or isinstance(getattr(_cause(error), "reason", None), NewConnectionError)


def _cause(error: requests.RequestException) -> Any:
    return error.args[0] if error.args else error


def _in_words(error: requests.RequestException) -> str:
    cause = _cause(error)
    return " ".join(str(getattr(cause, "reason", cause)).split())


class Answer:
    """What a server said, and the bytes that follow.

    Args:
        session: its connection.
        response: of `requests`, its body not yet read.
    """

    def __init__(self, session: requests.Session, response: Any) -> None:
        self._session = session
        self._response = response
        headers = response.headers
        self.status: int = response.status_code
        self.reason: str = response.reason or ""
        self.etag: str | None = headers.get("ETag")
        self.last_modified: str | None = headers.get("Last-Modified")
        self.is_chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self.is_web_page = headers.get("Content-Type", "").lower().startswith("text/html")
        self.encoding: str = headers.get("Content-Encoding", "").lower().replace("identity", "")
        self.length_bytes = None if self.is_chunked else _as_count(headers.get("Content-Length"))
        self.range_start, self.range_total = parse_content_range(headers.get("Content-Range"))
        self.retry_after_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._response.close()
        self._session.close()

    def read(self, count_bytes: int) -> bytes:
        """The next bytes of the body as they came, at most so many; none at its end.

        Raises:
            Interrupted: the connection was cut or is silent.
        """
        try:
            return bytes(self._response.raw.read(count_bytes, decode_content=False))
        except (HTTPError, OSError) as error:
            raise Interrupted(f"the connection was cut ({_cut_in_words(error)})") from error


def _cut_in_words(error: Exception) -> str:
    return "silence" if "timed out" in str(error) else type(error).__name__


def _as_count(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() else None


def parse_content_range(value: str | None) -> tuple[int | None, int | None]:
    """First byte and total length of a Content-Range, each None where it is not said.

    >>> parse_content_range("bytes 100-199/1000"), parse_content_range("bytes 5-9/*"), parse_content_range("bytes */7")
    ((100, 1000), (5, None), (None, 7))
    >>> parse_content_range("lines 1-2/3"), parse_content_range(None)
    ((None, None), (None, None))
    """
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", (value or "").strip(), re.ASCII | re.IGNORECASE)
    return (_as_count(match[1]), _as_count(match[2])) if match else (None, None)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for, written as a number or as a date; None where it says nothing.

    >>> retry_after_s("7", datetime(2026, 1, 1, tzinfo=UTC))
    7.0
    >>> retry_after_s("Thu, 01 Jan 2026 00:01:00 GMT", datetime(2026, 1, 1, tzinfo=UTC))
    60.0
    """
    if value is None:
        return None
    if (seconds := _as_count(value.strip())) is not None:
        return float(seconds)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
