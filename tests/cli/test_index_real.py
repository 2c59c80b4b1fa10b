"""`atrkit index` on real clips, on odd files, and on five thousand files: what takes more than a moment."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit.audio.read import load_mono
from atrkit.cli.app import app
from atrkit.cli.session import Terminal
from atrkit.search.index_files import load_index
from atrkit.workflows.query_model import open_query_model

pytestmark = pytest.mark.slow

SHARED = Path(__file__).resolve().parents[3] / "shared"
CLIPS, BAD_AUDIO, MN04 = (
    SHARED / "data" / "clips",
    SHARED / "data" / "bad_audio",
    SHARED / "weights" / "mn04_as_mAP_432.pt",
)
needs_shared = pytest.mark.skipif(not (CLIPS.is_dir() and MN04.is_file()), reason="../shared is not there")
SKIPPED = {
    "directory.wav", "garbage.wav", "header_only_no_frames.wav", "html_error_page.flac", "inf_float.wav",
    "nan_float.wav", "rate_zero.wav", "text_named.wav", "zero_bytes.wav",
}  # fmt: skip


def run(workspace: Path, *words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace), "--json"])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def own_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the run that a user makes of captioned clips: mn04 and a ridge."""
    root = tmp_path_factory.mktemp("own")
    run(root, "import", CLIPS, "--name", "clips")
    run(root, "train", "own_recordings", "--set", f"encoder.checkpoint={MN04}")
    return root


@needs_shared
def test_all_322_clips(own_recordings):
    began = time.monotonic()
    record = run(own_recordings, "index", CLIPS)
    took_s = time.monotonic() - began
    on_disk = [path for path in CLIPS.rglob("*") if path.suffix in (".wav", ".flac", ".ogg", ".mp3")]
    assert record["files"] == len(on_disk) == 322 and record["problems"] == []
    index = load_index(own_recordings / "index" / "clips")
    lengths_s = {path.relative_to(CLIPS).as_posix(): soundfile.info(path).duration for path in on_disk}
    assert {file.path: file.duration_s for file in index.files} == pytest.approx(lengths_s, abs=1e-6)
    assert record["windows"] == sum(max(1, int(np.ceil(length_s / 10 - 1e-4))) for length_s in lengths_s.values())
    assert sum(bool(file.captions) for file in index.files) == 76
    speed = record["duration_s"] / took_s
    print(f"\n322 clips in {took_s:.1f} s: {322 / took_s:.1f} files/s, {speed:.0f} x real time, with mn04 and a ridge")

    model = open_query_model(Terminal(own_recordings, as_json=False, plain=True).session, index.about)
    longest = max(index.files, key=lambda file: file.duration_s)
    samples = load_mono(longest.full_path, model.sample_rate_hz)
    rate_hz, of_file = model.sample_rate_hz, np.concatenate(index.vectors)[index.windows_of(longest)]
    starts = [*range(0, len(samples) - 10 * rate_hz, 10 * rate_hz), len(samples) - 10 * rate_hz]
    assert len(of_file) == len(starts) == 3
    for vector_D, start in zip(of_file, starts, strict=True):
        alone = own_recordings / "alone.wav"
        soundfile.write(alone, samples[start : start + 10 * rate_hz], rate_hz, subtype="FLOAT")
        np.testing.assert_allclose(model.embed_audio(alone)[0], vector_D, atol=1e-5)

    began = time.monotonic()
    assert run(own_recordings, "index")["unchanged"] == 322
    print(f"again, with nothing new: {time.monotonic() - began:.2f} s")


@needs_shared
def test_the_38_odd_files(own_recordings):
    record = run(own_recordings, "index", BAD_AUDIO, code=7)
    assert len([path for path in BAD_AUDIO.iterdir() if path.name not in ("README.md", "index.csv")]) == 38
    assert (record["files"], record["skipped"]) == (29, 9)
    said = {(problem["item"], problem["action"]) for problem in record["problems"]}
    assert {name for name, action in said if action == "skipped"} == SKIPPED
    repaired = {"header_too_long.wav", "stereo_out_of_phase.wav", "truncated.flac", "truncated.ogg"}
    assert {name for name, action in said if action == "repaired"} == repaired
    assert {name for name, action in said if action == "padded"} == {"one_sample.wav", "ten_ms.wav"}
    index = load_index(own_recordings / "index" / "bad_audio")
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(index.vectors), axis=1), 1, atol=1e-5)


@needs_shared
def test_5000_short_files_are_read_once(own_recordings, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(scale=0.1, size=8000)
    for number in range(5000):
        soundfile.write(folder / f"{number:04}.wav", np.roll(noise, number)[:800], 8000)
    timings = []
    for expected in ({"new": 5000, "encoded": 5000}, {"unchanged": 5000, "encoded": 0}):
        began = time.monotonic()
        record = run(own_recordings, "index", folder)
        timings.append(f"{time.monotonic() - began:.1f} s")
        assert {name: record[name] for name in expected} == expected
        for path in folder.iterdir():  # whoever reads a file the second time finds no sound in it
            state = path.stat()
            path.write_bytes(bytes(state.st_size))
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    print(f"\n5,000 files of 0.1 s: {timings[0]}; again, with no file read: {timings[1]}")
    shutil.rmtree(own_recordings / "index" / "many")
