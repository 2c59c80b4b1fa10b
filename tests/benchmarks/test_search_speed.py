"""How fast things are found: exact search beside numpy's own product, lists beside exact search, and the cold start.

`ATRKIT_BENCH_MILLION=1 python -m pytest -q -s -m bench tests/benchmarks/test_search_speed.py` also makes lists of a
million vectors: about 5 GB of disk, 3 GB of memory and ten minutes.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from atrkit.processes import available_cores
from atrkit.search.approximate import (
    INSTALL_COMMAND,
    is_faiss_there,
    open_approximate,
    recall_against_exact,
)
from atrkit.search.approximate_build import build_approximate
from atrkit.search.exact import top_windows
from tests.tiny_recipes import dual_encoder_recipe

pytestmark = pytest.mark.bench

DIM = 1024
WINDOWS = 100_000
QUERIES = 200
BLOCK = 20_000
RECIPE = dual_encoder_recipe(epochs=1)


class Clusters:
    """Clusters of very different sizes in 96 of 1,024 dimensions, that touch each other, and a little noise in all."""

    def __init__(self, windows: int, *, latent: int = 96) -> None:
        generator = np.random.default_rng(1)
        count = windows // 500
        coarse = generator.standard_normal((60, latent), dtype=np.float32)
        fine = 0.6 * generator.standard_normal((count, latent), dtype=np.float32)
        self.centres = 0.8 * coarse[generator.integers(60, size=count)] + fine
        self.directions = generator.standard_normal((latent, DIM), dtype=np.float32) / np.float32(DIM**0.5)
        weights = 1 / np.arange(1, count + 1) ** 0.5
        self.shares = np.cumsum(weights / weights.sum())

    def draw(self, count: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
        cluster = np.searchsorted(self.shares, generator.random(count)).clip(0, len(self.centres) - 1)
        around = 0.6 * generator.standard_normal((count, self.centres.shape[1]), dtype=np.float32)
        vectors = on_the_sphere((self.centres[cluster] + around) @ self.directions)
        noise = generator.standard_normal((count, DIM), dtype=np.float32)
        return on_the_sphere(vectors + np.float32(0.15 / DIM**0.5) * noise)

    def write(self, path: Path, windows: int) -> npt.NDArray[np.float32]:
        generator = np.random.default_rng(2)
        mapped = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(windows, DIM))
        for start in range(0, windows, BLOCK):
            mapped[start : start + BLOCK] = self.draw(min(BLOCK, windows - start), generator)
        mapped.flush()
        return np.load(path, mmap_mode="r")


def on_the_sphere(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def turned_away(vectors: npt.NDArray[np.float32], cosine: float) -> npt.NDArray[np.float32]:
    """What lies as far from its nearest sounds as a text does."""
    noise = on_the_sphere(np.random.default_rng(3).standard_normal(vectors.shape, dtype=np.float32))
    return on_the_sphere(np.float32(cosine) * vectors + np.float32((1 - cosine**2) ** 0.5) * noise)


def interleaved_ms(*variants: Callable[[], object], rounds: int) -> list[list[float]]:
    """Milliseconds of each variant, one after the other in each round, so that a busy moment meets all of them."""
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(rounds):
        for variant, of_variant in zip(variants, times, strict=True):
            started_s = time.perf_counter()
            variant()
            of_variant.append(1e3 * (time.perf_counter() - started_s))
    return times


@contextmanager
def own_memory() -> Iterator[list[float]]:
    """The most memory of the process that is no mapped file, in MB, from ten looks a second."""
    peak, ended = [0.0], threading.Event()

    def look() -> None:
        while not ended.wait(0.1):
            lines = Path("/proc/self/status").read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
            peak[0] = max(peak[0], kilobytes / 1e3)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> npt.NDArray[np.float32]:
    return Clusters(WINDOWS).write(tmp_path_factory.mktemp("vectors") / "vectors.npy", WINDOWS)


def test_exact_search_beside_the_product_alone(vectors, show_table, keep_figures):
    queries_QD = Clusters(WINDOWS).draw(32, np.random.default_rng(4))
    halves = [vectors[: WINDOWS // 2], vectors[WINDOWS // 2 :]]
    one = queries_QD[0]
    alive = np.random.default_rng(5).random(WINDOWS) < 0.8
    product, search, with_dead = interleaved_ms(
        lambda: vectors @ one,
        lambda: top_windows(halves, one, 10),
        lambda: top_windows(halves, one, 10, alive),
        rounds=15,
    )
    products, searches = interleaved_ms(
        lambda: vectors @ queries_QD.T, lambda: top_windows(halves, queries_QD, 10), rounds=3
    )
    ratio = float(np.median(np.array(search) / np.array(product)))
    figures = {
        "product_ms": float(np.median(product)),
        "exact_ms": float(np.median(search)),
        "exact_with_dead_rows_ms": float(np.median(with_dead)),
        "exact_to_product": ratio,
        "product_of_32_ms": float(np.median(products)),
        "exact_of_32_ms": float(np.median(searches)),
    }
    keep_figures("search_speed", {"exact_100000": figures})
    rows = [
        ("1 query", f"{np.median(product):.1f}", f"{np.median(search):.1f}", f"{ratio:.2f}"),
        ("1 query, a fifth dead", "", f"{np.median(with_dead):.1f}", ""),
        (
            "32 queries",
            f"{np.median(products):.1f}",
            f"{np.median(searches):.1f}",
            f"{np.median(searches) / np.median(products):.2f}",
        ),
    ]
    show_table(f"Exact search of {WINDOWS:,} x {DIM:,}", ["", "numpy ms", "search ms", "ratio"], rows)
    assert ratio <= 2


def test_where_exact_search_begins_to_take_long(vectors, show_table, keep_figures):
    one = Clusters(WINDOWS).draw(1, np.random.default_rng(6))[0]
    sizes = (12_500, 25_000, 50_000, 100_000)
    times = interleaved_ms(*(lambda size=size: top_windows([vectors[:size]], one, 10) for size in sizes), rounds=11)
    p50 = {size: float(np.median(of_size)) for size, of_size in zip(sizes, times, strict=True)}
    keep_figures("search_speed", {"exact_p50_ms": p50})
    show_table("Exact search", ["windows", "p50 ms"], [(f"{size:,}", f"{ms:.1f}") for size, ms in p50.items()])


@pytest.mark.skipif(not is_faiss_there(), reason=f"faiss is not installed: {INSTALL_COMMAND}")
@pytest.mark.parametrize("windows", [WINDOWS, 1_000_000])
def test_lists_beside_exact_search(windows, tmp_path, show_table, keep_figures):
    if windows > WINDOWS and not os.environ.get("ATRKIT_BENCH_MILLION"):
        pytest.skip("a million vectors take 5 GB of disk and ten minutes: set ATRKIT_BENCH_MILLION=1")
    clusters = Clusters(windows)
    vectors = [clusters.write(tmp_path / "vectors.npy", windows)]
    with own_memory() as building_mb:
        started_s = time.perf_counter()
        facts = build_approximate(tmp_path, vectors, ["vectors"], threads=available_cores())
        build_s = time.perf_counter() - started_s
    disk_mb = (tmp_path / facts.name).stat().st_size / 1e6
    started_s = time.perf_counter()
    approximate = open_approximate(tmp_path, facts.as_record(), ["vectors"])
    open_s = time.perf_counter() - started_s
    alike_QD = clusters.draw(QUERIES, np.random.default_rng(7))
    rows, figures = [], {}
    far = {f"a text at {degrees} degrees": float(np.cos(np.radians(degrees))) for degrees in (75, 80, 85)}
    away = {name: turned_away(alike_QD, cosine) for name, cosine in {"a text": 0.4, **far}.items()}
    for name, queries_QD in {"a like sound": alike_QD, **away}.items():
        exact_QK = top_windows(vectors, queries_QD, 10)[1]
        times, found = [], []
        for query_D in queries_QD:
            started_s = time.perf_counter()
            _, windows_1K = approximate.top_windows(vectors, query_D, 10)
            times.append(1e3 * (time.perf_counter() - started_s))
            found.append(windows_1K[0])
        recall = recall_against_exact(np.array(found), exact_QK)
        p50, p95 = np.quantile(times, (0.5, 0.95))
        figures[name] = {"recall@10": recall, "p50_ms": float(p50), "p95_ms": float(p95)}
        rows.append((name, f"{recall:.4f}", f"{p50:.2f}", f"{p95:.2f}"))
    about = {
        "build_s": build_s,
        "open_s": open_s,
        "own_memory_while_building_mb": building_mb[0],
        "disk_mb": disk_mb,
        "lists": facts.lists,
        "reading": facts.reading,
        "recall_when_built": facts.recall_at_degrees,
        "load_average": os.getloadavg()[0],
        "queries": figures,
    }
    keep_figures(f"search_lists_{windows}", about)
    show_table(f"Lists of {windows:,} x {DIM:,}", ["query", "recall@10", "p50 ms", "p95 ms"], rows)
    print(
        f"\nbuilt in {build_s:.0f} s with {building_mb[0]:,.0f} MB of memory, {disk_mb:,.0f} MB on the disk, opened in "
        f"{open_s:.1f} s; of {facts.lists:,} lists read (from cosine on, "
        f"lists): {', '.join(f'{cosine:.3f}: {count}' for cosine, count in facts.reading)}; "
        f"recall {facts.recall_at_degrees} when built; load {os.getloadavg()[0]:.1f} on {available_cores()} cores"
    )
    assert all(each["recall@10"] >= 0.99 for each in figures.values())
    assert figures["a text"]["p50_ms"] <= 10


def test_from_the_command_to_the_answer(atrkit, tmp_path, show_table, keep_figures):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    lines = ["file_name,caption_1,split"]
    for number in range(30):
        wave = np.random.default_rng(number).standard_normal(8000) * 0.1
        soundfile.write(sounds / f"{number:02}.wav", wave, 16000)
        lines.append(f"{number:02}.wav,tone {number % 5} of a bell rings,{'dev' if number < 20 else 'val'}")
    (sounds / "captions.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "dual.yaml").write_text(RECIPE.replace("training:", "data: {dataset: tiny, test: val}\ntraining:"))
    workspace = ["--workspace", tmp_path]
    atrkit("import", sounds, "--name", "tiny", *workspace)
    atrkit("train", tmp_path / "dual.yaml", "--name", "dual", *workspace)
    atrkit("index", sounds, "--run", "dual", *workspace)
    seconds = {"search": [], "import torch": [], "--help": []}
    for _ in range(5):
        seconds["search"].append(atrkit("search", "a bell rings", "--json", *workspace).seconds)
        seconds["--help"].append(atrkit("search", "--help").seconds)
        started_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        seconds["import torch"].append(time.perf_counter() - started_s)
    medians = {name: float(np.median(of_name)) for name, of_name in seconds.items()}
    keep_figures("search_speed", {"cold_start_s": medians})
    show_table("From the command to the answer", ["", "s"], [(name, f"{s:.2f}") for name, s in medians.items()])
    code = "import sys, atrkit.cli.app; sys.argv = sys.argv[1:]; atrkit.cli.app.app(standalone_mode=False)"
    words = ["atrkit", "search", "a bell rings", *map(str, workspace)]
    probe = f"{code}\nprint(sorted({{'transformers', 'librosa', 'faiss', 'scipy', 'accelerate'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
