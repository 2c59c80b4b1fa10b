"""FAULTS.md row 9: a folder of odd sound files imports and extracts, and everything odd is listed."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from atrkit.encoders import load_encoder
from atrkit.store.embeddings import load_embeddings

SHARED = Path(__file__).resolve().parents[3] / "shared"
BAD_AUDIO = SHARED / "data" / "bad_audio"
MN04 = SHARED / "weights" / "mn04_as_mAP_432.pt"
needs_shared = pytest.mark.skipif(not (BAD_AUDIO.is_dir() and MN04.is_file()), reason="../shared is not there")

SKIPPED = {
    "directory.wav",
    "garbage.wav",
    "header_only_no_frames.wav",
    "html_error_page.flac",
    "inf_float.wav",
    "nan_float.wav",
    "rate_zero.wav",
    "text_named.wav",
    "zero_bytes.wav",
}
REPAIRED = {"header_too_long.wav", "stereo_out_of_phase.wav", "truncated.flac", "truncated.ogg"}
TOO_SHORT = {"one_sample.wav", "ten_ms.wav"}


def actions(problems):
    return {(problem["item"], problem["action"]) for problem in problems}


def require_intact(embeddings, duration_of_clip, frame_period_s):
    """Every clip has finite embeddings, and frames for its length: one more or less at the borders."""
    assert set(embeddings.clip_ids) == set(duration_of_clip)
    assert np.isfinite(embeddings.frames_NF).all() and np.isfinite(embeddings.clip_emb_AD).all()
    for index, clip_id in enumerate(embeddings.clip_ids):
        frames = len(embeddings.frames_of(index))
        assert frames >= 1 and abs(frames - duration_of_clip[clip_id] / frame_period_s) <= 1.01, clip_id


@needs_shared
@pytest.mark.parametrize(("encoder", "checkpoint"), [("logmel", ()), ("mn04", ("--checkpoint", MN04))])
def test_the_38_files_import_and_extract(atrkit_in, problems_of, tmp_path, encoder, checkpoint):
    workspace = atrkit_in(tmp_path)
    imported = workspace("import", BAD_AUDIO, "--name", "odd", code=7)
    assert "13 problems are listed in" in imported.stderr
    listed = problems_of(tmp_path / "data" / "odd" / "problems.jsonl")
    assert actions(listed) == {(name, "skipped") for name in SKIPPED} | {(name, "repaired") for name in REPAIRED}
    assert all(problem["reason"] for problem in listed)

    extract = ("extract", "--encoder", encoder, *checkpoint)
    assert "2 problems are listed in" in workspace(*extract, code=7).stderr
    store = tmp_path / "embeddings" / "odd" / f"{encoder}.h5"
    padded = problems_of(store.with_suffix(".problems.jsonl"))
    assert actions(padded) == {(name, "padded") for name in TOO_SHORT}

    on_disk = {path.name for path in BAD_AUDIO.iterdir()} - {"README.md", "index.csv"}
    assert len(on_disk) == 38
    # lengths as soundfile reads them, except for what it cannot decode to the end
    durations = {name: soundfile.info(BAD_AUDIO / name).duration for name in on_disk - SKIPPED} | {
        "truncated.flac": 2.322
    }
    period_s = load_encoder(encoder, checkpoint=str(MN04) if checkpoint else None).frame_period_s
    embeddings = load_embeddings(store)
    require_intact(embeddings, durations, period_s)
    assert len(embeddings.clip_ids) == 29

    refused = workspace.error(*extract, "--overwrite", "--strict", code=5)
    assert "one_sample.wav: 0.0000 s, shorter than the encoder's" in refused
    assert "directory.wav" in workspace.error("import", BAD_AUDIO, "--name", "strict", "--strict", code=5)
    assert not (tmp_path / "data" / "strict").exists()


@pytest.fixture
def odd_folder(tmp_path):
    """Good, repaired, padded and unusable files, made here."""
    folder = tmp_path / "odd sounds"
    folder.mkdir()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 22050).astype(np.float32)
    soundfile.write(folder / "good, with comma.wav", noise, 22050)
    soundfile.write(folder / "short.flac", noise[:100], 22050)
    soundfile.write(folder / "cancels.wav", np.stack([noise, -noise], axis=1), 22050)
    soundfile.write(folder / "whole.flac", noise, 22050)
    (folder / "truncated.flac").write_bytes((folder / "whole.flac").read_bytes()[:30_000])
    soundfile.write(folder / "nan.wav", np.where(np.arange(22050) == 7, np.nan, noise), 22050, subtype="FLOAT")
    (folder / "empty.wav").touch()
    (folder / "notes.wav").write_text("no sound here\n" * 20)
    (folder / "folder.wav").mkdir()
    return folder


def test_odd_files_are_skipped_repaired_or_padded_and_listed(atrkit_in, problems_of, odd_folder, tmp_path):
    workspace = atrkit_in(tmp_path)
    workspace("import", odd_folder, "--name", "odd", code=7)
    assert actions(problems_of(tmp_path / "data" / "odd" / "problems.jsonl")) == {
        ("cancels.wav", "repaired"),
        ("truncated.flac", "repaired"),
        ("nan.wav", "skipped"),
        ("empty.wav", "skipped"),
        ("notes.wav", "skipped"),
        ("folder.wav", "skipped"),
    }
    extract = ("extract", "--encoder", "logmel")
    workspace(*extract, code=7)
    store = tmp_path / "embeddings" / "odd" / "logmel.h5"
    assert actions(problems_of(store.with_suffix(".problems.jsonl"))) == {("short.flac", "padded")}
    with soundfile.SoundFile(odd_folder / "truncated.flac") as truncated:
        left_s = sum(len(block) for block in readable_blocks(truncated)) / 22050
    durations = {
        "good, with comma.wav": 1,
        "short.flac": 0,
        "cancels.wav": 1,
        "whole.flac": 1,
        "truncated.flac": left_s,
    }
    require_intact(load_embeddings(store), durations, 0.32)

    workspace(*extract, code=7)  # again: nothing to do, and the problem is still said
    refused = workspace.error(*extract, "--strict", code=5)
    assert "logmel.h5: 1 clips are not as they should be (--strict); the first is 'short.flac', padded" in refused
    assert "short.flac: 0.0045 s, shorter" in workspace.error(*extract, "--strict", "--overwrite", code=5)


def readable_blocks(file):
    while True:
        try:
            block = file.read(256)
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        yield block


def test_a_recording_that_vanished_is_listed_and_asked_for_when_it_is_back(tiny, problems_of):
    sound, away = tiny.workspace / "sounds" / "03.wav", tiny.workspace / "away.wav"
    # clips of `tiny` lie in the workspace that was copied: take these in
    tiny("import", tiny.workspace / "sounds", "--name", "mine")
    sound.rename(away)
    tiny("extract", "--encoder", "logmel", "--dataset", "mine", code=7)
    store = tiny.workspace / "embeddings" / "mine" / "logmel.h5"
    (problem,) = problems_of(store.with_suffix(".problems.jsonl"))
    assert (problem["item"], problem["action"]) == ("03.wav", "skipped")
    assert problem["reason"] == "cannot be read: No such file or directory"
    assert "1 of 12 clips of mine/dev have no embedding: left out" in tiny.train("--set", "data.dataset=mine").stderr

    away.rename(sound)
    message = tiny.error("extract", "--encoder", "logmel", "--dataset", "mine", code=5)
    assert "lacks 1 clips whose recordings were gone and are back, the first '03.wav'" in message
    tiny("extract", "--encoder", "logmel", "--dataset", "mine", "--overwrite")
    assert len(load_embeddings(store).clip_ids) == 20


def test_a_disk_that_is_not_mounted_is_no_list_of_bad_files(tiny):
    tiny("import", tiny.workspace / "sounds", "--name", "mine")
    (tiny.workspace / "sounds").rename(tiny.workspace / "unmounted")
    message = tiny.error("extract", "--encoder", "logmel", "--dataset", "mine", code=3)
    assert "none of the 20 recordings of 'mine' is there" in message and "mounted" in message
    assert not (tiny.workspace / "embeddings" / "mine" / "logmel.h5").exists()
