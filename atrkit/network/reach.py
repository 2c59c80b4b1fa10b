"""Whether a server can be reached at all, answered within a fixed time."""

import socket
import threading
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

import requests

from atrkit.network.failures import Unreachable

_PORTS = {"http": 80, "https": 443}


def require_reachable(url: str, timeout_s: float) -> None:
    """Connect to the server of `url`, or to the proxy that leads there, and hang up.

    An HTTP client cannot promise this: its timeout holds for each address of a host, and not for the look-up of the
    name, which takes ten seconds and more on a machine whose resolver is silent.

    Args:
        url: what will be fetched.
        timeout_s: for look-up and connection together, whatever the number of addresses.

    Raises:
        Unreachable: with the reason.
    """
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1080)
    outcome: SimpleQueue[Exception | None] = SimpleQueue()
    threading.Thread(target=_connect, args=(host, port, timeout_s, outcome), daemon=True).start()
    try:
        error = outcome.get(timeout=timeout_s)
    except Empty:
        error = TimeoutError()
    if error is not None:
        server = f"the proxy {host}" if proxy else host
        raise Unreachable(_in_words(error, server, port, timeout_s)) from error


def _connect(host: str, port: int, timeout_s: float, outcome: "SimpleQueue[Exception | None]") -> None:
    try:
        socket.create_connection((host, port), timeout_s).close()
    except (OSError, UnicodeError) as error:  # UnicodeError: a host name that cannot be one
        outcome.put(error)
    else:
        outcome.put(None)


def _in_words(error: Exception, server: str, port: int, timeout_s: float) -> str:
    match error:
        case socket.gaierror() | UnicodeError():
            return f"the name {server} cannot be resolved"
        case ConnectionRefusedError():
            return f"{server} refuses connections on port {port}"
        case TimeoutError():
            return f"{server} does not answer within {timeout_s:g} s"
        case _:
            return f"{server} cannot be reached: {getattr(error, 'strerror', None) or error}"
