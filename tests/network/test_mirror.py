"""ATRKIT_MIRROR: another server, the same paths."""

import pytest

from atrkit.errors import UsageError
from atrkit.network import MIRROR_VARIABLE, mirrored

URL = "https://zenodo.org/record/3490684/files/a.7z?download=1#top"


@pytest.mark.parametrize(
    ("mirror", "expected"),
    [
        (None, URL),
        ("", URL),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/record/3490684/files/a.7z"),
        ("https://lab.example/mirror/", "https://lab.example/mirror/record/3490684/files/a.7z"),
    ],
)
def test_the_path_is_kept(monkeypatch, mirror, expected):
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    if mirror is not None:
        monkeypatch.setenv(MIRROR_VARIABLE, mirror)
    assert mirrored(URL) == expected
    assert mirrored(mirrored(URL)) == expected


@pytest.mark.parametrize(
    "mirror", ["nowhere", "lab.example/mirror", "ftp://x", "file:///data", "http://", "http://x:y"]
)
def test_what_is_no_server_names_the_variable(monkeypatch, mirror):
    monkeypatch.setenv(MIRROR_VARIABLE, mirror)
    with pytest.raises(UsageError, match="ATRKIT_MIRROR") as caught:
        mirrored(URL)
    assert repr(mirror) in str(caught.value) and "\n" not in str(caught.value)
