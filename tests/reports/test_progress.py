"""Progress: a bar at a terminal, a line every ten seconds in a log."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from atrkit.reports.progress import open_progress


class Clock:
    """Time that passes only when told."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log():
    return Console(file=io.StringIO(), width=80)


def lines_of(console):
    return console.file.getvalue().splitlines()


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(clock, log):
    with open_progress("mn04 of own", 1200, "clips", console=log, clock=clock) as advance:
        for _ in range(30):  # each second 40 clips of 4 s
            clock.now_s += 1.0
            advance(40, audio_s=160.0)
    assert lines_of(log) == [
        "mn04 of own: 400 of 1,200 clips, 40.0 clips/s, 160 x real time, 0:20 left",
        "mn04 of own: 800 of 1,200 clips, 40.0 clips/s, 160 x real time, 0:10 left",
        "mn04 of own: 1,200 of 1,200 clips in 0:30 (40.0 clips/s, 160 x real time)",
    ]


def test_slow_items_are_no_more_than_a_line_each(clock, log):
    with open_progress("training", 3, "epochs", console=log, clock=clock) as advance:
        for _ in range(3):
            clock.now_s += 1300.0
            advance()
    assert lines_of(log) == [
        "training: 1 of 3 epochs, 2.77 epochs/h, 43:20 left",
        "training: 2 of 3 epochs, 2.77 epochs/h, 21:40 left",
        "training: 3 of 3 epochs in 1:05:00 (2.77 epochs/h)",
    ]


def test_quick_work_leaves_one_line(clock, log):
    with open_progress("checking", 5, "files", console=log, clock=clock) as advance:
        clock.now_s += 2.0
        advance(5)
    assert lines_of(log) == ["checking: 5 of 5 files in 0:02 (2.50 files/s)"]


def test_nothing_to_do(clock, log):
    with open_progress("checking", 0, "files", console=log, clock=clock):
        pass
    assert lines_of(log) == ["checking: 0 of 0 files in 0:00"]


def test_work_that_fails_does_not_claim_to_be_done(clock, log):
    with pytest.raises(ZeroDivisionError), open_progress("checking", 5, "files", console=log, clock=clock) as advance:
        advance(2)
        raise ZeroDivisionError
    assert lines_of(log) == []


def test_plain_gives_lines_at_a_terminal_too(clock):
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    with open_progress("checking", 5, "files", plain=True, console=terminal, clock=clock) as advance:
        clock.now_s += 2.0
        advance(5)
    assert lines_of(terminal) == ["checking: 5 of 5 files in 0:02 (2.50 files/s)"]


def test_lines_are_not_broken_in_a_narrow_log(clock):
    narrow = Console(file=io.StringIO(), width=20)
    with open_progress("mn04 of own", 5, "clips", console=narrow, clock=clock) as advance:
        clock.now_s += 2.0
        advance(5)
    assert len(lines_of(narrow)) == 1


def test_without_a_console_it_goes_to_stderr(clock, capsys):
    with open_progress("checking", 1, "files", clock=clock) as advance:
        advance()
    assert capsys.readouterr() == ("", "checking: 1 of 1 files in 0:00\n")


@pytest.mark.parametrize(
    ("seconds", "speed"),
    [(0.01, "100 x/s"), (1.0, "1.00 x/s"), (2.0, "30.0 x/min"), (60.0, "1.00 x/min"), (90.0, "40.0 x/h")],
)
def test_speed_is_told_in_a_unit_that_makes_it_at_least_one(clock, log, seconds, speed):
    with open_progress("work", 1, "x", console=log, clock=clock) as advance:
        clock.now_s += seconds
        advance()
    assert lines_of(log)[0].endswith(f"({speed})")


def test_a_terminal_gets_a_bar_with_count_speed_and_remaining_time(clock, monkeypatch):
    def advance_and_redraw(self, task, items, advance=Progress.advance):
        advance(self, task, items)
        self.refresh()  # else ten times a second

    monkeypatch.setattr(Progress, "advance", advance_and_redraw)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    with open_progress("mn04 of own", 1200, "clips", console=terminal, clock=clock) as advance:
        clock.now_s += 10.0
        advance(400, audio_s=1600.0)
        terminal.print("a remark")
        clock.now_s += 20.0
        advance(800, audio_s=3200.0)
    shown = [Text.from_ansi(line).plain for line in terminal.file.getvalue().replace("\r", "\n").split("\n")]
    assert "a remark" in [line.rstrip() for line in shown]
    under_way = next(line for line in shown if "left" in line)
    assert under_way.startswith("mn04 of own ")
    assert under_way.rstrip().endswith(" 400/1200 40.0 clips/s, 160 x real time, 0:20 left")
    assert shown[-2].rstrip().endswith(" 1200/1200 in 0:30 (40.0 clips/s, 160 x real time)")
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("columns", "last"),
    [
        (80, "downloading clotho_audio_development.7z ━━━━━ 5,500/5,500 MB in 1:40 (55.0 MB/s)"),
        (60, "downloading clotho… ━━━━━ 5,500/5,500 MB in 1:40 (55.0 MB/s)"),
    ],
)
def test_a_narrow_terminal_cuts_the_description_and_no_number(clock, monkeypatch, columns, last):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    terminal = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None)
    description = "downloading clotho_audio_development.7z"
    with open_progress(description, 5_500_000_000, "bytes", console=terminal, clock=clock) as advance:
        clock.now_s += 100.0
        advance(5_500_000_000)
    shown = terminal.file.getvalue().replace("\x1b[2K", "\r").split("\r")
    assert shown[-1].partition("\n")[0] == last


def test_a_narrow_terminal_does_without_the_speed_in_times_real_time(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    terminal = Console(file=io.StringIO(), width=50, force_terminal=True, color_system=None)
    with open_progress("resampling to 32,000 Hz: clotho", 20, "clips", console=terminal, clock=clock) as advance:
        clock.now_s += 2.0
        advance(20, audio_s=400.0)
    shown = terminal.file.getvalue().replace("\x1b[2K", "\r").split("\r")
    assert shown[-1].partition("\n")[0] == "resampling to … ━━━━━ 20/20 in 0:02 (10.0 clips/s)"


def test_bytes_are_shown_as_megabytes_and_what_was_there_before_does_not_count_for_the_speed(clock, log):
    with open_progress("clotho.7z", 4_000_000_000, "bytes", done=3_000_000_000, console=log, clock=clock) as advance:
        clock.now_s += 20.0
        advance(400_000_000)
        clock.now_s += 30.0
        advance(600_000_000)
    assert lines_of(log) == [
        "clotho.7z: 3,400 of 4,000 MB, 20.0 MB/s, 0:30 left",
        "clotho.7z: 4,000 of 4,000 MB in 0:50 (20.0 MB/s)",
    ]


def test_a_transfer_of_unknown_length_says_how_much_came(clock, log):
    with open_progress("train.csv", 0, "bytes", console=log, clock=clock) as advance:
        clock.now_s += 20.0
        advance(3_500_000)
        clock.now_s += 5.0
        advance(500_000)
    assert lines_of(log) == ["train.csv: 3.5 MB, 0.17 MB/s", "train.csv: 4.0 MB in 0:25 (0.16 MB/s)"]
