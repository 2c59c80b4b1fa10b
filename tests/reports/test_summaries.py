"""What `download`, `import`, `extract` and `train` say at their end."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from rich.console import Console

from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.datasets.missing import MissingClip
from atrkit.reports.dataset_summary import dataset_record, dataset_table
from atrkit.reports.extraction_summary import extraction_record, extraction_sentence
from atrkit.reports.run_summary import run_record, run_sentence


def make_dataset() -> Dataset:
    captions = (Caption("a#1", "rain"), Caption("a#2", "it rains"))
    clips = (
        Clip("a", "a.wav", "0", 16000, 16000 * 1800, 1, "eval", captions),
        Clip("b", "b.wav", "1", 8000, 8000 * 3600, 2, "dev", captions[:1]),
        Clip("c", "c.wav", "2", 8000, 8000 * 3600, 2, "dev"),
    )
    about = {"ceilings": {"kinds": 0.325}, "notes": ["1 file was named by no row"]}
    return Dataset("mine", clips, Path("data/mine"), about)


def test_a_dataset_is_counted_per_split():
    splits = dataset_record(make_dataset())["splits"]
    assert splits["dev"] == {"clips": 2, "captions": 1, "hours": 2.0}
    assert splits["eval"] == {"clips": 1, "captions": 2, "hours": 0.5}


def test_a_dataset_reads_from_dev_to_eval_with_its_ceilings_and_notes():
    text = io.StringIO()
    Console(file=text, width=80).print(dataset_table(make_dataset()))
    assert [line.rstrip() for line in text.getvalue().splitlines()] == [
        "mine in data/mine",
        "split      clips   captions   hours",
        "-----------------------------------",
        "dev            2          1    2.00",
        "eval           1          2    0.50",
        "",
        "text-to-audio R@1 that an oracle reaches on eval when it knows:",
        "  the kinds of sound only: 32.5 %",
        "1 file was named by no row",
    ]


def test_missing_clips_have_a_column_when_they_are_on_record_and_a_row_where_nothing_else_is_there():
    gone = [MissingClip("val", "x", "x.wav", "removed", True), MissingClip("dev", "y", "y.wav", "removed", True)]
    splits = dataset_record(make_dataset(), gone)["splits"]
    assert {name: split["missing"] for name, split in splits.items()} == {"dev": 1, "val": 1, "eval": 0}
    text = io.StringIO()
    Console(file=text, width=80).print(dataset_table(make_dataset(), gone))
    assert [line.rstrip() for line in text.getvalue().splitlines()][1:6] == [
        "split      clips   captions   hours   missing",
        "---------------------------------------------",
        "dev            2          1    2.00         1",
        "val            0          0    0.00         1",
        "eval           1          2    0.50         0",
    ]
    assert {split["missing"] for split in dataset_record(make_dataset(), [])["splits"].values()} == {0}


def test_embeddings_are_described_with_what_was_skipped_and_padded(tmp_path):
    path = tmp_path / "toy.h5"
    path.write_bytes(bytes(2_500_000))
    facts = SimpleNamespace(
        clip_ids=("a", "b"),
        frames_NF=np.zeros((1234, 64), np.float16),
        largest_cosine_loss=1.26e-7,
        provenance={"encoder": "toy"},
        problems=({"action": "skipped"}, {"action": "padded"}, {"action": "skipped"}),
    )
    record = extraction_record("mine", path, facts, was_there=False)
    assert record["problems"] == {"padded": 1, "skipped": 2}
    assert extraction_sentence(record) == (
        "toy embeddings of mine are made: 2 clips, 1,234 frames of 64 numbers (float16, cosine to float32 at least "
        f"1 - 1.3e-07), 2.5 MB, 1 padded, 2 skipped ({path})"
    )
    there = extraction_record("mine", path, facts, was_there=True)
    assert "were there and are up to date" in extraction_sentence(there)


def test_a_run_is_described_with_the_epoch_that_was_kept():
    finished = {
        "run": "demo/seed-1", "model": "dual_encoder",
        "train_clips": 1200, "dataset": "synthetic", "train_split": "dev",
        "best_epoch": 32, "epochs": 40, "keep_best": "mean_R@1", "best_metric": 0.51917,
    }  # fmt: skip
    record = run_record(Path("runs/demo/seed-1"), finished, was_there=False)
    assert run_sentence(record) == (
        "demo/seed-1 is finished: dual_encoder on 1,200 clips of synthetic/dev, "
        "epoch 32 of 40 kept by mean_R@1 = 0.5192 (runs/demo/seed-1)"
    )
