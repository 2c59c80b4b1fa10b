"""manifest.jsonl, problems.jsonl and dataset.json: the same clips give the same bytes, and no damage is silent."""

import csv
import hashlib
import json
import random
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from atrkit.datasets.clotho.tables import read_clotho
from atrkit.datasets.manifest import AudioFile, Caption, Clip, Dataset, Problem, Twin, load_dataset, save_dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.score_matrix import pool_id_of

SHARED = Path(__file__).resolve().parents[3] / "shared"
NAMES = ("manifest.jsonl", "problems.jsonl", "dataset.json")
AWKWARD = [
    'He said "rain", then: \\ back\\slash, comma',
    "line\u2028separator, paragraph\u2029separator, next\u0085line, vertical\x0btab, form\x0cfeed",
    "Óscar de Ávila, Ærøskøbing, 北京の雨, дождь, 🌧️, e\u0301 is not é",
    "tab\tand\nnew line\r\n, NUL-free \x01 control",
    "  blanks at both ends  ",
    "&quot;BCat Bites a Bit&quot;",
]


def clip(clip_id: str, split: str = "dev", **changes) -> Clip:
    sha256 = hashlib.sha256(clip_id.encode()).hexdigest()
    captions = tuple(Caption(f"{clip_id}#{k}", f"{text} {clip_id}") for k, text in enumerate(AWKWARD, start=1))
    return replace(Clip(clip_id, f"audio/{clip_id}.wav", sha256, 44100, 12345, 2, split, captions), **changes)


def dataset(folder: Path, clips=None) -> Dataset:
    copies = (AudioFile("a_16.flac", "0" * 64, 16000, 4479, 1), AudioFile("a_32.flac", "1" * 64, 32000, 8958, 1))
    metadata = {"keywords": ["rain", "wind"], "link": None, "manufacturer": "Óscar de Ávila", "freesound_id": 17}
    clips = clips or [
        clip("Ünïcode 雨.wav", "val", metadata=metadata),
        clip('a "quoted", name', copies=copies),
        clip("b\u2028c", twin=Twin("g1", "a_with_b"), captions=()),
    ]
    ordered = tuple(sorted(clips, key=lambda clip: (clip.split, clip.id)))
    problems = (Problem("Ünïcode 雨.wav", "repaired", "cut at 2.1 s"), Problem("gone\u2028.wav", "skipped", "no sound"))
    return Dataset(folder.name, ordered, folder, {"source": "ours: \u2028 é", "licence": None}, problems)


@pytest.fixture
def saved(tmp_path) -> Dataset:
    made = dataset(tmp_path / "tapes")
    made.folder.mkdir()
    save_dataset(made)
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def test_everything_comes_back_as_it_went_in(saved):
    assert load_dataset(saved.folder) == saved


def test_the_same_clips_give_the_same_bytes_in_whatever_order_they_come(saved):
    before = content(saved.folder)
    for seed in range(5):
        clips = list(saved.clips)
        random.Random(seed).shuffle(clips)
        shuffled = [
            replace(c, copies=c.copies[::-1], metadata=dict(reversed(c.metadata.items())) if c.metadata else None)
            for c in clips
        ]
        save_dataset(replace(saved, clips=tuple(shuffled)))
        assert content(saved.folder) == before


def test_a_line_is_a_clip_with_the_keys_that_the_documentation_names(saved):
    lines = (saved.folder / "manifest.jsonl").read_bytes().decode().removesuffix("\n").split("\n")
    records = [json.loads(line) for line in lines]
    assert [(record["split"], record["id"]) for record in records] == [(c.split, c.id) for c in saved.clips]
    common = ["id", "path", "sha256", "sample_rate_hz", "frames", "channels", "split", "captions"]
    assert [list(record) for record in records] == [[*common, "copies"], [*common, "twin"], [*common, "metadata"]]
    assert records[2]["captions"][1] == {
        "id": "Ünïcode 雨.wav#2",
        "text": f"{AWKWARD[1]} Ünïcode 雨.wav",
        "normalised": "line separator paragraph separator next line vertical tab form feed ünïcode 雨 wav",
    }


def test_dataset_json_has_the_pool_of_each_split_and_the_hash_of_each_file(saved):
    header = json.loads((saved.folder / "dataset.json").read_bytes())
    for name in ("manifest.jsonl", "problems.jsonl"):
        assert header["files"][name] == hashlib.sha256((saved.folder / name).read_bytes()).hexdigest()
    val = saved.split("val")
    assert header["pool_ids"].keys() == {"dev", "val"}
    assert header["pool_ids"]["val"] == pool_id_of([val[0].id], [caption.id for caption in val[0].captions])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kept", [0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_named_with_the_command_that_makes_it_again(saved, name, kept):
    path = saved.folder / name
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(IntegrityError, match="is damaged") as raised:
        load_dataset(saved.folder)
    way_out = "import DIR_OR_CSV --name tapes"
    assert str(path) in str(raised.value) and way_out in str(raised.value)
    assert raised.value.exit_code == 5 and "\n" not in str(raised.value)


@pytest.mark.parametrize("name", NAMES)
def test_no_flipped_bit_is_silent(saved, name):
    path = saved.folder / name
    data = path.read_bytes()
    step = max(8 * len(data) // 400, 1)
    for position in range(0, 8 * len(data), step):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError) as raised:
            load_dataset(saved.folder)
        assert str(path) in str(raised.value), position


def test_what_was_downloaded_names_its_download(saved):
    about = {"source": {"name": "Clotho", "version": "v1", "record": "https://example.org"}}
    save_dataset(replace(saved, about=about))
    (saved.folder / "manifest.jsonl").write_bytes(b"")
    with pytest.raises(IntegrityError, match="atrkit download clotho --version v1 --name tapes"):
        load_dataset(saved.folder)


def test_a_lost_manifest_names_the_download_too(saved):
    save_dataset(replace(saved, about={"source": {"name": "AudioCaps", "version": "v2"}, "subsets": ["test"]}))
    (saved.folder / "manifest.jsonl").unlink()
    with pytest.raises(MissingPrerequisiteError, match="download audiocaps --version v2 --name tapes --subset test"):
        load_dataset(saved.folder)


def test_with_a_damaged_dataset_json_the_options_of_the_command_are_not_known(saved):
    folder = saved.folder.rename(saved.folder.with_name("clotho"))
    (folder / "dataset.json").write_bytes(b"{")
    with pytest.raises(IntegrityError, match=r"again: atrkit download clotho, with the options that it was made with$"):
        load_dataset(folder)


LINE = {
    "id": "a", "path": "a.wav", "sha256": "0", "sample_rate_hz": 8000, "frames": 80, "channels": 1, "split": "dev",
    "captions": [{"id": "a#1", "text": "rain"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"id": 3}, "'id' is no str"),
        ({"frames": "80"}, "'frames' is no int"),
        ({"frames": True}, "'frames' is no int"),
        ({"frames": -1}, "is no count"),
        ({"sample_rate_hz": 0}, "is no count"),
        ({"captions": None}, "'captions' is no list"),
        ({"captions": ["rain"]}, "'id' is missing"),
        ({"captions": [{"id": "a#1", "text": 1}]}, "'text' is no str"),
        ({"twin": {"group": "g", "relation": "a_before_b"}}, "'relation' is 'a_before_b'"),
        ({"copies": [{"path": "b.flac"}]}, "'sha256' is missing"),
        ({"metadata": []}, "'metadata' is no dict"),
    ],
)
def test_odd_content_under_a_right_hash_is_named_by_its_line(saved, monkeypatch, changes, what):
    monkeypatch.setattr("atrkit.datasets.manifest.clip_line", lambda clip: json.dumps({**LINE, **changes}))
    save_dataset(replace(saved, clips=saved.clips[:1]))
    with pytest.raises(IntegrityError, match=r"manifest\.jsonl is damaged \(line 1: ") as raised:
        load_dataset(saved.folder)
    assert what in str(raised.value)


@pytest.mark.parametrize("line", ["[]", "3", "null", "{", ""])
def test_lines_that_are_no_clip(saved, monkeypatch, line):
    monkeypatch.setattr("atrkit.datasets.manifest.clip_line", lambda clip: line or "\u00a0")
    save_dataset(replace(saved, clips=saved.clips[:1]))
    with pytest.raises(IntegrityError, match=r"manifest\.jsonl is damaged \(line 1: "):
        load_dataset(saved.folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b'{"sha256": 3}', b"\xff", b"[" * 100_000])
def test_any_other_dataset_json_is_damaged(saved, content):
    (saved.folder / "dataset.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"dataset\.json is damaged"):
        load_dataset(saved.folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_there_means_no_dataset(saved, name):
    (saved.folder / name).unlink()
    with pytest.raises(MissingPrerequisiteError, match=f"{name} is missing.*make it: atrkit import"):
        load_dataset(saved.folder)


def test_a_renamed_folder_is_noticed_because_embeddings_go_by_the_name(saved):
    other = saved.folder.rename(saved.folder.with_name("reels"))
    with pytest.raises(IntegrityError, match="called 'tapes', and its folder is called 'reels'"):
        load_dataset(other)
    header = json.loads((other / "dataset.json").read_bytes())
    (other / "dataset.json").write_text(json.dumps({**header, "name": "reels"}))
    assert load_dataset(other).name == "reels"


def test_ids_must_be_unique(saved):
    twice = replace(saved, clips=(clip("a"), clip("a", "val")))
    with pytest.raises(UsageError, match="clip id 'a' occurs more than once"):
        save_dataset(twice)
    same = (Caption("c", "rain"),)
    with pytest.raises(UsageError, match="caption id 'c' occurs more than once"):
        save_dataset(replace(saved, clips=(clip("a", captions=same), clip("b", captions=same))))


def test_text_that_is_no_unicode_is_refused_before_anything_is_touched(saved):
    before = content(saved.folder)
    with pytest.raises(UsageError, match=r"caf\\udce9.* cannot be written as UTF-8: rename the file"):
        save_dataset(replace(saved, clips=(clip("caf", path="caf\udce9.wav"),)))
    with pytest.raises(UsageError, match="cannot be written as UTF-8"):
        save_dataset(replace(saved, about={"source": "tapes/caf\udce9"}))
    assert content(saved.folder) == before


def test_clothos_tables_survive_the_round_trip(tmp_path):
    tables = SHARED / "data/csv/clotho"
    if not tables.is_dir():
        pytest.skip(f"{tables} is absent")
    clips = []
    for subset in ("development", "validation", "evaluation"):
        table = read_clotho(tables / f"clotho_captions_{subset}.csv", tables / f"clotho_metadata_{subset}.csv")
        for row in table.rows:
            captions = tuple(Caption(f"{subset}/{row.file_name}#{k}", text) for k, text in enumerate(row.captions, 1))
            name = f"{subset}/{row.file_name}"
            clips.append(Clip(name, name, "0" * 64, 44100, 1, 2, subset, captions, metadata=row.metadata))
    (tmp_path / "clotho").mkdir()
    made = Dataset("clotho", tuple(sorted(clips, key=lambda c: (c.split, c.id))), tmp_path / "clotho")
    save_dataset(made)
    loaded = load_dataset(tmp_path / "clotho")
    assert loaded == made
    assert "Oscar de Ávila".encode() in (tmp_path / "clotho" / "manifest.jsonl").read_bytes()
    assert {split: len(loaded.split(split)) for split in loaded.splits} == {
        "development": 3839, "validation": 1045, "evaluation": 1045,
    }  # fmt: skip


def test_a_manifest_of_audiocaps_size_is_written_and_read_in_seconds(tmp_path):
    tables = SHARED / "data/csv/audiocaps"
    if not tables.is_dir():
        pytest.skip(f"{tables} is absent")
    clips = []
    for split in ("train", "val", "test"):
        captions = defaultdict(list)
        with (tables / f"{split}.csv").open(encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table):
                captions[f"{row['youtube_id']}_{row['start_time']}"].append(Caption(row["audiocap_id"], row["caption"]))
        for name, own in captions.items():
            copy = AudioFile(f"audio_32000Hz/{split}/{name}.flac", "1" * 64, 32000, 320_000, 1)
            clips.append(Clip(name, f"{name}.flac", "0" * 64, 44100, 441_000, 2, split, tuple(own), copies=(copy,)))
    assert (len(clips), sum(len(clip.captions) for clip in clips)) == (51_308, 57_188)
    (tmp_path / "audiocaps").mkdir()
    started_s = time.process_time()
    save_dataset(Dataset("audiocaps", tuple(clips), tmp_path / "audiocaps"))
    saved_s = time.process_time()
    load_dataset(tmp_path / "audiocaps")
    assert saved_s - started_s < 6 and time.process_time() - saved_s < 6
