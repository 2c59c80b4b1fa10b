"""What a user is told to do about files that changed depends on whose they are."""

from pathlib import Path

import pytest

from atrkit.datasets.manifest import Dataset
from atrkit.datasets.verify import Change, Verification
from atrkit.errors import IntegrityError
from atrkit.workflows.info import refuse_changes

CLOTHO = {"source": {"name": "Clotho", "version": "v2.1", "record": "https://example.org"}}
FROM_DISK = {**CLOTHO, "copies": ["/my disk/clotho"]}
AUDIOCAPS = {
    "source": {"name": "AudioCaps", "version": "v1"},
    "subsets": ["test"],
    "pool": {"name": "957", "option": "957", "source": "Mei et al.", "clips": 957},
}
SYNTHETIC = {"source": {"generator": "ours", "seed": 3, "sizes": {"dev": 60}}}


def message(name, about, changes, folder=None) -> str:
    folder = folder or Path("data", name)
    changed = tuple(Change(folder / path, what) for path, what in changes)
    with pytest.raises(IntegrityError) as raised:
        refuse_changes(Dataset(name, (), folder, about), Verification(11861, 0, changed))
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "about", "changes", "way_out"),
    [
        (
            "clotho",
            CLOTHO,
            {"a.wav": "changed"},
            "delete the 1 changed file below data/clotho, then run: atrkit download clotho --version v2.1",
        ),
        (
            "mine",
            CLOTHO,
            {"a.wav": "changed", "b.wav": "unreadable"},
            "delete the 2 changed or unreadable files below data/mine, then run: "
            "atrkit download clotho --version v2.1 --name mine",
        ),
        ("clotho", CLOTHO, {"a.wav": "missing"}, "run: atrkit download clotho --version v2.1"),
        (
            "clotho",
            CLOTHO,
            {"a.wav": "missing", "qrels/x.tsv": "changed"},
            "delete the 1 changed file below data/clotho, then run: "
            "atrkit download clotho --version v2.1 --relevance PATH",
        ),
        (
            "clotho",
            FROM_DISK,
            {"/my disk/clotho/a.wav": "missing"},
            "put back the 1 that is yours, or describe them anew: atrkit download clotho --version v2.1",
        ),
        (
            "clotho",
            FROM_DISK,
            {"audio_32000Hz/a.flac": "changed", "../../b.wav": "changed", "/my disk/clotho/c.wav": "missing"},
            "delete the 1 changed file below data/clotho and put back the 2 that are yours, then run: "
            "atrkit download clotho --version v2.1",
        ),
        (
            "clotho",
            FROM_DISK,
            {"audio_32000Hz/a.flac": "missing", "/my disk/clotho/c.wav": "missing"},
            "put back the 1 that is yours, then run: atrkit download clotho --version v2.1",
        ),
        (
            "audiocaps",
            AUDIOCAPS,
            {"a.flac": "changed"},
            "delete the 1 changed file below data/audiocaps, then run: "
            "atrkit download audiocaps --version v1 --subset test --pool 957",
        ),
        (
            "synthetic",
            SYNTHETIC,
            {"a.wav": "changed"},
            "render it again: atrkit download synthetic --clips 60 --seed 3",
        ),
        (
            "tapes",
            {"source": "/tapes"},
            {"/tapes/a.wav": "changed", "qrels/x.tsv": "changed"},
            "put back what they were, or describe them anew: atrkit import DIR_OR_CSV --name tapes",
        ),
    ],
)
def test_the_way_out(name, about, changes, way_out):
    said, _, found = message(name, about, changes.items()).partition(" says: ")
    assert found == way_out
    are = "is" if len(changes) == 1 else "are"
    assert said == f"{len(changes)} of 11,861 files {are} not as the manifest of {name}"


def test_files_of_yours_that_went_with_their_folder_may_be_on_a_disk_that_is_not_there(tmp_path):
    gone, here = tmp_path / "my disk" / "clotho", tmp_path / "b.wav"
    changes = [(gone / f"development/{k}.wav", "missing") for k in range(1500)]
    said = message("clotho", FROM_DISK, changes, tmp_path / "clotho")
    question = "is the disk mounted, was it moved?"
    assert f"put back the 1,500 that are yours (all below {tmp_path / 'my disk'}: {question}), or describe" in said
    said = message("tapes", {"source": "/tapes"}, [*changes, (here, "missing")], tmp_path / "tapes")
    assert f"put back what they were (1,500 below {tmp_path / 'my disk'}: {question}), or describe" in said
    assert question not in message("clotho", FROM_DISK, changes[:20], tmp_path / "clotho")


def test_a_whole_dataset_is_no_error():
    refuse_changes(Dataset("tapes", (), Path("tapes")), Verification(3, 10, ()))
