"""What stops an extraction, stops it at once, names the clip, and leaves nothing running."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

import atrkit
from atrkit.audio.read import load_mono
from atrkit.datasets import save_dataset
from atrkit.errors import DivergedError, IntegrityError, ResourceError
from atrkit.workflows import decode_ahead, encode_ahead, encode_pipeline
from atrkit.workflows.encode_ahead import EncodedClip, encode_parts

RATE_HZ = 8000  # of the fake encoder
PATIENCE_S = 60


def parts_of(dataset, *sizes):
    """Parts of these sizes, numbered by tens."""
    clips = iter(dataset.clips)
    return [(10 * number, [next(clips) for _ in range(size)]) for number, size in enumerate(sizes)]


def encoded(dataset, parts, encoder, **options):
    """All parts, as numbers and entries."""
    return list(encode_parts(dataset, parts, encoder, on_clips=lambda count, audio_s: None, **options))


@pytest.mark.parametrize("decoders", [0, 1])
def test_a_changed_file_stops_everything_after_the_parts_before_it(
    make_recordings, monkeypatch, decoders, fake_encoder
):
    monkeypatch.setattr(encode_pipeline, "RESULTS_AHEAD_S", 0.1)
    dataset = make_recordings([0.5] * 9)
    Path(dataset.clips[7].path).write_bytes(b"another")
    results = encode_parts(
        dataset, parts_of(dataset, 3, 3, 3), fake_encoder(), decoders=decoders, on_clips=lambda count, audio_s: None
    )
    assert next(results)[0] == 0
    with pytest.raises(IntegrityError, match=r"07\.wav changed since dataset 'recordings' was made"):
        list(results)
    assert multiprocessing.active_children() == []


def test_samples_that_are_not_finite_are_an_error_that_names_the_clip(make_recordings, monkeypatch, fake_encoder):
    def load(path, rate_hz):
        wave_N = load_mono(path, rate_hz).copy()
        wave_N[5] = np.nan if path.name == "02.wav" else 0.0
        return wave_N

    monkeypatch.setattr(decode_ahead, "load_mono", load)
    dataset = make_recordings([0.5] * 5)
    with pytest.raises(DivergedError) as caught:
        encoded(dataset, [(0, dataset.clips)], fake_encoder())
    message = str(caught.value)
    assert "'02.wav'" in message and dataset.clips[2].path in message and "NaN" in message
    assert "01.wav" not in message and "wave 2" not in message


def test_batches_are_halved_when_memory_runs_out_and_that_is_said_once_each(make_recordings, monkeypatch, fake_encoder):
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    dataset = make_recordings([9.9] * 11)
    small = fake_encoder(batch_size=8, most_at_once=2)
    ((_, halved),) = encoded(dataset, [(0, dataset.clips)], small)
    ((_, whole),) = encoded(dataset, [(0, dataset.clips)], fake_encoder(batch_size=8))
    for one, other in zip(halved, whole, strict=True):
        assert np.allclose(one.frames_TF, other.frames_TF, rtol=0, atol=1e-5)
    assert [remark.rpartition(" ")[2] for remark in small.remarks] == ["4", "2"]


def test_no_room_for_a_single_clip_is_exit_code_4(make_recordings, fake_encoder):
    dataset = make_recordings([0.5] * 4)
    with pytest.raises(ResourceError, match="no room for one window") as caught:
        encoded(dataset, [(0, dataset.clips)], fake_encoder(most_at_once=0))
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("decoders", [0, 2])
def test_whoever_stops_does_not_wait_for_a_clip(make_recordings, monkeypatch, decoders, fake_encoder):
    monkeypatch.setattr(encode_ahead, "WORKERS", 2)
    monkeypatch.setattr(encode_pipeline, "RESULTS_AHEAD_S", 0.1)
    dataset = make_recordings([0.5] * 6 + [0.7] * 3)
    is_encoding, may_end = threading.Event(), threading.Event()

    class Endless(fake_encoder):
        def encode(self, waves):
            if len(waves[0]) == round(0.7 * RATE_HZ):
                is_encoding.set()
                assert may_end.wait(PATIENCE_S)
            return super().encode(waves)

    encoder = Endless()
    results = encode_parts(
        dataset, parts_of(dataset, 3, 3, 3), encoder, decoders=decoders, on_clips=lambda count, audio_s: None
    )
    with closing(results):
        assert next(results)[0] == 0
        assert next(results)[0] == 10  # the first is taken, so the third begins
        assert is_encoding.wait(PATIENCE_S)
    assert multiprocessing.active_children() == []
    assert "encode pipeline" not in [thread.name for thread in threading.enumerate()]
    before = len(encoder.batches)
    may_end.set()
    assert len(encoder.batches) - before <= 1, "what had not begun is not begun"


@pytest.mark.parametrize("there", [0, 12, 23], ids=["first", "middle", "last"])
def test_nothing_hangs_where_almost_all_recordings_are_gone(make_recordings, monkeypatch, fake_encoder, there):
    """Groups of which nothing can be encoded give their room back while there is nobody else to look for some."""
    monkeypatch.setattr(encode_ahead, "_room_samples", lambda *arguments: RATE_HZ // 2)  # one clip
    dataset = make_recordings([0.5] * 24)
    for number, clip in enumerate(dataset.clips):
        if number != there:
            Path(clip.path).unlink()
    encoder = fake_encoder()
    encoder.batch_size = 0.05  # one clip of 0.5 s
    outcomes = []

    def extract_again_and_again():
        for _ in range(10):
            results = encoded(dataset, parts_of(dataset, 8, 8, 8), encoder)
            kept = [isinstance(entry, EncodedClip) for _, entries in results for entry in entries]
            outcomes.append(kept == [number == there for number in range(24)])

    extraction = threading.Thread(target=extract_again_and_again, daemon=True)  # so that a hang ends with the tests
    extraction.start()
    extraction.join(PATIENCE_S / 3)
    assert outcomes == [True] * 10, f"{len(outcomes)} extractions of 10 came to their end"


PARENT = """
import sys
from pathlib import Path
from atrkit.datasets.manifest import load_dataset
from atrkit.encoders import load_encoder
from atrkit.workflows.encode_ahead import encode_parts

def tell_and_block(waves):
    print("encoding", flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    dataset = load_dataset(Path(sys.argv[1]))
    encoder = load_encoder("logmel")
    encoder.encode = tell_and_block
    list(encode_parts(dataset, [(0, dataset.clips)], encoder, decoders=2, on_clips=lambda count, audio_s: None))
"""


def test_nothing_is_left_when_the_process_is_killed(make_recordings, tmp_path):
    dataset = make_recordings([0.5] * 20)
    save_dataset(dataset)
    (tmp_path / "parent.py").write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(atrkit.__file__).parents[1])}
    command, pipe = [sys.executable, tmp_path / "parent.py", dataset.folder], subprocess.PIPE
    parent = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, start_new_session=True)
    try:
        assert parent.stdout.readline() == b"encoding\n", parent.stderr.read()
        parent.kill()
        parent.communicate(timeout=PATIENCE_S)  # the pipe ends when the last process that holds it does
        assert not list(Path("/dev/shm").glob(f"pym-{parent.pid}-*"))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
