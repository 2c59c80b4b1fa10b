"""What a server that runs does when the index that it searches changes on the disk."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from atrkit.errors import ResourceError
from atrkit.search.index_files import file_id, load_index, write_index
from atrkit.workflows import live_search
from atrkit.workflows.query_model import QueryModel
from atrkit.workflows.search import open_search
from atrkit.workflows.shown_paths import labels_of
from tests.serve.world import RATE_HZ, Served, make_index, serving, toy_model, wave_of


def update(workspace: Path, sounds: Path, paths: list[str]) -> None:
    """Index these files only, at a time of its own however coarse the clock of the disk is."""
    index = workspace / "index" / "toy" / "index.json"
    before_ns = index.stat().st_mtime_ns
    make_index(workspace, sounds, paths)
    os.utime(index, ns=(before_ns, before_ns + 1_000_000_000))


def names(served: Served) -> set[str]:
    return {hit["name"] for hit in served.ask("/api/search?q=rain").json["results"]}


def test_an_update_while_the_server_starts_is_noticed(tmp_path, monkeypatch):
    def opened_just_before_an_update(session, named):
        opened = open_search(session, named)
        update(tmp_path / "workspace", tmp_path / "sounds", ["dog.mp3"])
        monkeypatch.setattr(live_search, "open_search", open_search)
        return opened

    monkeypatch.setattr(live_search, "open_search", opened_just_before_an_update)
    with serving(tmp_path) as served:
        assert names(served) == {"dog.mp3"}


@pytest.mark.parametrize("trouble", [ResourceError("cannot read index.json"), OSError(24, "Too many open files")])
def test_what_could_not_be_opened_for_a_moment_is_opened_later(tmp_path, monkeypatch, trouble):
    tries = []

    def fails(*_, **__):
        tries.append(trouble)
        raise trouble

    with serving(tmp_path) as served:
        monkeypatch.setattr(live_search, "load_index", fails)
        update(served.workspace, served.sounds, ["dog.mp3"])
        assert [len(names(served)) for _ in range(3)] == [6, 6, 6] and len(tries) == 1  # not at every search
        monkeypatch.setattr(live_search, "_TRY_AGAIN_AFTER_S", 0.0)
        assert [len(names(served)) for _ in range(2)] == [6, 6] and len(tries) == 3
        assert [line for line in served.said if "the old one is searched" in line] == [
            f"the index changed and cannot be opened, so the old one is searched: {trouble}"
        ]
        monkeypatch.setattr(live_search, "load_index", load_index)
        assert names(served) == {"dog.mp3"}


def test_an_update_after_a_damaged_one_is_not_waited_for(tmp_path):
    with serving(tmp_path) as served:
        (served.workspace / "index" / "toy" / "index.json").write_text("{")
        assert len(names(served)) == 6
        update(served.workspace, served.sounds, ["bell.ogg"])
        assert names(served) == {"bell.ogg"}


def with_model(served: Served, run: str) -> None:
    """The same index, made with another model."""
    folder = served.workspace / "index" / "toy"
    about = json.loads((folder / "index.json").read_bytes())
    write_index(folder, {**about, "model": {"run": run, "identity": {"run": run}}}, load_index(folder).files)


def test_an_index_of_another_model_is_searched_with_that_model(tmp_path, monkeypatch):
    opened: list[str] = []

    def model_of(session, about) -> QueryModel:
        opened.append(about["model"]["run"])
        return replace(toy_model(session), source=about["model"], identity=about["model"]["identity"])

    monkeypatch.setattr("tests.serve.world.toy_model", model_of)
    with serving(tmp_path) as served:
        update(served.workspace, served.sounds, ["dog.mp3"])
        assert names(served) == {"dog.mp3"}
        assert opened == ["toy"]  # the same model is not opened again, which takes seconds
        with_model(served, "another")
        assert served.ask("/api/about").json["model"] == "run another"
        assert names(served) == {"dog.mp3"} and opened == ["toy", "another"]


def test_files_of_several_folders_can_be_told_apart(tmp_path):
    sounds = [(f"{folder}/one.wav", ("rain",), 6.0 + index, ()) for index, folder in enumerate(("tapes", "old/tapes"))]
    for path, _, seconds, _ in sounds:
        (tmp_path / "sounds" / path).parent.mkdir(parents=True)
        soundfile.write(tmp_path / "sounds" / path, wave_of("rain", seconds), RATE_HZ)
    make_index(tmp_path / "workspace", tmp_path / "sounds", sounds=sounds)
    folder = tmp_path / "workspace" / "index" / "toy"
    about = json.loads((folder / "index.json").read_bytes())
    roots = [str((tmp_path / "sounds" / path).parent) for path, *_ in sounds]
    files = sorted(load_index(folder).files, key=lambda file: roots.index(str(file.full_path.parent)))
    files = [
        replace(file, id=file_id("one.wav", number), path="one.wav", root=root)
        for number, (file, root) in enumerate(zip(files, roots, strict=True))
    ]
    write_index(folder, {**about, "source": {"folders": roots}}, files)
    with serving(tmp_path) as served:
        hits = served.ask("/api/search?q=rain").json["results"]
        assert sorted((hit["folder"], hit["name"]) for hit in hits) == [
            ("old/tapes", "one.wav"),
            ("sounds/tapes", "one.wav"),
        ]


def test_folders_are_called_by_as_much_as_tells_them_apart():
    labels = labels_of(["/x", "/a/x", "/b/a/x", "/b/a/x"])
    assert [str(label) for label in labels.values()] == ["/x", "/a/x", "b/a/x"]
    assert len(labels_of([f"/same/{number}/sounds" for number in range(20)])) == 20


def test_trouble_with_the_audio_side_is_one_line(tmp_path, monkeypatch, capfd):
    def breaks():
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("tests.serve.world.toy_model", lambda *words: replace(toy_model(*words), open_windows=breaks))
    with serving(tmp_path) as served:
        assert served.ask("/api/about").status == 200
        ends_s = time.monotonic() + 10
        while len(served.said) < 2 and time.monotonic() < ends_s:
            served.ask("/api/about")
    assert "the model cannot be made ready for sounds: RuntimeError: no such kernel" in served.said
    assert "Traceback" not in capfd.readouterr().err
