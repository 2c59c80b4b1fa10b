"""FAULTS.md row 4: `atrkit download` is killed (-9) in all of its steps, and the same command goes on."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest

from atrkit.network import TransferSettings

pytestmark = pytest.mark.faults

CLIPS, CLIP_S = {"dev": 36, "val": 14, "eval": 14}, 10  # 56 MB
BYTES_PER_S = 10_000_000
CHUNK_BYTES = TransferSettings().chunk_bytes
IN_SOCKETS_BYTES = 1 << 15  # two of the server's writes, on average
LEFTOVERS = ("*.part", "*.part.json", "*.unpacking", "*.7z", "*.rejected", ".*.extracting", ".*.replaced")

# where a kill is aimed at, and the most seconds it comes after the first sign of that step
AIMS_S = {"transfer": 0.3, "checksum": 0.05, "unpacking": 0.1, "resampling": 0.5, "description": 0.02}
PLAN = (
    *["transfer"] * 8, "checksum", *["unpacking"] * 2, *["transfer"] * 2, "checksum", "unpacking",
    "transfer", "unpacking", *["resampling"] * 5, *["description"] * 3,
)  # fmt: skip


def test_25_kills_while_clotho_is_downloaded(
    make_clotho, serve_clotho, start_atrkit, wait_until, files_below, tmp_path
):
    zenodo = serve_clotho(make_clotho(CLIPS, CLIP_S), bytes_per_s=BYTES_PER_S)
    server, archives = zenodo.server, {zenodo.path(subset, "audio_archive") for subset in CLIPS}
    sizes = {path.rpartition("/")[2]: server.files[path].content.size for path in archives}
    assert sum(sizes.values()) >= 50_000_000
    words = ("download", "clotho", "--workers", "2")
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    finish(start_atrkit(*words, workspace=reference))
    expected = files_below(reference)
    assert len(expected) > 2 * sum(CLIPS.values()) and not leftovers(reference)
    server.requests.clear()

    clotho = workspace / "data" / "clotho"
    instants, struck, finished = np.random.default_rng(7), Counter(), 0
    kept, asked = {}, Counter()
    began = time.monotonic()
    for kill, aim in enumerate(PLAN):
        signs = {
            "transfer": lambda: bool(parts_in(clotho)),
            "checksum": lambda: bool(parts_in(clotho).items() & sizes.items()),
            "unpacking": lambda: any(clotho.rglob(".*.extracting")),
            "resampling": lambda: any(clotho.rglob("*.flac.part")),
            "description": changes(clotho / "missing.csv"),
        }
        while True:
            child = start_atrkit(*words, workspace=workspace)
            if wait_until(signs[aim], child) and killed_after(child, instants.uniform(0, AIMS_S[aim]), kill % 2):
                break
            finish(child)
            finished += 1
            assert files_below(workspace) == expected
            shutil.rmtree(clotho / "audio_32000Hz")  # at least this is to do again
            (clotho / "prepared.jsonl").unlink()
            aim = "resampling"
        struck[step_of(clotho, sizes)] += 1
        require_resumed(server, archives, kept, asked)
        kept |= parts_in(clotho)
    finish(start_atrkit(*words, workspace=workspace))
    seconds = time.monotonic() - began
    require_resumed(server, archives, kept, asked)
    assert files_below(workspace) == expected
    assert not leftovers(workspace)

    sent = {path: sum(request.sent_bytes for request in server.requests_of(path)) for path in archives}
    twice_bytes = sum(sent.values()) - sum(sizes.values())
    assert 0 <= twice_bytes <= len(PLAN) * (CHUNK_BYTES + IN_SOCKETS_BYTES)
    requests = len(server.requests)
    finish(start_atrkit(*words, workspace=workspace))
    assert len(server.requests) == requests, "all is there"
    assert files_below(workspace) == expected
    shown = ", ".join(f"{count} in {step}" for step, count in struck.items())
    print(
        f"\n{len(PLAN)} kills -9 in a download of {sum(sizes.values()):,} bytes of Clotho ({seconds:.0f} s): {shown};\n"
        f"all {len(expected)} files of {1 + finished} runs equal the uninterrupted one's; on disk and asked for again: "
        f"0 bytes;\nsent, but not on disk when killed: {twice_bytes // len(PLAN):,} bytes a kill (a chunk is "
        f"{CHUNK_BYTES:,}); a further run made no request"
    )


def parts_in(clotho):
    """Archives that are being transferred, and the bytes of them that are there."""
    sizes = {}
    for path in (clotho / "CLOTHO_v2.1" / "archives").glob("*.7z.part"):
        with suppress(FileNotFoundError):
            sizes[path.stem] = path.stat().st_size
    return sizes


def identity(path):
    """Changes when the file is written, also with the same content."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def changes(path):
    """Whether the file was written since now."""
    before = identity(path)
    return lambda: identity(path) != before


def killed_after(child, delay_s, only_parent):
    """Kill the child, or its whole group; False when it had ended by itself."""
    try:
        child.wait(delay_s)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, signal.SIGKILL) if only_parent else os.killpg(child.pid, signal.SIGKILL)
        child.communicate()  # ends when the last process that holds the pipes does
        return True
    return False


def finish(child):
    _, stderr = child.communicate()
    assert child.returncode == 0, stderr


def step_of(clotho, sizes):
    """What was under way, by what it left."""
    if parts := parts_in(clotho):
        return "checksum" if parts.items() <= sizes.items() else "transfer"
    if any(clotho.rglob("*.unpacking")):
        return "unpacking"
    copies = len(list(clotho.rglob("*.flac")))
    return "resampling" if 0 < copies < sum(CLIPS.values()) else "description and between steps"


def require_resumed(server, archives, kept, asked):
    """An archive of which a part was kept is asked for from its end on, if it was asked for since then."""
    for path in archives:
        name, requests = path.rpartition("/")[2], server.requests_of(path)[asked[path] :]
        asked[path] += len(requests)
        if requests and name in kept:
            assert requests[0].range_start == kept.pop(name)


def leftovers(folder):
    return [path for pattern in LEFTOVERS for path in folder.rglob(pattern)]


def test_10_kills_while_audiocaps_is_downloaded(
    serve_audiocaps, tools, start_atrkit, wait_until, files_below, tmp_path
):
    clips, kills = 120, 10
    server = serve_audiocaps(clips)
    words = ("download", "audiocaps", "--subset", "val", "--workers", "2")
    reference, workspace = tmp_path / "reference", tmp_path / "killed"
    child = start_atrkit(*words, workspace=reference)
    wait_until(lambda: any(reference.rglob("fetched.jsonl")), child)
    work_s = -time.monotonic()
    finish(child)
    work_s += time.monotonic()
    expected = files_below(reference)
    assert not leftovers(reference)

    audiocaps = workspace / "data" / "audiocaps"
    instants, at_kill, finished = np.random.default_rng(8), [], 0
    while len(at_kill) < kills:
        begins = changes(workspace / "data" / ".audiocaps.lock")  # it is signed anew
        child = start_atrkit(*words, workspace=workspace)
        wait_until(begins, child)
        if killed_after(child, instants.uniform(0, work_s / 3), len(at_kill) % 2):
            at_kill.append(f"{count_in(audiocaps, 'audio_original')}/{count_in(audiocaps, 'audio_32000Hz')}")
            continue
        finish(child)
        finished += 1
        assert files_below(workspace) == expected
        shutil.rmtree(audiocaps)
    finish(start_atrkit(*words, workspace=workspace))
    assert files_below(workspace) == expected
    assert not leftovers(workspace)
    requests, calls = len(server.requests), (tools / "calls").read_bytes()
    finish(start_atrkit(*words, workspace=workspace))
    assert (len(server.requests), (tools / "calls").read_bytes()) == (requests, calls), "all is there"
    per_run_clips = len(calls.splitlines()) - clips * (2 + finished)
    print(
        f"\n{kills} kills -9 in a download of {clips} clips of AudioCaps ({work_s:.1f} s of work), with so many "
        f"fetched/copied: {', '.join(at_kill)};\n"
        f"all {len(expected)} files of {1 + finished} runs equal the uninterrupted one's; "
        f"{per_run_clips} clips were asked for again, of at most {4 * kills} under way; a further run asked for nothing"
    )
    assert per_run_clips <= 4 * kills


def count_in(audiocaps, folder):
    return len(list((audiocaps / "AUDIOCAPS" / folder).rglob("*.flac")))
