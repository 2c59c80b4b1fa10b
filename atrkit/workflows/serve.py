"""`atrkit serve`: the search page on an address of its own, for as long as it is wanted."""

import errno
import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atrkit.errors import MissingPrerequisiteError, ResourceError, UsageError
from atrkit.serve.application import build_application
from atrkit.serve.guard import HEADERS, App, Rules
from atrkit.serve.interface import INSTALL_COMMAND
from atrkit.workflows.live_search import LiveSearch
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    import uvicorn

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8765
SHORTEST_TOKEN = 16
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_CONNECTIONS = 200
_BACKLOG = 128


@dataclass(frozen=True)
class ServeOptions:
    """What is asked for.

    Args:
        index: by name; None: the newest.
        port: 0: any that is free.
        host: name or address of this computer to listen at.
        token: that everybody must show; needed for any host but this computer itself.
    """

    index: str | None = None
    port: int = DEFAULT_PORT
    host: str = LOOPBACK
    token: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would let anybody in."""
        if self.token is None:
            if not _is_loopback(self.host):
                raise UsageError(
                    f"--host {self.host}: everybody who can reach this computer could listen to the sounds: "
                    f"add a token that only you know, such as --token {secrets.token_urlsafe(SHORTEST_TOKEN)}"
                )
            return
        is_plain = self.token.isascii() and all(letter.isalnum() or letter in "-_.~" for letter in self.token)
        if len(self.token) < SHORTEST_TOKEN or not is_plain:
            raise UsageError(
                f"--token: at least {SHORTEST_TOKEN} letters, digits, or any of - _ . ~, such as "
                f"{secrets.token_urlsafe(SHORTEST_TOKEN)}"
            )


def serve(session: Session, options: ServeOptions, tell: Callable[[list[str], dict[str, Any]], None]) -> None:
    """Answer until the process is interrupted.

    Args:
        session: where to speak.
        options: what is asked for.
        tell: given the addresses, and what is served as JSON, when the server can be asked.

    Raises:
        UsageError: the port is in use, the host is not of this computer, or no index has that name.
        MissingPrerequisiteError: FastAPI, the index or its model is not there; says the command.
        IntegrityError: the index or its model is damaged.
        ResourceError: the system does not let this user listen there.
        KeyboardInterrupt, TerminatedError: it was ended.
    """
    require_libraries()
    with open_socket(options.host, options.port) as listening:  # before the model is read, which takes its time
        searches = LiveSearch(session, options.index)
        port = listening.getsockname()[1]
        app = build_application(searches, rules_for(options), session.say)
        server = make_server(app)
        urls = urls_of(options.host, port)
        tell(urls, {"url": urls[0], "urls": urls, "host": options.host, "port": port, **searches.about()})
        server.run(sockets=[listening])


def require_libraries() -> None:
    """See that the extra is installed, before anything is opened.

    Raises:
        MissingPrerequisiteError: it is not; says the command.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingPrerequisiteError(f"atrkit serve needs FastAPI and uvicorn: {INSTALL_COMMAND}") from error


def make_server(app: App) -> "uvicorn.Server":
    """A server that is quiet, bounded, and ends at once when it is asked to."""
    import uvicorn

    from atrkit.serve.connections import Connection

    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        headers=list(HEADERS),
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=0,
    )
    return uvicorn.Server(config)


def rules_for(options: ServeOptions) -> Rules:
    """Which names the server goes by: of this computer's own addresses all, and of names those it is known by."""
    host = options.host.lower()
    if _is_loopback(host):
        return Rules(_LOCAL_NAMES | {host}, token=options.token)
    name = socket.gethostname().lower()
    known = {host, name, socket.getfqdn().lower(), name.partition(".")[0] + ".local"}  # the last by multicast DNS
    return Rules(_LOCAL_NAMES | known, any_address=True, token=options.token)


def open_socket(host: str, port: int) -> socket.socket:
    """Take a port; who connects from here on waits for the server, and no other one can take it any more.

    Raises:
        UsageError: it is in use, or the host is not of this computer; says the way out.
        ResourceError: this user may not take it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        opened = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: no address of this computer has that name") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(_BACKLOG)  # two may bind, as long as neither listens
    except OSError as error:
        opened.close()
        match error.errno:
            case errno.EADDRINUSE:
                raise UsageError(
                    f"port {port} is in use, perhaps by another atrkit serve: take another one, such as "
                    f"--port {port + 1 if port < 65535 else port - 1}, or any that is free with --port 0"
                ) from error
            case errno.EADDRNOTAVAIL:
                raise UsageError(f"--host {host}: that is no address of this computer") from error
            case _:
                raise ResourceError(
                    f"port {port} cannot be taken: {error.strerror or error}; take one above 1023, or --port 0"
                ) from error
    return opened


def urls_of(host: str, port: int) -> list[str]:
    """What to open in a browser; without the token, as output ends up in logs.

    Where all addresses of this computer are listened at: by its name, and by an address, as others often do not know
    the name.

    >>> urls_of("127.0.0.1", 8765), urls_of("::1", 80)
    (['http://127.0.0.1:8765/'], ['http://[::1]:80/'])
    """
    names = [host]
    if host in ("0.0.0.0", "::"):
        address = _address_towards_others(socket.AF_INET6 if ":" in host else socket.AF_INET)
        names = [socket.gethostname(), *([address] if address else [])]
    return [f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/" for name in names]


def _address_towards_others(family: socket.AddressFamily) -> str | None:
    """The address that this computer would send from; nothing is sent. None: it is connected to no network."""
    documentation = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # addresses that nobody has
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((documentation, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def _is_loopback(host: str) -> bool:
    """Whether only this computer can reach a host: an address of it, or the name that is reserved for it.

    >>> [_is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
