"""One file, from nothing to its place: what is asked, what is proven, what is said."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import atrkit
from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, ResourceError, UsageError
from atrkit.files import single_writer
from atrkit.network import Fetched, attempts, fetch


def test_a_file_arrives_and_is_not_asked_for_again(server, download):
    url = server.publish("/a.7z", download.content)
    size = len(download.content)
    assert download(url, sha256=download.sha256, md5=download.md5) == Fetched(download.path, size, 0)
    assert download(url, sha256=download.sha256, md5=download.md5) == Fetched(download.path, 0, size)
    assert download.files() == {"a.7z": download.content}
    assert download.remarks == download.slept_s == []
    (request,) = server.requests
    assert request.headers["User-Agent"] == f"atrkit/{atrkit.__version__}"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Range" not in request.headers


def test_a_file_that_is_there_is_enough_where_no_checksum_is_known(server, download):
    download.path.parent.mkdir()
    download.path.write_bytes(b"by hand")
    assert download(server.publish("/a.7z", download.content)).kept_bytes == 7
    assert server.requests == []


def test_a_file_that_is_there_is_read_without_writing_beside_it(server, download):
    download.path.parent.mkdir()
    download.path.write_bytes(download.content)
    before = download.path.parent.stat().st_mtime_ns
    download(server.publish("/a.7z", b""), md5=download.md5)
    assert download.path.parent.stat().st_mtime_ns == before


@pytest.mark.parametrize("proof", [{"md5": "0" * 32}, {"sha256": "0" * 64}, {"size_bytes": 5}])
def test_a_wrong_file_that_is_there_is_set_aside_and_the_next_run_fetches(server, download, proof):
    url = server.publish("/a.7z", download.content)
    download.path.parent.mkdir()
    download.path.write_bytes(b"garbage")
    with pytest.raises(IntegrityError, match="run the same command again"):
        download(url, **proof)
    assert server.requests == [] and download.files() == {"a.7z.rejected": b"garbage"}
    download(url, sha256=download.sha256)
    assert download.path.read_bytes() == download.content


def test_an_upper_case_checksum_is_the_same_checksum(server, download):
    download(server.publish("/a.7z", download.content), md5=download.md5.upper())


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_a_transfer_with_another_checksum_is_set_aside_saying_both(server, download, name):
    other = {"md5": "d" * 32, "sha256": "d" * 64}[name]
    url = server.publish("/a.7z", download.content)
    with pytest.raises(IntegrityError) as caught:
        download(url, **{name: other})
    message = str(caught.value)
    for words in (other, getattr(download, name), str(download.rejected), "fetch it anew", "a.7z is not the published"):
        assert words in message
    assert caught.value.exit_code == 5 and "HTML" not in message
    assert download.files() == {"a.7z.rejected": download.content}
    download(url, **{name: getattr(download, name)})
    assert server.requests[-1].range_start == 0 and download.path.read_bytes() == download.content


def test_both_checksums_must_agree(server, download):
    with pytest.raises(IntegrityError, match="md5"):
        download(server.publish("/a.7z", download.content), sha256=download.sha256, md5="0" * 32)


def test_a_web_page_in_place_of_the_file_is_called_one(server, download):
    url = server.publish("/a.7z", download.content, faults=[server.page(b"\n <!DOCTYPE HTML><p>Log in")])
    with pytest.raises(IntegrityError, match="web page"):
        download(url, md5=download.md5)
    assert download.rejected.read_bytes().endswith(b"Log in") and not download.path.exists()


def test_a_file_of_another_length_than_published_is_not_even_taken(server, download):
    url = server.publish("/a.7z", server.noise(100_000_000))
    with pytest.raises(IntegrityError, match="512,000 bytes expected, 100,000,000 offered") as caught:
        download(url, size_bytes=512_000)
    assert "HTML" not in str(caught.value) and download.files() == {}
    url = server.publish("/a.7z", download.content, faults=[server.page()])
    with pytest.raises(IntegrityError, match=r"54 offered; it is a web page"):
        download(url, size_bytes=512_000)


def test_progress_starts_at_what_is_there_and_ends_at_the_whole(server, download):
    download(server.publish("/a.7z", download.content))
    size = len(download.content)
    assert download.progress == [(done, size) for done in range(0, size, download.chunk_bytes)] + [(size, size)]


def test_an_empty_file(server, download):
    assert download(server.publish("/a.7z", b"")).transferred_bytes == 0
    assert download.path.read_bytes() == b""


@pytest.mark.parametrize("known", [{}, {"size_bytes": 512_000}, {"md5": True}])
def test_a_server_that_makes_the_file_as_it_goes(server, download, known):
    known = {"md5": download.md5} if "md5" in known else known
    download(server.publish("/a.7z", download.content, faults=[server.chunked()]), **known)
    assert download.files() == {"a.7z": download.content}
    assert download.progress[0] == (0, known.get("size_bytes"))


def test_a_length_that_nobody_states_is_trusted_only_under_proof(server, download):
    url = server.publish("/a.7z", download.content, faults=server.always(server.unframed()))
    with pytest.raises(NetworkError, match="a cut transfer would look complete"):
        download(url)
    assert download.files() == {}
    download(url, md5=download.md5)
    assert download.path.read_bytes() == download.content


@pytest.mark.parametrize("framing", ["chunked", "unframed"])
def test_more_bytes_than_published_are_refused_as_soon_as_they_come(server, download, framing):
    too_long = server.noise(50_000_000)
    url = server.publish("/a.7z", too_long, faults=[getattr(server, framing)()])
    with pytest.raises(IntegrityError, match="512,000 bytes were promised and more came"):
        download(url, size_bytes=512_000)
    assert download.rejected.stat().st_size <= 512_000 and not download.path.exists()


def test_more_bytes_than_a_range_has_are_refused(server, download):
    faults = [server.cut(100_000), server.extra(b"more")]
    with pytest.raises(IntegrityError, match="512,000 bytes were promised and more came"):
        download(server.publish("/a.7z", download.content, faults=faults))
    assert list(download.files()) == ["a.7z.rejected"]


def test_a_compressed_answer_is_taken_only_under_proof(server, download):
    fault = server.headers(Content_Encoding="gzip")
    url = server.publish("/a.7z", download.content, faults=server.always(fault))
    with pytest.raises(NetworkError, match=r"compressed \(gzip\)"):
        download(url)
    download(url, sha256=download.sha256)
    assert download.path.read_bytes() == download.content  # as they came, never decoded


def test_redirects_are_followed_and_resumed_through(make_server, server, download):
    files = make_server()
    target = files.publish("/real/a.7z", download.content, faults=[files.cut(200_000)])
    faults = [server.redirect(target, 301), server.redirect(target, 307)]
    download(server.publish("/a.7z", b"", faults=faults))
    assert download.path.read_bytes() == download.content
    assert [request.range_start for request in files.requests] == [0, 200_000]


def test_a_relative_redirect(server, download):
    server.publish("/b.7z", download.content)
    download(server.publish("/a.7z", b"", faults=[server.redirect("b.7z", 303)]))
    assert download.path.read_bytes() == download.content


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a.7z", "data:,x"])
def test_a_redirect_to_another_scheme_is_refused(server, download, target):
    with pytest.raises(NetworkError, match="not safe to follow"):
        download(server.publish("/a.7z", b"", faults=server.always(server.redirect(target))))
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(server, download):
    with pytest.raises(NetworkError, match="more than 10 redirects"):
        download(server.publish("/a.7z", b"", faults=server.always(server.redirect("/a.7z"))))
    assert len(server.requests) == 10


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_other_schemes_than_http_are_no_addresses(download, url):
    with pytest.raises(NetworkError, match="no http or https address"):
        download(url)
    assert not download.path.exists() and download.slept_s == []


def test_two_processes_do_not_write_one_part(server, download):
    url = server.publish("/a.7z", download.content)
    with single_writer(download.path), pytest.raises(MissingPrerequisiteError, match=f"process {os.getpid()}"):
        download(url)
    assert server.requests == []


def test_no_room_is_said_before_anything_is_written(server, download, monkeypatch):
    asked = []

    def no_room(folder, needed_bytes, what):
        asked.append((folder, needed_bytes, what))
        raise ResourceError("no room")

    url = server.publish("/a.7z", download.content, faults=[server.cut(300_000)])
    with monkeypatch.context() as patch:
        patch.setattr(attempts, "require_free_space", no_room)
        with pytest.raises(ResourceError):
            download(url)
    assert asked == [(download.path.parent, 512_000, "downloading the recordings")]
    assert download.files() == {}


def test_only_the_rest_needs_room(server, download, monkeypatch):
    asked = []
    monkeypatch.setattr(attempts, "require_free_space", lambda folder, needed_bytes, what: asked.append(needed_bytes))
    download(server.publish("/a.7z", download.content, faults=[server.cut(300_000)]))
    assert asked[-1] == 512_000 - 300_000


def test_a_disk_that_fills_up_keeps_what_fits(server, download):
    url = server.publish("/a.7z", download.content)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_001, limits[1]))
    try:
        with pytest.raises(ResourceError, match=r"a\.7z\.part: the file-size limit is reached"):
            download(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert download.part.read_bytes() == download.content[:200_001]
    assert download(url) == Fetched(download.path, 311_999, 200_001)


def test_a_place_that_cannot_be_written(server, tmp_path, download):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ResourceError, match="cannot write"):
        download(server.publish("/a.7z", download.content))


def test_the_sidecar_says_what_the_part_is_of(server, download):
    url = server.publish("/a.7z", download.content, etag='"one"', last_modified="Mon, 05 Jan 2026 00:00:00 GMT",
                         faults=[server.cut(50_000), server.status(404)])  # fmt: skip
    with pytest.raises(NetworkError):
        download(url)
    assert json.loads(download.sidecar.read_text()) == {
        "url": url, "etag": '"one"', "last_modified": "Mon, 05 Jan 2026 00:00:00 GMT", "total_bytes": 512_000,
    }  # fmt: skip


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_transfer_goes_on(server, download, interruption):
    url = server.publish("/a.7z", download.content)

    def interrupt(done_bytes, total_bytes):
        if done_bytes > 200_000:
            raise interruption

    with pytest.raises(interruption):
        fetch(url, download.path, what="it", on_progress=interrupt, settings=download.settings)
    kept_bytes = download.part.stat().st_size
    assert kept_bytes > 200_000 and download.part.read_bytes() == download.content[:kept_bytes]
    assert download(url).kept_bytes == kept_bytes
    assert server.requests[-1].range_start == kept_bytes and download.path.read_bytes() == download.content


GROWTH = """
import resource, sys
from pathlib import Path
from atrkit.network import fetch

def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

fetch(sys.argv[1] + "/small", Path("small"), what="it")
before_kb = peak_kb()
fetch(sys.argv[1] + "/large", Path("large"), what="it", sha256=sys.argv[2])
print(peak_kb() - before_kb)
"""


def test_memory_does_not_grow_with_the_file(server, tmp_path):
    large = server.noise(40_000_000)
    server.publish("/small", b"x" * 100_000)
    server.publish("/large", large)
    environment = os.environ | {"PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    command = [sys.executable, "-c", GROWTH, server.url, large.sha256()]
    child = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(child.stdout) < 8_000


def test_a_mirror_takes_the_place_of_the_server(server, download, monkeypatch):
    server.publish("/record/1/files/a.7z", download.content)
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    download("https://zenodo.org/record/1/files/a.7z?download=1", md5=download.md5)
    assert [request.path for request in server.requests] == ["/record/1/files/a.7z"]


def test_a_mirror_that_is_no_address(download, monkeypatch):
    monkeypatch.setenv("ATRKIT_MIRROR", "nowhere")
    with pytest.raises(UsageError, match="ATRKIT_MIRROR"):
        download("https://zenodo.org/a.7z")
