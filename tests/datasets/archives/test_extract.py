"""Extraction gives the whole folder or none, whatever happens on the way."""

import errno
import lzma
import os
import shutil
import signal
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import py7zr
import pytest

from atrkit.datasets.archives import extract_archive, scan_archive
from atrkit.errors import IntegrityError, ResourceError

FORMATS = ("7z", "zip", "tar", "tar.gz")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("folder", ["development/", "", "./development/"])
def test_files_are_extracted_without_the_folder_they_lie_in(pack, clips, tmp_path, kind, folder):
    archive = pack(kind, clips, folder=folder)
    listing = scan_archive(archive)
    assert listing.members == {name: len(data) for name, data in clips.items()}
    assert listing.total_bytes == sum(map(len, clips.values()))

    seen = []
    target = tmp_path / "clotho_audio_files" / "development"
    extract_archive(archive, target, listing, on_progress=lambda done, total: seen.append((done, total)))
    assert contents(target) == clips
    assert [path.name for path in target.parent.iterdir()] == ["development"]
    assert seen[-1] == (listing.total_bytes, listing.total_bytes)


@pytest.mark.parametrize("kind", ["7z", "zip", "tar"])
def test_folders_in_the_archive_are_no_files(clips, tmp_path, kind):
    source = tmp_path / "source" / "evaluation"
    source.mkdir(parents=True)
    for name, data in clips.items():
        (source / name).write_bytes(data)
    archive = tmp_path / f"clips.{kind}"
    if kind == "7z":
        with py7zr.SevenZipFile(archive, "w") as packed:
            packed.writeall(source, "evaluation")
    else:
        shutil.make_archive(str(tmp_path / "clips"), kind, source.parent, "evaluation")
    listing = scan_archive(archive)
    extract_archive(archive, tmp_path / "out", listing)
    assert contents(tmp_path / "out") == clips


@pytest.mark.parametrize("kind", ["7z", "zip"])
def test_damage_is_never_silent(pack, clips, tmp_path, kind):
    """300 single-bit flips and 20 cuts: refused, or without any effect on the files."""
    archive = pack(kind, {name: data[:300] for name, data in clips.items()})
    whole, place = archive.read_bytes(), np.random.default_rng(1)
    wanted = {name: data[:300] for name, data in clips.items()}
    damaged = [whole[: int(place.integers(len(whole)))] for _ in range(20)]
    for bit in place.integers(8 * len(whole), size=300):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << (bit % 8)
        damaged.append(bytes(flipped))
    outcomes = {"refused": 0, "whole": 0}
    for data in damaged:
        archive.write_bytes(data)
        target = tmp_path / "out"
        try:
            # the table of captions says what should be there, so a changed name or a lost member is noticed
            listing = scan_archive(archive, expected_names=wanted)
            extract_archive(archive, target, listing)
        except IntegrityError as error:
            assert "\n" not in str(error)
            assert not target.exists()
            outcomes["refused"] += 1
        else:
            if not (listing.missing or listing.unexpected):
                assert contents(target) == wanted
            outcomes["whole"] += 1
            shutil.rmtree(target)
    assert outcomes["refused"] > 100, outcomes


@pytest.mark.parametrize("declared", [400, 5_000])
@pytest.mark.parametrize("has_crc_of_its_beginning", [False, True])
def test_zip_members_of_another_size_than_declared(pack, tmp_path, declared, has_crc_of_its_beginning):
    data = np.random.default_rng(0).bytes(900)
    archive = pack("zip", {"rain.wav": data})
    crc = zipfile.crc32(data[:declared] if has_crc_of_its_beginning else data)
    patched = archive.read_bytes().replace(struct.pack("<I", 900), struct.pack("<I", declared))
    archive.write_bytes(patched.replace(struct.pack("<I", zipfile.crc32(data)), struct.pack("<I", crc)))
    listing = scan_archive(archive)
    assert listing.members == {"rain.wav": declared}
    with pytest.raises(IntegrityError):
        extract_archive(archive, tmp_path / "out", listing)
    assert list(tmp_path.rglob("*")) == [archive]


def test_an_archive_that_changed_after_the_scan(pack, tmp_path):
    listing = scan_archive(pack("7z", {"rain.wav": b"rain", "wind.wav": b"wind"}))
    for files in ({"rain.wav": b"rain"}, {"rain.wav": b"rain", "evil.wav": b"evil"}, {"rain.wav": b"raining"}):
        archive = pack("7z", files)
        with pytest.raises(IntegrityError, match="is not as the archive's directory says"):
            extract_archive(archive, tmp_path / "out", listing)
        assert list(tmp_path.rglob("*")) == [archive]


def test_a_file_that_grew_after_the_scan_is_cut_off_at_once(pack, tmp_path):
    listing, seen = scan_archive(pack("tar", {"rain.wav": b"rain"})), []
    archive = pack("tar", {"rain.wav": bytes(7_000_000)})
    with pytest.raises(IntegrityError, match="is not as the archive's directory says"):
        extract_archive(archive, tmp_path / "out", listing, on_progress=lambda *progress: seen.append(progress))
    assert seen == []


def test_many_small_files_do_not_pile_up_in_memory(tmp_path):
    """py7zr alone reads 1 MiB for every file, however small, and keeps what it has no use for yet."""
    small_dictionary = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}]
    files = {f"{number}.wav": np.random.default_rng(number).bytes(20_000) for number in range(300)}
    with py7zr.SevenZipFile(tmp_path / "small.7z", "w", filters=small_dictionary) as packed:
        packed.set_encoded_header_mode(False)  # unpacking the header takes 16 MiB for a moment
        for name, data in files.items():
            packed.writestr(data, name)
    listing = scan_archive(tmp_path / "small.7z")
    tracemalloc.start()
    try:
        extract_archive(tmp_path / "small.7z", tmp_path / "out", listing)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert contents(tmp_path / "out") == files
    assert peak_bytes < 3_000_000 < listing.total_bytes


def test_too_little_room(pack, clips, tmp_path, monkeypatch):
    archive = pack("7z", clips)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=50_000))
    with pytest.raises(ResourceError, match=r"extracting clips.7z needs about 55 kB .*, and 50 kB are free"):
        extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert list(tmp_path.rglob("*")) == [archive]


def test_an_incomplete_folder_is_replaced(pack, clips, tmp_path):
    archive = pack("7z", clips)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Santa Motor.wav").write_bytes(b"cut")
    extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert contents(tmp_path / "out") == clips
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.7z", "out"]


def test_a_folder_with_other_files_is_left_alone(pack, clips, tmp_path):
    archive = pack("7z", clips)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "my own.wav").write_bytes(b"mine")
    with pytest.raises(IntegrityError, match=r"1 files that are not of this archive, 'my own.wav' the first"):
        extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert contents(tmp_path / "out") == {"my own.wav": b"mine"}


def test_a_folder_that_is_a_link_to_another_disk_stays_one(pack, clips, tmp_path):
    archive = pack("7z", clips)
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert (tmp_path / "out").is_symlink() and contents(tmp_path / "disk") == clips


@pytest.mark.parametrize("has_old_folder", [False, True])
def test_a_kill_at_any_step_leaves_no_folder_or_the_whole_one(pack, clips, tmp_path, monkeypatch, has_old_folder):
    archive = pack("7z", clips)
    listing = scan_archive(archive)
    steps_seen = 0
    for step in range(1, 100):
        target = tmp_path / f"{step}" / "out"
        if has_old_folder:
            target.mkdir(parents=True)
            (target / "Santa Motor.wav").write_bytes(b"cut")
        child = os.fork()
        if child == 0:
            with monkeypatch.context() as patch:
                at_step(patch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
                extract_archive(archive, target, listing)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if target.exists():
            assert contents(target) in (clips, {"Santa Motor.wav": b"cut"}), step
        extract_archive(archive, target, listing)
        assert contents(target) == clips, step
        assert [path.name for path in target.parent.iterdir()] == ["out"], step
        if not os.WIFSIGNALED(status):
            break
        steps_seen += 1
    assert os.waitstatus_to_exitcode(status) == 0
    assert steps_seen >= 2 * len(clips) + 4  # each file is opened and synced; two folders made, two synced, one renamed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("has_old_folder", [False, True])
def test_a_failure_at_any_step_leaves_the_old_or_the_new_state(
    pack, clips, tmp_path, monkeypatch, has_old_folder, number
):
    archive = pack("7z", clips)
    listing = scan_archive(archive)
    target = tmp_path / "place" / "out"
    old = {"Santa Motor.wav": b"cut"} if has_old_folder else None
    for step in range(1, 100):
        shutil.rmtree(target.parent, ignore_errors=True)
        if old is not None:
            target.mkdir(parents=True)
            (target / "Santa Motor.wav").write_bytes(b"cut")
        with monkeypatch.context() as patch:
            steps = at_step(patch, step, lambda: fail(number))
            try:
                extract_archive(archive, target, listing)
            except ResourceError as error:
                assert "\n" not in str(error)
                state = contents(target) if target.exists() else None
                assert state in (old, clips), step
            else:
                break
    assert len(steps) < step and contents(target) == clips


def fail(number):
    raise OSError(number, os.strerror(number))


def at_step(patch, step, action):
    """Do something instead of the nth call that changes the disk."""
    steps = []

    def watched(name, function):
        def wrapped(*arguments, **options):
            steps.append(name)
            if len(steps) == step:
                action()
            return function(*arguments, **options)

        return wrapped

    for owner, name in ((os, "mkdir"), (os, "fsync"), (os, "rename"), (Path, "open"), (shutil, "rmtree")):
        patch.setattr(owner, name, watched(name, getattr(owner, name)))
    return steps
