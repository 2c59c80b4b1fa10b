"""A recording of ten minutes through the command: in windows, with bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import atrkit
from atrkit.store.embeddings import load_embeddings

SHARED = Path(__file__).resolve().parents[4] / "shared"
MN04 = SHARED / "weights" / "mn04_as_mAP_432.pt"
SHORT_S, LONG_S = 61.44, 600
# beside what a window needs: the ten minutes as they are decoded, checked, padded and cut (one copy each)
BOUND_BYTES = 4 * LONG_S * 32000 * 4

MEASURED = """
import sys
from atrkit.cli.app import main
try:
    main()
finally:
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print("PEAK", line.split()[1], file=sys.stderr, flush=True)
"""


def peak_bytes(workspace, *words):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    command = [sys.executable, "-c", MEASURED, *map(str, words), "--workspace", str(workspace)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return 1024 * int(done.stderr.rpartition("PEAK ")[2].split()[0])


def dataset_of(atrkit_in, root, duration_s):
    (root / "sounds").mkdir(parents=True)
    noise = np.random.default_rng(0).standard_normal(int(duration_s * 32000)).astype(np.float32)
    soundfile.write(root / "sounds" / "long.wav", 0.1 * noise, 32000)
    (root / "sounds" / "captions.csv").write_text("file_name,caption_1\nlong.wav,noise for ten minutes\n")
    atrkit_in(root)("import", root / "sounds", "--name", "mine")
    return root


@pytest.mark.parametrize(
    "encoder",
    [
        pytest.param("logmel", marks=pytest.mark.bench),
        pytest.param(
            "mn04",
            marks=[
                pytest.mark.bench,
                pytest.mark.skipif(not MN04.is_file(), reason="../shared/weights is not there"),
            ],
        ),
        pytest.param("cnn10", marks=pytest.mark.slow),
    ],
)
def test_ten_minutes_need_little_more_memory_than_one(atrkit_in, tmp_path, weights, encoder):
    words = ("extract", "--encoder", encoder)
    words += {"logmel": (), "mn04": ("--checkpoint", MN04), "cnn10": ("--checkpoint", weights)}[encoder]
    peaks = {}
    for duration_s in (SHORT_S, LONG_S):
        root = dataset_of(atrkit_in, tmp_path / str(duration_s), duration_s)
        peaks[duration_s] = peak_bytes(root, *words)
    stored = load_embeddings(root / "embeddings" / "mine" / f"{encoder}.h5")
    assert len(stored.frames_of(0)) == pytest.approx(LONG_S / stored.notes["frame_period_s"], abs=2)
    short, long = peaks[SHORT_S], peaks[LONG_S]
    print(f"\n{encoder}: peak memory {short / 1e6:,.0f} MB with a minute, {long / 1e6:,.0f} MB with ten")
    assert long - short < BOUND_BYTES, f"{(long - short) / 1e6:.0f} MB more"
