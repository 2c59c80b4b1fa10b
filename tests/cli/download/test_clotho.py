"""`atrkit download clotho` as a user runs it, against a server that stands for Zenodo."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from atrkit.audio.read import load_mono
from atrkit.datasets.aac_tables import ROOT_VARIABLE
from atrkit.datasets.manifest import load_dataset
from atrkit.files import sha256_of_file


def archives(zenodo):
    return [request for request in zenodo.server.requests if request.path.endswith(".7z")]


def publish_again(zenodo, subset, kind, *faults, data=None):
    name = zenodo.links["v2.1"][subset][kind]["fname"]
    content = (zenodo.files / name).read_bytes() if data is None else data
    zenodo.server.publish(zenodo.paths[subset, kind], content, faults=list(faults))


def test_the_whole_way(atrkit, zenodo):
    atrkit("download", "clotho")
    folder = atrkit.data / "clotho"
    dataset = load_dataset(folder)
    assert {split: len(dataset.split(split)) for split in dataset.splits} == {"dev": 3, "val": 2, "eval": 2}
    clip = next(clip for clip in dataset.clips if clip.id == "development/Rain, on a tin roof.wav")
    assert clip.captions[0].text == 'The sound of "Rain, on a tin roof.wav", heard 1 times.'
    assert clip.captions[0].normalised == "the sound of rain on a tin roof wav heard 1 times"
    assert clip.metadata["manufacturer"] == "Óscar de Ávila" and clip.metadata["keywords"] == ["rain", "tin"]
    assert clip.path == "CLOTHO_v2.1/clotho_audio_files/development/Rain, on a tin roof.wav"  # aac-datasets' layout
    assert (clip.sample_rate_hz, clip.frames, clip.channels) == (44_100, 8820, 1)
    (copy,) = clip.copies
    assert (copy.path, copy.sample_rate_hz) == ("audio_32000Hz/development/Rain, on a tin roof.flac", 32_000)
    info = soundfile.info(folder / copy.path)
    assert (info.format, info.subtype, info.samplerate, info.frames) == ("FLAC", "PCM_16", 32_000, 6400)
    for each in dataset.clips:
        for file in each.files:
            assert sha256_of_file(folder / file.path) == file.sha256
    assert (folder / "missing.csv").read_text().splitlines() == ["split,clip_id,source,reason,permanent"]
    assert not list((folder / "CLOTHO_v2.1" / "archives").glob("*.7z"))  # unpacked, and not needed any more


def test_a_second_run_asks_for_nothing_and_changes_nothing(atrkit, zenodo):
    first = atrkit("download", "clotho", "--json")
    files = {path: path.read_bytes() for path in atrkit.data.rglob("*") if path.is_file() and ".lock" not in path.name}
    requests = len(zenodo.server.requests)
    second = atrkit("download", "clotho", "--json")
    assert len(zenodo.server.requests) == requests
    assert {path: path.read_bytes() for path in files} == files
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_subsets_are_brought_one_after_another_and_all_stay_in_the_manifest(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "eval")
    assert load_dataset(atrkit.data / "clotho").splits == ("eval",)
    assert len(archives(zenodo)) == 1
    atrkit("download", "clotho", "--subset", "dev")
    assert load_dataset(atrkit.data / "clotho").splits == ("dev", "eval")
    assert len(archives(zenodo)) == 2


def test_encoders_read_the_copy_with_their_rate_and_else_the_original(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "eval")
    dataset = load_dataset(atrkit.data / "clotho")
    clip = dataset.clips[0]
    assert clip.best_file(32_000).path.endswith(".flac")
    assert clip.best_file(16_000).path.endswith(".wav")
    wave_N = load_mono(dataset.audio_path(clip.best_file(16_000)), 16_000)
    assert len(wave_N) == 3200
    atrkit("extract", "--encoder", "logmel")


def test_dropped_originals_are_neither_missed_nor_fetched_again(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "val", "--drop-original")
    folder = atrkit.data / "clotho"
    assert not list(folder.rglob("*.wav"))
    clip = load_dataset(folder).clips[0]
    assert (clip.path, clip.copies, clip.sample_rate_hz) == ("audio_32000Hz/validation/Twice there.flac", (), 32_000)
    requests = len(zenodo.server.requests)
    atrkit("download", "clotho", "--subset", "val")
    assert len(zenodo.server.requests) == requests
    assert load_dataset(folder).clips[0] == clip
    atrkit("extract", "--encoder", "logmel")


def test_dropping_originals_needs_copies(atrkit):
    assert "--sample-rate" in atrkit("download", "clotho", "--drop-original", "--sample-rate", 0, code=2).stderr


def test_another_rate_lies_beside_the_first_and_both_are_listed(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "val")
    for rate_hz in (16_000, 0, 32_000):
        atrkit("download", "clotho", "--subset", "val", "--sample-rate", rate_hz)
        for clip in load_dataset(atrkit.data / "clotho").clips:
            assert sorted(copy.sample_rate_hz for copy in clip.copies) == [16_000, 32_000]
    (atrkit.data / "clotho" / "audio_16000Hz" / "validation" / "Wind.flac").write_bytes(b"rotten")
    atrkit("download", "clotho")
    (wind,) = (clip for clip in load_dataset(atrkit.data / "clotho").clips if clip.id == "validation/Wind.wav")
    assert [copy.sample_rate_hz for copy in wind.copies] == [32_000]  # what is not as it was written is not listed


def test_another_rate_after_originals_were_dropped_is_made_from_what_is_left(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "val", "--drop-original")
    requests = len(zenodo.server.requests)
    atrkit("download", "clotho", "--subset", "val", "--sample-rate", 16_000)
    assert len(zenodo.server.requests) == requests
    for clip in load_dataset(atrkit.data / "clotho").clips:
        assert (clip.sample_rate_hz, [copy.sample_rate_hz for copy in clip.copies]) == (32_000, [16_000])
    atrkit("download", "clotho", "--subset", "val")
    atrkit("info", "--verify")
    assert len(zenodo.server.requests) == requests


@pytest.mark.parametrize("damage", ["cut", "deleted"])
def test_a_lost_file_is_unpacked_again(atrkit, zenodo, damage):
    atrkit("download", "clotho", "--subset", "val")
    folder = atrkit.data / "clotho"
    lost = folder / "CLOTHO_v2.1" / "clotho_audio_files" / "validation" / "Wind.wav"
    whole = lost.read_bytes()
    lost.write_bytes(whole[:5000])
    if damage == "deleted":
        lost.unlink()
    assert "1 files are missing or changed, 'Wind.wav' the first" in atrkit("download", "clotho").stderr
    assert lost.read_bytes() == whole


def test_a_version_never_takes_the_place_of_another(atrkit, zenodo):
    atrkit("download", "clotho", "--subset", "val")
    message = atrkit("download", "clotho", "--version", "v1", code=2).stderr
    assert "holds Clotho v2.1" in message and "--name clotho-v1" in message


@pytest.mark.parametrize("name", ["dataset.json", "manifest.jsonl", "missing.csv", "problems.jsonl"])
def test_a_damaged_dataset_is_mended_by_the_command_that_made_it(atrkit, zenodo, name):
    atrkit("download", "clotho")
    folder = atrkit.data / "clotho"
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2] + b"#")
    assert "damaged" in atrkit("info", "clotho", "--verify", code=5).stderr
    atrkit("download", "clotho")
    assert (folder / name).read_bytes() == whole
    atrkit("info", "clotho", "--verify")


def test_a_mistyped_path_is_told_before_anything_is_done(atrkit, zenodo, tmp_path):
    message = atrkit("download", "clotho", "--relevance", tmp_path / "nothing.csv", code=2).stderr
    assert "--relevance" in message and not zenodo.server.requests


def test_what_cannot_be_read_as_relevance_changes_nothing(atrkit, zenodo, tmp_path):
    atrkit("download", "clotho", "--subset", "val")
    files = {path: path.read_bytes() for path in (atrkit.data / "clotho").iterdir() if path.is_file()}
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    atrkit("download", "clotho", "--subset", "val", "--relevance", tmp_path / "odd.csv", code=2)
    assert {path: path.read_bytes() for path in files} == files


def test_relevance_is_kept_and_follows_the_dataset(atrkit, zenodo, tmp_path):
    query = 'The sound of ""Bells (far).wav"", heard 2 times.'
    (tmp_path / "metadata_eval.csv").write_text(f'query,audio_filenames\n"{query}","[\'Twice there.wav\']"\n')
    atrkit("download", "clotho", "--subset", "eval", "--relevance", tmp_path / "metadata_eval.csv")
    qrels = atrkit.data / "clotho" / "qrels" / "dcase2025.eval.tsv"
    before = qrels.read_text()
    assert before.splitlines()[1:] == ["evaluation/Bells (far).wav#2\tevaluation/Twice there.wav\t1"]
    atrkit("download", "clotho", "--subset", "val")
    assert qrels.read_text() == before
    (tmp_path / "metadata_eval.csv").unlink()
    assert "dcase2025: its judgements are those of an earlier state" in atrkit("download", "clotho").stderr


def test_wrong_options_are_named(atrkit, zenodo):
    assert "dev, val, eval" in atrkit("download", "clotho", "--subset", "train", code=2).stderr
    assert "dev, eval" in atrkit("download", "clotho", "--version", "v1", "--subset", "val", code=2).stderr
    assert "dev, val, eval" in atrkit("download", "clotho", "--subset", "", code=2).stderr


# A copy that is there already


@pytest.fixture
def own_copy(clotho_files, tmp_path):
    """A copy in aac-datasets' layout."""
    root = tmp_path / "aac"
    below = root / "CLOTHO_v2.1"
    for folder in ("development", "validation", "evaluation"):
        shutil.copytree(clotho_files / folder, below / "clotho_audio_files" / folder)
    (below / "clotho_csv_files").mkdir()
    for path in clotho_files.glob("*.csv"):
        shutil.copy(path, below / "clotho_csv_files")
    return root


@pytest.mark.parametrize("how", ["--from", "AAC_DATASETS_ROOT"])
def test_a_copy_is_verified_and_used_where_it_is(atrkit, zenodo, own_copy, monkeypatch, how):
    before = {path: path.stat().st_mtime_ns for path in own_copy.rglob("*")}
    if how == "--from":
        atrkit("download", "clotho", "--from", own_copy)
    else:
        monkeypatch.setenv(ROOT_VARIABLE, str(own_copy))
        assert str(own_copy) in atrkit("download", "clotho").stderr
    assert not zenodo.server.requests
    assert {path: path.stat().st_mtime_ns for path in own_copy.rglob("*")} == before
    dataset = load_dataset(atrkit.data / "clotho")
    assert len(dataset.clips) == 7
    assert all(dataset.audio_path(clip).is_relative_to(own_copy) for clip in dataset.clips)
    assert all((dataset.folder / clip.copies[0].path).is_file() for clip in dataset.clips)


def test_what_a_copy_lacks_is_listed_and_what_is_cut_is_said(atrkit, zenodo, own_copy):
    audio = own_copy / "CLOTHO_v2.1" / "clotho_audio_files"
    (audio / "validation" / "Wind.wav").unlink()
    (audio / "development" / " leading blank.wav").write_bytes(b"<html>not found</html>")
    cut = audio / "evaluation" / "Bells (far).wav"
    cut.write_bytes(cut.read_bytes()[:10_000])
    stderr = atrkit("download", "clotho", "--from", own_copy, code=7).stderr
    folder = atrkit.data / "clotho"
    rows = (folder / "missing.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [
        ["dev", "development/ leading blank.wav"],
        ["val", "validation/Wind.wav"],
    ]
    assert "2 clips are missing" in stderr
    (problem,) = load_dataset(folder).problems
    assert problem.item == "evaluation/Bells (far).wav" and problem.action == "repaired"
    strict = atrkit("download", "clotho", "--from", own_copy, "--strict", code=5).stderr
    assert "3 clips are missing or cut short" in strict


def test_a_copy_is_remembered(atrkit, zenodo, own_copy):
    atrkit("download", "clotho", "--from", own_copy)
    before = load_dataset(atrkit.data / "clotho")
    atrkit("download", "clotho")
    assert not zenodo.server.requests
    assert load_dataset(atrkit.data / "clotho").clips == before.clips


def test_subsets_may_come_from_different_places(atrkit, zenodo, own_copy, tmp_path):
    other_disk = tmp_path / "other disk"
    (other_disk).mkdir()
    (own_copy / "CLOTHO_v2.1" / "clotho_audio_files" / "development").rename(other_disk / "development")
    for path in (own_copy / "CLOTHO_v2.1" / "clotho_csv_files").glob("*_development.csv"):
        shutil.copy(path, other_disk)
    assert "has no audio of dev: left out" in atrkit("download", "clotho", "--from", own_copy).stderr
    atrkit("download", "clotho", "--from", other_disk)
    assert load_dataset(atrkit.data / "clotho").splits == ("dev", "eval", "val")
    assert not zenodo.server.requests
    atrkit("download", "clotho", "--from", other_disk, "--subset", "val", "--name", "new", code=3)


def test_archives_that_nobody_has_unpacked_are_unpacked_and_stay_where_they_are(atrkit, zenodo, clotho_files, tmp_path):
    (tmp_path / "from_a_browser").mkdir()
    for path in clotho_files.glob("clotho_*"):
        shutil.copy(path, tmp_path / "from_a_browser")
    atrkit("download", "clotho", "--from", tmp_path / "from_a_browser")
    assert not zenodo.server.requests
    assert len(list((tmp_path / "from_a_browser").glob("*.7z"))) == 3
    dataset = load_dataset(atrkit.data / "clotho")
    assert len(dataset.clips) == 7 and all(
        dataset.audio_path(clip).is_relative_to(dataset.folder) for clip in dataset.clips
    )


def test_a_copy_without_metadata_is_no_reason_to_go_to_the_network(atrkit, zenodo, own_copy):
    for path in own_copy.rglob("*metadata*.csv"):
        path.unlink()
    assert (
        "clotho_metadata_validation.csv is not in the copy" in atrkit("download", "clotho", "--from", own_copy).stderr
    )
    assert not zenodo.server.requests
    assert {clip.metadata for clip in load_dataset(atrkit.data / "clotho").clips} == {None}


def test_a_table_that_was_edited_is_refused(atrkit, zenodo, own_copy):
    edited = own_copy / "CLOTHO_v2.1" / "clotho_csv_files" / "clotho_captions_validation.csv"
    edited.write_bytes(edited.read_bytes() + b" ")
    message = atrkit("download", "clotho", "--from", own_copy, code=5).stderr
    assert str(edited) in message and "md5" in message and message.count("\n") == 1


def test_recordings_that_are_yours_are_never_deleted(atrkit, zenodo, own_copy):
    message = atrkit("download", "clotho", "--from", own_copy, "--drop-original", code=2).stderr
    assert "yours" in message
    assert len(list(own_copy.rglob("*.wav"))) == 7


def test_a_folder_without_clotho_says_what_to_name(atrkit, tmp_path):
    assert "CLOTHO_v2.1" in atrkit("download", "clotho", "--from", tmp_path, code=3).stderr


# FAULTS.md rows 4, 5, 16, 21


def test_row_4_a_cut_connection_goes_on_where_it_was(atrkit, zenodo):
    server = zenodo.server
    publish_again(
        zenodo, "val", "audio_archive", server.cut(5000), server.cut(5000), server.status(503), server.status(429)
    )
    atrkit("download", "clotho", "--subset", "val")
    starts = [request.range_start for request in archives(zenodo)]
    assert starts == [0, 5000, 10_000, 10_000, 10_000]


def test_row_4_a_server_that_ignores_ranges_and_one_whose_file_changed(atrkit, zenodo):
    server = zenodo.server
    true = (zenodo.files / "clotho_audio_validation.7z").read_bytes()
    publish_again(
        zenodo,
        "val",
        "audio_archive",
        server.cut(5000),
        server.ignore_range() | server.cut(9000),
        server.changed(true, '"another"') | server.cut(7000),
        data=true[::-1],  # until it is changed, it is not even the published file
    )
    assert "again" in atrkit("download", "clotho", "--subset", "val").stderr
    assert load_dataset(atrkit.data / "clotho").splits == ("val",)


@pytest.mark.parametrize("fault", ["status 404", "status 416", "stall", "status 429"])
def test_row_4_what_does_not_get_better_ends_with_exit_6_and_keeps_what_came(atrkit, zenodo, fault):
    server = zenodo.server
    endless = server.stall(0) if fault == "stall" else server.status(int(fault.split()[1]))
    publish_again(zenodo, "val", "audio_archive", server.cut(5000), *[endless] * 20)
    message = atrkit("download", "clotho", "--subset", "val", code=6).stderr
    assert "clotho_audio_validation.7z" in message
    part = next((atrkit.data / "clotho" / "CLOTHO_v2.1" / "archives").glob("*.7z.part"))
    assert part.stat().st_size == 5000
    publish_again(zenodo, "val", "audio_archive")
    atrkit("download", "clotho", "--subset", "val")


def test_row_5_a_wrong_checksum_is_exit_5_and_the_next_run_fetches_it(atrkit, zenodo):
    server = zenodo.server
    publish_again(zenodo, "val", "audio_archive", server.page(b"<html>Sorry</html>"))
    message = atrkit("download", "clotho", "--subset", "val", code=5).stderr
    assert "clotho_audio_validation.7z" in message
    assert list((atrkit.data / "clotho" / "CLOTHO_v2.1" / "archives").glob("*.rejected"))
    atrkit("download", "clotho", "--subset", "val")


def test_row_16_a_hostile_archive_is_exit_5_before_anything_is_written(atrkit, zenodo, tmp_path):
    import hashlib
    import zipfile

    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("validation/Wind.wav", b"RIFF")
        archive.writestr("../../../outside.wav", b"RIFF")
    data = hostile.read_bytes()
    zenodo.links["v2.1"]["val"]["audio_archive"]["hash_value"] = hashlib.md5(data).hexdigest()
    publish_again(zenodo, "val", "audio_archive", data=data)
    message = atrkit("download", "clotho", "--subset", "val", code=5).stderr
    assert "outside.wav" in message
    assert not list(tmp_path.rglob("outside.wav")) and not list(atrkit.data.rglob("*.wav"))


def test_row_21_without_a_network_it_says_at_once_what_to_fetch_and_where_to_put_it(
    atrkit, zenodo, monkeypatch, clotho_files
):
    monkeypatch.setenv("ATRKIT_MIRROR", "http://127.0.0.1:9")  # nobody listens
    message = atrkit("download", "clotho", "--subset", "val", code=6).stderr
    below = atrkit.data / "clotho" / "CLOTHO_v2.1"
    assert "clotho_captions_validation.csv" in message and str(below / "clotho_csv_files") in message
    for kind in ("captions", "metadata", "audio_archive"):  # all of it at once
        link = zenodo.links["v2.1"]["val"][kind]
        assert any(link["url"] in line and link["hash_value"] in line for line in message.splitlines())
    # and so it works: files carried over by hand
    (below / "archives").mkdir(parents=True, exist_ok=True)
    for kind, place in (
        ("captions", "clotho_csv_files"),
        ("metadata", "clotho_csv_files"),
        ("audio_archive", "archives"),
    ):
        name = zenodo.links["v2.1"]["val"][kind]["fname"]
        (below / place).mkdir(exist_ok=True)
        shutil.copy(clotho_files / name, below / place / name)
    atrkit("download", "clotho", "--subset", "val")
    dataset = load_dataset(atrkit.data / "clotho")
    wave_N = load_mono(dataset.audio_path(dataset.clips[0]), 44_100)
    assert np.abs(wave_N).max() == pytest.approx(0.5, abs=0.01)
