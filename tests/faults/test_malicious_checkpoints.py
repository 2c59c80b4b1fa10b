"""FAULTS.md row 14: a checkpoint with code in it is refused with exit code 5, and the code never runs."""

import contextlib
import json
import pickle

import numpy as np
import pytest
import torch
from numpy._core import multiarray

from atrkit.encoders import load_encoder
from atrkit.encoders.base import Running
from atrkit.encoders.checkpoints import Checkpoint
from atrkit.encoders.vggish import VggishEncoder
from atrkit.encoders.weights import load_weights
from atrkit.errors import IntegrityError


class Payload:
    """Makes a file when it is unpickled by a reader that runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


class Reduced:
    """Unpickled by calling `function(*arguments)`, and then given `state`."""

    def __init__(self, function, arguments, state=None):
        self.parts = (function, arguments, state) if state is not None else (function, arguments)

    def __reduce__(self):
        return self.parts


EMPTY_ARRAY = (np.ndarray, (0,), b"b")
HIDING_PLACES = {
    "itself": lambda payload: payload,
    "in an array of objects": lambda payload: np.array([payload, None]),
    "as the class of an array": lambda payload: Reduced(multiarray._reconstruct, (payload, (0,), b"b")),
    "as the shape of an array": lambda payload: Reduced(multiarray._reconstruct, (np.ndarray, payload, b"b")),
    "as the state of an array": lambda payload: Reduced(multiarray._reconstruct, EMPTY_ARRAY, payload),
    "in the state of an array": lambda payload: Reduced(
        multiarray._reconstruct, EMPTY_ARRAY, (1, (4,), np.dtype("f4"), False, payload)
    ),
    "as a dtype": lambda payload: Reduced(np.dtype, (payload, False, True)),
    "as the state of a dtype": lambda payload: Reduced(np.dtype, ("f4", False, True), payload),
    "as a number": lambda payload: Reduced(multiarray.scalar, (np.dtype("f8"), payload)),
    "as another function of numpy": lambda payload: Reduced(np.memmap, (str(payload.path), "u1", "w+", 0, (1,))),
}


def save_zip(value, path):
    torch.save(value, path)


def save_legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_pickle(value, path):
    path.write_bytes(pickle.dumps(value))


def save_npy(value, path):
    with path.open("wb") as file:
        np.save(file, np.array([value], dtype=object), allow_pickle=True)


FORMATS = [save_zip, save_legacy, save_pickle, save_npy]


@pytest.fixture(params=[False, True], ids=["", "weights_only forced off"])
def forced(request, monkeypatch):
    """With and without the environment variable that takes torch's protection away."""
    if request.param:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


@pytest.fixture
def payload(tmp_path):
    return Payload(tmp_path / "trace")


@pytest.fixture
def refused(payload):
    """`refused(load, path)`: loading ends with one line that names the file, and the payload has not run."""

    def check(load, path):
        with pytest.raises(IntegrityError) as caught:
            load()
        assert not payload.path.exists()
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.exit_code == 5

    return check


def linear_state():
    return torch.nn.Linear(3, 4).state_dict()


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("place", HIDING_PLACES)
@pytest.mark.parametrize("nesting", ["", "model"], ids=["flat", "beside the weights"])
def test_code_is_never_run_wherever_it_hides(tmp_path, payload, refused, save, place, nesting):
    hidden, path = HIDING_PLACES[place](payload), tmp_path / "weights.pth"
    content = (
        {"model": linear_state(), "sampler": {"indexes": hidden}} if nesting else linear_state() | {"bias": hidden}
    )
    save(content, path)
    refused(lambda: load_weights(torch.nn.Linear(3, 4), path, nesting=nesting), path)


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("name", ["mn04", "cnn14_16k", "convnext_tiny", "vggish", "vggsound_resnet18"])
def test_every_encoder_refuses_it(tmp_path, payload, refused, name, save):
    path = tmp_path / "checkpoint.pth"
    save({"model": {"fc1.weight": payload}, "model_state_dict": {}, "sampler": payload}, path)
    refused(lambda: load_encoder(name, path), path)


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("save", FORMATS)
def test_the_parameters_of_vggishs_pca_are_refused(tmp_path, payload, refused, save):
    path = tmp_path / "pca.pth"
    save({"pca_eigen_vectors": np.eye(128), "pca_means": payload}, path)
    weights = Checkpoint(tmp_path / "vggish.pth", "")
    refused(lambda: VggishEncoder(weights, Checkpoint(path, ""), Running()), path)


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_folder_of_clap_is_refused(tmp_path, payload, refused, name, save):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clap"}))
    save({"audio_model.weight": payload}, tmp_path / name)
    refused(lambda: load_encoder("clap", tmp_path), tmp_path / name)


@pytest.mark.parametrize("place", HIDING_PLACES)
def test_the_payloads_of_these_tests_work(payload, place):
    """A reader that runs code runs them, so that the tests above would notice one."""
    with contextlib.suppress(Exception):  # what the payload gives back is no array
        pickle.loads(pickle.dumps(HIDING_PLACES[place](payload)))
    assert payload.path.exists()
