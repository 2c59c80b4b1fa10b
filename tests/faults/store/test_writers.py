"""FAULTS.md row 11: shards of one output work side by side, everything else alone; who is refused is told by whom."""

import re
from collections import Counter
from pathlib import Path

import pytest

from atrkit.errors import MissingPrerequisiteError
from atrkit.files import single_writer
from atrkit.store.parts import PartFolder

# two processes that begin at the same moment, as `atrkit extract` and `atrkit extract --shard i/n` would
ROUNDS = r"""
import shutil
from pathlib import Path
from atrkit.errors import AtrkitError
from atrkit.files import single_writer

PLAN = plan_of(6, part_clips=1)


def work(path, what, meet):
    shard = tuple(map(int, what.split("/"))) if "/" in what else None
    folder = PartFolder(path)
    with single_writer(path, shard=shard):
        meet()
        if path.is_file():
            return
        if what != "merge":
            folder.start(PLAN, shards=shard[1] if shard else None)
            mine = range(6) if shard is None else PLAN.shard(*shard)
            for part in sorted(set(mine) - folder.finished(PLAN)):
                folder.save(part, PLAN, part_of(PLAN, part))
        if shard is None:
            folder.merge(PLAN)


def begin(path, what, gate, report, ours, theirs):
    # `ours` is where the process hears that the other one is in, or was refused
    pid = os.fork()
    if pid:
        return pid
    os.read(gate, 1)
    code, said = 0, ""

    def meet():
        os.write(theirs[1], b"!")
        os.read(ours[0], 1)

    try:
        work(path, what, meet if ours else lambda: None)
    except AtrkitError as error:
        code, said = error.exit_code, str(error)
        if ours:
            os.write(theirs[1], b"!")
    os.write(report, (json.dumps([os.getpid(), what, code, said]) + "\n").encode())
    os._exit(0)


root, rounds = Path(WORDS[0]), WORDS[1]
for both in WORDS[2]:
    for number in range(rounds):
        path = root / "-".join(both).replace("/", "of") / str(number) / "toy.h5"
        gate, open_gate = os.pipe()
        reports, report = os.pipe()
        # in every other round, who is in waits until the other one is in as well, or is refused
        pipes = [os.pipe(), os.pipe()] if number % 2 else [None, None]
        pids = [begin(path, what, gate, report, pipes[n], pipes[1 - n]) for n, what in enumerate(both)]
        os.write(open_gate, b"go")
        for pid in pids:
            os.waitpid(pid, 0)
        os.close(report)
        with open(reports) as lines:
            print(json.dumps([both, str(path), [json.loads(line) for line in lines]]))
        for end in (gate, open_gate, *sum(filter(None, pipes), ())):
            os.close(end)
"""

REFUSED = re.compile(r"is being written by process (\d+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")


def expected_outcomes(both, they_meet):
    """Exit codes of the two, when they may come one after the other and when they are there at the same time."""
    match both:
        case ["1/2", "2/2"]:
            return {(0, 0)}
        case ["1/2", "merge"]:
            return {(0, 3), (3, 3)} if they_meet else {(0, 3)}  # refused, or parts are missing
        case ["1/2", "1/3"]:
            return {(0, 3), (3, 3)} if they_meet else {(0, 0), (0, 3), (3, 3)}  # both may step back
        case _:
            return {(0, 3)} if they_meet else {(0, 0), (0, 3)}


PAIRS = [["whole", "whole"], ["1/2", "1/2"], ["1/2", "2/2"], ["1/2", "merge"], ["1/2", "whole"], ["1/2", "1/3"]]


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.faults)])
def test_two_processes_begin_at_the_same_moment(tmp_path, toy, run_child, rounds):
    plan = toy.plan_of(6, part_clips=1)
    expected = toy.finished_bytes(tmp_path, plan)
    refusals, equal = Counter(), Counter()
    for both, path, outcome in run_child(ROUNDS, tmp_path, rounds, PAIRS):
        they_meet = int(Path(path).parent.name) % 2 == 1
        assert tuple(sorted(code for _, _, code, _ in outcome)) in expected_outcomes(both, they_meet), outcome
        pids = {pid for pid, *_ in outcome}
        for pid, _, code, said in outcome:
            if code and "parts are missing" not in said:
                refusals[" and ".join(both)] += 1
                assert {int(REFUSED.search(said)[1])} == pids - {pid}, "the other process is named"
        folder = PartFolder(Path(path))
        if not folder.final_path.exists():  # the shards that are left, and the merge
            folder.start(plan)
            for part in folder.missing(plan):
                folder.save(part, plan, toy.part_of(plan, part))
            folder.merge(plan)
        assert folder.final_path.read_bytes() == expected
        equal[" and ".join(both)] += 1
    assert set(equal.values()) == {rounds}
    if rounds > 2:
        for pair in equal:
            print(
                f"\n{pair}: {equal[pair]} of {rounds} stores equal the undisturbed one; {refusals[pair]} refused",
                end="",
            )


SHARDS_STARTING = """
from pathlib import Path
for number in range(WORDS[1]):
    path = Path(WORDS[0]) / str(number) / "toy.h5"
    leftovers = fill(path, plan_of(40, part_clips=1, hop=160), parts=range(40))
    (leftovers.folder / "plan.json").unlink()  # so that whoever starts first has to clear
    gate, open_gate = os.pipe()
    pids = []
    for index in range(1, 5):
        pids.append(os.fork())
        if not pids[-1]:
            os.read(gate, 1)
            plan, folder = plan_of(8, part_clips=1), PartFolder(path)
            folder.start(plan, shards=4)
            for part in plan.shard(index, 4):
                folder.save(part, plan, part_of(plan, part))
            os._exit(0)
    os.write(open_gate, b"go!!")
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    print(json.dumps([codes, sorted(PartFolder(path).finished(plan_of(8, part_clips=1)))]))
"""


@pytest.mark.parametrize("rounds", [3, pytest.param(15, marks=pytest.mark.faults)])
def test_no_shard_clears_what_another_has_made(tmp_path, run_child, rounds):
    """Four shards find leftovers without a plan at the same moment: one clears them, and all parts stay."""
    for codes, finished in run_child(SHARDS_STARTING, tmp_path, rounds):
        assert (codes, finished) == ([0] * 4, list(range(8)))


def test_different_shards_are_let_in_and_everything_else_is_refused(tmp_path):
    target = tmp_path / "toy.h5"
    with single_writer(target, shard=(1, 3)), single_writer(target, shard=(3, 3)):
        for shard, named in (
            ((1, 3), r"since [^()]* UTC: wait for it to end, or stop it$"),
            (None, r"\(shard 1/3\) and process .* \(shard 3/3\): wait for them to end, or stop them$"),
            ((1, 2), r"\(shard 1/3\) and process .* \(shard 3/3\)"),
        ):
            with pytest.raises(MissingPrerequisiteError, match=named), single_writer(target, shard=shard):
                pass
    with single_writer(target), pytest.raises(MissingPrerequisiteError, match="since"):  # noqa: SIM117
        with single_writer(target, shard=(2, 3)):
            pass
    with single_writer(target, shard=(2, 2)):
        pass


def test_outputs_whose_names_look_like_shards_are_apart(tmp_path):
    with single_writer(tmp_path / "toy.h5", shard=(1, 2)), single_writer(tmp_path / "toy.h5.x"):
        pass
    with single_writer(tmp_path / "to[y].h5", shard=(1, 2)), pytest.raises(MissingPrerequisiteError, match="shard 1/2"):  # noqa: SIM117
        with single_writer(tmp_path / "to[y].h5"):
            pass


def test_a_writer_on_another_machine_is_named_with_it(tmp_path, monkeypatch):
    """Job arrays share a file system."""
    target = tmp_path / "toy.h5"
    with single_writer(target):
        monkeypatch.setattr("platform.node", lambda: "node7")
        with (
            pytest.raises(MissingPrerequisiteError, match=r"process \d+ since .* UTC on \S+: wait"),
            single_writer(target),
        ):
            pass


def test_a_shard_lock_leaves_nothing_that_stops_the_next(tmp_path):
    with pytest.raises(ZeroDivisionError), single_writer(tmp_path / "toy.h5", shard=(1, 2)):
        raise ZeroDivisionError
    with single_writer(tmp_path / "toy.h5"):
        pass
    assert all(Path(path).name.endswith(".lock") for path in tmp_path.iterdir())
