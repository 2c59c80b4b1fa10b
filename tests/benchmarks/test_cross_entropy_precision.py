"""What the captioner's scorer takes in memory, and what half precision does to losses and ranks."""

import csv
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from atrkit.metrics.ranking import evaluate
from atrkit.models import Captioner, Ragged, TransformerDecoder
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.cross_entropy import CrossEntropyScorer
from atrkit.text.vocabulary import CaptionVocabulary

CLOTHO = Path(__file__).resolve().parents[3] / "shared" / "data" / "csv" / "clotho"
MEMORY_TOLERANCE = 0.05  # of PERFORMANCE.md, section 1

pytestmark = [pytest.mark.bench, pytest.mark.skipif(not CLOTHO.is_dir(), reason="needs ../shared/data/csv")]


def captions_of(split: str) -> list[str]:
    with (CLOTHO / f"clotho_captions_{split}.csv").open(encoding="utf-8", newline="") as file:
        return [row[f"caption_{number}"] for row in csv.DictReader(file) for number in range(1, 6)]


INDEX = ("chunks", "layouts", "x_ND", "first_query_ND")  # what a pass keeps of its captions
MEMORY_CHILD = """
import gc, json, sys
from dataclasses import fields, is_dataclass
import numpy as np, torch
from atrkit.models import Captioner, Ragged, TransformerDecoder
from atrkit.scoring.cross_entropy import CrossEntropyScorer

torch.set_num_threads(1)
given = json.load(open(sys.argv[1]))
captions = given["captions"]

def status(name):
    line = next(line for line in open("/proc/self/status") if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])

def size(thing):
    if isinstance(thing, torch.Tensor):
        return thing.untyped_storage().nbytes()
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, list):
        return sum(map(size, thing))
    return sum(size(getattr(thing, field.name)) for field in fields(thing)) if is_dataclass(thing) else 0

torch.manual_seed(0)
captioner = Captioner(768, given["words"], TransformerDecoder(len(given["words"]))).eval()
frames = Ragged.from_sequences([np.random.default_rng(0).standard_normal((94, 768), dtype=np.float32)])
# what is allocated once per process is there before anything is compared
CrossEntropyScorer(captioner, captions[:300]).losses_of(frames)
gc.collect()
scorer = CrossEntropyScorer(captioner, captions)
loss_AC = scorer.losses_of(frames)
index = sum(map(size, (scorer.trie, *(getattr(scorer._pass, name) for name in given["index"]))))
strings = sum(map(sys.getsizeof, captions))
print(json.dumps({"peak": status("VmHWM"), "index": index + strings, "output": loss_AC.nbytes}))
"""


def test_memory_does_not_grow_with_the_captions(tmp_path, show_table, keep_figures):
    words = CaptionVocabulary.from_captions(captions_of("development")).words
    test = captions_of("evaluation")
    lists = [test[: len(test) // 2], test, test + captions_of("validation")]
    found = []
    for number, captions in enumerate(lists):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"words": words, "captions": captions, "index": INDEX}))
        command = [sys.executable, "-c", MEMORY_CHILD, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        found.append(json.loads(done.stdout))
    others = [run["peak"] - run["index"] - run["output"] for run in found]
    show_table(
        "peak memory of a process that scores one clip, MB",
        ["captions", "peak", "index", "losses", "all else"],
        [
            [f"{len(captions):,}", *(f"{value / 1e6:.1f}" for value in (*run.values(), other))]
            for captions, run, other in zip(lists, found, others, strict=True)
        ],
    )
    keep_figures("cross_entropy_precision", {"memory_other_bytes": others})
    growth = [after / before - 1 for before, after in pairwise(others)]  # each list is twice as long as the one before
    assert max(growth) <= MEMORY_TOLERANCE


@pytest.fixture(scope="module")
def trained() -> tuple[Captioner, Ragged, dict[int, list[str]]]:
    """A small captioner trained for about a minute to say words whose random vectors are its frames."""
    captions = captions_of("development")
    vocabulary = CaptionVocabulary.from_captions(captions)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    vector_VF = rng.standard_normal((len(vocabulary), 64), dtype=np.float32)

    def clip_of(caption: str) -> np.ndarray:
        ids = vocabulary.encode(caption)
        return vector_VF[ids] + 0.8 * rng.standard_normal((len(ids), 64), dtype=np.float32)

    decoder = TransformerDecoder(len(vocabulary), dim=128, num_layers=3, ff_dim=512, dropout=0.0)
    captioner = Captioner(64, vocabulary.words, decoder, projection_dropout=0.0)
    optimizer = torch.optim.AdamW(captioner.parameters(), lr=1e-3)
    start = time.thread_time()
    while time.thread_time() - start < 60:
        # said of a clip is another caption than its frames are made of: the frames are a hint, no copy
        own = rng.integers(0, len(captions) // 5, 32)
        heard, said = 5 * own + rng.integers(0, 5, 32), 5 * own + rng.integers(0, 5, 32)
        frames = Ragged.from_sequences([clip_of(captions[n]) for n in heard])
        frames_BTF, lengths_B = frames.gather(torch.arange(32))
        tokens_BL, _ = captioner.tokenise([captions[n] for n in said]).gather(torch.arange(32))
        logits_BLV = captioner(frames_BTF, lengths_B, tokens_BL[:, :-1])
        F.cross_entropy(logits_BLV.flatten(0, 1), tokens_BL[:, 1:].flatten(), ignore_index=0).backward()
        optimizer.step()
        optimizer.zero_grad()
    captions = captions_of("evaluation")
    of_clip = {clip: captions[5 * clip : 5 * clip + 5] for clip in range(100)}
    return captioner.eval(), Ragged.from_sequences([clip_of(texts[0]) for texts in of_clip.values()]), of_clip


def test_what_half_precision_changes(trained, show_table, keep_figures):
    captioner, frames, of_clip = trained
    captions = [text for texts in of_clip.values() for text in texts]
    owners = [str(clip) for clip, texts in of_clip.items() for _ in texts]
    losses, figures, seconds = {}, {}, {}
    for precision in ("fp32", "fp16", "bf16"):
        scorer = CrossEntropyScorer(captioner, captions, precision=precision)
        start = time.thread_time()
        losses[precision] = scorer.losses_of(frames)
        seconds[precision] = time.thread_time() - start
        ids = [f"{owner}#{number}" for number, owner in enumerate(owners)]
        figures[precision] = evaluate(ScoreMatrix(-losses[precision], [str(clip) for clip in of_clip], ids, owners))
    rows, kept = [], {}
    for precision, loss_AC in losses.items():
        error = float(np.abs(loss_AC - losses["fp32"]).mean())
        flips = float((loss_AC.argmin(axis=0) != losses["fp32"].argmin(axis=0)).mean())
        recall = {
            f"{short} R@{k}": figures[precision][direction][f"R@{k}"]
            for short, direction in (("T2A", "text_to_audio"), ("A2T", "audio_to_text"))
            for k in (1, 5, 10)
        }
        kept[precision] = {"mean_error": error, "t2a_top1_flips": flips, "recall": recall}
        exact = kept["fp32"]["recall"]
        shown = [
            f"{100 * value:.2f}" if precision == "fp32" else f"{100 * (value - exact[name]):+.2f}"
            for name, value in recall.items()
        ]
        rows.append([precision, f"{error:.1e}", f"{100 * flips:.2f}", *shown, f"{seconds[precision]:.0f}"])
    names = list(kept["fp32"]["recall"])
    title = f"{len(of_clip)} x {len(captions)}, 3 layers, d 128, trained for a minute: recall in %, and its change"
    show_table(title, ["", "mean error", "top-1 flips %", *names, "s (CPU)"], rows)
    keep_figures("cross_entropy_precision", {"precision": kept})
    assert kept["fp32"]["recall"]["T2A R@1"] > 10 / len(of_clip)  # ranks that mean something
    assert kept["fp16"]["mean_error"] < 1e-3 and kept["bf16"]["mean_error"] < 1e-2
