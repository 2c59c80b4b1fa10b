"""Progress of long work on stderr: a live bar at a terminal, a line now and then in a log."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from atrkit.reports.console import make_stderr

SECONDS_BETWEEN_LINES = 10.0
_SHORTEST_BAR = 5
_NARROW = 70  # columns; the speed in times real time is left out where there are fewer


class Advance(Protocol):
    """Report finished items, how many seconds of audio they held, and what limits the speed."""

    def __call__(self, items: int = 1, audio_s: float = 0.0, limit: str = "") -> None:
        """Move the progress display on."""


@contextmanager
def open_progress(
    description: str,
    total: int,
    unit: str,
    *,
    done: int = 0,
    plain: bool = False,
    console: Console | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Advance]:
    """Show how far work is, how fast it goes, and how long it will take.

    Args:
        description: what is being done, a few words.
        total: number of items; 0 bytes when the length is not known.
        unit: what items are, in the plural: "clips"; "bytes" are shown as MB.
        done: how many of them were there before, from an earlier call; they do not count for the speed.
        plain: no live display even at a terminal.
        console: where to; None: stderr.
        clock: seconds, never going back.

    Yields:
        A function to call with the number of items just finished, the seconds of audio in them where that means
        anything (the speed is then also given in times real time), and a word for what limits the speed, where that
        is known.
    """
    target = console or make_stderr(plain=plain)
    pace = _Pace(total, unit, done, clock)
    if target.is_interactive and not plain:
        pace.is_brief = target.width < _NARROW
        with _show_bar(target, description, pace) as advance:
            yield advance
    else:
        yield _LineWriter(target, description, pace)
        _print_line(target, f"{description}: {pace.count} in {pace.speed}")


@dataclass
class _Pace:
    """Items and audio so far, and what follows for speed and remaining time."""

    total: int
    unit: str
    done: int
    clock: Callable[[], float]
    is_brief: bool = False
    items: int = field(init=False)
    audio_s: float = 0.0
    limit: str = ""
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.items = self.done
        self.started_s = self.clock()

    def add(self, items: int, audio_s: float, limit: str) -> None:
        self.items += items
        self.audio_s += audio_s
        self.limit = limit

    @property
    def elapsed_s(self) -> float:
        return self.clock() - self.started_s

    @property
    def count(self) -> str:
        if not self.is_total_known:
            return _amount(self.items, self.unit, self.items)
        return (
            f"{_amount(self.items, self.unit, self.total).split()[0]} of {_amount(self.total, self.unit, self.total)}"
        )

    @property
    def short_count(self) -> str:
        """For a bar, which shows the rest: "400/1200"."""
        if self.unit == "bytes":
            return self.count.replace(" of ", "/")
        return f"{self.items}/{self.total}"

    @property
    def is_total_known(self) -> bool:
        return bool(self.total) or self.unit != "bytes"

    @property
    def rates(self) -> list[str]:
        elapsed_s = self.elapsed_s
        if self.items == self.done or elapsed_s <= 0:
            return []
        rates = [_rate((self.items - self.done) / elapsed_s, self.unit)]
        if self.audio_s and not self.is_brief:
            rates.append(f"{_three_digits(self.audio_s / elapsed_s)} x real time")
        return rates

    @property
    def speed(self) -> str:
        """For work that is done: "0:41 (35.2 clips/s, 131 x real time)"."""
        return as_minutes(self.elapsed_s) + (f" ({', '.join(self.rates)})" if self.rates else "")

    @property
    def outlook(self) -> str:
        """For work under way: "35.2 clips/s, 131 x real time, 0:14 left"."""
        if not self.rates:
            return ""
        if not self.is_total_known:
            return ", ".join(self.rates)
        left_s = self.elapsed_s / (self.items - self.done) * max(self.total - self.items, 0)
        limit = [f"limit: {self.limit}"] if self.limit and not self.is_brief else []
        return ", ".join([*self.rates, *limit, f"{as_minutes(left_s)} left"])


class _LineWriter:
    """Writes a line when the last one is ten seconds old."""

    def __init__(self, console: Console, description: str, pace: _Pace) -> None:
        self._console, self._description, self._pace = console, description, pace
        self._last_line_s = pace.started_s

    def __call__(self, items: int = 1, audio_s: float = 0.0, limit: str = "") -> None:
        self._pace.add(items, audio_s, limit)
        now_s = self._pace.clock()
        is_due = now_s - self._last_line_s >= SECONDS_BETWEEN_LINES
        if is_due and (
            self._pace.items < self._pace.total or not self._pace.is_total_known
        ):  # the last line comes when the work is closed
            self._last_line_s = now_s
            _print_line(self._console, f"{self._description}: {self._pace.count}, {self._pace.outlook}")


def _print_line(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _show_bar(console: Console, description: str, pace: _Pace) -> Iterator[Advance]:
    count, speed = _CountColumn(pace), _PaceColumn(pace)
    columns = (
        _DescriptionColumn(console, (count, speed)),
        BarColumn(bar_width=None, table_column=Column(min_width=_SHORTEST_BAR, ratio=1)),
        count,
        speed,
    )
    with Progress(*columns, console=console, expand=True) as progress:
        task = progress.add_task(description, total=pace.total if pace.is_total_known else None, completed=pace.done)

        def advance(items: int = 1, audio_s: float = 0.0, limit: str = "") -> None:
            pace.add(items, audio_s, limit)
            progress.advance(task, items)

        yield advance


class _DescriptionColumn(ProgressColumn):
    """What is being done: where the terminal is narrow, this is cut before any number is."""

    def __init__(self, console: Console, numbers: "Sequence[_CountColumn | _PaceColumn]") -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._console = console
        self._numbers = numbers

    def render(self, task: Task) -> Text:
        others = 1 + _SHORTEST_BAR + sum(1 + column.render(task).cell_len for column in self._numbers)
        text = Text(task.description)
        text.truncate(max(self._console.width - others, 1), overflow="ellipsis")
        return text


class _CountColumn(ProgressColumn):
    """How much is done, of how much."""

    def __init__(self, pace: _Pace) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._pace = pace

    def render(self, task: Task) -> Text:
        return Text(self._pace.short_count)


class _PaceColumn(ProgressColumn):
    """Speed and remaining time; when all is done, the time it took."""

    def __init__(self, pace: _Pace) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._pace = pace

    def render(self, task: Task) -> Text:
        return Text(f"in {self._pace.speed}" if task.finished else self._pace.outlook)


def as_minutes(duration_s: float) -> str:
    """Minutes and seconds, with hours where there are any.

    >>> as_minutes(41.4), as_minutes(3725)
    ('0:41', '1:02:05')
    """
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _amount(items: int, unit: str, largest: int) -> str:
    """Items with their unit, bytes in the one that suits the largest number of them.

    >>> _amount(5225, "captions", 5225), _amount(1_234_567_890, "bytes", 5_000_000_000), _amount(0, "bytes", 9000)
    ('5,225 captions', '1,235 MB', '0.0 kB')
    """
    if unit == "bytes":
        scale, name = (1e6, "MB") if largest >= 1e6 else (1e3, "kB")
        return f"{items / scale:,.0f} {name}" if largest >= 10 * scale else f"{items / scale:.1f} {name}"
    return f"{items:,} {unit}"


def _rate(items_per_s: float, unit: str) -> str:
    """Items per second, minute or hour, whichever is the first to make it at least one."""
    if unit == "bytes":
        return f"{_three_digits(items_per_s / 1e6)} MB/s"
    for seconds, name in ((1, "s"), (60, "min")):
        if items_per_s * seconds >= 1:
            return f"{_three_digits(items_per_s * seconds)} {unit}/{name}"
    return f"{_three_digits(items_per_s * 3600)} {unit}/h"


def _three_digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
