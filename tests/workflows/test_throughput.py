"""What is booked for the model, the decoding, the disk and the memory, on a clock that is set by hand."""

import pytest

from atrkit.workflows.throughput import Balance


class Clock:
    """Shows what it is told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def observed(clock, *steps):
    """A balance after steps of (seconds, what the threads did meanwhile)."""
    balance = Balance(clock)
    for seconds, doing in steps:
        balance.observe(**doing)
        clock.now += seconds
    balance.observe()
    clock.now += 1000.0  # after the end
    return balance


def test_seconds_are_summed_over_the_threads(clock):
    balance = observed(clock, (1.0, {"waiting": 2}), (3.0, {"busy": 1, "waiting": 1}), (10.0, {"busy": 2}))
    assert balance.wall_s == 14.0
    assert balance.busy_s == 3 + 20
    assert balance.waited_s == 2 + 3
    assert balance.waited_share == pytest.approx(5 / 28)


def test_threads_without_anything_to_do_are_in_no_share(clock):
    balance = observed(clock, (5.0, {"busy": 2}), (5.0, {"busy": 1}))
    assert (balance.busy_s, balance.waited_s, balance.held_s) == (15.0, 0.0, 0.0)
    assert balance.waited_share == 0.0


@pytest.mark.parametrize(
    ("doing", "line"),
    [
        ({"busy": 98, "waiting": 2}, "limit: the model, which waited 2 % of the time for audio"),
        ({"busy": 39, "waiting": 61}, "limit: decoding; the model waited 61 % of the time for audio"),
        ({"busy": 70, "waiting": 10, "held": 20}, "limit: writing; the model waited 20 % of the time for the disk"),
        (
            {"busy": 60, "waiting": 10, "held": 5, "cramped": 25},
            "limit: memory; the model waited 25 % of the time for room for more audio",
        ),
        ({"busy": 90, "waiting": 4, "held": 6}, "limit: writing; the model waited 6 % of the time for the disk"),
        ({"busy": 100}, "limit: the model, which waited 0 % of the time for audio"),
    ],
)
def test_the_limit_is_what_the_model_waited_for_most(clock, doing, line):
    assert observed(clock, (7.0, doing)).limit == line


def test_the_last_line_says_how_many_times_real_time(clock):
    balance = observed(clock, (20.0, {"busy": 1}))
    balance.add_audio(12_000.0)
    balance.add_audio(24_000.0)
    assert balance.times_real_time == 1800.0
    assert balance.sentence == "1,800 times real time; limit: the model, which waited 0 % of the time for audio"


def test_nothing_done_is_no_sentence_and_no_division_by_zero(clock):
    balance = Balance(clock)
    assert (balance.sentence, balance.times_real_time, balance.waited_share) == ("", 0.0, 0.0)
    assert balance.limit
