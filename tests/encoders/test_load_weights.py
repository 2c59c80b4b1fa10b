"""Weights fill a network strictly: every entry and nothing else, in whatever layout the publisher chose."""

import numpy as np
import pytest
import torch

from atrkit.encoders.weights import FRONT_END_BUFFERS, load_weights
from atrkit.errors import IntegrityError


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(network().state_dict(), path)
    return path


def test_weights_are_loaded(saved):
    filled = network()
    torch.nn.init.zeros_(filled[0].weight)
    load_weights(filled, saved)
    torch.testing.assert_close(filled.state_dict(), network().state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), r"1 entries are missing \(the first: 0\.bias\)"),
        (lambda state: state.update(extra=torch.zeros(1)), r"1 entries are unknown \(the first: extra\)"),
        (lambda state: state.update({"0.bias": torch.zeros(5)}), r"0\.bias has shape \(5,\) instead of \(4,\)"),
        (lambda state: state["1.running_var"][2:3].fill_(np.nan), r"1\.running_var has NaN"),
        (lambda state: state.update({"0.bias": torch.zeros(4, dtype=torch.int64)}), r"0\.bias is of int64 instead"),
        (lambda state: state.update({"1.num_batches_tracked": torch.tensor(1.0)}), r"tracked is of float32 instead"),
        (lambda state: state.update({"0.bias": 3}), r"no state dict .* '0\.bias' is no plain tensor"),
        (lambda state: state.update({"0.bias": torch.zeros(4).to_sparse()}), "no plain tensor"),
        (lambda state: state.update({"0.bias": torch.zeros(4, dtype=torch.complex64)}), "no plain tensor"),
        (lambda state: state.update({7: torch.zeros(4)}), "7 is no plain tensor"),
        (lambda state: state.clear(), "no state dict"),
    ],
)
def test_other_entries_than_the_networks_are_refused(saved, change, message):
    state = network().state_dict()
    change(state)
    torch.save(state, saved)
    with pytest.raises(IntegrityError, match=message) as caught:
        load_weights(network(), saved)
    assert str(saved) in str(caught.value) and "\n" not in str(caught.value)


NUMPY_CORES = [b"numpy._core", b"numpy.core"]  # as numpy 2 and 1 write it


def save_as_old(value, path, numpy_core=b"numpy._core", **options):
    """In torch's old format, which the files of PANNs have, with numpy's module under its name of then."""
    torch.save(value, path, _use_new_zipfile_serialization=False, **options)
    path.write_bytes(path.read_bytes().replace(b"numpy._core", numpy_core))


@pytest.mark.parametrize("numpy_core", NUMPY_CORES, ids=["numpy 2", "numpy 1"])
def test_a_state_dict_beside_arrays_of_numpy_is_loaded(tmp_path, numpy_core):
    sampler = {
        "indexes": np.arange(9),
        "none": np.empty(0),
        "objects": np.array([1, None], dtype=object),
        "weight": np.float64(0.5),
        "names": np.array(["a"]),
        "mask": np.array([True]),
    }
    path = tmp_path / "Cnn14.pth"
    save_as_old({"iteration": 600_000, "sampler": sampler, "model": network().state_dict()}, path, numpy_core)
    filled = network()
    torch.nn.init.zeros_(filled[0].weight)
    load_weights(filled, path, nesting="model")
    torch.testing.assert_close(filled.state_dict(), network().state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("numpy_core", NUMPY_CORES, ids=["numpy 2", "numpy 1"])
def test_weights_that_are_arrays_of_numpy_are_loaded(tmp_path, numpy_core):
    path, expected = tmp_path / "pca.pth", network().state_dict()
    state = {key: value.numpy() for key, value in expected.items()}
    state["0.weight"] = np.asfortranarray(state["0.weight"].astype(np.float64))
    state["0.bias"] = state["0.bias"].astype(">f4")
    save_as_old(state, path, numpy_core)
    filled = network()
    torch.nn.init.zeros_(filled[0].weight)
    load_weights(filled, path)
    torch.testing.assert_close(filled.state_dict(), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "array",
    [np.array([None] * 4), np.array(["a"] * 4), np.zeros(4, "f4,f4"), np.zeros(4, "M8[s]"), np.zeros(4, bool)],
    ids=["objects", "words", "records", "times", "truths"],
)
def test_arrays_of_anything_but_numbers_are_no_weights(saved, array):
    torch.save(network().state_dict() | {"0.bias": array}, saved)
    with pytest.raises(IntegrityError, match="no plain tensor"):
        load_weights(network(), saved)


def test_the_flat_form_of_a_nested_file_is_loaded_as_well(saved):
    load_weights(network(), saved, nesting="model")


def test_a_nested_file_is_no_flat_one(saved):
    torch.save({"model": network().state_dict()}, saved)
    with pytest.raises(IntegrityError, match=r"no state dict .* 'model' is no plain tensor"):
        load_weights(network(), saved)
    with pytest.raises(IntegrityError, match=r"entry 'model' of .* holds no state dict"):
        torch.save({"model": 3}, saved)
        load_weights(network(), saved, nesting="model")


def test_entries_may_stand_behind_a_prefix(saved):
    prefixed = {f"audnet.{key}": value for key, value in network().state_dict().items()}
    for state in (prefixed, network().state_dict()):
        torch.save(state, saved)
        load_weights(network(), saved, prefix="audnet.")
    prefixed["0.bias"] = prefixed.pop("audnet.0.bias")
    torch.save(prefixed, saved)
    with pytest.raises(IntegrityError, match=r"missing \(the first: audnet\.0\.bias\).*unknown \(the first: 0\.bias\)"):
        load_weights(network(), saved, prefix="audnet.")


def test_exactly_the_named_entries_are_ignored(saved):
    buffers = {name: torch.full((2,), torch.nan) for name in FRONT_END_BUFFERS}
    torch.save(network().state_dict() | buffers, saved)
    load_weights(network(), saved, ignored=FRONT_END_BUFFERS)
    torch.save(network().state_dict() | {"logmel_extractor.other": torch.zeros(2)}, saved)
    with pytest.raises(IntegrityError, match=r"1 entries are unknown \(the first: logmel_extractor\.other\)"):
        load_weights(network(), saved, ignored=FRONT_END_BUFFERS)


def test_weights_in_half_precision_fill_a_network_in_full(saved):
    torch.save(
        {key: value.half() if value.is_floating_point() else value for key, value in network().state_dict().items()},
        saved,
    )
    filled = network()
    load_weights(filled, saved)
    assert filled[0].weight.dtype == torch.float32


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(network()), path)
    with pytest.raises(IntegrityError):
        load_weights(network(), path)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.99])
def test_a_cut_file_is_refused(saved, kept):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(IntegrityError):
        load_weights(network(), saved)


def test_a_flipped_bit_gives_a_reason_or_finite_weights(saved):
    rng = np.random.default_rng(2)
    content = saved.read_bytes()
    for _ in range(150):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        filled = network()
        try:
            load_weights(filled, saved)
        except IntegrityError:
            continue
        assert all(bool(torch.isfinite(value).all()) for value in filled.state_dict().values())
