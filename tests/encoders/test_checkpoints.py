"""Weights are found, fetched, checked and loaded; whatever goes wrong is one line that says the way out."""

import dataclasses
import hashlib
import pathlib
import pickle
import resource
import time

import numpy as np
import pytest
import torch

from atrkit.encoders.catalogue import CheckpointSpec
from atrkit.encoders.checkpoints import (
    FRONT_END_BUFFERS,
    Checkpoint,
    cache_folder,
    find_checkpoint,
    load_weights,
    read_state_dict,
)
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
    for part in ("the weights of encoder mn00 (1.3 MB)", "--checkpoint FILE", str(cache / "mn00.pt")):
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
    assert find_checkpoint(spec) == Checkpoint(cache / "mn00.pt", SHA256, None)
    (cache / "mn00.pt").write_bytes(wrong)
    with pytest.raises(IntegrityError, match=r"expected, [0-9a-f]+ found"):
        find_checkpoint(spec)
    assert names_in(cache) == ["mn00.pt.rejected"]


@pytest.mark.parametrize("stated", STATED)
def test_whatever_the_publisher_states_tells_a_given_file_from_the_published(tmp_path, stated):
    spec, own = spec_with(**STATED[stated]), tmp_path / "own.pt"
    own.write_bytes(CONTENT)
    assert find_checkpoint(spec, own) == Checkpoint(own, SHA256, None)
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


# --- loading ------------------------------------------------------------------------------------------------------


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
    with pytest.raises(IntegrityError, match="entry 'model' of .* holds no state dict"):
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


def test_reading_takes_the_memory_of_the_weights_and_little_more(tmp_path):
    path = tmp_path / "big.pth"
    save_as_old({"model": {"weight": torch.zeros(4000, 4000)}}, path)
    before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    read_state_dict(path, "model")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before_bytes < 1.5 * 64e6


class Payload:
    """Makes a file when it is unpickled by a reader that runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def save_zip(value, path):
    torch.save(value, path)


def save_legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_pickle(value, path):
    path.write_bytes(pickle.dumps(value))


def save_npy(value, path):
    with path.open("wb") as file:
        np.save(file, np.array([value], dtype=object), allow_pickle=True)


@pytest.mark.parametrize("forced", [False, True], ids=["", "weights_only forced off"])
@pytest.mark.parametrize("save", [save_zip, save_legacy, save_pickle, save_npy])
def test_code_in_a_checkpoint_is_never_run(tmp_path, monkeypatch, save, forced):
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trace, path = tmp_path / "trace", tmp_path / "weights.pt"
    save({"0.weight": torch.zeros(4, 3), "0.bias": Payload(trace)}, path)
    with pytest.raises(IntegrityError) as caught:
        load_weights(network(), path)
    assert not trace.exists()
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_payload_of_these_tests_works(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


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
