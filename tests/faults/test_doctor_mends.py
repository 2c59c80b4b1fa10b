"""`atrkit doctor` names what is broken in a workspace, and the command that it names mends it."""

import json
import shlex
import shutil

import pytest

from atrkit.training.retriever import RetrieverTask


def checks(workspace, code=0):
    found = json.loads(workspace("doctor", "--json", code=code).stdout)["checks"]
    return {check["name"]: check for check in found}


def mend(workspace, check, source=None):
    """Run the command that doctor names, as it names it; of your own recordings only you know where they came from."""
    program, *words = shlex.split(check["fix"])
    assert program == "atrkit" and ("DIR_OR_CSV" in words) == (source is not None)
    workspace(*(source if word == "DIR_OR_CSV" else word for word in words))


def test_a_whole_workspace_is_fine(trained):
    found = checks(trained)
    places = ("dataset tiny", "embeddings tiny/logmel", "runs")
    assert {found[name]["state"] for name in places} == {"ok"}
    assert found["dataset tiny"]["brief"] == "20 clips"
    assert found["runs"]["detail"] == "1 finished, the newest: recipe/seed-1"


@pytest.mark.parametrize("cut", [100, 600, -1])
def test_embeddings_that_were_cut_are_made_again(tiny, cut):
    path = tiny.workspace / "embeddings" / "tiny" / "logmel.h5"
    path.write_bytes(path.read_bytes()[:cut])
    found = checks(tiny, code=5)["embeddings tiny/logmel"]
    assert found["state"] == "wrong" and str(path) in found["detail"]
    mend(tiny, found)
    assert checks(tiny)["embeddings tiny/logmel"]["state"] == "ok"


def test_parts_of_an_extraction_are_joined(tiny):
    (tiny.workspace / "embeddings" / "tiny" / "logmel.h5").unlink()
    tiny("extract", "--encoder", "logmel", "--shard", "1/2")
    found = checks(tiny)["embeddings tiny/logmel parts"]
    assert found["state"] == "missing" and found["detail"].startswith("unfinished: 1 parts are there")
    mend(tiny, found)
    after = checks(tiny)
    assert after["embeddings tiny/logmel"]["state"] == "ok" and "embeddings tiny/logmel parts" not in after


def test_a_dataset_whose_manifest_was_edited_is_described_anew(tiny, prepared):
    manifest = tiny.workspace / "data" / "tiny" / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("tone", "tune"))
    found = checks(tiny, code=5)["dataset tiny"]
    assert found["state"] == "wrong" and str(manifest) in found["detail"]
    mend(tiny, found, source=prepared / "sounds")
    assert checks(tiny)["dataset tiny"]["state"] == "ok"


def test_recordings_that_are_gone_are_counted(tiny, prepared, tmp_path):
    own = shutil.copytree(prepared / "sounds", tmp_path / "own")
    tiny("import", own, "--name", "own")
    assert checks(tiny)["dataset own"]["state"] == "ok"
    (own / "03.wav").unlink()
    found = checks(tiny, code=5)["dataset own"]
    assert found["detail"] == "20 clips; 1 of 20 recordings that were looked at are not there"
    assert found["fix"] == "atrkit info own --verify"
    tiny("info", "own", "--verify", code=5)


def test_an_interrupted_training_goes_on_and_a_damaged_run_is_trained_again(tiny, finished, run_bytes, monkeypatch):
    with monkeypatch.context() as patch:
        validate, calls = RetrieverTask.validate, []

        def stop(self, *arguments, **options):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return validate(self, *arguments, **options)

        patch.setattr(RetrieverTask, "validate", stop)
        tiny.train(code=130)
    found = checks(tiny)
    assert found["runs"]["state"] == "missing"
    run = found["run recipe/seed-1"]
    assert run["state"] == "missing" and run["detail"] == "unfinished: 2 epochs are there"
    mend(tiny, run)
    assert run_bytes(tiny.workspace) == run_bytes(finished)
    assert checks(tiny)["runs"]["detail"] == "1 finished, the newest: recipe/seed-1"
    (tiny.workspace / "runs" / "recipe" / "seed-1" / "finished.json").write_text("{}")
    damaged = checks(tiny, code=5)["run recipe/seed-1"]
    assert damaged["state"] == "wrong"
    mend(tiny, damaged)
    assert run_bytes(tiny.workspace) == run_bytes(finished)
