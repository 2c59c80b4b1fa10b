"""FAULTS.md row 21: without a network the line comes at once, and says what to do."""

import socket
import threading
import time

import pytest

from atrkit.errors import NetworkError
from atrkit.network import TransferSettings, attempts

URL = "https://unresolvable.invalid/record/1/a.7z"


def assert_says_what_to_do(caught, download, url):
    message = str(caught.value)
    for words in ("the recordings (4,500 MB)", url, str(download.path), "ATRKIT_MIRROR", "is kept", "goes on"):
        assert words in message
    assert "\n" not in message and caught.value.exit_code == 6
    assert download.slept_s == download.remarks == []


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (URL, "the name unresolvable.invalid cannot be resolved"),
        (f"http://127.0.0.1:{closed_port()}/a.7z", "refuses connections"),
        (f"https://{'x' * 70}.example/a.7z", "cannot be resolved"),
    ],
    ids=["no such host", "closed port", "no host name"],  # not the port, which is another one in each process
)
def test_it_is_said_within_two_seconds(download, url, reason):
    started_s = time.monotonic()
    with pytest.raises(NetworkError, match=reason) as caught:
        download(url, size_bytes=4_500_000_000, settings=TransferSettings())
    assert time.monotonic() - started_s < 2
    assert_says_what_to_do(caught, download, url)


def test_a_silent_resolver_does_not_hold_it_up(download, monkeypatch):
    over = threading.Event()

    def look_up(*_, **__):
        over.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    started_s = time.monotonic()
    with pytest.raises(NetworkError, match=r"does not answer within 0\.1 s") as caught:
        download(URL, size_bytes=4_500_000_000, settings=TransferSettings(reach_timeout_s=0.1))
    over.set()
    assert time.monotonic() - started_s < 1
    assert_says_what_to_do(caught, download, URL)


def test_many_silent_addresses_share_the_time(download, monkeypatch):
    def connect(address, timeout):
        time_up = threading.Event()
        time_up.wait(10 * timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", connect)
    started_s = time.monotonic()
    with pytest.raises(NetworkError, match="does not answer"):
        download(URL, settings=TransferSettings(reach_timeout_s=0.05))
    assert time.monotonic() - started_s < 0.4


def test_an_unreachable_network_is_named(download, monkeypatch):
    def connect(address, timeout):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(NetworkError, match="cannot be reached: Network is unreachable"):
        download(URL)


def test_a_place_hint_is_said_in_place_of_the_path(download):
    with pytest.raises(NetworkError, match=r"or fetch it elsewhere and give it with --from DIR"):
        download(URL, place_hint="give it with --from DIR")


def test_a_server_that_only_the_client_cannot_reach_is_not_tried_again(server, download, monkeypatch):
    """A connection that fails after the probe, before any answer, is the same as none."""
    monkeypatch.setattr(attempts, "require_reachable", lambda url, timeout_s: None)
    with pytest.raises(NetworkError, match="refused"):
        download(f"http://127.0.0.1:{closed_port()}/a.7z")
    assert download.slept_s == []


def test_a_server_that_speaks_no_tls_is_not_tried_again(server, download):
    url = server.publish("/a.7z", download.content).replace("http://", "https://")
    with pytest.raises(NetworkError, match=r"SSL|EOF|WRONG_VERSION"):
        download(url)
    assert download.slept_s == []


def test_behind_a_proxy_the_proxy_is_reached_and_no_name_is_looked_up(make_server, download, monkeypatch):
    proxy = make_server()
    proxy.publish("http://unresolvable.invalid/a.7z", download.content)
    monkeypatch.setenv("http_proxy", proxy.url)
    download("http://unresolvable.invalid/a.7z", md5=download.md5)
    assert [request.path for request in proxy.requests] == ["http://unresolvable.invalid/a.7z"]


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_proxy_that_is_gone_is_named(download, monkeypatch, form):
    monkeypatch.setenv("http_proxy", form.format(closed_port()))
    with pytest.raises(NetworkError, match=r"the proxy 127\.0\.0\.1 refuses connections"):
        download("http://unresolvable.invalid/a.7z")
