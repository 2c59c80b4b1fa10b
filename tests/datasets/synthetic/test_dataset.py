"""The data set on disk: the same bytes for the same seed, and a manifest that tells the truth."""

import hashlib
import json
import wave

import numpy as np
import pytest

from atrkit.datasets import load_dataset, save_dataset
from atrkit.datasets.synthetic import EVENTS_NAME, generate, sizes_for
from atrkit.errors import UsageError

SIZES = sizes_for(30)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("one_worker") / "synthetic", SIZES, seed=7, workers=1)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_workers_make_the_same_bytes_as_one(dataset, tmp_path):
    done = []
    again = generate(tmp_path / "synthetic", SIZES, seed=7, workers=2, on_progress=done.append)
    assert content(again.folder) == content(dataset.folder)
    assert (again.clips, again.about) == (dataset.clips, dataset.about)
    assert sum(done) == SIZES.total and len(done) > 1


def test_another_seed_makes_other_sound_under_other_ids(dataset, tmp_path):
    other = generate(tmp_path / "synthetic", SIZES, seed=8, workers=1)
    assert not {clip.id for clip in other.clips} & {clip.id for clip in dataset.clips}
    assert not {clip.sha256 for clip in other.clips} & {clip.sha256 for clip in dataset.clips}


def test_after_a_kill_the_same_call_finishes_with_the_same_bytes(dataset, tmp_path):
    class KilledError(Exception):
        pass

    def kill(_):
        raise KilledError

    folder = tmp_path / "synthetic"
    with pytest.raises(KilledError):
        generate(folder, SIZES, seed=7, workers=1, on_progress=kill)
    assert 0 < len(list(folder.rglob("*.wav"))) < SIZES.total
    generate(folder, SIZES, seed=7, workers=1)
    assert content(folder) == content(dataset.folder)


def test_files_are_what_the_manifest_says(dataset):
    for clip in dataset.clips:
        path = dataset.audio_path(clip)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == clip.sha256
        with wave.open(str(path)) as file:
            assert file.getnframes() == clip.frames
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            pcm = np.frombuffer(file.readframes(clip.frames), "<i2")
        assert 700 < np.abs(pcm.astype(int)).max() < 32_767


def test_every_clip_has_five_captions_with_ids(dataset):
    for clip in dataset.clips:
        assert [caption.id for caption in clip.captions] == [f"{clip.id}#{number}" for number in range(1, 6)]
        assert clip.id == f"seed7-{SIZES.dev}-{SIZES.val}-{SIZES.eval}/{clip.path.removeprefix('audio/')}"


def test_the_manifest_survives_saving_and_loading(dataset):
    save_dataset(dataset)
    loaded = load_dataset(dataset.folder)
    assert loaded == dataset
    twins = [clip.twin for clip in loaded.split("eval") if clip.twin]
    assert len(twins) == 9 and len({twin.group for twin in twins}) == 3
    for name in ("manifest.jsonl", "dataset.json", "problems.jsonl"):
        (dataset.folder / name).unlink()


def test_about_says_where_it_comes_from_and_what_was_held_out(dataset):
    about = json.loads(json.dumps(dataset.about, allow_nan=False))
    assert about == dataset.about
    assert about["source"]["seed"] == 7 and about["source"]["sizes"] == {"dev": 30, "val": 12, "eval": 12}
    assert about["licence"].startswith("CC0") and about["sample_rate_hz"] == 16_000
    assert {split: len(pairs) for split, pairs in about["held_out_pairs"].items()} == {"val": 14, "eval": 27}
    assert sum(len(cells) for cells in about["held_out_cells"].values()) == 19
    assert 0 < about["ceilings"]["kinds"] <= about["ceilings"]["properties"] <= about["ceilings"]["overlap"]
    assert about["ceilings"]["overlap"] <= about["ceilings"]["text"] <= 1
    words = {
        word for clip in dataset.clips for caption in clip.captions for word in caption.text.replace(",", "").split()
    }
    assert about["vocabulary_size"] == len(words)


def test_events_beside_the_manifest_lie_where_there_is_sound(dataset):
    clips = {clip.id: clip for clip in dataset.clips}
    lines = [json.loads(line) for line in (dataset.folder / EVENTS_NAME).read_text().splitlines()]
    assert {line["id"] for line in lines} == set(clips)
    for line in lines:
        with wave.open(str(dataset.audio_path(clips[line["id"]]))) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_768
        for event in line["events"]:
            heard = sound[round(event["start_s"] * 16_000) : round(event["end_s"] * 16_000)]
            blocks = np.lib.stride_tricks.sliding_window_view(heard, 320)[::40]
            loudest_dbfs = 10 * np.log10(np.mean(blocks**2, axis=1).max())
            assert loudest_dbfs > event["level_dbfs"] - 2


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(UsageError, match="at least one worker"):
        generate(tmp_path, SIZES, seed=0, workers=0)
