"""Going on where an earlier attempt or call ended, and never mixing two versions of a file."""

import json

import pytest

from atrkit.errors import IntegrityError, NetworkError
from atrkit.network import Fetched

OTHER = bytes(range(255, -1, -1)) * 1500  # 384,000 bytes
DATE = "Mon, 05 Jan 2026 00:00:00 GMT"


@pytest.fixture
def leave_part(server, download):
    """Leave the first bytes of a version of /a.7z as a failed call does, and give the URL."""

    def leave(content=download.content, kept_bytes=200_000, **published):
        faults = [server.cut(kept_bytes), server.status(404)]
        url = server.publish("/a.7z", content, faults=faults, **published)
        with pytest.raises(NetworkError):
            download(url)
        assert download.part.read_bytes() == content[:kept_bytes]
        server.requests.clear()
        download.remarks.clear()
        download.progress.clear()
        return url

    return leave


def starts(server):
    return [request.range_start for request in server.requests]


def test_a_cut_transfer_goes_on_where_it_ended(server, download):
    url = server.publish("/a.7z", download.content, faults=[server.cut(100_000), server.cut(150_000)])
    assert download(url, sha256=download.sha256) == Fetched(download.path, 512_000, 0)
    assert starts(server) == [0, 100_000, 250_000] and download.remarks == []


def test_a_connection_that_is_reset_loses_only_what_was_not_read(server, download):
    faults = [server.cut(200_000, reset=True) for _ in range(5)]
    fetched = download(server.publish("/a.7z", download.content, faults=faults), sha256=download.sha256)
    assert fetched.transferred_bytes == 512_000


def test_a_later_call_asks_for_the_rest_only(server, download, leave_part):
    url = leave_part(etag='"one"')
    assert download(url) == Fetched(download.path, 312_000, 200_000)
    (request,) = server.requests
    assert (request.headers["Range"], request.headers["If-Range"]) == ("bytes=200000-", '"one"')
    assert (request.status, request.sent_bytes) == (206, 312_000)
    assert download.progress[0] == (200_000, 512_000)
    assert download.files() == {"a.7z": download.content}


def test_the_date_is_the_condition_where_there_is_no_etag(server, download, leave_part):
    download(leave_part(etag=None, last_modified=DATE))
    assert server.requests[0].headers["If-Range"] == DATE
    assert starts(server) == [200_000] and download.path.read_bytes() == download.content


def test_a_weak_etag_is_no_condition_and_is_compared_here(server, download, leave_part):
    url = leave_part(etag='W/"one"')
    download(url)
    assert "If-Range" not in server.requests[0].headers
    assert starts(server) == [200_000] and download.path.read_bytes() == download.content


def test_a_weak_etag_that_changed_starts_again(server, download, leave_part):
    leave_part(etag='W/"one"')
    download(server.publish("/a.7z", OTHER, etag='W/"two"'))
    assert starts(server) == [200_000, 0] and download.path.read_bytes() == OTHER
    assert len(download.remarks) == 1 and "the file changed on the server" in download.remarks[0]


def test_a_weak_etag_that_is_no_longer_sent_starts_again(server, download, leave_part):
    leave_part(etag='W/"one"')
    download(server.publish("/a.7z", OTHER + OTHER[:128_000], etag=None))
    assert download.path.read_bytes() == OTHER + OTHER[:128_000]


def test_the_date_decides_between_weak_etags(server, download, leave_part):
    leave_part(etag='W/"one"', last_modified=DATE)
    download(server.publish("/a.7z", download.content, etag='W/"one"', last_modified=DATE))
    assert server.requests[0].headers["If-Range"] == DATE and starts(server) == [200_000]


def test_a_strong_etag_is_preferred_to_the_date(server, download, leave_part):
    download(leave_part(etag='"one"', last_modified=DATE))
    assert server.requests[0].headers["If-Range"] == '"one"'


def test_without_a_validator_only_a_checksum_lets_it_go_on(server, download, leave_part):
    download(leave_part(etag=None), md5=download.md5)
    assert starts(server) == [200_000] and download.path.read_bytes() == download.content


def test_without_a_validator_and_a_checksum_it_starts_again(server, download, leave_part):
    leave_part(etag=None)
    url = server.publish("/a.7z", download.content[::-1], etag=None)  # of the same length
    assert download(url) == Fetched(download.path, 512_000, 0)
    assert starts(server) == [0] and download.path.read_bytes() == download.content[::-1]
    assert "gives no ETag or date" in download.remarks[0] and len(download.remarks) == 1


def test_a_changed_file_starts_again_with_one_remark(server, download, leave_part):
    leave_part(etag='"one"')
    fetched = download(server.publish("/a.7z", OTHER, etag='"two"'))
    assert fetched == Fetched(download.path, len(OTHER), 0)
    assert download.path.read_bytes() == OTHER and len(server.requests) == 1
    (remark,) = download.remarks
    assert remark == (
        "the recordings: the 0.2 MB that are there cannot be used (the file changed on the server); "
        "starting again from 0"
    )


def test_a_file_that_changes_under_way_is_never_mixed(server, download):
    faults = [server.cut(200_000), server.changed(OTHER, '"two"') | server.cut(100_000)]
    download(server.publish("/a.7z", download.content, faults=faults))
    assert download.path.read_bytes() == OTHER
    assert starts(server) == [0, 200_000, 100_000]


def test_a_server_that_ignores_the_condition_is_found_out(server, download, leave_part):
    leave_part(etag='"one"')
    url = server.publish("/a.7z", OTHER, etag='"two"', faults=[server.ignore_if_range()])
    download(url)
    assert starts(server) == [200_000, 0] and download.path.read_bytes() == OTHER


def test_the_same_with_a_date(server, download, leave_part):
    leave_part(etag=None, last_modified=DATE)
    later, changed = DATE.replace("2026", "2027"), download.content[::-1]
    download(server.publish("/a.7z", changed, etag=None, last_modified=later, faults=[server.ignore_if_range()]))
    assert starts(server) == [200_000, 0] and download.path.read_bytes() == changed


def test_a_proxy_that_weakens_the_etag_is_no_change(server, download, leave_part):
    leave_part(etag='"one"')
    download(server.publish("/a.7z", download.content, etag='"one"', faults=[server.headers(ETag='W/"one"')]))
    assert starts(server) == [200_000] and download.path.read_bytes() == download.content


def test_a_server_that_ignores_ranges_starts_again(server, download, leave_part):
    leave_part()
    url = server.publish("/a.7z", download.content, faults=[server.ignore_range()])
    assert download(url) == Fetched(download.path, 512_000, 0)
    assert download.path.read_bytes() == download.content
    assert len(download.remarks) == 1 and "the server does not resume" in download.remarks[0]
    assert download.progress[0] == (0, 512_000)


@pytest.mark.parametrize(
    "content_range",
    ["bytes 199999-511999/512000", "bytes 0-511999/512000", "bytes 200000-511999/512001", "lines 3-4/5", None],
)
def test_a_wrong_range_is_never_appended(server, download, leave_part, content_range):
    leave_part(etag='"one"')
    fault = server.headers(Content_Range=content_range)
    download(server.publish("/a.7z", download.content, etag='"one"', faults=[fault]))
    assert starts(server) == [200_000, 0] and download.path.read_bytes() == download.content
    assert len(download.remarks) == 1 and "starting again from 0" in download.remarks[0]


def test_a_range_of_unknown_total_goes_on(server, download, leave_part):
    leave_part(etag='"one"')
    fault = server.headers(Content_Range="bytes 200000-511999/*")
    download(server.publish("/a.7z", download.content, etag='"one"', faults=[fault]))
    assert starts(server) == [200_000] and download.path.read_bytes() == download.content


def test_a_range_that_is_shorter_than_asked_for_is_followed_by_the_next(server, download, leave_part):
    leave_part(etag='"one"')
    short = server.headers(Content_Range="bytes 200000-299999/512000", Content_Length="100000") | server.cut(100_000)
    download(server.publish("/a.7z", download.content, etag='"one"', faults=[short]))
    assert starts(server) == [200_000, 300_000] and download.path.read_bytes() == download.content


def test_a_part_that_is_whole_is_proven_without_a_request(server, download, leave_part):
    url = leave_part(etag='"one"')
    download.part.write_bytes(download.content)
    assert download(url, sha256=download.sha256) == Fetched(download.path, 0, 512_000)
    assert server.requests == [] and download.files() == {"a.7z": download.content}


def test_a_whole_part_of_unknown_length_is_recognised_by_416(server, download, leave_part):
    url = leave_part(etag='"one"')
    download.part.write_bytes(download.content)
    rewrite(download.sidecar, total_bytes=None)
    assert download(url).kept_bytes == 512_000
    assert [request.status for request in server.requests] == [416] and download.remarks == []
    assert download.path.read_bytes() == download.content


def test_a_416_about_something_else_starts_again_once(server, download, leave_part):
    leave_part(etag='"one"')
    faults = [server.status(416), server.cut(10_000)]
    download(server.publish("/a.7z", download.content, etag='"one"', faults=faults))
    assert starts(server) == [200_000, 0, 10_000] and download.path.read_bytes() == download.content
    assert len(download.remarks) == 1 and "no such range" in download.remarks[0]


def test_a_file_that_shrank_answers_416_and_starts_again(server, download, leave_part):
    leave_part(etag='"one"')
    download(server.publish("/a.7z", OTHER[:100_000], etag=None))
    assert download.path.read_bytes() == OTHER[:100_000]


def test_416_for_ever_ends(server, download, leave_part):
    leave_part()
    url = server.publish("/a.7z", download.content, faults=server.always(server.status(416)))
    with pytest.raises(NetworkError, match="416"):
        download(url)
    assert starts(server) == [200_000, 0] and download.part.stat().st_size == 200_000


def rewrite(sidecar, **values):
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | values))


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda sidecar: sidecar.unlink(), id="missing"),
        pytest.param(lambda sidecar: sidecar.write_text(""), id="empty"),
        pytest.param(lambda sidecar: sidecar.write_bytes(sidecar.read_bytes()[:-5]), id="cut"),
        pytest.param(lambda sidecar: sidecar.write_bytes(b"\xff\xfe\x00"), id="no text"),
        pytest.param(lambda sidecar: sidecar.write_text("[]"), id="a list"),
        pytest.param(lambda sidecar: sidecar.write_text("{}"), id="no url"),
        pytest.param(lambda sidecar: rewrite(sidecar, total_bytes="many"), id="total in words"),
        pytest.param(lambda sidecar: rewrite(sidecar, total_bytes=True), id="total true"),
        pytest.param(lambda sidecar: rewrite(sidecar, total_bytes=199_999), id="shorter than the part"),
        pytest.param(lambda sidecar: rewrite(sidecar, etag=5), id="etag a number"),
        pytest.param(lambda sidecar: rewrite(sidecar, url="http://127.0.0.1/elsewhere"), id="another url"),
        pytest.param(lambda sidecar: rewrite(sidecar, more=1), id="unknown key"),
    ],
)
def test_a_part_of_doubtful_origin_starts_again(server, download, leave_part, damage):
    url = leave_part()
    download.part.write_bytes(b"x" * 200_000)
    damage(download.sidecar)
    assert download(url) == Fetched(download.path, 512_000, 0)
    assert starts(server) == [0] and download.files() == {"a.7z": download.content}
    assert len(download.remarks) == 1


def test_a_sidecar_without_a_part_means_nothing(server, download, leave_part):
    url = leave_part()
    download.part.unlink()
    assert download(url).transferred_bytes == 512_000
    assert starts(server) == [0] and download.remarks == []


def test_a_part_that_was_just_emptied_is_no_beginning(server, download, leave_part):
    """A kill between emptying the part and describing the new version."""
    leave_part(etag='"one"')
    download.part.write_bytes(b"")
    download(server.publish("/a.7z", OTHER, etag='"two"'))
    assert starts(server) == [0] and download.path.read_bytes() == OTHER


def test_a_sidecar_left_beside_the_finished_file_goes(server, download):
    url = server.publish("/a.7z", download.content)
    download(url)
    download.sidecar.write_text("{}")
    download(url)
    assert list(download.files()) == ["a.7z"]


def test_a_damaged_part_is_found_by_the_checksum(server, download, leave_part):
    url = leave_part()
    download.part.write_bytes(b"x" * 200_000)
    with pytest.raises(IntegrityError):
        download(url, md5=download.md5)
    assert list(download.files()) == ["a.7z.rejected"]
    assert download(url, md5=download.md5).transferred_bytes == 512_000


def test_a_web_page_does_not_cost_the_part(server, download, leave_part):
    leave_part(etag='"one"')
    url = server.publish("/a.7z", download.content, etag='"one"', faults=[server.page()])
    with pytest.raises(NetworkError, match="web page"):
        download(url)
    assert download.part.read_bytes() == download.content[:200_000]
    assert download(url).kept_bytes == 200_000


def test_a_file_of_another_length_than_published_does_not_cost_the_part(server, download, leave_part):
    leave_part(etag='"one"')
    with pytest.raises(IntegrityError, match="512,000 bytes expected, 384,000 offered"):
        download(server.publish("/a.7z", OTHER, etag='"two"'), size_bytes=512_000)
    assert download.part.stat().st_size == 200_000


def test_an_offline_call_does_not_cost_the_part(server, download, leave_part, monkeypatch):
    url = leave_part()
    rewrite(download.sidecar, url="http://127.0.0.1:9/a.7z")
    with pytest.raises(NetworkError, match=r"what was received \(0\.2 MB\) is kept"):
        download("http://127.0.0.1:9/a.7z")
    rewrite(download.sidecar, url=url)
    assert download(url).kept_bytes == 200_000
