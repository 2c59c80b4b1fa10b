"""What a user is told to do about files that changed depends on whose they are."""

from pathlib import Path

import pytest

from atrkit.datasets.manifest import Dataset
from atrkit.datasets.verify import Change, Verification
from atrkit.errors import IntegrityError
from atrkit.workflows.info import refuse_changes

CLOTHO = {"source": {"name": "Clotho", "version": "v2.1", "record": "https://example.org"}}


@pytest.mark.parametrize(
    ("name", "about", "changed", "way_out"),
    [
        ("clotho", CLOTHO, "a.wav", "delete those that changed, then run: atrkit download clotho --version v2.1"),
        ("mine", CLOTHO, "a.wav", "then run: atrkit download clotho --version v2.1 --name mine"),
        ("clotho", CLOTHO, "qrels/x.tsv", "then run: atrkit download clotho --version v2.1 --relevance PATH"),
        ("synthetic", {"source": {"generator": "ours"}}, "a.wav", "then run: atrkit download synthetic"),
        (
            "clotho",
            {**CLOTHO, "copy": "/my disk/clotho"},
            "a.wav",
            "put back what they were, or describe them anew: atrkit download clotho --version v2.1 "
            "--from '/my disk/clotho'",
        ),
        (
            "tapes",
            {"source": "/tapes"},
            "a.wav",
            "put back what they were, or describe them anew: atrkit import DIR_OR_CSV --name tapes",
        ),
    ],
)
def test_the_way_out(name, about, changed, way_out):
    dataset = Dataset(name, (), Path(name), about)
    with pytest.raises(IntegrityError) as raised:
        refuse_changes(dataset, Verification(1234, 0, (Change(Path(name, changed), "changed"),)))
    assert str(raised.value).startswith(f"1 of 1,234 files are not as the manifest of {name} says: ")
    assert str(raised.value).endswith(way_out)


def test_a_whole_dataset_is_no_error():
    refuse_changes(Dataset("tapes", (), Path("tapes")), Verification(3, 10, ()))
