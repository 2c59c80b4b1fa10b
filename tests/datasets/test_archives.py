"""Archives, friendly and hostile: nothing is written of a hostile one, and all or nothing of a friendly one."""

import errno
import io
import os
import shutil
import signal
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import py7zr
import pytest

from atrkit.datasets.archives import (
    ExtractionRecord,
    extract_archive,
    load_record,
    missing_or_changed,
    record_path,
    save_record,
    scan_archive,
)
from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError

FORMATS = ("7z", "zip", "tar", "tar.gz")
NOISE = np.random.default_rng(0)
CLIPS = {
    "Santa Motor.wav": NOISE.bytes(3000),
    " typical neighborhood in Porto.wav": NOISE.bytes(50_000),
    "121006_rain&amp;storm.wav": NOISE.bytes(20),
    "100% wool; #2.wav": b"quiet" * 400,
    "Año.wav": b"",
}


@pytest.fixture
def pack(tmp_path):
    """Write an archive of any format with the names and bytes given, whatever the names are."""

    def pack(kind, files, name="clips", folder="development/"):
        path = tmp_path / f"{name}.{kind}"
        entries = {folder + file_name: data for file_name, data in files.items()}
        match kind:
            case "7z":
                with py7zr.SevenZipFile(path, "w") as archive:
                    for entry, data in entries.items():
                        archive._writestr(data, entry)  # writestr itself refuses names that lead elsewhere
            case "zip":
                with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                    for entry, data in entries.items():
                        archive.writestr(entry, data)
            case _:
                with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
                    for entry, data in entries.items():
                        info = tarfile.TarInfo(entry)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
        return path

    return pack


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(path):
    """The message of a scan that must refuse the archive and write nothing."""
    before = everything_below(path.parent)
    with pytest.raises(IntegrityError) as caught:
        scan_archive(path)
    assert everything_below(path.parent) == before
    message = str(caught.value)
    assert caught.value.exit_code == 5 and str(path) in message and "\n" not in message
    return message


def everything_below(folder):
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("folder", ["development/", "", "./development/"])
def test_files_are_extracted_without_the_folder_they_lie_in(pack, tmp_path, kind, folder):
    archive = pack(kind, CLIPS, folder=folder)
    listing = scan_archive(archive)
    assert listing.members == {name: len(data) for name, data in CLIPS.items()}
    assert listing.total_bytes == sum(map(len, CLIPS.values()))

    seen = []
    target = tmp_path / "clotho_audio_files" / "development"
    extract_archive(archive, target, listing, on_progress=lambda done, total: seen.append((done, total)))
    assert contents(target) == CLIPS
    assert [path.name for path in target.parent.iterdir()] == ["development"]
    assert seen[-1] == (listing.total_bytes, listing.total_bytes)


@pytest.mark.parametrize("kind", ["7z", "zip", "tar"])
def test_folders_in_the_archive_are_no_files(tmp_path, kind):
    source = tmp_path / "source" / "evaluation"
    source.mkdir(parents=True)
    for name, data in CLIPS.items():
        (source / name).write_bytes(data)
    archive = tmp_path / f"clips.{kind}"
    if kind == "7z":
        with py7zr.SevenZipFile(archive, "w") as packed:
            packed.writeall(source, "evaluation")
    else:
        shutil.make_archive(str(tmp_path / "clips"), kind, source.parent, "evaluation")
    listing = scan_archive(archive)
    extract_archive(archive, tmp_path / "out", listing)
    assert contents(tmp_path / "out") == CLIPS


def test_names_expected_and_not_there_or_there_and_not_expected(pack):
    listing = scan_archive(pack("7z", {"a.wav": b"a", "b.wav": b"b"}), expected_names={"c.wav", "a.wav"})
    assert (listing.missing, listing.unexpected) == (("c.wav",), ("b.wav",))


def test_another_datasets_archive(pack):
    archive = pack("zip", {"a.wav": b"a", "b.wav": b"b"})
    with pytest.raises(IntegrityError, match=r"none of the 1 files .*'a.wav' and 1 others: it is another archive"):
        scan_archive(archive, expected_names={"c.wav"})


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../evil.wav", "leads out of the folder"),
        ("development/../../evil.wav", "leads out of the folder"),
        ("..", "leads out of the folder"),
        ("/etc/evil.wav", "is an absolute path"),
        ("C:/evil.wav", "is an absolute path"),
        ("C:evil.wav", "is an absolute path"),
        ("other/evil.wav", "does not lie in 'development'"),
        ("development/deeper/evil.wav", "does not lie in 'development'"),
    ],
)
def test_names_that_lead_elsewhere(pack, kind, name, why):
    message = refusal(pack(kind, {"development/rain.wav": b"rain", name: b"evil"}, folder=""))
    assert why in message and repr(name) in message


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_backslashes_as_separators(pack, kind):
    assert "has a backslash" in refusal(pack(kind, {"..\\evil.wav": b"evil"}))


def test_backslashes_in_7z_which_py7zr_turns_round(pack):
    assert "leads out of the folder" in refusal(pack("7z", {"..\\evil.wav": b"evil"}))


def test_a_name_with_a_line_end_is_said_in_one_line(pack):
    assert r"'/a\nb.wav' is an absolute path" in refusal(pack("zip", {"/a\nb.wav": b""}, folder=""))


def test_a_name_that_zipfile_would_cut_at_its_nul(pack):
    archive = pack("zip", {"rain.wav?.txt": b"evil"})
    archive.write_bytes(archive.read_bytes().replace(b"rain.wav?", b"rain.wav\0"))
    assert "has a NUL" in refusal(archive)


def test_a_name_that_is_not_utf_8(pack):
    assert "not UTF-8" in refusal(pack("tar", {"Av\udce9.wav": b""}))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_one_name_twice(pack, kind):
    archive = pack(kind, {"rain.wav": b"one", "rain.wa_": b"two"})
    archive.write_bytes(archive.read_bytes().replace(b"rain.wa_", b"rain.wav"))
    if kind == "tar":
        archive.write_bytes(with_right_checksum(archive.read_bytes(), 1024))
    assert "would overwrite 'rain.wav'" in refusal(archive)


def with_right_checksum(data, offset):
    header = bytearray(data[offset : offset + 512])
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:offset] + bytes(header) + data[offset + 512 :]


def test_one_name_twice_in_7z(pack):
    assert "would overwrite 'rain.wav'" in refusal(
        pack("7z", {"development/rain.wav": b"1", "development/./rain.wav": b"2"}, folder="")
    )


@pytest.mark.parametrize("other", ["RAIN.wav", "rain.WAV"])
def test_names_that_differ_in_case_are_two_files_or_one_as_the_file_system_has_it(pack, tmp_path, other):
    files = {"rain.wav": b"small", other: b"LARGE"}
    archive = pack("7z", files)
    assert dict(scan_archive(archive).members) == dict.fromkeys(files, 5)

    archive.with_name("CLIPS.7Z").hardlink_to(archive)  # as if the file system made no difference
    assert "would overwrite 'rain.wav'" in refusal(archive)


@pytest.mark.parametrize("kind", ["7z", "zip", "tar"])
@pytest.mark.parametrize("target", ["/etc/passwd", "rain.wav"])
def test_links(pack, tmp_path, kind, target):
    archive = tmp_path / f"links.{kind}"
    match kind:
        case "7z":
            (tmp_path / "rain.wav").touch()
            (tmp_path / "link").symlink_to(target)
            with py7zr.SevenZipFile(archive, "w") as packed:
                packed.write(tmp_path / "link", "development/link.wav")
        case "zip":
            with zipfile.ZipFile(archive, "w") as packed:
                packed.writestr(zip_entry("development/link.wav", stat.S_IFLNK), target)
        case "tar":
            with tarfile.open(archive, "w") as packed:
                packed.addfile(tar_entry("development/link.wav", tarfile.SYMTYPE, target))
    assert "'development/link.wav' is a link" in refusal(archive)


def test_hard_links_and_devices_in_tar(tmp_path):
    for kind, why in {
        tarfile.LNKTYPE: "is a link",
        tarfile.CHRTYPE: "neither a file",
        tarfile.FIFOTYPE: "neither",
    }.items():
        with tarfile.open(tmp_path / "odd.tar", "w") as packed:
            packed.addfile(tar_entry("development/odd.wav", kind, "/dev/zero"))
        assert why in refusal(tmp_path / "odd.tar")


def test_pipes_in_zip_and_7z(tmp_path):
    with zipfile.ZipFile(tmp_path / "pipe.zip", "w") as packed:
        packed.writestr(zip_entry("pipe.wav", stat.S_IFIFO), b"")
    with py7zr.SevenZipFile(tmp_path / "pipe.7z", "w") as packed:
        packed.writestr(b"x", "pipe.wav")
        packed.files.files_list[-1]["attributes"] = 0x8000 | stat.S_IFIFO << 16
    for name in ("pipe.zip", "pipe.7z"):
        assert "'pipe.wav' is neither a file nor a folder" in refusal(tmp_path / name)


def zip_entry(name, kind):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (kind | 0o644) << 16
    return info


def tar_entry(name, kind, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("kind", ["7z", "zip", "tar.gz"])
@pytest.mark.parametrize("many", [1, 20])
def test_bombs(pack, kind, many):
    zeros = bytes(20_000_000 // many)
    message = refusal(pack(kind, {f"{number}.wav": zeros for number in range(many)}))
    assert "times the archive's (at most 500 are allowed)" in message


@pytest.mark.parametrize("kind", FORMATS)
def test_small_silence_is_no_bomb(pack, kind):
    assert scan_archive(pack(kind, {"silence.wav": bytes(7_000_000)})).total_bytes == 7_000_000


@pytest.mark.parametrize("hides_the_list", [False, True])
def test_encrypted_7z(tmp_path, hides_the_list):
    with py7zr.SevenZipFile(tmp_path / "secret.7z", "w", password="secret", header_encryption=hides_the_list) as packed:
        packed.writestr(b"rain", "rain.wav")
    assert "is encrypted" in refusal(tmp_path / "secret.7z")


def test_encrypted_zip(pack):
    archive = pack("zip", {"rain.wav": b"rain"})
    data = archive.read_bytes()
    data = data.replace(b"PK\3\4\x14\0\0\0", b"PK\3\4\x14\0\1\0").replace(
        b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"
    )
    archive.write_bytes(data)
    assert "'development/rain.wav' is encrypted" in refusal(archive)


@pytest.mark.parametrize("content", [b"<html>502 Bad Gateway</html>", b"", b"7z", b"PK\3\4"])
def test_what_is_no_archive(tmp_path, content):
    (tmp_path / "page.7z").write_bytes(content)
    assert "run the same command again" in refusal(tmp_path / "page.7z")


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_without_files(pack, kind):
    assert "run the same command again" in refusal(pack(kind, {}))


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(MissingPrerequisiteError, match=r"there is no archive .*clips.7z"):
        scan_archive(tmp_path / "clips.7z")


@pytest.mark.parametrize("kind", ["7z", "zip"])
def test_damage_is_never_silent(pack, tmp_path, kind):
    """300 single-bit flips and 20 cuts: refused, or without any effect on the files."""
    archive = pack(kind, {name: data[:300] for name, data in CLIPS.items()})
    whole, place = archive.read_bytes(), np.random.default_rng(1)
    wanted = {name: data[:300] for name, data in CLIPS.items()}
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
    data = NOISE.bytes(900)
    archive = pack("zip", {"rain.wav": data})
    crc = zipfile.crc32(data[:declared] if has_crc_of_its_beginning else data)
    patched = archive.read_bytes().replace(struct.pack("<I", 900), struct.pack("<I", declared))
    archive.write_bytes(patched.replace(struct.pack("<I", zipfile.crc32(data)), struct.pack("<I", crc)))
    listing = scan_archive(archive)
    assert listing.members == {"rain.wav": declared}
    with pytest.raises(IntegrityError):
        extract_archive(archive, tmp_path / "out", listing)
    assert everything_below(tmp_path) == [archive]


def test_an_archive_that_changed_after_the_scan(pack, tmp_path):
    listing = scan_archive(pack("7z", {"rain.wav": b"rain", "wind.wav": b"wind"}))
    for files in ({"rain.wav": b"rain"}, {"rain.wav": b"rain", "evil.wav": b"evil"}, {"rain.wav": b"raining"}):
        archive = pack("7z", files)
        with pytest.raises(IntegrityError, match="is not as the archive's directory says"):
            extract_archive(archive, tmp_path / "out", listing)
        assert everything_below(tmp_path) == [archive]


def test_a_file_that_grew_after_the_scan_is_cut_off_at_once(pack, tmp_path):
    listing, seen = scan_archive(pack("tar", {"rain.wav": b"rain"})), []
    archive = pack("tar", {"rain.wav": bytes(7_000_000)})
    with pytest.raises(IntegrityError, match="is not as the archive's directory says"):
        extract_archive(archive, tmp_path / "out", listing, on_progress=lambda *progress: seen.append(progress))
    assert seen == []


def test_too_little_room(pack, tmp_path, monkeypatch):
    archive = pack("7z", CLIPS)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=50_000))
    with pytest.raises(ResourceError, match=r"extracting clips.7z needs about 55 kB .*, and 50 kB are free"):
        extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert everything_below(tmp_path) == [archive]


def test_an_incomplete_folder_is_replaced(pack, tmp_path):
    archive = pack("7z", CLIPS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Santa Motor.wav").write_bytes(b"cut")
    extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert contents(tmp_path / "out") == CLIPS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.7z", "out"]


def test_a_folder_with_other_files_is_left_alone(pack, tmp_path):
    archive = pack("7z", CLIPS)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "my own.wav").write_bytes(b"mine")
    with pytest.raises(IntegrityError, match=r"1 files that are not of this archive, 'my own.wav' the first"):
        extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert contents(tmp_path / "out") == {"my own.wav": b"mine"}


def test_a_folder_that_is_a_link_to_another_disk_stays_one(pack, tmp_path):
    archive = pack("7z", CLIPS)
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    extract_archive(archive, tmp_path / "out", scan_archive(archive))
    assert (tmp_path / "out").is_symlink() and contents(tmp_path / "disk") == CLIPS


@pytest.mark.parametrize("has_old_folder", [False, True])
def test_a_kill_at_any_step_leaves_no_folder_or_the_whole_one(pack, tmp_path, monkeypatch, has_old_folder):
    archive = pack("7z", CLIPS)
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
            assert contents(target) in (CLIPS, {"Santa Motor.wav": b"cut"}), step
        extract_archive(archive, target, listing)
        assert contents(target) == CLIPS, step
        assert [path.name for path in target.parent.iterdir()] == ["out"], step
        if not os.WIFSIGNALED(status):
            break
        steps_seen += 1
    assert os.waitstatus_to_exitcode(status) == 0
    assert steps_seen >= 2 * len(CLIPS) + 4  # each file is opened and synced; two folders made, two synced, one renamed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("has_old_folder", [False, True])
def test_a_failure_at_any_step_leaves_the_old_state_or_the_new_one(pack, tmp_path, monkeypatch, has_old_folder, number):
    archive = pack("7z", CLIPS)
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
                assert state in (old, CLIPS), step
            else:
                break
    assert len(steps) < step and contents(target) == CLIPS


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


def test_a_record_tells_without_the_archive_whether_the_folder_is_whole(pack, tmp_path):
    archive = pack("7z", CLIPS)
    listing = scan_archive(archive)
    extract_archive(archive, tmp_path / "out", listing)
    path = record_path(archive)
    assert load_record(path) is None
    save_record(path, ExtractionRecord(archive.name, "d41d8cd9", listing.members))
    archive.unlink()

    record = load_record(path)
    assert record == ExtractionRecord("clips.7z", "d41d8cd9", listing.members)
    assert missing_or_changed(record, tmp_path / "out") == []
    (tmp_path / "out" / "Año.wav").unlink()
    (tmp_path / "out" / "Santa Motor.wav").write_bytes(b"cut")
    assert missing_or_changed(record, tmp_path / "out") == ["Año.wav", "Santa Motor.wav"]
    assert missing_or_changed(record, tmp_path / "elsewhere") == sorted(CLIPS)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"archive": "a", "md5": "b", "members": {"c": "d"}}'])
def test_a_damaged_record(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"record.json is damaged .* delete it and run the same command again"):
        load_record(tmp_path / "record.json")
