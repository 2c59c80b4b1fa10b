"""What `atrkit doctor` finds besides packages: threads, limits, encodings, weights, models of the hub, broken things.

Where a fix is a command that runs here, it is run, and doctor looks again.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from typer.main import get_command

import atrkit
from atrkit.cli.app import app
from atrkit.encoders.catalogue import ENCODERS
from atrkit.workflows import doctor_encoders, doctor_machine
from atrkit.workflows.doctor import examine
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace

UNSET = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TORCH_HOME")
CNN10 = ENCODERS["cnn10"].checkpoints[""]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    for variable in (*UNSET, *OFFLINE):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def workspace(tmp_path):
    return tmp_path / "workspace"


@pytest.fixture
def look(workspace):
    """What is said now, by name."""

    def look() -> dict[str, dict]:
        record = examine(Session(Workspace(workspace), print, None))  # type: ignore[arg-type]
        return {check["name"]: check for check in record["checks"]}

    return look


def shell(command):
    subprocess.run(["bash", "-ec", command], check=True, timeout=20)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OMP_NUM_THREADS", "many", "OMP_NUM_THREADS=many is no number of threads"),
        ("OMP_NUM_THREADS", "0", "OMP_NUM_THREADS=0 is no number of threads"),
        ("OMP_NUM_THREADS", "1000", "may use"),
        ("OMP_WAIT_POLICY", "active", "five times slower"),
    ],
)
def test_variables_of_openmp_that_do_harm(look, monkeypatch, variable, value, words):
    monkeypatch.setenv(variable, value)
    threads = look()["threads"]
    assert threads["state"] == "wrong" and words in threads["detail"]
    verb, to_unset = threads["fix"].split()
    assert verb == "unset"
    monkeypatch.delenv(to_unset)
    assert look()["threads"]["state"] == "ok"


def test_threads_that_were_chosen_are_said(look, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert look()["threads"]["detail"].startswith("1 of ")


def in_a_shell(before, name):
    """State and fix of a machine's check in a process of its own, after some commands of a shell."""
    code = (
        "from pathlib import Path\nfrom atrkit.workflows.doctor_machine import machine_checks\n"
        f"check, = [c for c in machine_checks(Path()) if c.name == {name!r}]\nprint(check.state, check.fix or '')"
    )
    program = f"{before}; {shlex.quote(sys.executable)} -c {shlex.quote(code)}"
    environment = os.environ | {"PYTHONPATH": str(Path(atrkit.__file__).parents[1]), "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(["bash", "-ec", program], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    state, _, fix = done.stdout.strip().partition(" ")
    return state, fix


def test_few_open_files_are_wrong_until_the_fix(look):
    assert look()["open files"]["state"] == "ok"
    state, fix = in_a_shell("ulimit -Sn 300", "open files")
    assert (state, fix) == ("wrong", "ulimit -n 4096")
    assert in_a_shell(f"ulimit -Sn 300; {fix}", "open files") == ("ok", "")


def test_an_encoding_other_than_utf8_is_wrong_until_the_fix():
    ascii_only = "export LC_ALL=C PYTHONUTF8=0"
    state, fix = in_a_shell(ascii_only, "encoding")
    assert state == "wrong"
    first, second = fix.split(", or ")
    assert first == "export PYTHONUTF8=1" and in_a_shell(f"{ascii_only}; {first}", "encoding") == ("ok", "")
    assert second == "LANG=C.UTF-8"
    assert in_a_shell("unset LC_ALL; export PYTHONUTF8=0 LANG=C.UTF-8", "encoding") == ("ok", "")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the fix is a command of curl")
def test_weights_are_missing_until_the_fix_has_fetched_them(look, tmp_path, monkeypatch):
    before = look()["weights cnn10"]
    assert before["state"] == "missing" and before["brief"] == "25 MB" and CNN10.url in before["fix"]
    assert before["detail"] == f"not at {tmp_path}/cache/checkpoints/{CNN10.file_name} (25 MB)"
    published = tmp_path / "published.pth"
    with published.open("wb") as file:
        file.truncate(CNN10.size_bytes)
    shell(before["fix"].replace(CNN10.url, published.as_uri()))
    after = look()["weights cnn10"]
    assert (after["state"], after["detail"]) == ("ok", f"{tmp_path}/cache/checkpoints/{CNN10.file_name}")


def test_every_published_file_is_looked_for(look):
    names = {name.removeprefix("weights ") for name in look() if name.startswith("weights ")}
    assert {"cnn14", "convnext_tiny/no_audiocaps", "convnext_tiny/audioset", "vggish", "vggish/pca", "mn04"} <= names
    assert len(names) == sum(len(spec.checkpoints) for spec in ENCODERS.values()) + 1


def test_weights_of_another_length_are_wrong_and_a_begun_download_is_said(look, tmp_path):
    path = tmp_path / "cache" / "checkpoints" / CNN10.file_name
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").write_bytes(bytes(3_000_000))
    assert look()["weights cnn10"]["brief"] == "25 MB, 3 MB are there"
    path.write_bytes(b"a web page")
    wrong = look()["weights cnn10"]
    assert wrong["state"] == "wrong" and "10 bytes long, the published file 25,237,595" in wrong["detail"]


def test_weights_that_another_program_fetched_are_found_and_linked(look, home):
    there = home / "panns_data" / CNN10.file_name
    there.parent.mkdir(parents=True)
    with there.open("wb") as file:
        file.truncate(CNN10.size_bytes)
    missing = look()["weights cnn10"]
    assert missing["state"] == "missing" and str(there) in missing["detail"]
    shell(missing["fix"])
    assert look()["weights cnn10"]["state"] == "ok"


def test_models_of_the_hub_are_found_where_the_hub_keeps_them(look, home, monkeypatch):
    name = "hub google-bert/bert-base-uncased"
    assert look()[name]["fix"] == "hf download google-bert/bert-base-uncased"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = look()[name]
    assert offline["fix"] == "unset HF_HUB_OFFLINE && hf download google-bert/bert-base-uncased"
    folder = home / ".cache" / "huggingface" / "hub" / "models--google-bert--bert-base-uncased" / "snapshots" / "86b5e"
    folder.mkdir(parents=True)
    assert look()[name]["state"] == "missing", "a download that was cut leaves folders"
    (folder / "config.json").write_text("{}")
    assert look()[name]["state"] == "ok"


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_hubs_cache_is_where_huggingface_hub_says(tmp_path, variable):
    code = "from huggingface_hub.constants import HF_HUB_CACHE as c\nprint(c)"
    environment = os.environ | {variable: str(tmp_path / "models")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, str(tmp_path / "models"))
        assert str(doctor_encoders._hub_cache()) == done.stdout.strip()


def test_every_hub_model_that_a_recipe_names_is_looked_for():
    recipes = Path(atrkit.__file__).parents[1] / "recipes"
    if not recipes.is_dir():
        pytest.skip("recipes lie beside the package in a checkout only")
    text = "".join(path.read_text() for path in recipes.rglob("*.yaml"))
    words = [word.rstrip(",}") for word in text.replace("model:", "checkpoint:").split("checkpoint: ")[1:]]
    named = {word.split(",")[0].split("}")[0].split()[0] for word in words if "/" in word.split(",")[0].split("\n")[0]}
    assert named <= set(doctor_encoders.HUB_MODELS), named


def directory(path):
    path.mkdir(parents=True)


def text(content):
    def write(path):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)

    return write


BROKEN = [
    ("dataset x", "data/x/dataset.json", directory),
    ("dataset x", "data/x/dataset.json", text(b"\xff\xfe")),
    ("dataset x", "data/x/dataset.json", text(b"[" * 5000)),
    ("dataset x", "data/x/other.txt", text(b"a download that did not end")),
    ("embeddings x/e", "embeddings/x/e.h5", directory),
    ("embeddings x/e", "embeddings/x/e.h5", text(b"")),
    ("embeddings x/e", "embeddings/x/e.h5", text(bytes(5000))),
    ("run x/seed-1", "runs/x/seed-1/finished.json", directory),
    ("run x/seed-1", "runs/x/seed-1/finished.json", text(b"{}")),
    ("run x/seed-1", "runs/x/seed-1/finished.json", text(b"\xff")),
]


@pytest.mark.parametrize(("name", "place", "break_it"), BROKEN)
def test_a_broken_thing_is_a_line_with_a_fix(look, workspace, name, place, break_it):
    break_it(workspace / place)
    found = look()
    assert found[name]["state"] == "wrong"
    assert found[name]["fix"].startswith(("atrkit ", "run ")) and "\n" not in found[name]["detail"]


def a_run(folder):
    """The files of a finished run, as far as doctor looks at them."""
    folder.mkdir(parents=True)
    for name in ("recipe.yaml", "inputs.json", "config.json", "model.safetensors", "words.json"):
        (folder / name).write_text("{}")
    keys = ("dataset", "train_split", "test_split", "checkpoint", "model")
    (folder / "finished.json").write_text(json.dumps(dict.fromkeys(keys, "x")))
    (folder / "model.sha256").write_text("0  config.json\n0  model.safetensors\n0  words.json\n")
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "model.sha256", "words.json", "recipe.yaml"])
def test_a_run_without_one_of_its_files_must_be_mended(look, workspace, name):
    folder = a_run(workspace / "runs" / "x" / "seed-1")
    assert look()["runs"]["state"] == "ok" and "run x/seed-1" not in look()
    (folder / name).unlink()
    found = look()["run x/seed-1"]
    assert found["state"] == "wrong" and name in found["detail"] and "--overwrite" in found["fix"]


def test_what_must_be_mended_is_exit_code_5(tmp_path):
    def exit_code():
        return CliRunner().invoke(get_command(app), ["doctor", "--workspace", str(tmp_path), "--json"]).exit_code

    folder = a_run(tmp_path / "runs" / "x" / "seed-1")
    assert exit_code() == 0, "datasets, weights and Java are not there, and are optional"
    (folder / "model.safetensors").unlink()
    assert exit_code() == 5


def test_a_workspace_that_is_not_there_is_said(look, workspace):
    assert look()["workspace folder"]["detail"] == f"there is no folder {workspace}"
    workspace.mkdir()
    assert "workspace folder" not in look()


def test_what_nobody_thought_of_is_a_line_and_the_others_stay(look, monkeypatch):
    def fail():
        raise RuntimeError("the disk fell off")

    monkeypatch.setattr(doctor_machine, "available_memory_bytes", fail)
    found = look()
    assert found["machine"]["state"] == "wrong" and "RuntimeError: the disk fell off" in found["machine"]["detail"]
    assert found["java"]["group"] == "metrics" and "python" not in found
