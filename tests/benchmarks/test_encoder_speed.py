"""How much of what this machine multiplies in a second the large encoders make use of.

The yardstick is a large matrix product, measured in turn with the encoder because other work changes the machine's
speed; fractions are medians over such rounds. An encoder may get above 1: convolutions leave out their padding, and
the count of its operations does not.
"""

import json
import os
import runpy
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from atrkit.encoders import load_encoder
from atrkit.encoders.convnext_network import ConvNeXt
from atrkit.encoders.panns_networks import panns_network

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
CORES = len(os.sched_getaffinity(0))
CLIP_S = 10
MEL_FRAMES = 1001
ROUNDS = 9
MATRIX = 2048  # a product takes as long as half a clip

# by encoder: GFLOP of a clip as ENCODERS.md counts them, and the least fraction of the matrix product's rate (issue 4)
GOALS = {"cnn14": (40.1, 0.75), "cnn10": (26.0, 0.75), "resnet38": (46.8, 0.7), "convnext_tiny": (39.9, 0.55)}

pytestmark = [pytest.mark.bench, pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/golden")]


@dataclass(frozen=True)
class Speed:
    """Fractions of the matrix product's rate, with the front end and without, and times real time with it."""

    fraction: float
    network_fraction: float
    times_real_time: float


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    make = runpy.run_path(str(GOLDEN / "synthetic_weights.py"))["synthetic_state_dict"]

    def path_of(name: str) -> Path:
        path = tmp_path_factory.mktemp(name) / "weights.pth"
        shapes = json.loads((GOLDEN / "keys" / f"keys_{name}.json").read_text())
        torch.save({"model": {key: torch.from_numpy(value) for key, value in make(shapes, 7).items()}}, path)
        return path

    return path_of


@pytest.fixture
def torch_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def gflop_per_clip(name: str) -> float:
    """Of all products in the network's layers, two operations each."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        if name == "convnext_tiny":
            network = ConvNeXt().to("meta").eval()
            network(torch.empty(1, MEL_FRAMES, 224, device="meta"), [MEL_FRAMES])
        else:
            panns_network(name).feature_map(torch.empty(1, 1, MEL_FRAMES, 64, device="meta"), [MEL_FRAMES])
    return counter.get_total_flops() / 1e9


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(encoder, gflop: float, at_once: int) -> Speed:
    """Encode batches of clips, `at_once` of them side by side, in turn with as many matrix products."""
    rng = np.random.default_rng(0)
    clip_samples = CLIP_S * encoder.sample_rate_hz
    clips = [(0.1 * rng.standard_normal(clip_samples)).astype(np.float32) for _ in range(encoder.batch_size)]
    matrix = torch.randn(MATRIX, MATRIX)
    threads_each = torch.get_num_threads()
    rounds = []
    with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(threads_each,)) as pool:

        def side_by_side(work: Callable[[], object]) -> float:
            return seconds(lambda: [task.result() for task in [pool.submit(work) for _ in range(at_once)]])

        def front_end() -> None:
            with torch.inference_mode():
                encoder.mel(clips)

        side_by_side(lambda: encoder.encode(clips))
        for _ in range(ROUNDS):
            products_s = [side_by_side(lambda: matrix @ matrix)]
            encode_s = side_by_side(lambda: encoder.encode(clips))
            products_s.append(side_by_side(lambda: matrix @ matrix))
            network_s = encode_s - side_by_side(front_end)
            matmul_gflops = 2e-9 * MATRIX**3 / statistics.mean(products_s)
            encoded_gflop = gflop * len(clips)
            real_time = at_once * len(clips) * CLIP_S / encode_s
            rounds.append(
                (encoded_gflop / encode_s / matmul_gflops, encoded_gflop / network_s / matmul_gflops, real_time)
            )
    return Speed(*map(statistics.median, zip(*rounds, strict=True)))


@pytest.mark.parametrize("name", GOALS)
def test_fraction_of_the_matrix_products_rate(name, checkpoint, torch_threads, show_table, keep_figures):
    expected_gflop, goal = GOALS[name]
    gflop, path = gflop_per_clip(name), checkpoint(name)
    assert gflop == pytest.approx(expected_gflop, rel=0.01)
    ways = {f"{CORES} torch threads, one batch": (CORES, 1), f"{CORES} batches at once, a thread each": (1, CORES)}
    speeds = {}
    for precision in ("fp32", "bf16"):
        encoder = load_encoder(name, checkpoint=path, precision=precision)
        for way, (threads_each, at_once) in ways.items():
            torch_threads(threads_each)
            speeds[f"{precision}, {way}"] = measure(encoder, gflop, at_once)
    show_table(
        f"{name}: {gflop:.1f} GFLOP per clip of {CLIP_S} s, batches of {encoder.batch_size}; goal {goal} (fp32)",
        ["", "of matmul's rate (fp32)", "network alone", "times real time"],
        [
            [way, f"{speed.fraction:.2f}", f"{speed.network_fraction:.2f}", f"{speed.times_real_time:.0f}"]
            for way, speed in speeds.items()
        ],
    )
    keep_figures("encoder_speed", {name: {"gflop": gflop, "goal": goal, **{k: vars(v) for k, v in speeds.items()}}})
    as_extraction_runs = speeds[f"fp32, {CORES} batches at once, a thread each"]
    assert as_extraction_runs.fraction >= goal
