"""FAULTS.md row 11 through the command: two extractions of one output begin together, and never mix."""

import re
from collections import Counter

import pytest

WHO = re.compile(r"is being written by process (\d+) since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
WHOLE, MERGE = (), ("--merge",)
FIRST, SECOND = ("--shard", "1/2"), ("--shard", "2/2")
PAIRS = [(WHOLE, WHOLE), (FIRST, SECOND), (FIRST, FIRST), (FIRST, WHOLE), (FIRST, MERGE)]


def named(pair):
    return " and ".join(" ".join(words) or "whole" for words in pair)


@pytest.mark.parametrize(
    ("pair", "rounds"),
    [
        pytest.param((FIRST, WHOLE), 1, id="one round", marks=pytest.mark.faults),
        *(pytest.param(pair, 20, id=named(pair), marks=pytest.mark.faults) for pair in PAIRS),
    ],
)
def test_two_extractions_begin_at_the_same_moment(nursery, copy_of_mine, undisturbed, digests, slow_disk, pair, rounds):
    logmel = ("extract", "--encoder", "logmel")
    expected, _ = undisturbed(*logmel)
    outcomes = Counter()
    for number in range(rounds):
        workspace = copy_of_mine(str(number))
        if MERGE in pair:
            nursery.run(*logmel, *SECOND, workspace=workspace)
        # in every other round writing takes so long that they meet
        before = "" if number % 2 else slow_disk
        order = pair[:: 1 if number % 4 < 2 else -1]
        jobs = [nursery.start(*logmel, *words, workspace=workspace, before=before) for words in order]
        codes = [job.end() for job in jobs]
        outcomes[tuple(sorted(codes))] += 1
        assert set(codes) <= {0, 3}, [job.stderr for job in jobs]
        assert 0 in codes or MERGE in pair
        assert codes == [0, 0] or pair != (FIRST, SECOND), "two shards never stand in each other's way"
        assert 3 in codes or number % 2 or pair == (FIRST, SECOND), "whoever meets is refused"
        for loser, winner in (jobs, jobs[::-1]):
            last = loser.stderr.splitlines()[-1]
            if loser.code == 3 and not (MERGE in pair and "parts are missing" in last):
                assert int(WHO.search(last)[1]) == winner.pid, last
        if not (workspace / "embeddings" / "mine" / "logmel.h5").exists():
            for shard in (FIRST, SECOND):
                nursery.run(*logmel, *shard, workspace=workspace)
            nursery.run(*logmel, *MERGE, workspace=workspace)
        assert digests(workspace) == expected
        assert not list(workspace.rglob("*.parts"))
    if rounds > 1:
        print(f"\n{named(pair)}, {rounds} rounds: exit codes {dict(outcomes)}; {rounds} of {rounds} stores equal")
