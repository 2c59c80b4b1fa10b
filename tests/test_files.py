"""Atomic writes: the old file or the new one, whatever fails, and one writer at a time."""

import errno
import os
import subprocess
import sys

import pytest

from atrkit import files
from atrkit.errors import MissingPrerequisiteError, ResourceError
from atrkit.files import (
    open_atomic,
    require_free_space,
    require_writable,
    sha256_of_file,
    single_writer,
    write_atomic,
)


def test_a_written_file_is_whole_and_leaves_nothing_beside_it(tmp_path):
    write_atomic(tmp_path / "new folder" / "a.bin", b"123")
    assert (tmp_path / "new folder" / "a.bin").read_bytes() == b"123"
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["a.bin"]


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    """Otherwise a power cut leaves the new name on an empty file, or the old file after success was said."""
    calls = []

    def recorded(name, function, target):
        def call(*args):
            calls.append((name, target(*args)))
            return function(*args)

        return call

    by_descriptor = recorded("fsync", os.fsync, lambda fd: str(files.Path(f"/proc/self/fd/{fd}").readlink()))
    monkeypatch.setattr(files.os, "fsync", by_descriptor)
    monkeypatch.setattr(files.Path, "replace", recorded("replace", files.Path.replace, lambda path, new: str(path)))
    write_atomic(tmp_path / "a.bin", b"123")
    part = str(tmp_path / "a.bin.part")
    assert calls == [("fsync", part), ("replace", part), ("fsync", str(tmp_path))]


def test_a_file_written_piece_by_piece_is_there_only_when_the_block_has_ended(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_atomic(tmp_path / "a.bin") as file:
        file.write(b"12")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with open_atomic(tmp_path / "a.bin") as file:
        file.write(b"12")
        assert not (tmp_path / "a.bin").exists()
        file.write(b"3")
    assert (tmp_path / "a.bin").read_bytes() == b"123"


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EACCES])
def test_whichever_call_fails_the_old_file_stays(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    if call == "write":
        monkeypatch.setattr(files.Path, "open", fail)
    elif call == "fsync":
        monkeypatch.setattr(files.os, "fsync", fail)
    else:
        monkeypatch.setattr(files.Path, "replace", fail)
    with pytest.raises(ResourceError, match=r"a\.bin"):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_file_size_limit_is_an_error_with_a_way_out_not_a_crash(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; from atrkit.files import write_atomic\n"
        "from atrkit.errors import ResourceError\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomic(Path(sys.argv[1]), bytes(2000))\n"
        "except ResourceError as error: print(error); sys.exit(error.exit_code)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.bin")], capture_output=True, text=True, check=False
    )
    assert child.returncode == 4
    assert "file-size limit" in child.stdout
    assert list(tmp_path.iterdir()) == []


def test_work_that_would_not_fit_is_refused_before_it_starts(tmp_path):
    require_free_space(tmp_path / "not" / "yet" / "there", 1, "a test")
    with pytest.raises(ResourceError, match="a test needs about"):
        require_free_space(tmp_path, 1 << 60, "a test")


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ResourceError, match="cannot write"):
        require_writable(tmp_path / "file" / "below")


def test_the_second_writer_is_told_who_writes(tmp_path):
    target = tmp_path / "out.h5"
    told = pytest.raises(MissingPrerequisiteError, match=f"process {os.getpid()} since 2")
    with single_writer(target), told, single_writer(target):
        pass
    with single_writer(target):  # and is let in afterwards
        pass


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
