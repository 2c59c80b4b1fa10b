"""FAULTS.md row 1, for the store: kill -9 at any instant of a merge; the same command comes to the same bytes."""

import hashlib

import pytest

from atrkit.store.embeddings import load_embeddings
from atrkit.store.parts import PartFolder

# each merge runs in a fork of a process that has imported everything, so that instants lie within the merge
KILLED_MERGES = """
import hashlib, random, shutil, signal, time
from pathlib import Path

path, kills = Path(WORDS[0]), WORDS[1]
plan = PartFolder(path).plan()
backup = path.parent / "backup"
shutil.copytree(PartFolder(path).folder, backup)


def merge_in_a_fork(kill_after_s=None):
    ready, say_ready = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(say_ready, b"!")
        PartFolder(path).merge(plan)
        os._exit(0)
    os.read(ready, 1)
    os.close(ready), os.close(say_ready)
    started = time.monotonic()
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return os.WIFSIGNALED(status), time.monotonic() - started


def restore():
    path.unlink(missing_ok=True)
    shutil.rmtree(PartFolder(path).folder, ignore_errors=True)
    shutil.copytree(backup, PartFolder(path).folder)


_, work_s = merge_in_a_fork()
instants = random.Random(0)
done = 0
while done < kills:
    restore()
    killed, _ = merge_in_a_fork(instants.uniform(0, work_s))
    if not killed:
        continue
    done += 1
    half, whole = path.with_name("toy.h5.part").exists(), path.exists()
    state = hashlib.sha256(path.read_bytes()).hexdigest() if whole else None
    if not whole:
        assert merge_in_a_fork()[0] is False
    PartFolder(path).clear()
    print(json.dumps([half, state, hashlib.sha256(path.read_bytes()).hexdigest(), round(work_s, 3)]))
"""


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.faults)])
def test_kills_during_a_merge(tmp_path, toy, run_child, kills):
    plan = toy.plan_of(24)
    folder = toy.fill(tmp_path / "toy.h5", plan, frames=3000)
    expected = hashlib.sha256(toy.finished_bytes(tmp_path, plan, frames=3000)).hexdigest()
    outcomes = run_child(KILLED_MERGES, folder.final_path, kills)
    assert len(outcomes) == kills
    for _, at_the_kill, in_the_end, _ in outcomes:
        assert at_the_kill in (None, expected), "the file is not there, or whole"
        assert in_the_end == expected
    half = sum(half for half, *_ in outcomes)
    whole = sum(at_the_kill is not None for _, at_the_kill, *_ in outcomes)
    if kills > 4:
        print(f"\n{kills} kills in a merge of {outcomes[0][3]} s: {half} amid the file, {whole} after it was whole; "
              f"{kills} of {kills} come to the undisturbed sha256")  # fmt: skip


def test_what_a_killed_merge_left_is_written_over(tmp_path, toy):
    plan = toy.plan_of(6)
    folder = toy.fill(tmp_path / "toy.h5", plan)
    (tmp_path / "toy.h5.part").write_bytes(b"half" * 100_000)
    folder.merge(plan)
    assert folder.final_path.read_bytes() == toy.finished_bytes(tmp_path, plan)
    assert not (tmp_path / "toy.h5.part").exists()


def test_a_kill_between_the_file_and_the_removal_of_its_parts(tmp_path, toy, monkeypatch):
    plan = toy.plan_of(6)
    folder = toy.fill(tmp_path / "toy.h5", plan)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PartFolder, "clear", interrupted)
        folder.merge(plan)
    assert len(load_embeddings(folder.final_path).clip_ids) == 6
    folder.merge(plan)  # with --overwrite the same parts are joined again
    assert folder.final_path.read_bytes() == toy.finished_bytes(tmp_path, plan)


def interrupted(*arguments):
    raise KeyboardInterrupt
