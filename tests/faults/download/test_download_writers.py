"""FAULTS.md row 11: two downloads at once, and reading a dataset while it is downloaded."""

import re

import pytest

from atrkit.datasets.manifest import load_dataset

CLOTHO = ("download", "clotho", "--subset", "val", "--workers", "1")
AUDIOCAPS = ("download", "audiocaps", "--subset", "val", "--workers", "1")
RECEIVED_BYTES = 20_000
WHO = r"is being written by process (\d+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: wait for it to end, or stop it"


@pytest.fixture
def downloading(zenodo, start_atrkit, wait_until, tmp_path):
    """A download of Clotho in the workspace `ws` that has received a part of its archive, and waits for more."""
    zenodo.publish("val", "audio_archive", faults=[zenodo.server.stall(RECEIVED_BYTES)])
    child = start_atrkit(*CLOTHO, workspace=tmp_path / "ws")
    assert wait_until(lambda: any(r.sent_bytes >= RECEIVED_BYTES for r in zenodo.server.requests), child)
    return child


@pytest.fixture
def workspace(atrkit_in, tmp_path):
    return atrkit_in(tmp_path / "ws")


def test_a_second_download_of_the_same_dataset_is_told_who_writes_it(downloading, workspace, zenodo):
    requests = len(zenodo.server.requests)
    for words in (CLOTHO, ("download", "clotho", "--drop-original"), ("download", "audiocaps", "--name", "clotho")):
        message = workspace.error(*words, code=3)
        assert str(workspace.workspace / "data" / "clotho") in message
        assert int(re.search(WHO, message)[1]) == downloading.pid
    assert len(zenodo.server.requests) == requests, "nothing was fetched"

    downloading.kill()
    downloading.communicate()
    workspace(*CLOTHO)  # the lock went with the process


def test_clotho_and_audiocaps_at_once(downloading, workspace, serve_audiocaps, tools):
    serve_audiocaps(3)
    workspace(*AUDIOCAPS)
    assert len(load_dataset(workspace.workspace / "data" / "audiocaps").clips) == 3
    assert downloading.poll() is None
    downloading.kill()
    downloading.communicate()
    workspace(*CLOTHO)
    assert len(load_dataset(workspace.workspace / "data" / "clotho").clips) == 2


def test_a_dataset_can_be_read_while_more_of_it_is_downloaded(zenodo, workspace, start_atrkit, wait_until):
    workspace("download", "clotho", "--subset", "eval", "--workers", "1")
    before = workspace("info", "clotho", "--verify", "--json").stdout
    zenodo.publish("val", "audio_archive", faults=[zenodo.server.stall(RECEIVED_BYTES)])
    zenodo.server.requests.clear()
    child = start_atrkit(*CLOTHO, workspace=workspace.workspace)
    assert wait_until(lambda: any(r.sent_bytes >= RECEIVED_BYTES for r in zenodo.server.requests), child)
    assert workspace("info", "clotho", "--verify", "--json").stdout == before
    assert child.poll() is None


def test_a_dataset_that_is_not_finished_is_no_dataset(downloading, workspace):
    message = workspace.error("info", "clotho", code=3)
    assert "no dataset 'clotho'" in message and "atrkit download clotho" in message
    assert workspace.error("info", code=3).startswith("atrkit: no dataset in ")


@pytest.mark.faults
def test_ten_rounds_of_two_downloads_at_once(zenodo, start_atrkit, atrkit_in, files_below, tmp_path):
    """Started together: one makes the dataset, the other is refused or finds it made; never a mixture."""
    atrkit_in(tmp_path / "alone")(*CLOTHO)
    expected, refused = files_below(tmp_path / "alone"), 0
    for number in range(10):
        workspace = tmp_path / str(number)
        children = [start_atrkit(*CLOTHO, workspace=workspace) for _ in range(2)]
        said = [child.communicate(timeout=120)[1] for child in children]
        codes = [child.returncode for child in children]
        assert sorted(codes) in ([0, 0], [0, 3]), (codes, said)
        if 3 in codes:
            refused += 1
            assert "is being written by" in said[codes.index(3)]
        assert files_below(workspace) == expected
    print(
        f"\ntwo downloads at once, 10 rounds: the same {len(expected)} files each time; one was refused {refused} times"
    )
