"""FAULTS.md row 4, for the embedded dataset: whatever moment a download is stopped at, no half dataset is taken."""

import shutil
from pathlib import Path

import pytest

from atrkit.workflows.download import synthetic
from atrkit.workflows.workspace import Workspace

DOWNLOAD = ("download", "synthetic", "--clips", 30, "--workers", 1)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, atrkit_in):
    command = atrkit_in(tmp_path_factory.mktemp("rendered"))
    command(*DOWNLOAD)
    return command.workspace


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        pytest.param(synthetic, "generate", 1, id="before rendering"),
        pytest.param(synthetic, "save_dataset", 1, id="before it is described"),
        pytest.param(Path, "rename", 1, id="before the old one is moved away"),
        pytest.param(Path, "rename", 2, id="before the new one is put in place"),
        pytest.param(shutil, "rmtree", 3, id="before the old one is removed"),
    ],
)
def test_a_dataset_is_the_old_one_the_new_one_or_none(rendered, atrkit_in, tmp_path, monkeypatch, owner, name, call):
    shutil.copytree(rendered, tmp_path / "workspace")
    command = atrkit_in(tmp_path / "workspace")
    workspace = Workspace(command.workspace)
    old = workspace.load_dataset(None)
    with monkeypatch.context() as patch:
        interrupt_at(patch, owner, name, call)
        command(*DOWNLOAD, "--seed", 5, code=130)

    assert workspace.dataset_names() in ([], ["synthetic"])
    for dataset_name in workspace.dataset_names():
        dataset = workspace.load_dataset(dataset_name)
        assert dataset.about["source"]["seed"] in (0, 5) and len(dataset.clips) == len(old.clips)
        command("extract", "--encoder", "logmel", "--overwrite")  # every recording is there, with its sha256
    command(*DOWNLOAD)
    assert digests_of(command.workspace / "data") == digests_of(rendered / "data")


def interrupt_at(monkeypatch, owner, name, call):
    function, calls = getattr(owner, name), []

    def wrapped(*arguments, **options):
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapped)


def digests_of(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
