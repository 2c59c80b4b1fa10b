"""FAULTS.md row 17: any number of workers gives the same bytes."""

import hashlib
from pathlib import Path

import pytest

from atrkit.workflows import encode_ahead

SHARED = Path(__file__).resolve().parents[3] / "shared"
MN04 = SHARED / "weights" / "mn04_as_mAP_432.pt"
needs_shared = pytest.mark.skipif(not MN04.is_file(), reason="../shared/weights is not there")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("logmel",), id="logmel"),
        pytest.param(("mn04", "--checkpoint", MN04), id="mn04", marks=needs_shared),
    ],
)
def test_extraction_gives_the_same_bytes_with_any_number_of_workers(tiny, monkeypatch, words):
    store = tiny.workspace / "embeddings" / "tiny" / f"{words[0]}.h5"
    digests = {}
    for workers in (1, 2, 4):
        monkeypatch.setattr(encode_ahead, "WORKERS", workers)
        tiny("extract", "--encoder", *words, "--overwrite")
        digests[workers] = hashlib.sha256(store.read_bytes()).hexdigest()
    assert len(set(digests.values())) == 1, digests


def test_rendering_gives_the_same_bytes_with_any_number_of_workers(tmp_path, atrkit_in):
    digests = {}
    for workers in (1, 2):
        command = atrkit_in(tmp_path / str(workers))
        command("download", "synthetic", "--clips", 30, "--workers", workers)
        folder = command.workspace / "data" / "synthetic"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        digests[workers] = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    assert digests[1] == digests[2]
    assert len(digests[1]) > 54
