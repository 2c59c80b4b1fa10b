"""The command that an error names makes the same dataset again, not one of the same name."""

import pytest

from atrkit.datasets.commands import command_that_makes


def clotho(version: str = "v2.1", **about) -> dict:
    return {"source": {"name": "Clotho", "version": version, "record": "https://example.org"}, **about}


def audiocaps(version: str = "v1", **about) -> dict:
    return {"source": {"name": "AudioCaps", "version": version, "record": "https://example.org"}, **about}


@pytest.mark.parametrize(
    ("name", "about", "command"),
    [
        ("clotho", None, "download clotho"),
        ("clotho", clotho(), "download clotho --version v2.1"),
        ("clotho", clotho(subsets=["dev", "val", "eval"]), "download clotho --version v2.1"),
        ("clotho", clotho("v1", subsets=["dev", "eval"]), "download clotho --version v1"),
        ("clotho", clotho(subsets=["dev", "eval"]), "download clotho --version v2.1 --subset dev,eval"),
        ("mine", clotho("v2", subsets=["val"]), "download clotho --version v2 --name mine --subset val"),
        ("audiocaps", audiocaps(subsets=["train", "val", "test"]), "download audiocaps --version v1"),
        ("audiocaps", audiocaps(subsets=["val", "test"]), "download audiocaps --version v1 --subset val,test"),
    ],
)
def test_version_name_and_subsets(name, about, command):
    assert command_that_makes(name, about) == f"atrkit {command}"


@pytest.mark.parametrize(
    ("pool", "option"),
    [
        ({"name": "957", "option": "957", "source": "Mei et al.", "clips": 957}, " --pool 957"),
        ({"name": "mine", "option": "/my lists/mine.txt"}, " --pool '/my lists/mine.txt'"),
        ({"name": "912"}, " --pool 912"),
        (None, ""),
    ],
)
def test_the_pool_is_named_as_it_is_typed(pool, option):
    assert command_that_makes("audiocaps", audiocaps(pool=pool)) == f"atrkit download audiocaps --version v1{option}"


@pytest.mark.parametrize(
    ("audio", "option"),
    [
        ({"copies_hz": 32000}, ""),
        ({}, ""),
        ({"copies_hz": 44100}, " --sample-rate 44100"),
        ({"copies_hz": None}, " --sample-rate 0"),
    ],
)
def test_the_rate_of_the_copies_is_named_unless_it_is_the_usual_one(audio, option):
    assert command_that_makes("clotho", clotho(audio=audio)) == f"atrkit download clotho --version v2.1{option}"


@pytest.mark.parametrize(
    ("clips", "seed", "options"),
    [(1200, 0, ""), (60, 0, " --clips 60"), (1200, 3, " --seed 3"), (60, 3, " --clips 60 --seed 3")],
)
def test_a_rendered_dataset_is_that_of_its_size_and_seed(clips, seed, options):
    source = {"generator": "ours", "seed": seed, "sizes": {"dev": clips, "val": 12, "eval": 12}}
    assert command_that_makes("synthetic", {"source": source}) == f"atrkit download synthetic{options}"


def test_recordings_of_ones_own_are_imported_whatever_they_are_called():
    assert command_that_makes("tapes") == "atrkit import DIR_OR_CSV --name tapes"
    assert command_that_makes("my tapes", {"source": "/tapes"}) == "atrkit import DIR_OR_CSV --name 'my tapes'"
    assert command_that_makes("clotho", {"source": "/my/clotho"}) == "atrkit import DIR_OR_CSV --name clotho"
