"""What a person sees of a download at a terminal: whole lines, also where remarks come while a bar is drawn."""

import fcntl
import json
import os
import pty
import re
import struct
import termios

import pytest

CLOTHO = ("download", "clotho", "--subset", "val", "--workers", "1")
SEQUENCE = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")


def screen_of(text, columns):
    """Lines as a terminal of that width shows them, with those that have scrolled away."""
    lines, row, column = [""], 0, 0
    position = 0
    for match in SEQUENCE.finditer(text):
        assert match.start() == position, repr(text[position : match.start()])
        position = match.end()
        argument, command = match.groups()
        if command:
            assert command in "AKmhl", match[0]
            row -= int(argument or 1) if command == "A" else 0
            if command == "K":
                lines[row] = "" if argument == "2" else lines[row][:column]
        elif match[0] == "\r":
            column = 0
        else:
            for character in match[0]:
                if character == "\n" or column == columns:
                    row, column = row + 1, 0
                    lines += [""] * (row == len(lines))
                if character != "\n":
                    lines[row] = lines[row].ljust(column)[:column] + character + lines[row][column + 1 :]
                    column += 1
    assert position == len(text)
    return [line.rstrip() for line in lines]


@pytest.fixture
def at_terminal(start_atrkit, tmp_path):
    """Run a command at a terminal; gives its exit code, what it wrote to the terminal, and to stdout."""

    def run(*words, columns=80, code=0, stdout_too=False, **variables):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            os.environ.pop(name, None)
        os.environ |= {"TERM": "xterm-256color", **variables}
        streams = {"stderr": theirs, "stdin": theirs} | ({"stdout": theirs} if stdout_too else {})
        child = start_atrkit(*words, workspace=tmp_path / "ws", **streams)
        os.close(theirs)
        written = bytearray()
        while True:
            try:
                written += os.read(ours, 1 << 16)
            except OSError:  # nobody holds the other end any more
                break
        os.close(ours)
        stdout = "" if stdout_too else child.stdout.read()
        assert child.wait() == code, written.decode()
        return written.decode(), stdout

    return run


@pytest.fixture
def unsteady(zenodo):
    """A server that cuts the connection, cuts it again at once, and is overloaded for a moment."""
    server = zenodo.server
    faults = [server.cut(5_000), server.cut(0), server.status(503)]
    zenodo.publish("val", "audio_archive", faults=faults, bytes_per_s=100_000)
    return server


REMARKS = [
    r"clotho_audio_validation\.7z: the connection was cut \(\w+\); trying again in 0 s \(attempt 2 of 6\)",
    r"clotho_audio_validation\.7z: the server answers 503 Service Unavailable; trying again in 0 s \(attempt 3 of 6\)",
]


def rows_with(pattern, screen, columns):
    """Rows of the screen that a text takes, which begins at the left and ends where nothing follows."""
    return [row for row, _ in enumerate(screen) if re.fullmatch(pattern, unwrapped(screen, row, columns))]


def unwrapped(screen, row, columns):
    """The text that begins in a row, with the rows that it goes on in because this one is full."""
    text = screen[row]
    while len(screen[row]) == columns and row + 1 < len(screen):
        row += 1
        text += screen[row]
    return text


@pytest.mark.parametrize(
    ("columns", "variables"),
    [(80, {}), *(pytest.param(50, names, marks=pytest.mark.faults) for names in ({}, {"NO_COLOR": "1"}))],
    ids=["80 columns", "50 columns", "50 without colours"],
)
def test_remarks_and_bars_share_a_terminal(unsteady, at_terminal, columns, variables):
    written, _ = at_terminal(*CLOTHO, columns=columns, stdout_too=True, **variables)
    assert ("\x1b[38;5;" in written) != bool(variables)
    screen = screen_of(written, columns)
    print("", *screen, sep="\n")
    for remark in REMARKS:
        assert len(rows_with(remark, screen, columns)) == 1
    bars = [line for line in screen if " in 0:0" in line]
    assert len(bars) == 5, "two tables, the archive, unpacking, resampling: a line for each"
    for bar, start in zip(bars, [*["downloading clotho"] * 3, "unpacking clotho", "resampling to 32"], strict=True):
        assert bar.startswith(start) or (columns == 50 and start.startswith(bar.partition("…")[0]))
        assert re.search(r" [\d./]+( kB)? in 0:0\d( \([^…]*\))?$", bar), "its numbers are whole"
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h"), "the cursor is back"
    drawn = [line for line in screen if "━" in line or " left" in line]
    assert drawn == [bar for bar in bars if "━" in bar], "no frame of a bar is left behind"


def test_plain_is_nothing_but_lines(unsteady, at_terminal):
    written, _ = at_terminal(*CLOTHO, "--plain", columns=50, stdout_too=True)
    assert "\x1b" not in written and "\r" not in written.replace("\r\n", "") and written.isascii()
    for remark in REMARKS:
        assert re.search(rf"^{remark}\r$", written, flags=re.MULTILINE)


@pytest.mark.faults
def test_json_at_a_terminal_is_all_there_is_on_stdout(unsteady, at_terminal):
    written, stdout = at_terminal(*CLOTHO, "--json")
    assert json.loads(stdout)["dataset"] == "clotho"
    assert "download" in written and "{" not in written


FLAWS = {
    "a clip is missing": lambda audio: (audio / "validation" / "validation 00.wav").unlink(),
    "a clip is cut short": lambda audio: cut(audio / "validation" / "validation 01.wav"),
    "a clip is no sound": lambda audio: (audio / "evaluation" / "evaluation 00.wav").write_text("<html>"),
}


def cut(path):
    path.write_bytes(path.read_bytes()[:10_000])


@pytest.mark.parametrize("flaws", [*((flaw,) for flaw in FLAWS), tuple(FLAWS)], ids=lambda flaws: " and ".join(flaws))
def test_json_with_problems_is_one_object(zenodo, copy_of_clotho, atrkit_in, tmp_path, flaws):
    for flaw in flaws:
        FLAWS[flaw](copy_of_clotho / "CLOTHO_v2.1" / "clotho_audio_files")
    result = atrkit_in(tmp_path / "ws")("download", "clotho", "--from", copy_of_clotho, "--json", code=7)
    assert isinstance(json.loads(result.stdout), dict) and result.stdout.endswith("}\n")
    assert json.loads(atrkit_in(tmp_path / "ws")("info", "clotho", "--json").stdout)["dataset"] == "clotho"


def test_json_with_missing_clips_of_audiocaps_is_one_object(serve_audiocaps, tools, atrkit_in, tmp_path):
    serve_audiocaps(3)
    workspace = atrkit_in(tmp_path / "ws")
    workspace("download", "audiocaps", "--subset", "val", "--workers", 1)
    (tmp_path / "ws/data/audiocaps/AUDIOCAPS/audio_original/val/val00000001_1.flac").unlink()
    (tmp_path / "ws/data/audiocaps/AUDIOCAPS/audio_32000Hz/val/val00000001_1.flac").unlink()
    result = workspace("download", "audiocaps", "--subset", "val", "--workers", 1, "--no-fetch", "--json", code=7)
    assert isinstance(json.loads(result.stdout), dict)
