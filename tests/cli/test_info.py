"""`atrkit info`: what people and machines are told of a dataset, and what --verify finds."""

import csv
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from atrkit.cli.info import info
from atrkit.datasets.manifest import AudioFile, Caption, Clip, Dataset, Problem, save_dataset
from atrkit.datasets.missing import MissingClip, save_missing
from atrkit.datasets.relevance import Qrels, Relevance, save_relevance

SHARED = Path(__file__).resolve().parents[3] / "shared"
COMMAND = "atrkit download clotho --version v2.1"
app = typer.Typer()
app.command()(info)


def run(workspace, *words, code=0):
    result = CliRunner().invoke(app, [*words, "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def recorded(folder: Path, name: str, rate_hz: int) -> AudioFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (rate_hz * 3, 1)), rate_hz)
    return AudioFile(name, hashlib.sha256(path.read_bytes()).hexdigest(), rate_hz, rate_hz * 3, 1)


def clip(folder: Path, name: str, split: str, captions: list[str], **facts) -> Clip:
    file, copy = recorded(folder, f"audio/{name}.wav", 8000), recorded(folder, f"audio_4000Hz/{name}.flac", 4000)
    numbered = tuple(Caption(f"{name}#{k}", text) for k, text in enumerate(captions, 1))
    return Clip(name, file.path, file.sha256, 8000, file.frames, 1, split, numbered, copies=(copy,), **facts)


@pytest.fixture
def workspace(tmp_path) -> Path:
    """A dataset like Clotho, small, with everything there is to be told."""
    folder = tmp_path / "data" / "clotho"
    cc_by = {"licence": "http://creativecommons.org/licenses/by/3.0/"}
    clips = (
        clip(folder, "a", "dev", ["Rain falls.", "A dog."], metadata=cc_by),
        clip(folder, "b", "dev", ["rain FALLS", "A cat."], metadata=cc_by),
        clip(folder, "c", "eval", ["Rain falls."], metadata={"licence": None}),
    )
    lost = [("dev", "removed"), ("val", "private video"), ("val", "removed"), ("val", "removed")]
    missing = [MissingClip(split, f"m{k}", f"m{k}", reason, True) for k, (split, reason) in enumerate(lost)]
    save_missing(folder, missing)
    about = {
        "source": {"name": "Clotho", "version": "v2.1", "record": "https://zenodo.org/records/4783391"},
        "licence": "captions: for academic use",
        "notes": ["2 names were matched in another Unicode form"],
    }
    save_dataset(Dataset("clotho", clips, folder, about, (Problem("b", "repaired", "cut at 2.9 s"),)))
    save_relevance(folder, Relevance("ours", folder, (Qrels("ours", "dev", {"a#1": {"b": 1, "a": 0}}),), (), ()))
    return tmp_path


def test_people_are_told_all_that_matters_for_a_figure(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(workspace)
    result = run("", "clotho", "--plain")
    folder = json.loads((workspace / "data/clotho/dataset.json").read_text())
    dev, test = (folder["pool_ids"][split][:8] for split in ("dev", "eval"))
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "clotho in data/clotho",
        "split      clips   captions   hours   missing",
        "---------------------------------------------",
        "dev            2          4    0.00         1",
        "val            0          0    0.00         3",
        "eval           1          1    0.00         0",
        "",
        "split      captions shared by clips   T2A R@1 ceiling       pool",
        "----------------------------------------------------------------",
        f"dev                               2            75.0 %   {dev}",
        f"eval                              0           100.0 %   {test}",
        "",
        "missing    dev: removed 1",
        "           val: removed 2, private video 1",
        "           each is listed in missing.csv",
        "audio      8,000 Hz (3 files)",
        "           copies: 4,000 Hz (3 files)",
        "licence    captions: for academic use",
        "           CC BY 3.0 2, not stated 1",
        "source     Clotho v2.1, https://zenodo.org/records/4783391",
        "relevance  ours: 1 query of dev, 2 judgements",
        "problems   1 clip skipped or repaired, listed in problems.jsonl",
        "",
        "2 names were matched in another Unicode form",
    ]
    assert result.stderr == ""


@pytest.mark.parametrize("columns", [50, 80])
def test_nothing_is_wider_than_the_terminal(workspace, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.chdir(workspace)
    lines = run("", "clotho").stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in "".join(lines), "nothing is cut"


def test_machines_are_told_the_same_in_full(workspace):
    record = json.loads(run(workspace, "clotho", "--json").stdout)
    header = json.loads((workspace / "data/clotho/dataset.json").read_text())
    assert list(record["splits"]) == ["dev", "val", "eval"]
    assert record["splits"]["dev"] == {
        "clips": 2, "captions": 4, "hours": round(6 / 3600, 4), "missing": 1,
        "duplicate_captions": 2, "ceiling_text_to_audio_R1": 0.75, "pool_id": header["pool_ids"]["dev"],
    }  # fmt: skip
    assert record["missing"] == {"dev": {"removed": 1}, "val": {"removed": 2, "private video": 1}}
    assert record["audio"] == {"originals": {"8000": 3}, "copies": {"4000": 3}}
    assert record["clip_licences"] == {"http://creativecommons.org/licenses/by/3.0/": 2, "not stated": 1}
    assert record["relevance"] == [{"name": "ours", "split": "dev", "queries": 1, "judgements": 2}]
    assert record["about"] == header["about"] and record["problems"] == 1 and "verification" not in record


def test_without_a_name_it_is_the_dataset_made_last_and_the_others_are_named(workspace):
    for age_s, name in ((200, "older"), (100, "newer")):
        folder = workspace / "data" / name
        save_dataset(Dataset(name, (clip(folder, f"{name}.1", "all", []),), folder))
        os.utime(folder / "dataset.json", (1e9 - age_s, 1e9 - age_s))
    os.utime(workspace / "data/clotho/dataset.json", (1e9, 1e9))
    result = run(workspace, "--json")
    assert json.loads(result.stdout)["dataset"] == "clotho"
    assert result.stderr == "dataset: clotho (the one made last; there are also: newer, older)\n"


@pytest.mark.parametrize(("others", "rest"), [(1, "1 other reason 1"), (2, "2 other reasons 2")])
def test_rare_reasons_are_counted_together(workspace, others, rest):
    reasons = [reason for k in range(5) for reason in [f"often {k}"] * 2] + [f"once {k}" for k in range(others)]
    save_missing(
        workspace / "data/clotho", [MissingClip("dev", f"m{k}", "", reason, True) for k, reason in enumerate(reasons)]
    )
    words = " ".join(run(workspace, "clotho").stdout.split())
    assert f"dev: often 0 2, often 1 2, often 2 2, often 3 2, often 4 2, {rest} each is listed" in words


def test_a_dataset_of_ones_own_has_no_column_of_missing_clips(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "data" / "tapes"
    save_dataset(Dataset("tapes", (clip(folder, "a", "all", []),), folder, {"source": "/tapes"}))
    lines = [line.rstrip() for line in run(tmp_path, "tapes").stdout.splitlines()]
    assert "split      clips   captions   hours" in lines
    assert any(line.startswith("all ") and " - " in line for line in lines), "no captions: no ceiling"
    assert "source  /tapes" in lines
    assert json.loads(run(tmp_path, "--json").stdout)["missing"] is None


def test_a_whole_dataset_is_verified(workspace):
    result = run(workspace, "clotho", "--verify")
    assert "10 files read again" in result.stdout and "all are as the manifest says" in result.stdout
    assert "verifying clotho: 10 of 10 files" in result.stderr
    record = json.loads(run(workspace, "clotho", "--verify", "--json").stdout)
    assert record["verification"]["files"] == 10 and record["verification"]["changes"] == []


def test_changed_files_are_all_listed_and_the_way_out_is_said(workspace):
    folder = workspace / "data" / "clotho"
    changed, gone = folder / "audio_4000Hz" / "b.flac", folder / "audio" / "c.wav"
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    gone.unlink()
    result = run(workspace, "--verify", code=5)
    assert f"  changed: {changed}\n  missing: {gone}\n" in result.stdout
    assert result.stderr.splitlines()[-1] == (
        "atrkit: 2 of 10 files are not as the manifest of clotho says: delete the 1 changed file below "
        f"{folder}, then run: {COMMAND}"
    )
    record = json.loads(run(workspace, "clotho", "--verify", "--json", code=5).stdout)
    assert [(Path(c["path"]), c["what"]) for c in record["verification"]["changes"]] == [
        (changed, "changed"), (gone, "missing"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "pool"),
    [
        ("abc", "957: 2 of 1,200 clips are on disk (Someone et al. 2022)"),
        ("c", "957: 0 of 1,200 clips are on disk (Someone et al. 2022)"),
    ],
)
def test_how_much_of_a_pool_is_on_disk(tmp_path, monkeypatch, names, pool):
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "data" / "audiocaps"
    record = {"name": "957", "option": "957", "source": "Someone et al. 2022", "clips": 1200}
    clips = tuple(clip(folder, name, "val" if name == "c" else "test", []) for name in names)
    save_dataset(Dataset("audiocaps", clips, folder, {"pool": record}))
    assert f"pool   {pool}" in [line.rstrip() for line in run(tmp_path).stdout.splitlines()]


def test_of_many_changed_files_twenty_are_listed_and_a_folder_that_is_gone_has_one_line(workspace):
    folder, disk = workspace / "data" / "clotho", workspace / "disk"
    names = [f"audio/lost {k:02}.wav" for k in range(25)] + [str(disk / f"x/{k}.wav") for k in range(1200)]
    clips = tuple(Clip(name, name, "0" * 64, 8000, 1, 1, "dev") for name in names)
    (folder / "missing.csv").unlink()
    save_dataset(Dataset("clotho", clips, folder, {"source": {"name": "Clotho", "version": "v2.1"}}))
    result = run(workspace, "--verify", code=5)
    after = result.stdout.partition("are not as the manifest says\n")[2].splitlines()
    assert "1,228 files read again" in result.stdout and ": 1,225 are not as the manifest says" in result.stdout
    assert after == [
        f"  missing: all 1,200 below {disk}: is the disk mounted, was it moved?",
        *(f"  missing: {folder}/audio/lost {k:02}.wav" for k in range(20)),
        "  and 5 more; --json lists all",
    ]
    record = json.loads(run(workspace, "clotho", "--verify", "--json", code=5).stdout)["verification"]
    assert len(record["changes"]) == 1225 and record["folders_gone"] == {str(disk): 1200}


def test_one_is_not_many(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "data" / "audiocaps"
    about = {
        "source": {"name": "AudioCaps", "version": "v1"},
        "pool": {"name": "mine", "option": "/mine.txt", "source": "the list /mine.txt", "clips": 3},
    }
    save_dataset(Dataset("audiocaps", (clip(folder, "a", "test", ["Rain."]),), folder, about))
    save_relevance(folder, Relevance("ours", folder, (Qrels("ours", "test", {"a#1": {"a": 1}}),), (), ()))
    (folder / "audio/a.wav").write_bytes(b"")
    result = run(tmp_path, "--verify", code=5)
    for line in (
        "pool       mine: 1 of 3 clips is on disk (the list /mine.txt)",
        "audio      8,000 Hz (1 file)",
        "           copies: 4,000 Hz (1 file)",
        "relevance  ours: 1 query of test, 1 judgement",
    ):
        assert line in [shown.rstrip() for shown in result.stdout.splitlines()]
    assert ": 1 is not as the manifest says" in result.stdout
    assert "1 of 5 files is not as the manifest of audiocaps says: " in result.stderr


def test_long_paths_are_listed_in_one_piece_and_control_characters_are_shown(workspace, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    folder = workspace / "data" / "clotho"
    name = f"{'deep' * 20}/\x1b]0;owned\x07.wav"
    save_dataset(Dataset("clotho", (Clip("x", name, "0" * 64, 8000, 1, 1, "dev"),), folder))
    result = run(workspace, "--verify", code=5)
    assert f"  missing: {str(folder / name)!r}\n" in result.stdout and "\x1b" not in result.stdout


def test_a_changed_manifest_is_an_error_before_anything_is_read(workspace):
    path = workspace / "data/clotho/manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Rain", b"Hail", 1))
    line = run(workspace, "--verify", code=5).stderr.splitlines()[-1]
    assert f"{path} is damaged" in line and "atrkit download clotho" in line


def test_lost_missing_and_judgements_are_noticed(workspace):
    folder = workspace / "data" / "clotho"
    (folder / "missing.csv").unlink()
    assert f"missing: {folder / 'missing.csv'}" in run(workspace, "--verify", code=5).stdout
    save_missing(folder, [])
    (folder / "qrels" / "ours.dev.tsv").write_text("")
    result = run(workspace, "--verify", code=5)
    assert f"changed: {folder / 'qrels' / 'ours.dev.tsv'}" in result.stdout
    assert "--relevance PATH" in result.stderr


def test_a_dataset_that_is_not_there_names_the_command(tmp_path):
    assert "atrkit download clotho" in run(tmp_path, "clotho", code=3).stderr
    assert "atrkit download synthetic" in run(tmp_path, code=3).stderr


def test_audiocaps_with_957_clips_has_220_shared_captions_and_a_ceiling_of_97_point_3_percent(tmp_path):
    table = SHARED / "data/csv/audiocaps_mei/test.csv"
    if not table.is_file():
        pytest.skip(f"{table} is absent")
    folder = tmp_path / "data" / "audiocaps"
    folder.mkdir(parents=True)
    with table.open(newline="", encoding="utf-8") as file:
        clips = tuple(
            Clip(
                row["file_name"], row["file_name"], "0" * 64, 32000, 320000, 1, "test",
                tuple(Caption(f"{row['file_name']}#{k}", row[f"caption_{k}"]) for k in range(1, 6)),
            )
            for row in csv.DictReader(file)
        )  # fmt: skip
    save_dataset(Dataset("audiocaps", clips, folder))
    test = json.loads(run(tmp_path, "--json").stdout)["splits"]["test"]
    assert (test["clips"], test["captions"], test["duplicate_captions"]) == (957, 4785, 220)
    assert f"{100 * test['ceiling_text_to_audio_R1']:.1f}" == "97.3"
