"""Hostile archives are refused before anything is written (FAULTS.md row 16)."""

import stat
import tarfile
import zipfile

import py7zr
import pytest

from atrkit.datasets.archives import scan_archive
from atrkit.errors import IntegrityError, MissingPrerequisiteError

FORMATS = ("7z", "zip", "tar", "tar.gz")


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
