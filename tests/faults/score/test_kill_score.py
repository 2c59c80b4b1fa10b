"""FAULTS.md rows 3, 7, 11, 12, 18 for `atrkit score`: kills, two writers, signals, a full disk, NaN."""

import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.store.embeddings import load_embeddings, save_embeddings

SCORE = ("score", "--run", "captioner")
# twelve clips of dev, and four of val as calibration, each a part of its own
WORK = (*SCORE, "--calib-clips", "4")
PARTS = 16
SHARDS = ("1/2", "2/2")


@pytest.fixture
def expected(make_workspace, small_parts):
    """Sha256 of the file that an uninterrupted call makes."""
    workspace = make_workspace("undisturbed")
    workspace.command(*WORK)
    return workspace.sha256()


@pytest.mark.faults
def test_10_kills_during_score(nursery, make_workspace, expected):
    workspace = make_workspace("killed")
    started = time.monotonic()
    nursery.run(*WORK, workspace=workspace.root)
    work_s = time.monotonic() - started
    assert workspace.sha256() == expected
    workspace.remove()
    instants, parts, at_kill, finished = np.random.default_rng(1), {}, [], 1
    while len(at_kill) < 10:
        job = nursery.start(*WORK, workspace=workspace.root)
        if job.ends_within(instants.uniform(0, work_s / 3)):
            assert job.end() == 0, job.stderr
        else:
            job.send(signal.SIGKILL)
            job.end()
            at_kill.append(len(workspace.parts()))
        if workspace.path.exists():
            assert workspace.sha256() == expected
            workspace.remove()
            finished += 1
        there = workspace.parts()
        assert parts.items() <= there.items() or not there, "a finished part is never made again"
        assert len(list(workspace.root.rglob("*.h5.part"))) <= 1, "one file was being written"
        parts = there
    nursery.run(*WORK, workspace=workspace.root)
    assert workspace.sha256() == expected
    print(f"\n10 kills during score ({work_s:.1f} s of work), with so many parts of {PARTS} finished: "
          f"{', '.join(map(str, at_kill))}")  # fmt: skip
    print(f"{1 + finished} of {1 + finished} score files have the uninterrupted one's sha256; no part was made twice")


@pytest.mark.faults
def test_10_kills_of_one_of_two_shards_at_work_together(nursery, make_workspace, expected):
    workspace, instants, kills, rounds = make_workspace("shards"), np.random.default_rng(2), 0, 0
    while kills < 10:
        jobs = [nursery.start(*WORK, "--shard", shard, workspace=workspace.root) for shard in SHARDS]
        victim, other = jobs if instants.random() < 0.5 else jobs[::-1]
        if not victim.ends_within(instants.uniform(0, 0.4)):
            victim.send(signal.SIGKILL)
            victim.end()
            kills += 1
        assert other.end() == 0, other.stderr
        there = workspace.parts()
        assert len(there) >= PARTS // 2, "what the other shard made stays"
        for shard in SHARDS:
            nursery.run(*WORK, "--shard", shard, workspace=workspace.root)
        assert there.items() <= workspace.parts().items() and len(workspace.parts()) == PARTS
        nursery.run(*SCORE, "--merge", workspace=workspace.root)
        assert workspace.sha256() == expected
        workspace.remove()
        rounds += 1
    print(f"\n10 kills of one of two shards at work together: {rounds} of {rounds} joined score files equal")


@pytest.mark.faults
@pytest.mark.parametrize("first", [(), ("--shard", "1/2")], ids=["all and all", "a shard and all"])
def test_six_rounds_of_two_processes_on_one_score_file(nursery, make_workspace, expected, first):
    """Started together: one works, the other is refused or finds what was made; never a mixture."""
    outcomes = Counter()
    for number in range(6):
        workspace = make_workspace(str(number))
        order = [first, ()][:: 1 if number % 2 else -1]
        jobs = [nursery.start(*WORK, *words, workspace=workspace.root) for words in order]
        codes = [job.end() for job in jobs]
        assert sorted(codes) in ([0, 0], [0, 3]), [job.stderr for job in jobs]
        for job in jobs:
            assert job.code == 0 or "is being written by process" in job.stderr.splitlines()[-1]
        nursery.run(*WORK, workspace=workspace.root)
        assert workspace.sha256() == expected
        outcomes[codes.count(3)] += 1
    print(f"\ntwo scorings of one split, 6 rounds: refused {outcomes[1]} times; 6 of 6 files equal")


@pytest.mark.faults
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_parts_and_the_same_command_goes_on(nursery, make_workspace, expected, number, code):
    workspace, instants, seconds = make_workspace("signalled"), np.random.default_rng(3), []
    for _ in range(4):
        job, before = nursery.start(*WORK, workspace=workspace.root), workspace.parts()
        job.wait_until(lambda before=before: workspace.parts() != before)
        job.ends_within(instants.uniform(0, 0.03))
        sent = time.monotonic()
        job.send(number)
        assert job.end() == code, job.stderr
        seconds.append(time.monotonic() - sent)
        said = job.stderr.splitlines()
        finished = f"stopped with {len(workspace.parts())} of {PARTS} parts finished; the same command makes the others"
        assert finished in said
        assert "nothing is half written, run the same command again" in said[-1]
        assert not list(workspace.root.rglob("*.h5.part"))
    workspace.command(*WORK)
    assert workspace.sha256() == expected
    assert max(seconds) < 5
    print(f"\n4 times {number.name} during score: at most {max(seconds):.2f} s, the file equals the uninterrupted one")


@pytest.mark.faults
def test_a_full_disk_stops_it_without_a_crash_and_it_goes_on_afterwards(nursery, make_workspace, expected):
    workspace, undisturbed = make_workspace("full"), make_workspace("whole")
    undisturbed.command(*WORK)
    file_bytes = undisturbed.path.stat().st_size

    def fails(limit_bytes):
        limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, resource.RLIM_INFINITY))"
        last = nursery.run(*WORK, workspace=workspace.root, before=limited, code=4).stderr.splitlines()[-1]
        assert last.startswith("atrkit: cannot write ") and "the file-size limit is reached" in last
        assert not list(workspace.root.rglob("*.h5.part"))

    fails(1_000)
    assert not workspace.parts(), "there is not even a plan"
    nursery.run(*WORK, "--shard", "1/2", workspace=workspace.root)
    fails(1_000)
    assert len(workspace.parts()) == PARTS // 2, "no part could be written, and those there stay"
    fails(file_bytes - 1)
    assert len(workspace.parts()) == PARTS, "all that was missing was the file"
    nursery.run(*WORK, workspace=workspace.root)
    assert workspace.sha256() == expected


def test_whichever_write_fails_the_same_command_comes_to_the_same_bytes(make_workspace, monkeypatch, small_parts):
    workspace, words = make_workspace("failing"), (*SCORE, "--split", "eval")
    folder = workspace.folder / "evaluations" / "tiny-eval"
    workspace.command(*words)
    expected = (folder / "scores.h5").read_bytes()
    for nth in range(1, 100):
        shutil.rmtree(folder)
        renamed, rename = [], Path.replace

        def fail(path, target, renamed=renamed, rename=rename, nth=nth):
            renamed.append(path)
            if len(renamed) == nth:
                raise OSError(28, "No space left on device")
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            result = CliRunner().invoke(app, [*words, "--workspace", str(workspace.root)])
        if len(renamed) < nth:
            break
        assert result.exit_code == 4 and "the disk is full" in result.stderr, (nth, result.stderr)
        workspace.command(*words)
        assert (folder / "scores.h5").read_bytes() == expected, nth
    assert nth == 1 + 6, "the plan, four parts, and the file they are joined into"


def test_nan_in_the_frames_stops_it_and_names_the_clip(make_workspace, small_parts):
    workspace = make_workspace("diverged")
    path = workspace.root / "embeddings" / "tiny" / "logmel.h5"
    embeddings = load_embeddings(path)
    dev = [f"{number:02}.wav" for number in range(12)]
    longest = max(reversed(dev), key=lambda clip: len(embeddings.frames_of(embeddings.clip_ids.index(clip))))
    embeddings.frames_of(embeddings.clip_ids.index(longest))[0, 0] = np.nan
    save_embeddings(path, embeddings)
    message = workspace.command.error(*SCORE, code=8)
    assert f"1 clips have frames that are NaN or infinite: '{longest}'" in message
    assert len(workspace.parts()) == 11, "the long ones are scored last; what was finished is kept"
    assert not workspace.path.exists()
