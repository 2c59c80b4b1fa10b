"""The official tables of captions, with small audio made for the purpose: exactly the published numbers of clips."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.datasets.manifest import load_dataset

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "csv"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the official tables are not in ../shared")


def column(path, name):
    with path.open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


@pytest.fixture
def sound(tmp_path):
    """One short sound; every clip is a hard link to it."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.full(160, 0.1), 32_000)
    return path


def link(sound, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.link(sound, path)


def captions_per_clip(dataset):
    return {split: Counter(len(clip.captions) for clip in dataset.split(split)) for split in dataset.splits}


def test_clotho(atrkit, sound, tmp_path):
    copy = tmp_path / "CLOTHO_v2.1"
    (copy / "clotho_csv_files").mkdir(parents=True)
    for folder in ("development", "validation", "evaluation"):
        for kind in ("captions", "metadata"):
            shutil.copy(SHARED / "clotho" / f"clotho_{kind}_{folder}.csv", copy / "clotho_csv_files")
        for name in column(SHARED / "clotho" / f"clotho_captions_{folder}.csv", "file_name"):
            link(sound, copy / "clotho_audio_files" / folder / name)
    atrkit("download", "clotho", "--from", tmp_path)
    dataset = load_dataset(atrkit.data / "clotho")
    assert captions_per_clip(dataset) == {"dev": {5: 3839}, "val": {5: 1045}, "eval": {5: 1045}}
    assert all(clip.metadata is not None for clip in dataset.clips)
    stated = {clip.metadata["manufacturer"] for clip in dataset.clips}
    assert any("Á" in name for name in stated if name)  # a name in Latin-1
    with (SHARED / "clotho" / "clotho_captions_development.csv").open(encoding="utf-8", newline="") as file:
        written = {row["file_name"]: [row[f"caption_{k}"] for k in range(1, 6)] for row in csv.DictReader(file)}
    read = {clip.id.removeprefix("development/"): [c.text for c in clip.captions] for clip in dataset.split("dev")}
    assert read == written


@pytest.mark.parametrize(
    ("version", "counts"),
    [
        pytest.param("v1", {"train": {1: 49_838}, "val": {5: 495}, "test": {5: 975}}, marks=pytest.mark.slow),
        ("v2", {"val": {5: 495}, "test": {5: 975}}),  # the table train of v2 is not in ../shared
    ],
)
def test_audiocaps(atrkit, sound, tmp_path, version, counts):
    have = tmp_path / "have"
    tables = have / f"csv_files_{version}"
    tables.mkdir(parents=True)
    for subset in counts:
        table = SHARED / "audiocaps" / (f"{subset}.csv" if version == "v1" else f"v2_{subset}.csv")
        shutil.copy(table, tables / f"{subset}.csv")
        for youtube_id in dict.fromkeys(column(table, "youtube_id")):
            link(sound, have / f"Y{youtube_id}.wav")
    subsets = ",".join(counts)
    atrkit("download", "audiocaps", "--version", version, "--subset", subsets, "--from", have)
    assert captions_per_clip(load_dataset(atrkit.data / "audiocaps")) == counts
