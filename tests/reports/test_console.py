"""Consoles: which stream, which characters, which escape codes."""

import io
import sys

import pytest
from rich.panel import Panel
from rich.text import Text

from atrkit.reports.console import make_stderr, make_stdout


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, with an encoding."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True

    @property
    def shown(self):
        self.flush()
        return self.buffer.getvalue()


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_results_go_to_stdout_and_remarks_to_stderr(capsys):
    make_stdout(plain=False).print("a result")
    make_stderr(plain=False).print("a remark")
    assert capsys.readouterr() == ("a result\n", "a remark\n")


def test_a_terminal_gets_colours(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    make_stdout(plain=False).print(Text("rain", style="red"))
    assert sys.stdout.shown == b"\x1b[31mrain\x1b[0m\n"


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    make_stdout(plain=False).print(Text("rain", style="red"))
    assert sys.stdout.shown == b"rain\n"


LONG = "/a folder/" + 40 * "with words " + "clip.wav"


def folded_lines(stdout, monkeypatch, *, plain=False):
    monkeypatch.setattr(sys, "stdout", stdout)
    make_stdout(plain=plain).print(Text(LONG, overflow="fold"))
    stdout.seek(0)
    return stdout.read().splitlines()


@pytest.mark.parametrize("plain", [False, True])
def test_a_long_path_is_whole_in_a_pipe_and_folded_in_a_terminal(monkeypatch, plain):
    assert folded_lines(io.StringIO(), monkeypatch, plain=plain) == [LONG]
    monkeypatch.setenv("COLUMNS", "60")
    assert len(folded_lines(io.StringIO(), monkeypatch, plain=plain)) > 5
    monkeypatch.delenv("COLUMNS")
    assert len(folded_lines(Terminal(), monkeypatch, plain=plain)) > 3


@pytest.mark.parametrize("forced", ["", "1"])
def test_plain_has_no_escape_codes_even_where_colour_is_forced(monkeypatch, forced):
    monkeypatch.setenv("FORCE_COLOR", forced)
    monkeypatch.setattr(sys, "stdout", Terminal())
    make_stdout(plain=True).print(Text("rain", style="bold red"))
    assert sys.stdout.shown == b"rain\n"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "Vögel – 音, e\u0301 … \\u2500\\u2588\\u280b\\u2192"),
        ("latin-1", "Vögel \\u2013 \\u97f3, e\\u0301 \\u2026 \\u2500\\u2588\\u280b\\u2192"),
        ("ascii", "V\\xf6gel \\u2013 \\u97f3, e\\u0301 \\u2026 \\u2500\\u2588\\u280b\\u2192"),
    ],
)
def test_plain_keeps_letters_that_the_encoding_has_and_escapes_what_is_drawn(monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", Terminal(encoding))
    make_stdout(plain=True).print("Vögel – 音, e\u0301 … ─█⠋→")
    assert sys.stdout.shown.decode(encoding) == f"{shown}\n"


def test_plain_draws_frames_in_ascii_and_shows_bytes_that_are_no_text(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Terminal())
    make_stdout(plain=True).print(Panel("ünï", width=7))
    make_stdout(plain=True).print("caf\udce9.wav")
    assert sys.stdout.shown.decode() == "+-----+\n| ünï |\n+-----+\ncaf\\udce9.wav\n"


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", rb"V\xf6gel \u97f3"), ("latin-1", b"V\xf6gel \\u97f3")])
def test_a_terminal_that_lacks_a_character_shows_its_number_and_does_not_fail(monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", Terminal(encoding))
    make_stdout(plain=False).print("Vögel 音")
    assert sys.stdout.shown == shown + b"\n"


def test_text_in_brackets_and_colons_is_left_alone(capsys):
    make_stdout(plain=False).print("[red] :smile: 12 'x'")
    assert capsys.readouterr().out == "[red] :smile: 12 'x'\n"
