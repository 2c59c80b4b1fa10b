"""FAULTS.md row 6: a truncated or altered store, part or plan is named with the way out; no flipped bit is silent."""

import numpy as np
import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.store.embeddings import load_embeddings, load_header
from atrkit.store.facts import inspect_store

TRUNCATIONS = [0, 0.01, 0.5, 0.99]
READERS = {
    "load": load_embeddings,
    "mapped": lambda path: load_embeddings(path, mapped=True),
    "header": load_header,
    "info": inspect_store,
}
WAY_OUT = r"toy\.h5 is damaged .*make it again: atrkit extract --encoder toy --overwrite"


@pytest.fixture
def store(toy, tmp_path):
    plan = toy.plan_of(8)
    folder = toy.fill(tmp_path / "toy.h5", plan)
    folder.merge(plan)
    return folder.final_path


@pytest.fixture
def parts(toy, tmp_path):
    return toy.fill(tmp_path / "parts" / "toy.h5", toy.plan_of(8))


def flips(content, count=200, seed=0):
    """The content with one bit changed, so many times: in the seal, in HDF5's own bytes and in the data."""
    positions = np.random.default_rng(seed).integers(8 * len(content), size=count)
    for position in positions.tolist():
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)


@pytest.mark.parametrize("kept", TRUNCATIONS)
@pytest.mark.parametrize("reader", READERS)
def test_a_truncated_store_is_named_with_the_command(store, reader, kept):
    content = store.read_bytes()
    store.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(IntegrityError, match=WAY_OUT):
        READERS[reader](store)


@pytest.mark.parametrize("reader", READERS)
def test_none_of_200_flipped_bits_is_silent_in_a_store(store, reader):
    for content in flips(store.read_bytes()):
        store.write_bytes(content)
        with pytest.raises(IntegrityError, match=WAY_OUT):
            READERS[reader](store)


@pytest.mark.parametrize("kept", TRUNCATIONS)
def test_a_truncated_part_is_never_merged(parts, kept):
    path = parts.part_path(1, 3)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(IntegrityError, match=rf"{path} is damaged: delete it and run the same command again"):
        parts.merge(parts.plan())
    assert not parts.final_path.exists()


def test_none_of_200_flipped_bits_is_silent_in_a_part(parts, toy, tmp_path):
    plan, path = parts.plan(), parts.part_path(1, 3)
    content = path.read_bytes()
    for flipped in flips(content):
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError, match=rf"{path} is damaged"):
            parts.merge(plan)
    assert not parts.final_path.exists() and len(parts.finished(plan)) == 3
    path.write_bytes(content)
    parts.merge(plan)
    assert parts.final_path.read_bytes() == toy.finished_bytes(tmp_path, plan)


@pytest.mark.parametrize("kept", TRUNCATIONS)
def test_a_truncated_plan_is_named(parts, toy, kept):
    path = parts.folder / "plan.json"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(IntegrityError, match=r"plan\.json is damaged; start afresh with --overwrite"):
        parts.start(toy.plan_of(8))
    with pytest.raises(IntegrityError, match=r"plan\.json is damaged; start afresh: atrkit extract --encoder toy"):
        inspect_store(parts.folder)


def test_no_flipped_bit_of_a_plan_mixes_anything(parts, toy):
    """A flip of a plan is refused, or changes nothing that the plan says (white space)."""
    path, plan = parts.folder / "plan.json", toy.plan_of(8)
    content = path.read_bytes()
    for flipped in flips(content):
        path.write_bytes(flipped)
        try:
            parts.start(plan)
        except IntegrityError as error:
            assert "start afresh with --overwrite" in str(error)
        else:
            assert parts.plan() == plan
        try:
            inspect_store(parts.folder)
        except IntegrityError as error:
            assert "plan.json is damaged" in str(error) or "is a part of another plan" in str(error)
        except MissingPrerequisiteError:
            pytest.fail("a damaged plan is there")


def test_what_a_killed_writer_leaves_is_no_part(parts):
    """A half-written file has another name until it is whole."""
    path = parts.part_path(1, 3)
    path.rename(path.with_name(path.name + ".part"))
    assert parts.missing(parts.plan()) == (1,)
