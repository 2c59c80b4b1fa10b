"""Trying again: when, how long after, and when to give up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from atrkit.errors import NetworkError
from atrkit.network import TransferSettings

ATTEMPTS = TransferSettings().attempts


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(server, download, status):
    download(server.publish("/a.7z", download.content, faults=[server.status(status)]))
    assert download.path.read_bytes() == download.content
    assert download.slept_s == [1.0] and len(server.requests) == 2
    (remark,) = download.remarks
    assert f"the server answers {status}" in remark and "trying again in 1 s (attempt 2 of 6)" in remark


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 451, 204, 206, 304])
def test_what_will_not_change_is_said_at_once(server, download, status):
    url = server.publish("/a.7z", download.content, faults=server.always(server.status(status)))
    with pytest.raises(NetworkError, match=f"the server answers {status}") as caught:
        download(url, size_bytes=512_000)
    assert len(server.requests) == 1 and download.slept_s == [] and download.files() == {}
    message = str(caught.value)
    for words in (
        url,
        "the recordings (0.5 MB)",
        f"put it at {download.path}",
        "ATRKIT_MIRROR name a server that has it under the same path",
        "is kept",
        "goes on",
    ):
        assert words in message
    assert "\n" not in message and caught.value.exit_code == 6


def test_delays_double_and_it_gives_up(server, download):
    url = server.publish("/a.7z", download.content, faults=server.always(server.status(500)))
    with pytest.raises(
        NetworkError, match="6 attempts in a row brought nothing new, the last one: the server answers 500"
    ):
        download(url)
    assert download.slept_s == [1, 2, 4, 8, 16] and len(server.requests) == ATTEMPTS
    assert len(download.remarks) == 5


def test_delays_have_a_limit(server, download):
    url = server.publish("/a.7z", download.content, faults=server.always(server.status(500)))
    with pytest.raises(NetworkError):
        download(url, settings=replace(download.settings, longest_delay_s=3))
    assert download.slept_s == [1, 2, 3, 3, 3]


def test_jitter_takes_up_to_half_of_a_delay(server, download):
    draws = iter([0.0, 0.5])
    url = server.publish("/a.7z", download.content, faults=[server.status(500), server.status(500)])
    download(url, settings=replace(download.settings, jitter=lambda: next(draws)))
    assert download.slept_s == [0.5, 1.5]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "waited_s"), [("7", 7), ("0", 0), ("100000", 120), ("soon", 1), ("-5", 1)])
def test_retry_after_in_seconds(server, download, status, asked, waited_s):
    download(server.publish("/a.7z", download.content, faults=[server.status(status, retry_after=asked)]))
    assert download.slept_s == [waited_s]


@pytest.mark.parametrize(("from_now_s", "low", "high"), [(60, 50, 60), (-60, 0, 0), (3600, 120, 120)])
def test_retry_after_as_a_date(server, download, from_now_s, low, high):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=from_now_s), usegmt=True)
    download(server.publish("/a.7z", download.content, faults=[server.status(503, retry_after=date)]))
    (waited_s,) = download.slept_s
    assert low <= waited_s <= high


def test_retry_after_of_other_answers_is_not_heeded(server, download):
    download(server.publish("/a.7z", download.content, faults=[server.status(500, retry_after="100")]))
    assert download.slept_s == [1]


def test_a_transfer_that_moves_on_may_be_cut_any_number_of_times(server, download):
    cuts = [server.cut(20_000) for _ in range(25)]
    download(server.publish("/a.7z", download.content, faults=cuts), sha256=download.sha256)
    assert len(server.requests) == 26 > ATTEMPTS
    assert sum(request.sent_bytes for request in server.requests) == 512_000
    assert download.slept_s == [1] * 25 and download.remarks == []


def test_attempts_count_anew_after_each_step_forward(server, download):
    bad = [server.status(503)] * (ATTEMPTS - 1)
    faults = [*bad, server.cut(20_000), *bad, server.cut(20_000), *bad]
    download(server.publish("/a.7z", download.content, faults=faults))
    assert download.path.read_bytes() == download.content


def test_cuts_at_one_place_give_up_and_keep_the_part(server, download):
    faults = [server.cut(20_000), *[server.cut(0)] * ATTEMPTS]
    url = server.publish("/a.7z", download.content, faults=faults)
    with pytest.raises(NetworkError, match=r"the connection .*what was received \(20\.0 kB\) is kept"):
        download(url)
    assert len(server.requests) == 1 + ATTEMPTS
    assert download.part.read_bytes() == download.content[:20_000]
    assert download(url).kept_bytes == 20_000


def test_a_server_that_ignores_ranges_and_cuts_ends(server, download):
    fault = server.ignore_range() | server.cut(400_000)
    url = server.publish("/a.7z", download.content, faults=server.always(fault))
    with pytest.raises(NetworkError, match="the server does not resume"):
        download(url)
    assert len(server.requests) == ATTEMPTS + 2 and download.part.stat().st_size == 400_000


def test_a_stall_is_a_cut(server, download):
    download(server.publish("/a.7z", download.content, faults=[server.stall(100_000)]))
    second = server.requests[1]
    assert 100_000 - download.chunk_bytes <= second.range_start <= 100_000
    assert download.path.read_bytes() == download.content


def test_a_stall_without_a_byte_is_named(server, download):
    url = server.publish("/a.7z", download.content, faults=[server.stall(0), server.mute(), server.hang_up()])
    download(url)
    assert "silence" in download.remarks[0] and "no answer within 0.1 s" in download.remarks[1]
    assert "the connection was lost before an answer came" in download.remarks[2]
    assert download.slept_s == [1, 2, 4]


def test_a_cut_in_chunks_is_never_success(server, download):
    faults = [server.chunked() | server.cut(100_000), server.chunked() | server.cut(100_000)]
    download(server.publish("/a.7z", download.content, faults=faults))
    assert download.path.read_bytes() == download.content


def test_the_end_of_a_connection_is_a_cut_where_only_the_published_length_tells(server, download):
    fault = server.unframed() | server.cut(100_000)
    download(server.publish("/a.7z", download.content, faults=[fault]), size_bytes=512_000)
    assert [request.range_start for request in server.requests] == [0, 100_000]
    assert download.path.read_bytes() == download.content and download.slept_s == [1]


def test_a_length_that_is_never_reached_is_a_cut(server, download):
    lie = server.headers(Content_Length="600000")
    url = server.publish("/a.7z", download.content, etag=None, faults=server.always(lie))
    with pytest.raises(NetworkError, match="does not resume"):
        download(url)
    assert not download.path.exists()


def test_a_server_that_goes_away_under_way_is_waited_for(server, download):
    url = server.publish("/a.7z", download.content, faults=[server.cut(100_000)])

    def sleep(delay_s):
        download.slept_s.append(delay_s)
        server.stop()

    with pytest.raises(NetworkError, match="6 attempts in a row brought nothing new"):
        download(url, sleep=sleep)
    assert download.slept_s == [1, 1, 2, 4, 8, 16] and download.part.stat().st_size == 100_000
