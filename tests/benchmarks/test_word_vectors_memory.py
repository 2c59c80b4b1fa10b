"""Memory and speed of picking a data set's words from a file of word vectors of 100 MB."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.bench

WORDS, WIDTH, EVERY = 85_000, 300, 20
MOST_MEMORY_MB = 20  # of which the picked vectors are 5

# not ru_maxrss, which a child inherits from the process that started it
CHILD = f"""
import json, re, sys, time
from pathlib import Path

from atrkit.text.word_vectors import read_word_vectors

def peak_MB():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before, start = peak_MB(), time.perf_counter()
found = read_word_vectors(Path(sys.argv[1]), [f"w{{number}}" for number in range(0, {WORDS}, {EVERY})])
figures = {{"s": time.perf_counter() - start, "more_MB": peak_MB() - before, "missing": len(found.missing)}}
print(json.dumps(figures))
"""


def rows(words: list[bytes], width: int, as_text: bool):
    rng = np.random.default_rng(0)
    for word in words:
        vector = rng.normal(size=width).astype("<f4")
        yield word + b" " + (" ".join(f"{x:.5f}" for x in vector).encode() + b"\n" if as_text else vector.tobytes())


@pytest.mark.parametrize("way", ["binary", "binary, packed", "text"])
def test_memory_does_not_grow_with_the_file(way, tmp_path, show_table, keep_figures):
    as_text, packed = way == "text", way.endswith("packed")
    words = [b"w%d" % number for number in range(0, WORDS, 2 if as_text else 1)]  # a number takes twice as many bytes
    path = tmp_path / "vectors"
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(b"%d %d\n" % (len(words), WIDTH))
        file.writelines(rows(words, WIDTH, as_text))
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    figures = {**json.loads(done.stdout), "file_MB": path.stat().st_size / 1e6}
    show_table(
        f"{len(words) // (EVERY // (2 if as_text else 1)):,} of {len(words):,} words, {way}",
        ["file, MB", "seconds", "peak memory for it, MB"],
        [[f"{figures['file_MB']:.0f}", f"{figures['s']:.2f}", f"{figures['more_MB']:.1f}"]],
    )
    keep_figures("word_vectors_memory", {way: figures})
    assert Path(path).stat().st_size > 90e6 and not figures["missing"]
    assert figures["more_MB"] < MOST_MEMORY_MB
