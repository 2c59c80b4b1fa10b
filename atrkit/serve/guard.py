"""Who may ask, and how much: stands before everything else that the server does."""

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from atrkit.serve.sound_files import BrokenOffError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_UPLOAD_BYTES = 100_000_000  # 2 minutes of 96 kHz in stereo with 24 bits are 69 MB
LONGEST_QUERY_BYTES = 8192
_METHODS = frozenset({"GET", "HEAD", "POST"})

# nothing but what this server gives, and sounds that the page was handed by its reader
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# of every answer, those that uvicorn makes by itself included
HEADERS = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
)


@dataclass(frozen=True)
class Rules:
    """Whom the server answers.

    Args:
        names: that it may be called by, in lower case and without port: a page of another name that points here (DNS
            rebinding) is refused.
        any_address: it may also be called by any IP address: a name is what rebinding needs.
        token: that everybody must show; None: the server is for this computer only.
    """

    names: frozenset[str]
    any_address: bool = False
    token: str | None = None

    def allows_host(self, host: str) -> bool:
        """Whether a Host header names this server.

        >>> rules = Rules(frozenset({"127.0.0.1", "localhost"}))
        >>> [rules.allows_host(host) for host in ("127.0.0.1:8765", "LOCALHOST", "evil.example:8765")]
        [True, True, False]
        """
        name = name_in_host(host)
        if name is None:
            return False
        return name in self.names or (self.any_address and _is_address(name))

    def allows_token(self, shown: str) -> bool:
        """Whether a token is the right one, in a time that does not depend on how much of it is."""
        expected = hashlib.sha256((self.token or "").encode()).digest()
        return hmac.compare_digest(hashlib.sha256(shown.encode(errors="replace")).digest(), expected)


def name_in_host(host: str) -> str | None:
    """The name in a Host header, without port and brackets; None: it is malformed.

    >>> name_in_host("[::1]:80"), name_in_host("LocalHost:80"), name_in_host("a@b"), name_in_host("x:y")
    ('::1', 'localhost', None, None)
    """
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        if not bracket or not _is_address(name) or (port and not port.startswith(":")):
            return None
        port = port[1:]
    else:
        name, _, port = host.partition(":")
    is_plain = name and name.isascii() and all(letter.isalnum() or letter in "-._:" for letter in name)
    return name.lower() if is_plain and (not port or (port.isascii() and port.isdigit())) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Refusal:
    status: int
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """Lets through to an application what the rules allow.

    Args:
        app: that answers.
        rules: whom.
        say: takes one line for each error that nobody expected.
    """

    def __init__(self, app: App, rules: Rules, say: Callable[[str], None]) -> None:
        self._app, self._rules, self._say = app, rules, say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            return
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            try:
                await self._app(scope, receive, send_and_note)
                return
            except BrokenOffError as error:
                self._say(str(error))
                raise  # uvicorn ends the connection, and so the browser sees that what came is not whole
            except Exception as error:
                self._say(f"this is a bug in atrkit, please report it: {type(error).__name__}: {error}")
                if has_started:
                    raise
                refusal = _Refusal(500, "something went wrong: the terminal of atrkit serve says what")
        await _refuse(refusal, scope, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._rules.allows_host(hosts[0]):
            return _Refusal(400, "this server is not called that: open the address that atrkit serve printed")
        if scope["method"] not in _METHODS:
            return _Refusal(405, "only GET, HEAD and POST are answered", ((b"allow", b"GET, HEAD, POST"),))
        if len(scope["query_string"]) > LONGEST_QUERY_BYTES:
            return _Refusal(414, "the address is too long")
        lengths = [value for name, value in headers if name == b"content-length"]
        if lengths and any(name == b"transfer-encoding" for name, _ in headers):
            return _Refusal(400, "a body has a length or is in chunks, not both", ((b"connection", b"close"),))
        if any(not value.isdigit() or int(value[:20]) > LARGEST_UPLOAD_BYTES for value in lengths):
            return too_large()
        origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
        if any(origin.partition("://")[2].lower() != hosts[0].lower() for origin in origins):
            return _Refusal(403, "pages of other sites may not search here")
        return None if self._rules.token is None else self._refusal_without_token(scope, headers, hosts[0])

    def _refusal_without_token(self, scope: Scope, headers: list[tuple[bytes, bytes]], host: str) -> _Refusal | None:
        shown, cookie_name = [], _cookie_name(host)
        for name, value in headers:
            text = value.decode("latin-1")
            if name == b"authorization" and text[:7].lower() == "bearer ":
                shown.append(text[7:].strip())
            elif name == b"cookie":
                shown += _values_in_cookie(text, cookie_name)
        if any(self._rules.allows_token(token) for token in shown):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        in_address = [value for name, value in query if name == "token"]
        if scope["path"] == "/" and len(in_address) == 1 and self._rules.allows_token(in_address[0]):
            # the token leaves the address, so that it is neither bookmarked nor shared nor in the history
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            cookie = f"{cookie_name}={self._rules.token}; HttpOnly; SameSite=Lax; Path=/"
            return _Refusal(
                303, "", ((b"location", f"/?{rest}".rstrip("?").encode()), (b"set-cookie", cookie.encode()))
            )
        message = "this server wants its token: open its first page with ?token= and the token behind the address"
        return _Refusal(401, message, ((b"www-authenticate", b"Bearer"),))


def too_large() -> _Refusal:
    """The answer to an upload over the limit; what is on its way is not read."""
    megabytes = LARGEST_UPLOAD_BYTES // 1_000_000
    return _Refusal(413, f"a sound to search by has at most {megabytes} MB", ((b"connection", b"close"),))


def _cookie_name(host: str) -> str:
    """One for each port: browsers send the cookies of a host to all of its ports, and two servers would share one.

    >>> _cookie_name("nas:8765"), _cookie_name("[::1]:80"), _cookie_name("nas")
    ('atrkit_token_8765', 'atrkit_token_80', 'atrkit_token_80')
    """
    _, _, port = host.rpartition("]")[2].partition(":")
    return f"atrkit_token_{port or 80}"


def _values_in_cookie(header: str, name: str) -> list[str]:
    """What a cookie of that name says, whatever those of others look like.

    >>> _values_in_cookie('theme={"a":1}; weird[x]=1; key=7', "key")
    ['7']
    """
    pairs = (pair.partition("=") for pair in header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


async def _refuse(refusal: _Refusal, scope: Scope, send: Send) -> None:
    is_api = scope["path"].startswith("/api/")
    body = (json.dumps({"error": refusal.message}) if is_api else refusal.message + "\n").encode()
    kind = b"application/json" if is_api else b"text/plain; charset=utf-8"
    about = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": refusal.status, "headers": [*about, *refusal.headers]})
    await send({"type": "http.response.body", "body": body})
