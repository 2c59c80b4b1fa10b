"""`atrkit doctor`: one line for everything, the fix where one is needed, and no heavy import."""

import ctypes
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from atrkit.cli.doctor import doctor
from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, NEEDS
from atrkit.workflows import gpus
from atrkit.workflows.doctor import examine
from atrkit.workflows.session import Session
from atrkit.workflows.workspace import Workspace

GROUPS = ("machine", "data", "runs", "encoders", "programs", "metrics")

app = typer.Typer()
app.command()(doctor)


@pytest.fixture(autouse=True)
def bare_machine(tmp_path, monkeypatch):
    """Nothing on PATH, empty caches."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ATRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("HOME", str(tmp_path))
    unset = ("AAC_METRICS_CACHE_PATH", "AAC_METRICS_JAVA_PATH", "AAC_DATASETS_YTDLP_PATH", "AAC_DATASETS_FFMPEG_PATH")
    ours = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "TORCH_HOME", "XDG_CACHE_HOME")
    hub = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    for variable in (*unset, *ours, *hub):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def checks(tmp_path):
    """What is said now, by name: `checks()["java"]`."""

    def look() -> dict[str, dict]:
        record = examine(Session(Workspace(tmp_path), print, None))  # type: ignore[arg-type]
        return {check["name"]: check for check in record["checks"]}

    return look


def program(folder: Path, name: str, script: str = "") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_every_row_has_name_state_detail_and_fix(checks):
    found = checks()
    machine = ["python", "packages", "torch", "device", "memory", "threads", "open files", "encoding"]
    of_group = {
        "machine": [*machine, "workspace", "cache"],
        "data": ["datasets"],
        "runs": ["runs"],
        "encoders": [name for name in found if name.startswith(("weights ", "hub "))],
        "programs": ["ffmpeg", "yt-dlp"],
        "metrics": [
            *("java", *(f"{name} files" for name in NEEDS), "tokenizer"),
            *(f"metric {name}" for name in CAPTION_METRICS),
        ],
    }
    assert list(found) == [name for names in of_group.values() for name in names]
    assert {group: [name for name in found if found[name]["group"] == group] for group in of_group} == of_group
    for check in found.values():
        assert list(check) == ["name", "state", "detail", "fix", "brief", "run", "needs", "group"]
        assert check["state"] in ("ok", "missing", "wrong")
        assert check["detail"]
        assert (check["fix"] is None) == (check["state"] == "ok")


def test_what_is_missing_on_a_bare_machine_is_said_with_its_fix(checks):
    found = checks()
    assert found["java"]["detail"] == "Java is not installed"
    assert "apt install openjdk" in found["java"]["fix"]
    assert "apt install ffmpeg" in found["ffmpeg"]["fix"]
    assert found["yt-dlp"]["fix"] == "pip install 'atrkit[audiocaps]'"
    assert found["meteor files"]["fix"] == "pip install --no-deps pycocoevalcap, then atrkit download metrics"
    assert found["metric bleu_4"]["detail"] == "runs"
    assert found["metric spider_fl"]["detail"] == (
        "does not run without java and spice files and corenlp files and fluency files"
    )
    assert found["metric fense"]["fix"] == "atrkit download metrics"
    assert found["tokenizer"]["state"] == "missing"


def test_a_need_of_which_some_files_are_there_says_which_are_not(checks, tmp_path):
    jar, paraphrases = NEEDS["meteor"].files
    there = tmp_path / "cache" / jar.path
    there.parent.mkdir(parents=True)
    there.write_text("something")
    assert checks()["meteor files"]["brief"] == f"lacks {paraphrases.name} of the files of METEOR"


def test_what_is_there_is_found(checks, tmp_path, monkeypatch):
    java = program(tmp_path, "java", "echo 'openjdk version \"21.0.1\"' >&2")
    ffmpeg = program(tmp_path, "ffmpeg")
    ytdlp = program(tmp_path, "own-yt-dlp")
    monkeypatch.setenv("AAC_DATASETS_YTDLP_PATH", str(ytdlp))
    for need in NEEDS.values():
        for file in need.files:
            path = tmp_path / "cache" / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("something")
    found = checks()
    assert found["java"]["detail"] == f"21.0.1 ({java})"
    assert found["ffmpeg"]["detail"] == str(ffmpeg)
    assert found["yt-dlp"]["detail"] == str(ytdlp)
    looked_at = {name for name, check in found.items() if check["group"] in ("machine", "programs", "metrics")}
    assert {name for name in looked_at if found[name]["state"] != "ok"} == set()


def test_a_variable_that_names_no_program_is_wrong(checks, monkeypatch):
    monkeypatch.setenv("AAC_DATASETS_FFMPEG_PATH", "/nowhere/ffmpeg")
    ffmpeg = checks()["ffmpeg"]
    assert (ffmpeg["state"], ffmpeg["fix"]) == ("wrong", "correct or unset $AAC_DATASETS_FFMPEG_PATH")


def test_packages_are_compared_with_what_atrkit_declares(checks, monkeypatch):
    numpy = metadata.version("numpy")
    declared = ["numpy<1", "rich>=13", "no-such-package>=2", "pytest<1; extra == 'dev'", "tqdm; python_version < '3'"]
    monkeypatch.setattr(metadata, "requires", lambda _: declared)
    found = checks()
    assert found["packages"]["detail"] == "1 of 3 are there in a release that fits"
    assert found["packages"]["state"] == "wrong"
    assert found["numpy"] == {
        "name": "numpy",
        "state": "wrong",
        "detail": f"{numpy} is installed; <1 is needed",
        "fix": "pip install 'numpy<1'",
        "brief": None,
        "run": None,
        "needs": [],
        "group": "machine",
    }
    assert found["no-such-package"]["detail"] == "not installed; >=2 is needed"
    assert "pytest" not in found
    assert "tqdm" not in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_wrong(checks, tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    assert checks()["cache"]["state"] == "wrong"


def test_a_file_in_the_place_of_the_cache_is_wrong(checks, tmp_path):
    (tmp_path / "cache").write_text("")
    cache = checks()["cache"]
    assert cache["detail"] == f"{tmp_path}/cache cannot be written"
    assert cache["fix"] == "choose another folder with $ATRKIT_CACHE"


def test_a_full_disk_is_wrong(checks, monkeypatch):
    usage = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    found = checks()
    assert found["workspace"]["detail"].endswith(", 1.0 GB free")
    assert found["workspace"]["fix"].startswith("free some space")


class FakeCuda:
    """libcuda as its header declares it."""

    names = (b"NVIDIA H200", b"NVIDIA H200")
    status = 0
    newest = 99_000

    def cuInit(self, flags):
        return self.status

    def cuDeviceGetCount(self, count):
        count._obj.value = len(self.names)
        return 0

    def cuDeviceGet(self, device, number):
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name, size, device):
        name.value = self.names[device.value]
        return 0

    def cuDeviceTotalMem_v2(self, total, device):
        total._obj.value = 150_100_000_000
        return 0

    def cuDriverGetVersion(self, version):
        version._obj.value = self.newest
        return 0


def test_gpus_are_named_by_the_driver(checks, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: {"libcuda.so.1": FakeCuda()}[name])
    device = checks()["device"]
    assert device["state"] == "ok"
    assert device["detail"].startswith("NVIDIA H200 (150.1 GB), NVIDIA H200 (150.1 GB); ")


def test_a_torch_that_cannot_use_the_gpu_is_wrong(checks, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(ctypes, "CDLL", lambda _: FakeCuda())
    monkeypatch.setattr(metadata, "version", lambda name: "2.11.0+cpu" if name == "torch" else version(name))
    device = checks()["device"]
    assert device["state"] == "wrong"
    assert device["detail"].endswith("which torch 2.11.0+cpu cannot use")


def test_a_driver_older_than_the_cuda_of_torch_is_wrong(checks, monkeypatch, tmp_path):
    """torch is found by its files, one of which says for which CUDA it was built."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('torch was imported')")
    (tmp_path / "torch" / "version.py").write_text("cuda: Optional[str] = '13.1'\n")
    spec = type("Spec", (), {"origin": str(tmp_path / "torch" / "__init__.py")})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.11.0" if name == "torch" else version(name))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("Old", (FakeCuda,), {"newest": 12_080})())
    device = checks()["device"]
    assert device["state"] == "wrong" and "pytorch.org" in device["fix"]
    assert device["detail"].endswith("whose driver knows CUDA 12.8, and torch 2.11.0 was built for 13.1")
    assert checks()["torch"]["detail"] == "2.11.0, built for CUDA 13.1"
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("Same", (FakeCuda,), {"newest": 13_000})())
    assert checks()["device"]["state"] == "ok"


def test_a_driver_that_refuses_shows_no_gpu(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: type("Refusing", (FakeCuda,), {"status": 100})())
    assert gpus.find_gpus() == []


def test_the_command_says_all_of_it_and_is_no_error(tmp_path):
    words = ["--workspace", str(tmp_path)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert [check["name"] for check in record["checks"]][:2] == ["python", "packages"]
    shown = CliRunner().invoke(app, [*words, "--plain"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    lines = [line.rstrip() for line in shown.stdout.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    wide = CliRunner().invoke(app, [*words, "--plain"], env={"COLUMNS": "300"})  # where no path of this test is folded
    assert len(wide.stdout.splitlines()) <= 50
    assert "missing  java: Java is not installed" in lines
    assert [line for line in lines if line in GROUPS] == list(GROUPS), "the sections"
    assert "ok       metrics that run: bleu_1, bleu_2, bleu_3, bleu_4, rouge_l, cider_d," in lines
    assert "missing  metric spice: needs java, spice files, corenlp files" in lines
    assert "missing  tokenizer: needs java, ptb files" in lines
    place = lines.index("missing  spice files: not there")
    assert lines[place - 1] == "missing  meteor files: not there"
    assert lines[place + 1] == "         fix: pip install --no-deps pycocoevalcap, then atrkit download metrics"
    for fix in ("pip install --no-deps pycocoevalcap", "apt install openjdk", "fix: atrkit download metrics"):
        assert "\n".join(lines).count(fix) == 1
    assert lines[-1].endswith("optional things are missing")


def test_nothing_heavy_is_imported(tmp_path, monkeypatch):
    monkeypatch.undo()
    heavy = "torch transformers aac_metrics librosa h5py sentence_transformers huggingface_hub requests soundfile"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from atrkit.workflows.doctor import examine\nfrom atrkit.workflows.session import Session\n"
        "from atrkit.workflows.workspace import Workspace\n"
        "from atrkit.reports.doctor_table import doctor_view\n"
        "doctor_view(examine(Session(Workspace(Path()), print, None)))\n"
        f"print(set('{heavy}'.split()) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
