"""Byte ranges, against the bytes themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.serve.ranges import UnsatisfiableRangeError, requested_range

CONTENT = bytes(range(100))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", CONTENT),
        ("bytes=0-0", CONTENT[:1]),
        ("bytes=10-19", CONTENT[10:20]),
        ("bytes=90-1000", CONTENT[90:]),
        ("bytes=-7", CONTENT[-7:]),
        ("bytes=-1000", CONTENT),
        ("BYTES = 5-6", CONTENT[5:7]),
    ],
)
def test_a_range_is_that_part(header, expected):
    start, stop = requested_range(header, len(CONTENT))
    assert CONTENT[start:stop] == expected


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=1-2,4-5", "rain=0-1", "bytes=+1-2"],
)
def test_what_is_malformed_or_several_is_the_whole(header):
    assert requested_range(header, len(CONTENT)) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={10**18}-"])
def test_nothing_of_it_is_there(header):
    with pytest.raises(UnsatisfiableRangeError):
        requested_range(header, len(CONTENT))


@given(st.text(alphabet="bytes=-,0123456789 ٣²", max_size=30), st.integers(0, 200))
def test_whatever_comes_a_range_lies_in_the_file(header, size):
    try:
        part = requested_range(header, size)
    except UnsatisfiableRangeError:
        return
    assert part is None or 0 <= part[0] < part[1] <= size
