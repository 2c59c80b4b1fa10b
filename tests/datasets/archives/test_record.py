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
from atrkit.errors import IntegrityError


def test_a_record_tells_without_the_archive_whether_the_folder_is_whole(pack, clips, tmp_path):
    archive = pack("7z", clips)
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
    assert missing_or_changed(record, tmp_path / "elsewhere") == sorted(clips)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"archive": "a", "md5": "b", "members": {"c": "d"}}'])
def test_a_damaged_record(tmp_path, content):
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"record.json is damaged .* delete it and run the same command again"):
        load_record(tmp_path / "record.json")
