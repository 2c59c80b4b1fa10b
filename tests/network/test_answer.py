"""What an answer says, read without a server."""

import pytest

from atrkit.network.answer import parse_content_range, redirected
from atrkit.network.failures import Refused


def test_https_is_never_left_for_http():
    assert redirected("https://a.example/x", "https://b.example/y") == "https://b.example/y"
    assert redirected("http://a.example/x", "https://b.example/y") == "https://b.example/y"
    with pytest.raises(Refused, match="not safe"):
        redirected("https://a.example/x", "http://a.example/x")


@pytest.mark.parametrize("value", ["bytes 1-2", "bytes a-b/c", "bytes 1-2/-3", "bytes=1-2/3", "", "bytes ٣-٤/٥"])
def test_a_content_range_that_says_nothing(value):
    assert parse_content_range(value) == (None, None)
