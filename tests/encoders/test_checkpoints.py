"""Weights are found, fetched and checked; whatever goes wrong is one line that says the way out."""

import dataclasses
import hashlib
import pathlib
import time

import pytest

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import CheckpointSpec
from atrkit.encoders.checkpoints import Checkpoint, find_checkpoint
from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, ResourceError, UsageError
from atrkit.network import TransferSettings, transfer

CONTENT = bytes(range(256)) * 5000
SPEC = CheckpointSpec(
    name="mn00",
    url="https://example.invalid/releases/v1/mn00.pt",
    file_name="mn00.pt",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    licence="MIT",
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "checkpoints"


@pytest.fixture
def mirror(server, monkeypatch):
    """A server of the published file, and no waiting between attempts."""
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    monkeypatch.setattr(transfer, "DEFAULT_SETTINGS", TransferSettings(first_delay_s=0))
    server.publish("/releases/v1/mn00.pt", CONTENT)
    return server


def names_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_downloads_once_into_the_cache(cache, mirror):
    first = find_checkpoint(SPEC)
    again = find_checkpoint(SPEC)
    assert first.path == again.path == cache / "mn00.pt"
    assert first.path.read_bytes() == CONTENT and first.sha256 == again.sha256 == SPEC.sha256
    assert [request.path for request in mirror.requests] == ["/releases/v1/mn00.pt"]
    assert "downloaded mn00.pt (MIT)" in first.note and again.note is None
    assert names_in(cache) == ["mn00.pt"]


def test_a_download_with_another_hash_is_set_aside_and_the_next_run_fetches_again(cache, mirror):
    mirror.publish("/releases/v1/mn00.pt", CONTENT[:-1] + b"\0")
    with pytest.raises(
        IntegrityError, match=r"mn00\.pt is not the published file .* set aside as .*mn00\.pt\.rejected"
    ):
        find_checkpoint(SPEC)
    assert names_in(cache) == ["mn00.pt.rejected"]
    mirror.publish("/releases/v1/mn00.pt", CONTENT)
    assert find_checkpoint(SPEC).path.read_bytes() == CONTENT


def test_a_longer_file_than_the_published_is_not_taken(cache, mirror):
    mirror.publish("/releases/v1/mn00.pt", CONTENT + b"more")
    with pytest.raises(IntegrityError, match="--checkpoint FILE"):
        find_checkpoint(SPEC)
    assert names_in(cache) == []


def test_a_damaged_file_in_the_cache_is_set_aside_and_the_next_run_fetches_again(cache, mirror):
    cache.mkdir(parents=True)
    (cache / "mn00.pt").write_bytes(CONTENT[:-1])
    with pytest.raises(IntegrityError, match="run the same command again"):
        find_checkpoint(SPEC)
    assert mirror.requests == []
    assert find_checkpoint(SPEC).path.read_bytes() == CONTENT


def test_a_cut_download_goes_on_in_the_next_run(cache, mirror):
    faults = [mirror.cut(426_666), *[mirror.cut(0)] * TransferSettings().attempts]
    mirror.publish("/releases/v1/mn00.pt", CONTENT, faults=faults)
    with pytest.raises(NetworkError, match=r"the weights of encoder mn00 \(1\.3 MB\)"):
        find_checkpoint(SPEC)
    assert names_in(cache) == ["mn00.pt.part", "mn00.pt.part.json"]
    assert find_checkpoint(SPEC).path.read_bytes() == CONTENT
    assert mirror.requests[-1].range_start == 426_666


def test_a_refusal_of_the_server_is_named(cache, mirror):
    with pytest.raises(NetworkError, match="404"):
        find_checkpoint(dataclasses.replace(SPEC, url="https://example.invalid/elsewhere.pt"))


def test_without_a_network_it_says_at_once_what_is_needed_and_where_to_put_it(cache, monkeypatch):
    monkeypatch.setenv("ATRKIT_MIRROR", "http://127.0.0.1:9")  # the discard port: nobody listens
    started = time.monotonic()
    with pytest.raises(NetworkError) as caught:
        find_checkpoint(SPEC)
    assert time.monotonic() - started < 2
    message = str(caught.value)
    for part in (
        "the weights of encoder mn00 (1.3 MB)",
        "atrkit extract --encoder mn00 --checkpoint FILE",
        str(cache / "mn00.pt"),
    ):
        assert part in message
    assert "\n" not in message and caught.value.exit_code == 6


def test_a_mirror_that_is_no_address(cache, monkeypatch):
    monkeypatch.setenv("ATRKIT_MIRROR", "nowhere")
    with pytest.raises(UsageError, match="ATRKIT_MIRROR"):
        find_checkpoint(SPEC)


def test_a_cache_that_is_a_file(tmp_path, monkeypatch, mirror):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="cannot write"):
        find_checkpoint(SPEC)


def test_a_given_file_is_taken_and_said_to_be_another_one(tmp_path, cache):
    own = tmp_path / "own.pt"
    own.write_bytes(CONTENT)
    assert find_checkpoint(SPEC, own).note is None
    own.write_bytes(b"mine")
    found = find_checkpoint(SPEC, own)
    assert found.sha256 == hashlib.sha256(b"mine").hexdigest()
    assert f"own.pt is not the published mn00.pt: its sha256 is {found.sha256}" in found.note
    with pytest.raises(MissingPrerequisiteError):
        find_checkpoint(SPEC, tmp_path / "missing.pt")
    with pytest.raises(MissingPrerequisiteError):
        find_checkpoint(SPEC, tmp_path)


SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
STATED = {
    "whole sha256": {"sha256": SHA256},
    "first digits": {"sha256": SHA256[:8]},
    "md5": {"sha256": None, "md5": MD5},
    "both": {"sha256": SHA256, "md5": MD5},
}


def spec_with(**facts):
    return dataclasses.replace(SPEC, **{"size_bytes": None} | facts)


@pytest.mark.parametrize("stated", STATED)
def test_whatever_the_publisher_states_is_checked_on_download_and_in_the_cache(cache, mirror, stated):
    spec, wrong = spec_with(**STATED[stated]), CONTENT[:-1] + b"\0"
    mirror.publish("/releases/v1/mn00.pt", wrong)
    with pytest.raises(IntegrityError, match=r"not the published file .* --checkpoint FILE") as caught:
        find_checkpoint(spec)
    assert "\n" not in str(caught.value) and names_in(cache) == ["mn00.pt.rejected"]
    mirror.publish("/releases/v1/mn00.pt", CONTENT)
    assert find_checkpoint(spec).sha256 == SHA256
    assert find_checkpoint(spec) == Checkpoint(cache / "mn00.pt", SHA256, None, is_published=True)
    (cache / "mn00.pt").write_bytes(wrong)
    with pytest.raises(IntegrityError, match=r"expected, [0-9a-f]+ found"):
        find_checkpoint(spec)
    assert names_in(cache) == ["mn00.pt.rejected"]


@pytest.mark.parametrize("stated", STATED)
def test_whatever_the_publisher_states_tells_a_given_file_from_the_published(tmp_path, stated):
    spec, own = spec_with(**STATED[stated]), tmp_path / "own.pt"
    own.write_bytes(CONTENT)
    assert find_checkpoint(spec, own) == Checkpoint(own, SHA256, None, is_published=True)
    own.write_bytes(b"mine")
    assert "own.pt is not the published mn00.pt" in find_checkpoint(spec, own).note


def test_without_a_published_checksum_the_note_says_so_and_gives_ours(cache, mirror, tmp_path):
    spec, own = spec_with(sha256=None), tmp_path / "own.pt"
    own.write_bytes(b"mine")
    downloaded, cached, given = find_checkpoint(spec), find_checkpoint(spec), find_checkpoint(spec, own)
    assert downloaded.note.startswith("downloaded mn00.pt")
    for found in (downloaded, cached, given):
        assert f"no checksum of mn00.pt is published, so {found.path} is taken as it is" in found.note
        assert found.sha256 in found.note and found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()


def test_a_file_that_no_option_names_is_to_be_put_into_the_cache(cache, mirror):
    spec = spec_with(url="https://example.invalid/elsewhere.pt", option="")
    with pytest.raises(NetworkError, match=rf"fetch it elsewhere and put it at {cache / 'mn00.pt'}") as caught:
        find_checkpoint(spec)
    assert "--checkpoint" not in str(caught.value)


@pytest.mark.parametrize("stated", STATED)
def test_a_file_in_the_cache_is_read_once(cache, mirror, monkeypatch, stated):
    find_checkpoint(spec_with(**STATED[stated]))
    opened = []
    real_open = pathlib.Path.open
    monkeypatch.setattr(pathlib.Path, "open", lambda path, *mode: opened.append(path.name) or real_open(path, *mode))
    find_checkpoint(spec_with(**STATED[stated]))
    assert opened == ["mn00.pt"]


def test_progress_and_remarks_of_the_download_are_passed_on(cache, mirror):
    mirror.publish("/releases/v1/mn00.pt", CONTENT, faults=[mirror.cut(400_000), mirror.ignore_range()])
    progress, remarks = [], []
    find_checkpoint(SPEC, on_progress=lambda *there: progress.append(there), on_remark=remarks.append)
    assert progress[-1] == (len(CONTENT), len(CONTENT))
    assert len(remarks) >= 1 and all("\n" not in remark for remark in remarks)


def test_the_cache_is_in_the_home_folder_unless_said_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("ATRKIT_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "atrkit" / "checkpoints"
