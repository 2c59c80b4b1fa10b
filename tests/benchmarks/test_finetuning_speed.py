"""Fine-tuning audio and text networks together: clips per second, memory, and the share of what the machine can do.

Networks have their published sizes and drawn weights. Whole steps are measured: crops gathered from samples in memory,
the front end, forward and backward passes of both networks, and AdamW.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from atrkit.encoders.panns_networks import panns_network
from atrkit.encoders.trainable import TrainablePanns
from atrkit.encoders.waveform import ROW_DIM, ROW_SAMPLES
from atrkit.losses import NtXent
from atrkit.models import AudioTower, DualEncoder, Ragged, TransformerTower, seeded_initialisation
from atrkit.models.text_encoders import SentenceEncoder
from atrkit.training import OptimizerSettings, TrainingData
from atrkit.training.batches import PairBatch, pairs_of_epoch
from atrkit.training.device import make_accelerator
from atrkit.training.finetune import FineTuned, FineTuneTask
from atrkit.training.loop import Trainer
from atrkit.training.settings import LoopSettings, Precision

BERT_BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
BERT_TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
RATE_HZ, CAPTION_WORDS, VOCABULARY = 32_000, 11, 30_522
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Words:
    """A tokenizer whose tokens are numbers."""

    model_max_length, pad_token_id, unk_token_id = 512, 0, None

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[int(word[1:]) for word in text.split()] for text in texts]}


@dataclass(frozen=True)
class Size:
    """What is trained on what."""

    encoder: str
    bert: dict[str, int]
    clips: int
    clip_s: float
    crop_s: float
    batch_size: int
    steps: int


PAPER = Size("cnn14", BERT_BASE, clips=128, clip_s=12.0, crop_s=10.0, batch_size=32, steps=12)
SMALL = Size("cnn10", BERT_TINY, clips=4, clip_s=1.2, crop_s=1.0, batch_size=2, steps=3)


def noise_with_captions(size: Size) -> TrainingData:
    """Noise as a waveform store holds it, with captions of random words."""
    draw = np.random.default_rng(0)
    rows = round(size.clip_s * RATE_HZ / ROW_SAMPLES)
    values = (0.1 * draw.standard_normal((size.clips * rows, ROW_DIM), dtype=np.float32)).clip(-1, 1)
    values[:, -1] = 1.0
    captions = [(" ".join(f"w{w}" for w in draw.integers(1, VOCABULARY, CAPTION_WORDS)),) for _ in range(size.clips)]
    offsets = torch.arange(size.clips + 1) * rows
    return TrainingData(Ragged(torch.from_numpy(values), offsets), tuple(map(str, range(size.clips))), tuple(captions))


def model_of(size: Size) -> FineTuned:
    from transformers import BertConfig, BertModel

    with seeded_initialisation(1):
        network = panns_network(size.encoder).to_empty(device="cpu")
        for module in network.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()
        text = SentenceEncoder(BertModel(BertConfig(vocab_size=VOCABULARY, **size.bert)), Words(), pooling="cls")
        audio = TrainablePanns(size.encoder, network)
        tower = AudioTower(audio.frame_dim, 1024, hidden_dims=(), pooling="max", gating=False)
        retriever = DualEncoder(tower, TransformerTower(text, source="", out_dim=1024, frozen=False, gating=False))
    return FineTuned(audio, retriever, "")


def trainer_of(size: Size, precision: Precision, folder: Path) -> tuple[Trainer, list[PairBatch]]:
    accelerator = make_accelerator(precision)
    model = model_of(size).to(accelerator.device).train()
    optimizer = OptimizerSettings(lr=1e-4, weight_decay=0.0, schedule="constant")
    settings = LoopSettings(1, size.batch_size, optimizer, keep_best="last", clip_grad_norm=2.0, precision=precision)
    data = noise_with_captions(size)
    crop_rows = round(size.crop_s * RATE_HZ / ROW_SAMPLES)
    task = FineTuneTask(model, NtXent(), data, None, settings, accelerator.device, crop_rows=crop_rows)
    draw = partial(pairs_of_epoch, data, batch_size=size.batch_size, caption_choice="random", seed=1)
    batches = [batch for epoch in range(1, size.steps + 3) for batch in draw(epoch=epoch)]
    return Trainer(task, data, settings, folder, accelerator), batches


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(run: Callable[[], object], device: torch.device, times: int) -> float:
    """Median of several runs."""
    taken = []
    for _ in range(times):
        finish(device)
        start = time.perf_counter()
        run()
        finish(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def limit_of(device: torch.device, precision: Precision) -> float:
    """FLOP per second of a large matrix product: what this machine does at best."""
    width = 8192 if device.type == "cuda" else 768
    left, right = (torch.randn(width, width, device=device, dtype=DTYPES[precision]) for _ in range(2))
    # float32 convolutions on a GPU use TF32, torch's default, and so does what they are measured by
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        left @ right
        return 2 * width**3 / seconds_of(lambda: left @ right, device, times=9)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def measured(size: Size, precision: Precision, folder: Path) -> dict[str, float]:
    """Steps of the training loop, after two that warm it up, in the second of which operations are counted."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    try:
        trainer, batches = trainer_of(size, precision, folder)
        device = trainer.accelerator.device
        before = [p.detach().clone() for p in trainer._trained]
        trainer._step([batches[0]])
        with FlopCounterMode(display=False) as counter:
            trainer._step([batches[1]])
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        todo = iter(batches[2:])
        step_s = seconds_of(lambda: trainer._step([next(todo)]), device, size.steps)
        moved = [not torch.equal(p, old) for p, old in zip(trainer._trained, before, strict=True)]
    finally:
        AcceleratorState._reset_state()
    peak = {"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if device.type == "cuda" else {}
    return {
        "clips_per_s": size.batch_size / step_s,
        "step_s": step_s,
        "tflop_per_step": counter.get_total_flops() / 1e12,
        "share_of_limit": counter.get_total_flops() / step_s / limit_of(device, precision),
        **peak,
        "parameters": float(sum(p.numel() for p in trainer._trained)),
        "moved": float(np.mean(moved)),
    }


def show(show_table: Any, keep_figures: Any, size: Size, name: str, of: dict[str, dict[str, float]]) -> None:
    rows = [
        [
            precision,
            f"{found['clips_per_s']:,.1f}",
            f"{1e3 * found['step_s']:,.1f}",
            f"{found['tflop_per_step']:.3f}",
            f"{100 * found['share_of_limit']:.0f} %",
            f"{found['peak_gb']:.1f}" if "peak_gb" in found else "-",
        ]
        for precision, found in of.items()
    ]
    millions = next(iter(of.values()))["parameters"] / 1e6
    show_table(
        f"{size.encoder} and a text network of {size.bert['num_hidden_layers']} layers ({millions:.0f} M weights), "
        f"{size.batch_size} clips of {size.crop_s:g} s a step, {name}",
        ["precision", "clips/s", "ms a step", "TFLOP a step", "of the limit", "peak GB"],
        rows,
    )
    keep_figures(f"finetuning_{'gpu' if size is PAPER else 'cpu'}", of)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cnn14_and_bert_on_a_gpu(tmp_path, show_table, keep_figures):
    """Batches of 32 random pieces of 10 s: paper 001's networks, fine-tuned."""
    of = {precision: measured(PAPER, precision, tmp_path / precision) for precision in ("float32", "bfloat16")}
    show(show_table, keep_figures, PAPER, torch.cuda.get_device_name(), of)
    assert all(found["moved"] > 0.99 for found in of.values())
    assert of["bfloat16"]["clips_per_s"] > of["float32"]["clips_per_s"]
    assert of["bfloat16"]["peak_gb"] < of["float32"]["peak_gb"]


@pytest.mark.bench
@pytest.mark.skipif(torch.cuda.is_available(), reason="accelerate would take the GPU")
def test_a_small_size_on_a_cpu(tmp_path, show_table, keep_figures):
    """That the figures above can be taken at all; itself of little interest."""
    of = {precision: measured(SMALL, precision, tmp_path / precision) for precision in ("float32", "bfloat16")}
    show(show_table, keep_figures, SMALL, "one thread of a CPU", of)
    assert all(found["moved"] > 0.99 for found in of.values())
