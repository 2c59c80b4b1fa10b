import os
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from atrkit.audio.read import inspect_audio
from atrkit.datasets import folder as folder_module
from atrkit.datasets.folder import import_folder
from atrkit.datasets.folder_files import list_folder
from atrkit.datasets.manifest import Caption, Problem, load_dataset, save_dataset
from atrkit.errors import IntegrityError, UsageError
from atrkit.files import sha256_of_file

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared/data is not here")


def write_wav(path, *, frames=1600, rate=16000, channels=1, seed=None):
    """A short recording; the seed is that of its samples, by default made from the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(sum(os.fsencode(path)) if seed is None else seed)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(rng.integers(-9000, 9000, frames * channels, dtype=np.int16).tobytes())


@pytest.fixture
def source(tmp_path):
    """Three recordings and a table that names them."""
    folder = tmp_path / "tapes"
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        write_wav(folder / name)
    (folder / "captions.csv").write_text(
        "file_name,caption_1,caption_2\na.wav,A dog barks.,Barking\nb.wav,Rain,\nsub/c.wav,Wind,A storm\n"
    )
    return folder


@pytest.fixture
def run(tmp_path):
    def run(source, name="tapes", **options):
        return import_folder(Path(source), name, tmp_path / "data" / name, **options)

    return run


def notes_of(dataset):
    return "\n".join(dataset.about["notes"])


def test_a_folder_with_a_table(source, run):
    dataset = run(source)
    first = dataset.clips[0]
    assert [clip.id for clip in dataset.clips] == ["a.wav", "b.wav", "sub/c.wav"]
    assert first.captions == (Caption("a.wav#1", "A dog barks."), Caption("a.wav#2", "Barking"))
    assert (first.sample_rate_hz, first.frames, first.channels, first.split) == (16000, 1600, 1, "all")
    assert Path(first.path).is_absolute()
    assert first.sha256 == sha256_of_file(source / "a.wav")
    assert dataset.problems == ()
    assert "1 blank captions left out" in notes_of(dataset)


def test_the_result_is_saved_and_read_back_and_importing_wrote_nothing(source, run, tmp_path):
    before = sorted(source.rglob("*"))
    dataset = run(source)
    assert sorted(source.rglob("*")) == before
    assert not (tmp_path / "data").exists()
    save_dataset(dataset)
    assert load_dataset(tmp_path / "data" / "tapes") == dataset


@pytest.mark.parametrize("layout", ["beside", "audio", "elsewhere"])
def test_audio_lies_beside_the_table_or_in_audio_or_where_it_is_said(tmp_path, run, layout):
    audio = {"beside": "tapes", "audio": "tapes/audio", "elsewhere": "disk"}[layout]
    write_wav(tmp_path / audio / "x.wav")
    (tmp_path / "tapes").mkdir(exist_ok=True)
    table = tmp_path / "tapes" / "mine.csv"
    table.write_text("file_name,caption\nx.wav,Rain\n")
    options = {"audio_folder": tmp_path / audio} if layout == "elsewhere" else {}
    for origin in (table, table.parent):
        dataset = run(origin, **options)
        assert [(clip.id, clip.path) for clip in dataset.clips] == [("x.wav", str(tmp_path / audio / "x.wav"))]


def test_names_may_hold_the_audio_folder(tmp_path, run):
    write_wav(tmp_path / "tapes" / "audio" / "x.wav")
    (tmp_path / "tapes" / "captions.csv").write_text("file_name,caption\naudio/x.wav,Rain\n")
    assert [clip.id for clip in run(tmp_path / "tapes").clips] == ["audio/x.wav"]


def test_without_a_table_clips_have_no_captions_and_that_is_said(source, run):
    (source / "captions.csv").unlink()
    write_wav(source / "LOUD.WAV")
    (source / "notes.txt").write_text("not a sound")
    dataset = run(source)
    assert [clip.id for clip in dataset.clips] == ["LOUD.WAV", "a.wav", "b.wav", "sub/c.wav"]
    assert all(clip.captions == () for clip in dataset.clips)
    assert "no table of captions was found: the clips have none" in notes_of(dataset)


def test_tables_of_other_things_are_left_aside_and_named(source, run):
    (source / "metadata.csv").write_text("file_name,licence\na.wav,CC0\n")
    (source / "odd.csv").write_bytes(b"\xff\xfe\x00")
    (source / "more.csv").write_text("file_name,caption\na.wav,x\n")
    said = notes_of(run(source))
    assert "metadata.csv is no table of captions: it has no column 'caption' or 'caption_1'" in said
    assert "more.csv was left aside: captions.csv comes first" in said
    assert "odd.csv was left aside: " in said


def test_several_tables_are_a_question(source, run):
    (source / "captions.csv").rename(source / "one.csv")
    (source / "two.csv").write_text("file_name,caption\na.wav,x\n")
    with pytest.raises(UsageError, match=r"several tables of captions in .*: one\.csv, two\.csv; import one of them"):
        run(source)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("captions.csv", "file_name,caption\na.wav,x,y\n", "captions.csv:2: column 3"),
        ("captions.csv", "name,text\na.wav,x\n", "captions.csv:1: there is no column 'file_name'"),
        ("mine.csv", "file_name;caption\na.wav;x\n", "mine.csv:1: .*add --delimiter ';'"),
        ("mine.csv", "file_name,caption\na.wav,x\n".encode("utf-16"), "mine.csv:1: the file is UTF-16"),
        ("mine.tsv", "file_name\tcaption\na.wav\tx\n", "mine.tsv:1: .*add --delimiter tab"),
    ],
)
def test_a_table_with_a_fault_never_means_clips_without_captions(source, run, name, content, words):
    (source / "captions.csv").unlink()
    (source / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=words):
        run(source)


def test_columns_that_no_table_has_are_an_error(source, run):
    with pytest.raises(UsageError, match=r"captions\.csv has no column 'text'"):
        run(source, caption_column="text")


def test_columns_and_delimiter_by_name(source, run):
    (source / "captions.csv").write_text("path;text;fold\na.wav;Rain;1\na.wav;Drops;1\nb.wav;Wind;2\n")
    dataset = run(source, file_column="path", caption_column="text", delimiter=";", split_column="fold")
    assert [(clip.id, clip.split, len(clip.captions)) for clip in dataset.clips] == [
        ("a.wav", "1", 2),
        ("b.wav", "2", 1),
    ]
    assert "3 rows gathered into 2 clips" in notes_of(dataset)
    assert "1 sound files in" in notes_of(dataset)


def test_a_missing_file_is_skipped_and_listed(source, run):
    (source / "b.wav").unlink()
    write_wav(source / "A2.wav")
    (source / "captions.csv").open("a").write("a2.wav,x,y\n")
    dataset = run(source)
    assert [clip.id for clip in dataset.clips] == ["a.wav", "sub/c.wav"]
    assert dataset.problems == (
        Problem("b.wav", "skipped", f"not found in {source}"),
        Problem("a2.wav", "skipped", f"not found in {source}; there is 'A2.wav'"),
    )
    assert f"1 sound files in {source} are not in the table and were left out" in notes_of(dataset)


def test_no_file_at_all_names_the_folders_looked_in(source, run, tmp_path):
    table = tmp_path / "elsewhere" / "captions.csv"
    table.parent.mkdir()
    (source / "captions.csv").rename(table)
    with pytest.raises(UsageError) as caught:
        run(table)
    assert f"none of the 3 files that {table} names is in {table.parent} or {table.parent / 'audio'}" in str(
        caught.value
    )
    assert "(the first is 'a.wav'): name their folder with --audio-dir" in str(caught.value)


def test_names_in_another_unicode_form_are_the_same_names(tmp_path, run):
    composed, decomposed = "Gr\u00fc\u00dfe.wav", "Gru\u0308\u00dfe.wav"
    write_wav(tmp_path / "tapes" / decomposed)
    (tmp_path / "tapes" / "captions.csv").write_text(f"file_name,caption\n{composed},Hello\n", encoding="utf-8")
    dataset = run(tmp_path / "tapes")
    assert [clip.id for clip in dataset.clips] == [decomposed]
    assert "1 file names were matched in another Unicode form" in notes_of(dataset)


def test_a_broken_file_is_skipped_a_cut_one_repaired(source, run):
    (source / "a.wav").write_text("<html>404</html>")
    os.truncate(source / "b.wav", 1000)
    dataset = run(source)
    assert [(problem.item, problem.action) for problem in dataset.problems] == [
        ("a.wav", "skipped"),
        ("b.wav", "repaired"),
    ]
    assert [clip.id for clip in dataset.clips] == ["b.wav", "sub/c.wav"]
    assert dataset.clips[0].frames == (1000 - 44) // 2


def test_strict_refuses_what_would_be_skipped_or_repaired(source, run):
    assert run(source, strict=True).problems == ()
    (source / "b.wav").unlink()
    (source / "a.wav").write_text("no sound")
    with pytest.raises(IntegrityError, match=r"2 files are not as they should be; the first is 'b\.wav': not found"):
        run(source, strict=True)


def test_nothing_usable_is_an_error(source, run):
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        (source / name).write_text("no sound")
    with pytest.raises(IntegrityError, match=r"none of 3 files can be used; the first is 'a\.wav': text, not audio"):
        run(source)


def test_links_are_followed_within_the_folder_only(source, run, tmp_path):
    (source / "captions.csv").unlink()
    write_wav(tmp_path / "secret.wav")
    write_wav(tmp_path / "more" / "d.wav")
    (source / "inside.wav").symlink_to(source / "a.wav")
    (source / "escapes.wav").symlink_to(tmp_path / "secret.wav")
    (source / "nowhere.wav").symlink_to(tmp_path / "gone.wav")
    (source / "more").symlink_to(tmp_path / "more")
    (source / "circle.wav").symlink_to(source / "circle.wav")
    dataset = run(source)
    assert [clip.id for clip in dataset.clips] == ["a.wav", "b.wav", "inside.wav", "sub/c.wav"]
    assert {problem.item: problem.reason.split(":")[0] for problem in dataset.problems} == {
        "circle.wav": "a link to nowhere",
        "escapes.wav": "a link that leads out of the folder",
        "more": "a link to a folder, which is not followed",
        "nowhere.wav": "a link to nowhere",
    }


def test_a_table_cannot_reach_through_links_either(source, run, tmp_path):
    write_wav(tmp_path / "more" / "d.wav")
    (source / "more").symlink_to(tmp_path / "more")
    (source / "captions.csv").write_text("file_name,caption\nmore/d.wav,x\na.wav,y\n")
    dataset = run(source)
    assert [clip.id for clip in dataset.clips] == ["a.wav"]
    assert dataset.problems[0].item == "more/d.wav"
    assert dataset.problems[0].reason.startswith("a link to a folder, which is not followed")


def test_an_audio_folder_that_is_a_link_is_where_it_points_to(tmp_path, run):
    write_wav(tmp_path / "disk" / "x.wav")
    (tmp_path / "tapes").mkdir()
    (tmp_path / "tapes" / "audio").symlink_to(tmp_path / "disk")
    (tmp_path / "tapes" / "captions.csv").write_text("file_name,caption\nx.wav,Rain\n")
    assert run(tmp_path / "tapes").clips[0].path == str(tmp_path / "disk" / "x.wav")


def test_what_is_no_file_never_hangs_the_import(source, run):
    (source / "captions.csv").unlink()
    os.mkfifo(source / "pipe.wav")
    (source / "folder.wav").mkdir()
    write_wav(source / "folder.wav" / "take.wav")
    dataset = run(source)
    assert {problem.item: problem.reason for problem in dataset.problems} == {
        "folder.wav": "a folder, not a sound file",
        "pipe.wav": "neither a file nor a folder",
    }
    assert "folder.wav/take.wav" in [clip.id for clip in dataset.clips]


def test_hidden_files_and_datasets_of_atrkit_are_left_out_and_counted(source, run, tmp_path):
    (source / "captions.csv").unlink()
    write_wav(source / "._a.wav")
    write_wav(source / ".trash" / "old.wav")
    write_wav(source / "data" / "synthetic" / "audio" / "s.wav")
    for name in ("manifest.jsonl", "dataset.json"):
        (source / "data" / "synthetic" / name).touch()
    dataset = run(source)
    assert [clip.id for clip in dataset.clips] == ["a.wav", "b.wav", "sub/c.wav"]
    assert "2 hidden sound files" in notes_of(dataset)
    assert "were left out: data/synthetic" in notes_of(dataset)


def test_a_name_that_is_not_utf_8_is_listed(source, run):
    (source / "captions.csv").unlink()
    try:
        write_wav(Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.wav")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    dataset = run(source)
    assert dataset.problems == (Problem("caf\ufffd.wav", "skipped", "its name is not UTF-8: rename it"),)
    save_dataset(dataset)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_listed(source, run):
    (source / "captions.csv").unlink()
    (source / "a.wav").chmod(0)
    (source / "sub").chmod(0)
    dataset = run(source)
    (source / "sub").chmod(0o700)
    assert [problem.item for problem in dataset.problems] == ["sub", "a.wav"]


def test_the_same_recording_twice_is_said(source, run):
    write_wav(source / "a.wav", seed=1)
    write_wav(source / "b.wav", seed=1)
    (source / "captions.csv").write_text("file_name,caption,split\na.wav,x,dev\nb.wav,y,eval\nsub/c.wav,z,dev\n")
    said = notes_of(run(source))
    assert "2 files hold only 1 different recordings, byte for byte; 1 of these recordings are in more than one" in said


def test_splits_by_share_come_from_the_seed(tmp_path, run):
    for number in range(10):
        write_wav(tmp_path / "tapes" / f"{number}.wav")
    first, again, other = (run(tmp_path / "tapes", split="60/20/20", seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert {split: len(first.split(split)) for split in first.splits} == {"dev": 6, "eval": 2, "val": 2}
    assert {clip.id: clip.split for clip in first.clips} != {clip.id: clip.split for clip in other.clips}
    assert first.about["split"] == "60/20/20"
    assert first.about["seed"] == 1


def test_a_column_named_split_is_taken_unless_splits_are_drawn(source, run):
    (source / "captions.csv").write_text("file_name,caption,split\na.wav,x,dev\nb.wav,y,eval\n")
    dataset = run(source)
    assert dataset.splits == ("dev", "eval")
    assert "splits are those of the column 'split'" in notes_of(dataset)
    (source / "captions.csv").write_text("file_name,caption,split\na.wav,x,\nb.wav,y,not a name\n")
    drawn = run(source, split="test")
    assert drawn.splits == ("test",)
    assert "--split is used, not the column 'split'" in notes_of(drawn)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"split": "80/20", "split_column": "split"}, "were both given"),
        ({"split": "80/30"}, "sum to 110"),
        ({"split": "80/10/10"}, None),
        ({"audio_folder": Path("/nowhere")}, "--audio-dir /nowhere is not a folder"),
        ({"name": "../evil"}, "letters, digits, - _ . only"),
        ({"name": ""}, "letters, digits"),
        ({"name": "."}, "letters, digits"),
        ({"name": "-x"}, "letters, digits"),
        ({"name": "a b"}, "letters, digits"),
        ({"name": "x" * 101}, "at most 100"),
        ({"name": "synthetic"}, "choose another name"),
    ],
)
def test_options_are_checked_before_any_audio_is_read(source, run, monkeypatch, options, words):
    def never(path):
        raise AssertionError(f"read {path}")

    if words is None:
        assert run(source, **options).splits == ("dev", "eval", "val")
        return
    monkeypatch.setattr(folder_module, "inspect_audio", never)
    with pytest.raises(UsageError) as caught:
        run(source, **options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone", "is not there"), ("a.wav", "is a single sound file"), ("empty", "no sound files in")],
)
def test_a_source_that_is_none(source, run, name, words):
    (source / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        run(source / name)


@pytest.mark.parametrize("workers", [1, 4])
def test_progress_counts_every_file_and_workers_change_nothing(source, run, workers):
    seen = []
    dataset = run(source, workers=workers, on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert dataset == run(source)


def test_an_interrupt_stops_the_reading(source, run, monkeypatch):
    released = threading.Event()
    read = []

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *args, **options):
            super().shutdown(*args, **options)
            released.set()

    def inspect(path):
        read.append(path.name)
        if len(read) > 1:
            released.wait(timeout=5)
        return inspect_audio(path)

    def interrupt(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(folder_module, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(folder_module, "inspect_audio", inspect)
    with pytest.raises(KeyboardInterrupt):
        run(source, workers=1, on_progress=interrupt)
    assert "c.wav" not in read


def test_a_listing_knows_why_a_file_below_a_link_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    listing = list_folder(tmp_path / "root")
    assert listing.refusal("link/deep/x.wav").startswith("a link to a folder")
    assert listing.refusal("other.wav") is None


# what becomes of each of the 38 files: its duration in s, or None when it is refused
BAD_AUDIO = {
    "zero_bytes.wav": None, "truncated.flac": 2.322, "truncated.ogg": 2.033, "header_too_long.wav": 1.0,
    "streaming_header_ffffffff.wav": 5.001, "header_only_no_frames.wav": None, "odd_byte.wav": 5.001,
    "mp3_named.wav": 5.001, "vorbis_named.mp3": 5.001, "text_named.wav": None, "html_error_page.flac": None,
    "garbage.wav": None, "u8.wav": 5.001, "s24.wav": 5.001, "float32.wav": 4.0, "alaw.wav": 5.001,
    "float_over_one.wav": 4.0, "nan_float.wav": None, "inf_float.wav": None, "silence.wav": 5.0,
    "dc_clipped.wav": 3.0, "one_sample.wav": 0.0, "ten_ms.wav": 0.01, "stereo_out_of_phase.wav": 5.001,
    "stereo_left_only.flac": 5.001, "surround_5_1.wav": 1.0, "rate_8000.wav": 2.0, "rate_11025.wav": 2.0,
    "rate_96000.wav": 2.0, "rate_192000.wav": 2.0, "rate_zero.wav": None, "ten_minutes.ogg": 600.12,
    'name with, comma and "quotes".wav': 1.0, "Kinder üben – 音.wav": 1.0, "  leading space.wav": 1.0,
    "-starts-with-dash.wav": 1.0, "UPPER.WAV": 1.0, "directory.wav": None,
}  # fmt: skip
REPAIRED = {"truncated.flac", "truncated.ogg", "header_too_long.wav", "stereo_out_of_phase.wav"}


@needs_shared
def test_every_file_of_bad_audio_has_its_outcome(run):
    dataset = run(SHARED / "data" / "bad_audio")
    assert len(BAD_AUDIO) == 38
    durations = {clip.id: clip.duration_s for clip in dataset.clips}
    assert durations == pytest.approx({name: s for name, s in BAD_AUDIO.items() if s is not None}, abs=1e-3)
    skipped = {problem.item for problem in dataset.problems if problem.action == "skipped"}
    repaired = {problem.item for problem in dataset.problems if problem.action == "repaired"}
    assert skipped == {name for name, s in BAD_AUDIO.items() if s is None}
    assert repaired == REPAIRED
    assert len(dataset.problems) == 13


@needs_shared
def test_real_clips_with_five_captions_each(run):
    dataset = run(SHARED / "data" / "clips", split="80/20", seed=3)
    assert len(dataset.clips) == 76
    assert {len(clip.captions) for clip in dataset.clips} == {5}
    assert (len(dataset.split("dev")), len(dataset.split("eval"))) == (61, 15)
    assert dataset.problems == ()
    assert all(clip.sha256 == sha256_of_file(Path(clip.path)) for clip in dataset.clips[:5])
