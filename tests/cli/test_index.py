"""`atrkit index`: what is new is encoded, what is known is not read, and every window is what it would be alone."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from atrkit.audio import read
from atrkit.cli.app import app
from atrkit.cli.session import Terminal
from atrkit.search.index_files import load_index
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import index_encode
from atrkit.workflows.query_model import open_query_model
from tests.tiny_recipes import dual_encoder_recipe

SHARED = Path(__file__).resolve().parents[3] / "shared"
RECIPE = dual_encoder_recipe(epochs=1)
RIDGE = """\
source: ours, small enough for a test
seeds: [1]
encoder: {name: logmel}
model: {name: ridge, ridge_lambda: 1.0, label_prior: false}
"""
RATE_HZ = 16000

Run = Callable[..., Any]


def atrkit(workspace: Path, *words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result


def tone(seconds: float, seed: int, rate_hz: int = RATE_HZ) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.2 * np.sin(2000 * time_s * (1 + 0.1 * seed)) + 0.05 * generator.standard_normal(len(time_s))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with thirty captioned sounds as dataset `tiny`, and two runs: `dual` and `ridge`."""
    root = tmp_path_factory.mktemp("trained")
    sounds = root / "sounds"
    sounds.mkdir()
    lines = ["file_name,caption_1,split"]
    for number in range(30):
        soundfile.write(sounds / f"{number:02}.wav", tone(0.5, number), RATE_HZ)
        split = "dev" if number < 20 else "val" if number < 25 else "eval"
        lines.append(f"{number:02}.wav,tone {number % 5} of a bell rings,{split}")
    (sounds / "captions.csv").write_text("\n".join(lines) + "\n")
    atrkit(root, "import", sounds, "--name", "tiny")
    for name, recipe in (("dual", RECIPE), ("ridge", RIDGE)):
        (root / f"{name}.yaml").write_text(recipe)
        atrkit(root, "train", root / f"{name}.yaml", "--name", name)
    return root


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Path:
    """One's own, with the runs, the dataset's manifest, and its sounds where they were."""
    for name in ("runs", "data"):
        shutil.copytree(trained / name, tmp_path / "workspace" / name)
    return tmp_path / "workspace"


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder with a short file, a long one in a folder below, one of another rate, and what is no sound."""
    folder = tmp_path / "my sounds"
    (folder / "field").mkdir(parents=True)
    soundfile.write(folder / "bell.wav", tone(1.5, 1), RATE_HZ)
    soundfile.write(folder / "field" / "long.flac", tone(24.3, 2), RATE_HZ)
    soundfile.write(folder / "üben – 音.wav", tone(3.0, 3, 44100), 44100)
    (folder / "notes.txt").write_text("no sound")
    return folder


@pytest.fixture
def index(workspace: Path) -> Run:
    """Run `atrkit index` and give its JSON object."""

    def run(*words: object, code: int = 0) -> Any:
        result = atrkit(workspace, "index", *words, "--json", code=code)
        return json.loads(result.stdout) if code in (0, 7) else result.stderr.splitlines()[-1]

    return run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the sound files that were decoded, by whatever thread."""
    names: list[str] = []
    before = soundfile.SoundFile.__init__

    def note(self: Any, file: Any, *args: Any, **kwargs: Any) -> None:
        names.append(Path(str(getattr(file, "name", file))).name)
        before(self, file, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "__init__", note)
    return names


def became(record: dict[str, Any]) -> dict[str, int]:
    names = ("new", "changed", "renamed", "copied", "touched", "unchanged", "gone", "skipped", "encoded")
    return {name: record[name] for name in names if record[name]}


def vectors_of(workspace: Path, name: str = "my_sounds") -> dict[str, np.ndarray]:
    index = load_index(workspace / "index" / name)
    joined = np.concatenate(index.vectors)
    return {file.path: joined[index.windows_of(file)] for file in index.files}


def model_of(workspace: Path, name: str = "my_sounds") -> Any:
    session = Terminal(workspace, as_json=False, plain=True).session
    return open_query_model(session, load_index(workspace / "index" / name).about)


def test_a_folder_is_indexed_in_windows(workspace, sounds, index):
    record = index(sounds, "--run", "dual")
    assert (record["index"], record["files"], record["windows"], record["dim"]) == ("my_sounds", 3, 5, 16)
    assert became(record) == {"new": 3, "encoded": 3}
    assert record["duration_s"] == pytest.approx(1.5 + 24.3 + 3.0, abs=1e-3)
    opened_index = load_index(workspace / "index" / "my_sounds")
    long = next(file for file in opened_index.files if file.path == "field/long.flac")
    at = opened_index.windows_of(long)
    assert opened_index.start_s_W[at].tolist() == [0, 10, pytest.approx(14.3)]
    assert opened_index.end_s_W[at].tolist() == [10, 20, pytest.approx(24.3)]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(opened_index.vectors), axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("run", ["dual", "ridge"])
def test_a_window_is_what_its_samples_would_be_as_a_file(workspace, sounds, index, tmp_path, run):
    index(sounds, "--run", run)
    model = model_of(workspace)
    of_file = vectors_of(workspace)["field/long.flac"]
    samples = read.load_mono(sounds / "field" / "long.flac", model.sample_rate_hz)
    for number, start_s in enumerate((0.0, 10.0, 24.3 - 10.0)):
        start = round(start_s * model.sample_rate_hz)
        alone = tmp_path / f"{number}.wav"
        soundfile.write(
            alone, samples[start : start + 10 * model.sample_rate_hz], model.sample_rate_hz, subtype="FLOAT"
        )
        np.testing.assert_allclose(model.embed_audio(alone), of_file[number : number + 1], atol=1e-5)
    np.testing.assert_allclose(model.embed_audio(sounds / "field" / "long.flac"), of_file, atol=1e-5)
    assert not np.allclose(of_file[0], of_file[1], atol=1e-4)


@pytest.mark.parametrize("run", ["dual", "ridge"])
def test_clips_shorter_than_a_window_have_the_vectors_that_eval_gives_them(workspace, index, trained, run):
    index("--dataset", "tiny", "--run", run)
    found = vectors_of(workspace, "tiny")
    store = load_embeddings(trained / "embeddings" / "tiny" / "logmel.h5")
    if run == "dual":
        from atrkit.models import DualEncoder

        model = DualEncoder.from_pretrained(trained / "runs" / "dual" / "seed-1")
        expected = model.embed_clips([store.frames_of(at).astype(np.float32) for at in range(30)])
    else:
        from atrkit.models.ridge_retriever import RidgeRetriever

        expected = RidgeRetriever.from_pretrained(trained / "runs" / "ridge" / "seed-1").embed_clips(store.clip_emb_AD)
    by_name = {Path(path).name: vectors_WD for path, vectors_WD in found.items()}
    actual = np.concatenate([by_name[clip_id] for clip_id in store.clip_ids])
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_captions_come_with_a_dataset_and_from_a_table_beside_the_files(workspace, index, trained):
    assert index("--dataset", "tiny", "--split", "eval", "--run", "dual")["files"] == 5
    assert index(trained / "sounds", "--run", "dual")["files"] == 30
    of_dataset, of_folder = (load_index(workspace / "index" / name).files for name in ("tiny-eval", "sounds"))
    captions = {Path(file.path).name: file.captions for file in of_folder}
    assert captions["07.wav"] == ("tone 2 of a bell rings",)
    assert {Path(file.path).name: file.captions for file in of_dataset}.items() <= captions.items()


def captions_of(workspace: Path, name: str = "my_sounds") -> dict[str, tuple[str, ...]]:
    return {file.path: file.captions for file in load_index(workspace / "index" / name).files if file.captions}


def test_tables_of_captions_can_be_named_and_are_remembered(workspace, sounds, tmp_path):
    (sounds / "captions.csv").write_text("file_name,caption_1\nbell.wav,a bell\nfield/long.flac,a long tone\n")
    development = sounds.parent / "clotho_captions_development.csv"
    development.write_text("file_name,caption_1,caption_2\nlong.flac,a hum,a drone\nnone.wav,nothing,silence\n")
    (sounds / "clotho_captions_evaluation.csv").write_text("file_name,caption_1\nbell.wav,a bell is rung\n")
    (sounds / "prices.csv").write_text("file_name,price\nbell.wav,3\n")
    said = atrkit(workspace, "index", sounds, "--run", "dual").stderr
    assert "captions: 2 tables left aside" in said and "--captions FILE" in said and "prices.csv" not in said
    assert str(development) in said and "clotho_captions_evaluation.csv" in said
    assert captions_of(workspace) == {"bell.wav": ("a bell",), "field/long.flac": ("a long tone",)}
    said = atrkit(workspace, "index", "--captions", development).stderr
    assert f"captions: of 1 of 3 files, from {development} (2 lines)" in said and "1 table left aside" in said
    expected = {"bell.wav": ("a bell",), "field/long.flac": ("a hum", "a drone")}
    assert captions_of(workspace) == expected
    atrkit(workspace, "index")
    assert captions_of(workspace) == expected, "it is remembered"
    development.unlink()
    assert f"{development} is not there any more" in atrkit(workspace, "index").stderr
    assert captions_of(workspace) == {"bell.wav": ("a bell",), "field/long.flac": ("a long tone",)}


def test_a_name_alone_that_two_files_have_is_nobodys(workspace, sounds, tmp_path):
    shutil.copy(sounds / "bell.wav", sounds / "field" / "bell.wav")
    for number, text in enumerate(("file_name,caption_1\nlong.flac,a hum\n", "file_name,caption\nlong.flac,low\n")):
        (tmp_path / f"{number}.csv").write_text(text)
    (tmp_path / "2.csv").write_text("file_name,caption\nfield/bell.wav,far away\n")
    tables = [word for number in range(3) for word in ("--captions", tmp_path / f"{number}.csv")]
    atrkit(workspace, "index", sounds, "--run", "dual", *tables)
    assert captions_of(workspace) == {"field/long.flac": ("a hum", "low"), "field/bell.wav": ("far away",)}
    (sounds / "other").mkdir()
    shutil.copy(sounds / "field" / "long.flac", sounds / "other" / "long.flac")
    atrkit(workspace, "index")
    assert captions_of(workspace) == {"field/bell.wav": ("far away",)}


def test_texts_are_embedded_beside_the_sounds(workspace, sounds, index):
    index(sounds, "--run", "dual")
    model = model_of(workspace)
    texts = model.embed_texts(["a bell rings", "tone 1 of a bell"])
    assert texts.shape == (2, 16) and texts.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    from atrkit.models import DualEncoder

    expected = DualEncoder.from_pretrained(workspace / "runs" / "dual" / "seed-1").embed_captions(["a bell rings"])
    np.testing.assert_allclose(texts[:1], expected, atol=1e-6)


def test_the_second_time_nothing_is_read_and_nothing_changes(workspace, sounds, index, opened):
    index(sounds, "--run", "dual")
    assert set(opened) >= {"bell.wav", "long.flac", "üben – 音.wav"}
    before = contents(workspace / "index")
    opened.clear()
    for path in sounds.rglob("*.*"):  # whoever reads one finds no sound in it
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert became(index()) == {"unchanged": 3}
    assert opened == []
    assert contents(workspace / "index") == before


def contents(folder: Path) -> dict[str, bytes]:
    """All files but locks, which say who wrote when."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


def test_only_what_has_new_bytes_is_encoded(workspace, sounds, index, opened, tmp_path):
    soundfile.write(sounds / "rename me.wav", tone(2.0, 5), RATE_HZ)
    soundfile.write(sounds / "remove me.wav", tone(2.0, 6), RATE_HZ)
    index(sounds, "--run", "dual")
    before = vectors_of(workspace)
    (sounds / "rename me.wav").rename(sounds / "field" / "renamed.wav")
    (sounds / "remove me.wav").unlink()
    os.utime(sounds / "bell.wav", (1, 1))
    shutil.copy(sounds / "field" / "long.flac", sounds / "copy of long.flac")
    soundfile.write(sounds / "üben – 音.wav", tone(3.0, 7, 44100), 44100)
    soundfile.write(sounds / "new.wav", tone(1.0, 8), RATE_HZ)
    opened.clear()
    record = index()
    assert became(record) == {
        "new": 1, "changed": 1, "renamed": 1, "copied": 1, "touched": 1, "unchanged": 1, "gone": 1, "encoded": 2,
    }  # fmt: skip
    assert "long.flac" not in opened
    assert "remove me" not in (workspace / "index" / "my_sounds" / "journal").read_text(), "it is forgotten"
    after = vectors_of(workspace)
    assert set(after) == {
        "bell.wav", "copy of long.flac", "field/long.flac", "field/renamed.wav", "new.wav", "üben – 音.wav",
    }  # fmt: skip
    np.testing.assert_array_equal(after["field/renamed.wav"], before["rename me.wav"])
    np.testing.assert_array_equal(after["copy of long.flac"], before["field/long.flac"])
    np.testing.assert_array_equal(after["bell.wav"], before["bell.wav"])
    assert not np.allclose(after["üben – 音.wav"], before["üben – 音.wav"])
    atrkit(workspace, "index", sounds, "--run", "dual", "--name", "afresh")
    for path, vectors_WD in vectors_of(workspace, "afresh").items():
        np.testing.assert_allclose(after[path], vectors_WD, atol=1e-6)
    assert became(index("--name", "my_sounds")) == {"unchanged": 6}


def test_what_is_gone_is_removed_from_the_disk_when_it_is_worth_it(workspace, sounds, index):
    assert index(sounds, "--run", "dual")["segments"] == 1
    shutil.rmtree(sounds / "field")
    assert became(index()) == {"unchanged": 2, "gone": 1}
    opened_index = load_index(workspace / "index" / "my_sounds")
    assert [len(vectors_WD) for vectors_WD in opened_index.vectors] == [2] and opened_index.is_alive_W.all()
    assert [path.name for path in sorted((opened_index.folder / "segments").glob("*.h5"))] == ["002.h5"]


def test_what_was_copied_is_said_in_plain_english(workspace, sounds):
    atrkit(workspace, "index", sounds, "--run", "dual")
    shutil.rmtree(sounds / "field")
    assert "1 segment was copied into 1 new one, without what is gone" in atrkit(workspace, "index").stderr


def test_a_first_call_that_comes_to_nothing_leaves_nothing(workspace, index, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "no sound.wav").write_text("no sound")
    for words in [(tmp_path / "texts",), (tmp_path / "texts", "--run", "none")]:
        atrkit(workspace, "index", *words, code=5 if len(words) == 1 else 2)
        assert not (workspace / "index" / "texts").exists()


def test_a_first_call_that_is_refused_later_reads_no_sound_again(workspace, sounds, index, opened):
    (sounds / "broken.wav").write_text("no sound")
    index(sounds, "--run", "dual", "--strict", code=5)
    opened.clear()
    index(sounds, "--run", "dual", "--strict", code=5)
    assert opened == []


def test_what_a_killed_process_left_is_removed(workspace, sounds, index):
    index(sounds, "--run", "dual")
    folder = workspace / "index" / "my_sounds"
    before = contents(folder)
    for name in (
        "files-0123456789ab.jsonl.part",
        "files-0123456789ab.jsonl",
        "segments/007.h5",
        "segments/002.h5.part",
    ):
        (folder / name).write_text("half")
    (folder / "segments" / "009.parts").mkdir()
    assert became(index()) == {"unchanged": 3}
    assert contents(folder) == before and not (folder / "segments" / "009.parts").exists()


def test_the_same_folder_has_the_same_bytes(workspace, sounds, index):
    for name in ("one", "two"):
        index(sounds, "--run", "dual", "--name", name)
    one, two = (load_index(workspace / "index" / name) for name in ("one", "two"))
    assert one.about["files"] == two.about["files"] and one.vectors_sha256 == two.vectors_sha256
    assert one.about["sha256"] == two.about["sha256"]


def test_what_cannot_be_read_is_listed_and_ends_with_7(workspace, sounds, index):
    (sounds / "broken.wav").write_text("no sound")
    (sounds / ".hidden.wav").write_bytes((sounds / "bell.wav").read_bytes())
    (sounds / "loop").symlink_to(sounds)
    soundfile.write(sounds / "ten samples.wav", tone(0.001, 4)[:10], RATE_HZ)
    bad_name = os.fsdecode(os.fsencode(sounds) + b"/bad \xff.wav")
    shutil.copy(sounds / "bell.wav", bad_name)
    record = index(sounds, "--run", "dual", code=7)
    assert became(record) == {"new": 4, "skipped": 3, "encoded": 4}
    said = {(problem["item"], problem["action"]) for problem in record["problems"]}
    assert said == {
        ("broken.wav", "skipped"), ("bad \ufffd.wav", "skipped"), ("loop", "skipped"), ("ten samples.wav", "padded"),
    }  # fmt: skip
    assert all(problem["reason"] and "--audio-dir" not in problem["reason"] for problem in record["problems"])
    lines = (workspace / "index" / "my_sounds" / "problems.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == record["problems"]
    assert became(index(code=7)) == {"unchanged": 4, "skipped": 3}, "and is still said"
    assert index(code=7)["problems"] == record["problems"]
    assert "1 hidden file in" in atrkit(workspace, "index", code=7).stderr
    assert "--strict refuses it" in index("--strict", code=5)


def test_a_file_that_broke_is_skipped_and_comes_back_when_it_is_mended(workspace, sounds, index, opened):
    index(sounds, "--run", "dual")
    whole = (sounds / "bell.wav").read_bytes()
    (sounds / "bell.wav").write_bytes(b"")
    assert became(index(code=7)) == {"unchanged": 2, "skipped": 1}
    (sounds / "bell.wav").write_bytes(whole)
    assert became(index()) == {"new": 1, "unchanged": 2}, "its vectors were still there"


def test_an_index_knows_its_folders_and_its_model(workspace, sounds, index, tmp_path):
    index(sounds, "--run", "dual", "--name", "first")
    index(sounds / "field", "--run", "ridge", "--name", "second")
    assert index()["index"] == "second" and index("--name", "first")["model"] == {"run": "dual/seed-1"}
    assert index()["index"] == "first", "the one updated last"
    refused = index(sounds, "--run", "ridge", "--name", "first", code=5)
    assert "was made with run dual/seed-1, and this is run ridge/seed-1" in refused
    assert "--name" in refused and "--overwrite" in refused
    assert became(index(sounds, "--run", "ridge", "--name", "first", "--overwrite")) == {"new": 3, "encoded": 3}
    assert index("--name", "first")["model"] == {"run": "ridge/seed-1"}
    (tmp_path / "others").mkdir()
    soundfile.write(tmp_path / "others" / "bell.wav", tone(1.0, 9), RATE_HZ)
    assert "is of" in index(tmp_path / "others", "--name", "first", code=5)


def test_folders_may_be_added(workspace, sounds, index, tmp_path):
    index(sounds, "--run", "dual", "--name", "all")
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(sounds / "bell.wav", more / "bell.wav")
    ids = {file.path: file.id for file in load_index(workspace / "index" / "all").files}
    assert became(index(sounds, more, "--name", "all")) == {"copied": 1, "unchanged": 3}
    files = load_index(workspace / "index" / "all").files
    assert {file.path: file.id for file in files[:3]} == ids and files[3].id not in ids.values()
    assert files[3].full_path == more / "bell.wav"
    assert "lies in" in index(sounds, sounds / "field", "--name", "nested", code=2)


def test_a_disk_that_is_not_mounted_is_no_list_of_deleted_files(workspace, sounds, index):
    index(sounds, "--run", "dual")
    sounds.rename(sounds.with_name("away"))
    assert "is not there" in index(code=3) and "mount" in index(code=3)
    sounds.mkdir()
    assert "holds no sound file any more, and 3 were indexed" in index(code=3)
    sounds.rmdir()
    sounds.with_name("away").rename(sounds)
    assert became(index()) == {"unchanged": 3}


def test_a_run_that_was_trained_again_is_another_model(workspace, sounds, index, trained):
    index(sounds, "--run", "dual")
    shutil.copy(trained / "dual.yaml", workspace / "dual.yaml")
    shutil.copytree(trained / "embeddings", workspace / "embeddings")
    again = ("train", workspace / "dual.yaml", "--name", "dual", "--overwrite", "--set", "optimizer.lr=0.5")
    atrkit(workspace, *again)
    refused = index(code=5)
    assert "another state of run dual/seed-1" in refused and "--name my_sounds --overwrite" in refused
    assert became(index("--overwrite")) == {"new": 3, "encoded": 3}
    shutil.rmtree(workspace / "runs" / "dual")
    gone = index(code=3)
    assert "index 'my_sounds' was made with run dual/seed-1, which is not there" in gone
    way_out = "atrkit index --name my_sounds --run RUN --overwrite"
    assert "bring it back" in gone and way_out in gone
    record = index(*way_out.replace("RUN", "ridge").split()[2:])
    assert became(record) == {"new": 3, "encoded": 3} and record["model"] == {"run": "ridge/seed-1"}


def test_an_index_outlives_a_new_version_of_atrkit(workspace, sounds, index):
    index(sounds, "--run", "dual")
    inputs = workspace / "runs" / "dual" / "seed-1" / "inputs.json"
    record = json.loads(inputs.read_text())
    record["embeddings"]["atrkit_version"] = "0.0.9"
    inputs.write_text(json.dumps(record))
    assert became(index()) == {"unchanged": 3}
    soundfile.write(sounds / "new.wav", tone(1.0, 8), RATE_HZ)
    assert "embeddings of atrkit 0.0.9, and this is" in atrkit(workspace, "index").stderr


def test_models_that_compare_pairs_are_refused_with_what_can_be_used(workspace, sounds, index):
    captioner = workspace / "runs" / "captioner" / "seed-1"
    shutil.copytree(workspace / "runs" / "ridge" / "seed-1", captioner)
    (captioner / "recipe.yaml").write_text(
        "source: a captioner\nencoder: {name: logmel}\nmodel: {name: gru_captioner}\n"
        "loss: {name: cross_entropy}\noptimizer: {name: adamw, lr: 1e-3}\ntraining: {epochs: 1, batch_size: 4}\n"
    )
    refused = index(sounds, "--run", "captioner", code=2)
    assert "gru_captioner" in refused and "dual encoder or a ridge" in refused and "--rerank" in refused
    (captioner / "finished.json").touch()
    said = atrkit(workspace, "index", sounds).stderr
    assert "run: ridge/seed-1 (the newest finished one that embeds texts and sounds apart)" in said


def test_a_damaged_run_that_nobody_named_is_passed_over(workspace, sounds, index):
    (workspace / "runs" / "ridge" / "seed-1" / "recipe.yaml").write_text("")
    said = atrkit(workspace, "index", sounds).stderr
    assert "run ridge/seed-1 is passed over" in said and "run: dual/seed-1" in said
    assert "train the run again" in index(sounds, "--name", "other", "--run", "ridge", code=5)


def test_without_a_model_every_way_to_one_is_said(tmp_path, sounds):
    ways = ("atrkit train synthetic/retrieval", "--model laion/clap-htsat-unfused", "atrkit train own_recordings")
    offline = "atrkit extract --encoder mn04 --checkpoint FILE"
    for words in [("index", sounds), ("index",)]:
        message = atrkit(tmp_path / "empty", *words, code=3).stderr
        for way in (*ways, offline):
            assert way in message, words
    assert "no index in" in message and "atrkit index FOLDER_OF_SOUNDS" in message


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("nowhere",), "nowhere is not there"),
        (("FILE",), "is a file, and an index is of folders"),
        (("EMPTY",), "no sound files in"),
        (("BAD NAME",), "its name is not UTF-8: rename it"),
        (("SOUNDS", "--dataset", "tiny"), "leave one of them out"),
        (("SOUNDS", "--captions", "nowhere.csv"), "--captions /"),
        (("SOUNDS", "--captions", "TABLE"), "no column is called file_name (there are: name, caption)"),
        (("--dataset", "tiny", "--captions", "x.csv"), "a dataset has its own"),
        (("SOUNDS", "--split", "eval"), "--split is of a dataset"),
        (("SOUNDS", "--run", "dual", "--model", "x"), "--run and --model"),
        (("SOUNDS", "--name", "a/b"), "--name 'a/b'"),
        (("SOUNDS", "--name", ""), "--name ''"),
        (("SOUNDS", "--run", "none"), "no finished run there"),
        (("SOUNDS", "--model", "dual/seed-1"), "that is a run of atrkit, which --run takes"),
        (("--dataset", "tiny", "--split", "none"), "has no split 'none'"),
    ],
)
def test_what_makes_no_sense_is_said_in_one_line(workspace, sounds, index, tmp_path, words, reason):
    bad_name = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad \xff"))
    for folder in (tmp_path / "nothing", bad_name):
        folder.mkdir()
    places = {"SOUNDS": sounds, "FILE": sounds / "bell.wav", "EMPTY": tmp_path / "nothing", "BAD NAME": bad_name}
    (tmp_path / "names.csv").write_text("name,caption\nbell.wav,a bell\n")
    places["TABLE"] = tmp_path / "names.csv"
    assert reason in index(*(places.get(word, word) for word in words), code=2)


def test_a_file_that_is_written_while_it_is_indexed_is_left_for_the_next_time(workspace, sounds, index, monkeypatch):
    before = index_encode.encode_parts
    written = iter([True])

    def write_then_encode(*args: Any, **kwargs: Any) -> Any:
        if next(written, False):
            soundfile.write(sounds / "bell.wav", tone(2.5, 9), RATE_HZ)
        return before(*args, **kwargs)

    monkeypatch.setattr(index_encode, "encode_parts", write_then_encode)
    record = index(sounds, "--run", "dual", code=7)
    assert [problem["item"] for problem in record["problems"]] == ["bell.wav"]
    assert "written while it was indexed" in record["problems"][0]["reason"]
    assert record["files"] == 2
    assert became(index()) == {"new": 1, "unchanged": 2, "encoded": 1}


def test_a_file_that_is_deleted_while_it_is_indexed_is_said_to_be_gone(workspace, sounds, index, monkeypatch):
    before = index_encode.encode_parts

    def delete_then_encode(*args: Any, **kwargs: Any) -> Any:
        (sounds / "bell.wav").unlink(missing_ok=True)
        return before(*args, **kwargs)

    monkeypatch.setattr(index_encode, "encode_parts", delete_then_encode)
    record = index(sounds, "--run", "dual", code=7)
    (problem,) = record["problems"]
    assert problem["item"] == "bell.wav" and "went while it was indexed" in problem["reason"]
    assert record["files"] == 2 and became(index()) == {"unchanged": 2}


def test_progress_is_in_seconds_of_audio_also_within_a_file(workspace, sounds, monkeypatch):
    soundfile.write(sounds / "longest.wav", tone(400, 4), RATE_HZ)  # 40 windows, of which 32 are embedded at once
    steps: list[tuple[int, str, int]] = []

    @contextmanager
    def note(self: Terminal, description: str, total: int, unit: str, done: int = 0) -> Iterator[Any]:
        yield lambda items=1, audio_s=0.0, limit="": steps.append((total, unit, items))

    monkeypatch.setattr(Terminal, "open_progress", note)
    atrkit(workspace, "index", sounds, "--run", "dual")
    of_audio = [items for total, unit, items in steps if (total, unit) == (429, "s of audio")]
    assert sum(of_audio) == 429 and 320 <= max(of_audio) < 400


def test_files_longer_than_an_hour_are_said_to_need_memory(workspace, sounds, monkeypatch):
    monkeypatch.setattr(index_encode, "_LONG_S", 20.0)
    said = atrkit(workspace, "index", sounds, "--run", "dual").stderr
    assert "1 file longer than an hour" in said and "GB of memory" in said


def test_the_table_for_people_has_counts_in_words(workspace, sounds):
    shown = atrkit(workspace, "index", sounds, "--run", "dual", "--plain").stdout
    assert shown == f"index my_sounds: 3 files, 29 s in 5 windows ({workspace}/index/my_sounds)\n3 new\n"
