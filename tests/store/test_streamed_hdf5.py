"""Files written in order without HDF5 touching the disk: to every reader they are what HDF5 itself would have made."""

import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.store import streamed_hdf5
from atrkit.store.hdf5_file import open_hdf5
from atrkit.store.streamed_hdf5 import RowArray, write_streamed_hdf5


def rows_of(name, array, cuts=()):
    pieces = np.split(array, sorted(cuts))
    return RowArray(name, array.shape, array.dtype, lambda: iter(pieces))


def built_in_memory(arrays, fill):
    """The same content by h5py alone."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        fill(file)
    return buffer


def content_of(file):
    attributes = dict(file.attrs)
    return attributes, {name: (array.dtype, array.shape, array[()].tobytes()) for name, array in file.items()}


SHAPES = st.tuples(st.integers(0, 70), st.integers(1, 40))
DTYPES = st.sampled_from([np.float16, np.float32, np.int64, np.uint8])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(SHAPES, DTYPES), max_size=4), st.integers(0, 20_000), st.data())
def test_h5py_reads_what_h5py_would_have_written(tmp_path_factory, kinds, small_bytes, data):
    draw = np.random.default_rng(0)
    arrays = {f"array {n}": draw.integers(0, 100, shape).astype(dtype) for n, (shape, dtype) in enumerate(kinds)}
    small = draw.integers(0, 256, small_bytes).astype(np.uint8)

    def fill(file):
        file.attrs["format"] = "größe"
        file.create_dataset("small", data=small)

    path = tmp_path_factory.mktemp("streamed") / "file.h5"
    cuts = {name: data.draw(st.lists(st.integers(0, len(array)), max_size=3)) for name, array in arrays.items()}
    write_streamed_hdf5(path, [rows_of(name, array, cuts[name]) for name, array in arrays.items()], fill)
    with open_hdf5(path) as sealed, h5py.File(built_in_memory(arrays, fill), "r") as expected:
        assert content_of(sealed.hdf5) == content_of(expected)
        for name, array in arrays.items():
            mapped = sealed.map_array(name)
            assert mapped.tobytes() == array.tobytes() and mapped.dtype == array.dtype


def test_the_pieces_do_not_show_in_the_bytes(tmp_path):
    array = np.arange(300_000, dtype=np.float32).reshape(-1, 3)
    for name, cuts in (("one", []), ("many", [1, 2, 50_000, 99_999])):
        write_streamed_hdf5(tmp_path / name, [rows_of("array", array, cuts)], lambda file: None)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "many").read_bytes()


def test_memory_is_for_one_piece_of_a_terabyte():
    """HDF5 lays out the file; the arrays are never asked for."""
    rows = RowArray("frames", (10**9, 512), np.dtype("f2"), lambda: pytest.fail("nothing is written yet"))
    skeleton, (offset,) = streamed_hdf5._lay_out([rows], lambda file: file.create_dataset("ids", data=np.arange(9)))
    assert skeleton.size_bytes > offset + rows.size_bytes > 10**12
    assert len(skeleton._pages) < 10


@pytest.mark.parametrize(
    ("shape", "dtype", "pieces"),
    [
        ((3, 2), "f4", [np.zeros((2, 2), "f4")]),
        ((1, 2), "f4", [np.zeros((2, 2), "f4")]),
        ((2, 3), "f4", [np.zeros((2, 2), "f4")]),
        ((2, 2), "f2", [np.zeros((2, 2), "f4")]),
    ],
    ids=["too few rows", "too many rows", "another width", "another dtype"],
)
def test_pieces_that_are_not_as_announced_make_no_file(tmp_path, shape, dtype, pieces):
    with pytest.raises(ValueError, match="frames"):
        write_streamed_hdf5(
            tmp_path / "f.h5", [RowArray("frames", shape, np.dtype(dtype), lambda: pieces)], lambda f: None
        )
    assert not list(tmp_path.iterdir())
