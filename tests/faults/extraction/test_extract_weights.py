"""FAULTS.md row 14 through the command: code in a checkpoint never runs, wherever the checkpoint comes from."""

import dataclasses
import hashlib
import json

import pytest
import torch

from atrkit.encoders.catalogue import ENCODERS


class Payload:
    """Makes a file when it is unpickled by a reader that runs code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture(params=[pytest.param("", marks=pytest.mark.faults), "1"], ids=["", "weights_only forced off"])
def forced(request, monkeypatch):
    if request.param:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", request.param)


@pytest.fixture
def malicious(tmp_path, monkeypatch):
    """A file that makes `trace` when it is unpickled, and an empty cache."""
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "malicious.pth"
    torch.save({"model": {"fc1.weight": Payload(tmp_path / "trace")}}, path)
    return path


NAMES = ["cnn10", "convnext_tiny", "vggish"]
PLACES = ["file", "cache", "cache, of the stated hash", "mirror", "mirror, of the stated hash"]


def publish(monkeypatch, name, content):
    """Let the catalogue state the hashes of this content, as if the record itself were malicious; its file name."""
    variant = ENCODERS[name].default_variant
    spec = dataclasses.replace(
        ENCODERS[name].checkpoints[variant],
        md5=hashlib.md5(content).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )
    monkeypatch.setitem(ENCODERS[name].checkpoints, variant, spec)
    return spec


@pytest.mark.usefixtures("forced")
@pytest.mark.parametrize("name", ["cnn10", *(pytest.param(name, marks=pytest.mark.faults) for name in NAMES[1:])])
@pytest.mark.parametrize(
    "place", ["file", "cache", "cache, of the stated hash", "mirror", "mirror, of the stated hash"]
)
def test_code_in_weights_never_runs(mine, malicious, server, monkeypatch, tmp_path, name, place):
    content = malicious.read_bytes()
    spec = ENCODERS[name].checkpoints[ENCODERS[name].default_variant]
    if "stated" in place:
        spec = publish(monkeypatch, name, content)
    monkeypatch.setenv("ATRKIT_MIRROR", server.url)
    words = ("extract", "--encoder", name)
    match place.partition(",")[0]:
        case "file":
            words += ("--checkpoint", malicious)
        case "cache":
            (tmp_path / "cache" / "checkpoints").mkdir(parents=True)
            (tmp_path / "cache" / "checkpoints" / spec.file_name).write_bytes(content)
        case "mirror":
            server.publish("/" + spec.url.split("/", 3)[3], content)
    for code in (5, again_code(place)):  # what was refused once is not taken by the same command
        result = mine(*words, code=code)
        assert not (tmp_path / "trace").exists()
        assert result.stderr.splitlines()[-1].startswith("atrkit: ") and result.stderr.count("atrkit: ") == 1
    assert not list(mine.workspace.rglob("*.h5"))


def again_code(place):
    """A file in the cache with another hash than stated was set aside, and then has to be downloaded: no such file."""
    return 6 if place == "cache" else 5


@pytest.mark.usefixtures("forced")
def test_code_in_a_folder_of_clap_never_runs(mine, malicious, tmp_path):
    folder = tmp_path / "clap"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "clap"}))
    (folder / "pytorch_model.bin").write_bytes(malicious.read_bytes())
    message = mine.error("extract", "--encoder", "clap", "--checkpoint", folder, code=5)
    assert str(folder / "pytorch_model.bin") in message
    assert not (tmp_path / "trace").exists()


def test_the_payload_works(malicious, tmp_path):
    torch.load(malicious, weights_only=False)["model"]["fc1.weight"].close()
    assert (tmp_path / "trace").exists()
