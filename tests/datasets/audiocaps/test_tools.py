import os
import stat
import threading
import time
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.tools import Children, StoppedError, Tools, find_tools
from atrkit.errors import MissingPrerequisiteError


def program(path: Path, body: str = "exit 0") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def wait_for(path: Path) -> str:
    for _ in range(500):
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text().strip()
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_ends(pid: int) -> None:
    for _ in range(200):
        if not is_running(pid):
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} is still running")


def test_tools_are_found_on_the_path_or_beside_the_interpreter(tmp_path: Path):
    ffmpeg = program(tmp_path / "bin" / "ffmpeg")
    beside = program(tmp_path / "venv" / "yt-dlp")
    environment = {"PATH": str(tmp_path / "bin")}
    assert find_tools(environment, tmp_path / "venv") == Tools(beside, ffmpeg)
    on_path = program(tmp_path / "bin" / "yt-dlp")
    assert find_tools(environment, tmp_path / "venv") == Tools(on_path, ffmpeg)


def test_the_variables_of_aac_datasets_win(tmp_path: Path):
    for name in ("yt-dlp", "ffmpeg"):
        program(tmp_path / "bin" / name)
    mine, other = program(tmp_path / "mine" / "my-yt-dlp"), program(tmp_path / "mine" / "my-ffmpeg")
    environment = {
        "PATH": str(tmp_path / "bin"),
        "AAC_DATASETS_YTDLP_PATH": mine,
        "AAC_DATASETS_FFMPEG_PATH": other,
    }
    assert find_tools(environment, tmp_path) == Tools(mine, other)
    # aac-datasets' own defaults are bare names
    environment |= {"AAC_DATASETS_YTDLP_PATH": "yt-dlp", "AAC_DATASETS_FFMPEG_PATH": ""}
    assert find_tools(environment, tmp_path) == Tools(
        str(tmp_path / "bin" / "yt-dlp"), str(tmp_path / "bin" / "ffmpeg")
    )


def test_what_is_missing_is_named_with_the_way_to_install_it(tmp_path: Path):
    environment = {"PATH": str(tmp_path / "bin")}
    with pytest.raises(MissingPrerequisiteError, match=r"atrkit\[audiocaps\].*apt install ffmpeg.*--from DIR") as error:
        find_tools(environment, tmp_path / "venv")
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    program(tmp_path / "bin" / "ffmpeg")
    with pytest.raises(MissingPrerequisiteError) as error:
        find_tools(environment, tmp_path / "venv")
    assert "yt-dlp: pip" in str(error.value)
    assert "apt install" not in str(error.value)
    (tmp_path / "plain").touch()
    with pytest.raises(MissingPrerequisiteError, match=r"\$AAC_DATASETS_FFMPEG_PATH names .*plain"):
        find_tools({**environment, "AAC_DATASETS_FFMPEG_PATH": str(tmp_path / "plain")}, tmp_path)


def test_a_program_leaves_its_status_and_its_output(tmp_path: Path):
    tool = program(tmp_path / "tool", 'echo "$1|$2"; echo bad >&2; exit 3')
    ended = Children().run([tool, "a b", "; rm -rf x"], timeout_s=10)
    assert (ended.status, ended.output, ended.errors) == (3, "a b|; rm -rf x\n", "bad\n")


def test_a_program_cannot_read_what_is_typed(tmp_path: Path):
    tool = program(tmp_path / "tool", 'read typed; echo "got $typed"')
    terminal, typing = os.pipe()
    os.write(typing, b"a secret\n")
    stdin = os.dup(0)
    try:
        os.dup2(terminal, 0)
        assert Children().run([tool], timeout_s=10).output == "got \n"
    finally:
        os.dup2(stdin, 0)
        for descriptor in (terminal, typing, stdin):
            os.close(descriptor)


def test_of_much_output_only_a_little_is_kept(tmp_path: Path):
    tool = program(tmp_path / "tool", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo last >&2")
    ended = Children().run([tool], timeout_s=10)
    assert len(ended.output) == len(ended.errors) == 1 << 16
    assert ended.errors.endswith("last\n")


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path):
    # the grandchild keeps stdout open: a reader of a pipe would wait for it
    tool = program(tmp_path / "tool", f"sleep 60 & echo $! > {tmp_path}/pid\nwait")
    start = time.monotonic()
    ended = Children().run([tool], timeout_s=0.2)
    assert ended.status is None
    assert time.monotonic() - start < 5
    assert_ends(int(wait_for(tmp_path / "pid")))


def test_kill_all_ends_what_runs_and_starts_nothing_more(tmp_path: Path):
    tool = program(tmp_path / "tool", f"echo $$ > {tmp_path}/pid; exec sleep 60")
    children = Children()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            children.run([tool], timeout_s=60)
        except StoppedError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    pid = int(wait_for(tmp_path / "pid"))
    children.kill_all()
    thread.join(5)
    assert not thread.is_alive()
    assert len(raised) == 1
    assert not is_running(pid)
    with pytest.raises(StoppedError):
        children.run([tool], timeout_s=60)


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path):
    with pytest.raises(MissingPrerequisiteError, match=r"nothing-there cannot be started \(No such file"):
        Children().run([os.fspath(tmp_path / "nothing-there")], timeout_s=1)
