"""`atrkit download metrics`: jars from a package, models from caches or the network, each verified and in its place."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from atrkit.cli.metrics import metrics
from atrkit.metrics.captioning.catalogue import CORENLP_URL, CORENLP_ZIP, NEEDS, NeededFile
from atrkit.workflows.download import metrics as preparation
from atrkit.workflows.download.metrics import find_package

app = typer.Typer()
app.command()(metrics)

PACKAGED = [file for need in NEEDS.values() for file in need.files if file.package_path is not None]
PUBLISHED = [file for need in NEEDS.values() for file in need.files if file.url not in (None, CORENLP_URL)]
CORENLP = NEEDS["corenlp"].files
CHECKPOINT = NEEDS["fluency"].files[0]
MODEL = next(file for file in NEEDS["sbert"].files if file.name == "model.safetensors")
ZIP_PATH = "/" + CORENLP_URL.partition("//")[2].partition("/")[2]


def content(file: NeededFile) -> bytes:
    return f"content of {file.path}, ".encode() * 300


def url_path(file: NeededFile) -> str:
    assert file.url is not None
    return "/" + file.url.partition("//")[2].partition("/")[2]


def corenlp_zip(**changed: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{CORENLP_ZIP}/LICENSE.txt", "text")
        archive.writestr("../../escaped.txt", "text")
        for file in CORENLP:
            archive.writestr(f"{CORENLP_ZIP}/{file.name}", changed.get(file.name, content(file)))
    return buffer.getvalue()


@pytest.fixture
def world(tmp_path, monkeypatch, server, impatient):
    """A machine with the package, and a network with everything; all of it small, and the known hashes are theirs."""
    for name, need in list(NEEDS.items()):
        files = tuple(
            replace(file, sha256=hashlib.sha256(content(file)).hexdigest()) if file.sha256 else file
            for file in need.files
        )
        monkeypatch.setitem(NEEDS, name, replace(need, files=files))
    world = World(tmp_path, monkeypatch, server)
    world.install_package()
    for file in PUBLISHED:
        server.publish(url_path(file), content(file))
    server.publish(ZIP_PATH, corenlp_zip())
    return world


class World:
    def __init__(self, folder: Path, monkeypatch, server) -> None:
        self.folder, self.cache, self.server, self.monkeypatch = folder, folder / "cache", server, monkeypatch
        monkeypatch.setenv("AAC_METRICS_CACHE_PATH", str(self.cache))
        monkeypatch.setenv("ATRKIT_MIRROR", server.url)
        monkeypatch.setenv("PATH", str(folder))  # without Java
        for variable in ("HF_HOME", "TORCH_HOME"):
            monkeypatch.setenv(variable, str(folder / variable))
        for variable in ("HF_HUB_CACHE", "FENSE_DATA"):
            monkeypatch.delenv(variable, raising=False)

    def install_package(self) -> Path:
        site = self.folder / "site"
        for file in PACKAGED:
            path = site / "pycocoevalcap" / str(file.package_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(file))
        self.monkeypatch.syspath_prepend(site)
        return site / "pycocoevalcap"

    def uninstall_package(self) -> None:
        self.monkeypatch.setattr("atrkit.workflows.download.metrics.find_package", lambda: None)

    def run(self, *words: str, code: int = 0):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr, result.exception)
        return result

    def states(self, *words: str) -> dict[str, str]:
        record = json.loads(self.run("--json", *words).stdout)
        return {file["path"]: file["state"] for file in record["files"]}

    def path(self, file: NeededFile) -> Path:
        return self.cache / file.path


def test_everything_is_brought_to_its_place_and_a_second_run_does_nothing(world):
    first = world.states()
    assert first == {
        **{file.path: "copied" for file in PACKAGED},
        **{file.path: "fetched" for file in (*PUBLISHED, *CORENLP)},
    }
    assert all(world.path(file).read_bytes() == content(file) for file in (*PACKAGED, *PUBLISHED, *CORENLP))
    before = {path: path.stat().st_mtime_ns for path in world.cache.rglob("*") if path.is_file()}
    requests = len(world.server.requests)
    assert set(world.states().values()) == {"there"}
    assert len(world.server.requests) == requests
    after = {path: path.stat().st_mtime_ns for path in world.cache.rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if path.name[0] != "."} == {
        path: time for path, time in before.items() if path.name[0] != "."
    }
    assert not list(world.cache.rglob("*.zip"))
    assert not list(world.folder.rglob("escaped.txt"))


def test_one_metric_can_be_prepared_alone_and_needs_no_network_for_it(world):
    world.monkeypatch.setenv("ATRKIT_MIRROR", "http://127.0.0.1:9")
    assert set(world.states("--only", "meteor")) == {
        file.path for need in ("ptb", "meteor") for file in NEEDS[need].files
    }
    assert "meteor" not in {path.parts[-2] for path in world.cache.rglob("*.gz")}


@pytest.mark.parametrize(
    ("file", "part"), [(PACKAGED[0], "meteor"), (MODEL, "fense"), (CHECKPOINT, "fense"), (CORENLP[1], "spice")]
)
def test_a_damaged_copy_is_mended(world, file, part):
    world.run("--only", part)
    world.path(file).write_bytes(content(file)[:-1] + b"?")
    result = world.run("--only", part)
    assert f"{world.path(file)} is damaged, or another file" in result.stderr
    assert world.path(file).read_bytes() == content(file)
    assert "1 mended" in result.stdout


def test_a_package_with_other_files_is_refused(world):
    package = find_package()
    assert package is not None
    (package / "meteor" / "meteor-1.5.jar").write_bytes(b"another release")
    result = world.run(code=5)
    assert "meteor-1.5.jar is not the one of pycocoevalcap 1.2" in result.stderr
    assert "pip install --no-deps pycocoevalcap==1.2 --force-reinstall" in result.stderr
    assert not (world.cache / "aac-metrics/meteor/meteor-1.5.jar").exists()


def test_without_the_package_models_come_and_the_package_is_asked_for(world):
    world.uninstall_package()
    result = world.run(code=3)
    assert result.stderr.splitlines()[-1] == (
        "atrkit: stanford-corenlp-3.4.1.jar and 20 others must come from the package pycocoevalcap, which is not "
        "installed; run: pip install --no-deps pycocoevalcap==1.2, then again: atrkit download metrics"
    )
    assert all(world.path(file).read_bytes() == content(file) for file in (*PUBLISHED, *CORENLP))


def test_without_a_network_jars_come_and_the_rest_is_listed_with_address_and_place(world):
    world.monkeypatch.setenv("ATRKIT_MIRROR", "http://127.0.0.1:9")
    asked: list[str] = []
    real = preparation.fetch
    world.monkeypatch.setattr(preparation, "fetch", lambda url, *a, **o: asked.append(url) or real(url, *a, **o))
    result = world.run(code=6)
    assert all(world.path(file).read_bytes() == content(file) for file in PACKAGED)
    assert len(asked) == 3  # every server once
    listed = [line.strip() for line in result.stderr.splitlines() if line.startswith("  ")]
    fense = f"{world.cache}/aac-metrics/fense"
    sha256 = NEEDS["fluency"].files[0].sha256
    assert listed[0] == f"{CORENLP_URL}  ->  {world.cache}/aac-metrics/spice/lib/{CORENLP_ZIP}.zip"
    assert listed[1].startswith(
        "https://huggingface.co/sentence-transformers/paraphrase-TinyBERT-L6-v2/resolve/main/{modules.json,config.json,"
    )
    assert listed[1].endswith(f"1_Pooling/config.json,model.safetensors}}  ->  {fense}/paraphrase-TinyBERT-L6-v2/")
    assert listed[2] == (
        "https://github.com/blmoistawinde/fense/releases/download/V0.1/echecker_clotho_audiocaps_base.ckpt  "
        f"(sha256 {sha256})  ->  {fense}/echecker_clotho_audiocaps_base/echecker_clotho_audiocaps_base.ckpt"
    )
    assert listed[3] == (
        "https://huggingface.co/google-bert/bert-base-uncased/resolve/main/"
        f"{{config.json,tokenizer.json,tokenizer_config.json}}  ->  {fense}/echecker_clotho_audiocaps_base/"
    )
    assert len(listed) == 4
    assert result.stderr.splitlines()[-1].startswith(f"atrkit: cannot download {CORENLP_ZIP}.zip")


def test_what_was_put_there_by_hand_is_taken(world):
    world.monkeypatch.setenv("ATRKIT_MIRROR", "http://127.0.0.1:9")
    for file in PUBLISHED:
        world.path(file).parent.mkdir(parents=True, exist_ok=True)
        world.path(file).write_bytes(content(file))
    place = world.cache / "aac-metrics/spice/lib" / f"{CORENLP_ZIP}.zip"
    place.parent.mkdir(parents=True)
    place.write_bytes(corenlp_zip())
    result = world.run()
    assert all(world.path(file).read_bytes() == content(file) for file in CORENLP)
    sha256 = hashlib.sha256(content(MODEL)).hexdigest()
    assert (
        f"no checksum of model.safetensors is known, so {world.path(MODEL)} is taken as it is: sha256 {sha256}"
        in result.stderr
    )


def test_models_are_taken_from_where_other_programs_keep_them(world):
    hub = world.folder / "HF_HOME" / "hub" / "models--sentence-transformers--paraphrase-TinyBERT-L6-v2"
    (hub / "refs").mkdir(parents=True)
    (hub / "refs" / "main").write_text("abc123")
    for file in NEEDS["sbert"].files:
        place = hub / "snapshots" / "abc123" / str(file.hub_file and file.hub_file[1])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content(file))
    checkpoints = world.folder / "TORCH_HOME" / "hub" / "fense_data"
    checkpoints.mkdir(parents=True)
    (checkpoints / CHECKPOINT.name).write_bytes(content(CHECKPOINT))
    states = world.states("--only", "fense")
    assert {states[file.path] for file in (*NEEDS["sbert"].files, CHECKPOINT)} == {"copied"}
    assert all("bert-base-uncased" in request.path for request in world.server.requests)


def test_another_checkpoint_in_the_cache_of_fense_is_passed_over(world):
    world.monkeypatch.setenv("FENSE_DATA", str(world.folder))
    (world.folder / CHECKPOINT.name).write_bytes(b"cut short")
    assert world.states("--only", "fense")[CHECKPOINT.path] == "fetched"
    assert world.path(CHECKPOINT).read_bytes() == content(CHECKPOINT)


def test_a_server_with_another_checkpoint_is_refused(world):
    world.server.publish(url_path(CHECKPOINT), b"another one")
    result = world.run("--only", "fense", code=5)
    assert "echecker_clotho_audiocaps_base.ckpt is not the published file" in result.stderr
    assert not world.path(CHECKPOINT).exists()


def test_a_transfer_that_is_cut_goes_on_where_it_was(world):
    cut = [world.server.cut(1000)] * 2
    world.server.publish(url_path(MODEL), content(MODEL), faults=cut)
    world.run("--only", "fense")
    assert [request.range_start for request in world.server.requests_of(url_path(MODEL))] == [0, 1000, 2000]


@pytest.mark.parametrize(
    "data",
    [b"no archive", corenlp_zip()[:-200], corenlp_zip().replace(b"3.6.0-models.jar", b"3.6.0-modelz.jar")],
    ids=["no archive", "cut", "another archive"],
)
def test_an_archive_that_is_not_what_it_should_be_is_set_aside(world, data):
    world.server.publish(ZIP_PATH, data)
    result = world.run("--only", "spice", code=5)
    folder = world.cache / "aac-metrics/spice/lib"
    assert f"it was set aside as {folder}/{CORENLP_ZIP}.zip.rejected" in result.stderr
    assert not any(world.path(file).exists() for file in CORENLP[1:])
    world.server.publish(ZIP_PATH, corenlp_zip())
    world.run("--only", "spice")
    assert all(world.path(file).read_bytes() == content(file) for file in CORENLP)


def test_java_that_is_missing_is_said(world):
    result = world.run("--only", "meteor")
    assert "METEOR, SPICE and the PTB tokenizer need Java: Java is not installed; apt install openjdk" in result.stderr
    assert "meteor, spice, spider, spider_fl: Java is not installed" in " ".join(result.stdout.split())


KILLED_WHILE_COPYING = """
import os, signal, sys
from pathlib import Path
from atrkit.workflows.download import metrics
from atrkit.workflows.session import Session

real = metrics.open_atomic
class Dying:
    def __init__(self, file): self.file, self.left = file, 3
    def write(self, block):
        self.file.write(block[: len(block) // 2])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

import contextlib
@contextlib.contextmanager
def dying(path):
    with real(path) as file:
        yield Dying(file) if path.name == sys.argv[1] else file
metrics.open_atomic = dying
metrics.download_metrics(Session(None, print, None), ["meteor"])
"""


def test_a_kill_leaves_whole_files_only_and_the_next_run_goes_on(world):
    """The process dies of SIGKILL in the middle of a copy, with the real names and hashes of the wheel replaced."""
    sitecustomize = world.folder / "patched" / "sitecustomize.py"
    sitecustomize.parent.mkdir()
    hashes = {file.path: file.sha256 for need in NEEDS.values() for file in need.files}
    sitecustomize.write_text(
        "from dataclasses import replace\n"
        "from atrkit.metrics.captioning.catalogue import NEEDS\n"
        f"hashes = {hashes!r}\n"
        "for name, need in list(NEEDS.items()):\n"
        "    NEEDS[name] = replace(need, files=tuple(replace(f, sha256=hashes[f.path]) for f in need.files))\n"
    )
    package = find_package()
    assert package is not None
    path = os.pathsep.join([str(sitecustomize.parent), str(package.parent), str(Path(__file__).parents[3])])
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_COPYING, "paraphrase-en.gz"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    jar, table = NEEDS["meteor"].files
    assert world.path(jar).read_bytes() == content(jar)
    assert not world.path(table).exists()
    assert world.states("--only", "meteor") == {
        NEEDS["ptb"].files[0].path: "there",
        jar.path: "there",
        table.path: "copied",
    }
    assert world.path(table).read_bytes() == content(table)
