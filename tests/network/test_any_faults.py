"""Whatever happens on the way, what is given its name in the end is the file."""

import contextlib
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atrkit.errors import IntegrityError, NetworkError
from atrkit.network import TransferSettings, fetch

VERSIONS = [bytes([number]) * 3000 + bytes(range(256)) * 20 + b"end" * number for number in range(3)]
FAULTS = ["ok", "cut", "reset", "stall", "mute", "hang_up", "chunked", "chunked_cut", "circle", "extra", "page", "lie"]
FAULTS += ["404", "416", "429", "500", "503", "ignore_range", "ignore_if_range", "wrong_start", "wrong_total"]
FAULTS += ["no_etag", "weak_etag", "version_0", "version_1", "version_2"]
# an answer that says of itself that it is whole, or the same as before: only a checksum tells
LIES = ("lie", "page", "extra", "weak_etag")


def fault_named(server, name, after_bytes):
    match name:
        case "cut":
            return server.cut(after_bytes)
        case "reset":
            return server.cut(after_bytes, reset=True)
        case "stall":
            return server.stall(after_bytes)
        case "ok" | "mute" | "hang_up" | "chunked" | "page":
            return getattr(server, name)()
        case "404" | "416" | "429" | "500" | "503":
            return server.status(int(name), retry_after="1")
        case "ignore_range" | "ignore_if_range":
            return getattr(server, name)() | server.cut(after_bytes)
        case "wrong_start":
            return server.headers(Content_Range=f"bytes {after_bytes}-8119/8120")
        case "wrong_total":
            return server.headers(Content_Range="bytes 0-1/2")
        case "no_etag":
            return server.headers(ETag=None) | server.cut(after_bytes)
        case "weak_etag":
            return server.headers(ETag='W/"weak"') | server.cut(after_bytes)
        case "lie":
            return server.headers(Content_Length=str(after_bytes))
        case "extra":
            return server.extra(b"more") | server.cut(after_bytes)
        case "chunked_cut":
            return server.chunked() | server.cut(after_bytes)
        case "circle":
            return server.redirect("/a.7z")
        case _:
            number = int(name.removeprefix("version_"))
            return server.changed(VERSIONS[number], f'"{number}"') | server.cut(after_bytes)


@pytest.mark.parametrize("has_checksum", [True, False], ids=["checksum", "no checksum"])
def test_any_faults_then_a_good_server_end_in_the_right_bytes(server, tmp_path_factory, has_checksum):
    quick = TransferSettings(read_timeout_s=0.03, chunk_bytes=500, attempts=3)
    content = VERSIONS[0]
    names = [name for name in FAULTS if has_checksum or name not in LIES]

    @given(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 9000)), max_size=6))
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def check(plan):
        path = tmp_path_factory.mktemp("any") / "a.7z"
        faults = [fault_named(server, name, after_bytes) for name, after_bytes in plan]
        url = server.publish("/a.7z", content, etag='"0"', faults=[*faults, server.changed(content, '"0"')])
        sha256 = hashlib.sha256(content).hexdigest() if has_checksum else None
        for _ in range(2 * len(plan) + 3):
            assert not path.exists()
            with contextlib.suppress(NetworkError, IntegrityError):
                fetch(url, path, what="it", sha256=sha256, settings=quick, sleep=lambda delay_s: None)
                break
        assert path.read_bytes() in ([content] if has_checksum else VERSIONS)

    check()
