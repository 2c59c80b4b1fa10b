"""Where a server listens, what it is called, and who else may use its port."""

import ipaddress
import socket

import pytest

from atrkit.errors import UsageError
from atrkit.workflows import serve
from atrkit.workflows.serve import ServeOptions, open_socket, urls_of
from tests.serve.world import serving

TOKEN = "a-token-of-24-characters"


def test_a_port_is_taken_before_the_model_is_read():
    with open_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} is in use"):
            open_socket("127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass  # it waits for the server, and is not refused


def test_two_that_bind_a_port_at_the_same_moment_do_not_both_get_it(monkeypatch):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]

        class SlowSocket(socket.socket):
            def listen(self, backlog: int = 0) -> None:
                other.listen()
                super().listen(backlog)

        monkeypatch.setattr(serve.socket, "socket", SlowSocket)
        with pytest.raises(UsageError, match=f"port {port} is in use.*--port 0"):
            open_socket("127.0.0.1", port)


@pytest.fixture
def names(monkeypatch):
    """This computer is called `nas`."""
    monkeypatch.setattr(socket, "gethostname", lambda: "Nas")
    monkeypatch.setattr(socket, "getfqdn", lambda: "nas.example.org")


def test_in_a_network_it_answers_to_its_addresses_and_names_and_to_no_others(tmp_path, names):
    with serving(tmp_path, ServeOptions(port=0, host="0.0.0.0", token=TOKEN)) as served:
        for host in ("nas", "NAS:8765", "nas.local", "nas.example.org", "10.1.2.3", "192.168.0.7:80", "[fe80::1]:80"):
            for path in ("/", "/api/about"):
                assert served.ask(path, host=host, authorization=f"Bearer {TOKEN}").status == 200, host
            assert served.ask("/api/about", host=host).status == 401, host
        for host in ("evil.example", "nas.evil.example", "local", "xnas.local", "10.1.2.3.evil.example", "2130706433"):
            assert served.ask("/api/about", host=host, authorization=f"Bearer {TOKEN}").status == 400, host


def test_to_this_computer_only_no_other_name_or_address_leads(served, names):
    for host in ("nas", "nas.local", "10.1.2.3"):
        assert served.ask("/api/about", host=host).status == 400


def test_others_are_told_a_name_and_an_address(names):
    name, *addresses = urls_of("0.0.0.0", 8765)
    assert name == "http://Nas:8765/"
    for address in addresses:  # none where this computer is in no network
        assert ipaddress.ip_address(address.removeprefix("http://").removesuffix(":8765/")).version == 4
    assert urls_of("10.1.2.3", 80) == ["http://10.1.2.3:80/"]


def test_a_computer_without_a_network_is_told_its_name_only(names, monkeypatch):
    def unreachable(*_):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(serve.socket, "socket", unreachable)
    assert urls_of("0.0.0.0", 8765) == ["http://Nas:8765/"] == urls_of("::", 8765)
