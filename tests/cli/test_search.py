"""`atrkit search`: what is found is what a loop over windows finds, and a user is told what went on."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from atrkit.audio.read import load_mono
from atrkit.cli.app import app
from atrkit.encoders import load_encoder
from atrkit.models import Captioner, DualEncoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.recipe.load import load_recipe
from atrkit.search import searcher
from atrkit.search.approximate import INSTALL_COMMAND, is_faiss_there
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import rerank_hits, search_approximate
from atrkit.workflows import search as workflows_search
from atrkit.workflows.run_folder import RunFolder
from tests.tiny_recipes import dual_encoder_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RATE_HZ = 16000
WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "a", "bell", "rings", "low", "high", "tone")
RECIPE = dual_encoder_recipe(epochs=2)
CAPTIONER = """\
source: ours, small enough for a test
data: {dataset: tiny, train: dev, test: eval}
encoder: {name: logmel}
model: {name: transformer_captioner}
loss: {name: cross_entropy}
optimizer: {name: adamw, lr: 1e-3}
training: {epochs: 1, batch_size: 4, keep_best: last}
"""


def atrkit(workspace: Path, *words: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, words), "--workspace", str(workspace)], env={"COLUMNS": "80"})
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result


def tone(seconds: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return 0.2 * np.sin(1500 * time_s * (1 + 0.7 * (seed % 5))) + 0.02 * generator.standard_normal(len(time_s))


def make_captioner(root: Path) -> None:
    """A finished run of a captioner that was never trained, and whose words depend strongly on the clip."""
    stored = load_embeddings(root / "embeddings" / "tiny" / "logmel.h5")
    (root / "captioner.yaml").write_text(CAPTIONER)
    run = RunFolder(root / "runs" / "captioner" / "seed-1")
    run.start(load_recipe(root / "captioner.yaml"), {"dataset": "tiny", "clips": {}, "embeddings": stored.provenance})
    with seeded_initialisation(15):
        decoder = TransformerDecoder(len(WORDS), dim=16, num_layers=1, num_heads=2, ff_dim=16)
        captioner = Captioner(stored.frames_NF.shape[1], WORDS, decoder, standardise=True)
    with torch.no_grad():
        for name, weight in captioner.named_parameters():
            if name.endswith(("classifier.weight", "projection.1.weight", "cross_out.weight")):
                weight.mul_(3.0)
    captioner.fit_standardisation(torch.from_numpy(stored.frames_NF.astype(np.float32)))
    captioner.save_pretrained(run.path)
    facts = {"dataset": "tiny", "train_split": "dev", "test_split": "eval", "model": "transformer_captioner"}
    run.finish({"run": "captioner/seed-1", **facts, "checkpoint": stored.notes["checkpoint"]})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a dual encoder, a captioner, and the index `sounds` of a folder with long and short files."""
    root = tmp_path_factory.mktemp("workspace")
    clips = root / "clips"
    clips.mkdir()
    lines = ["file_name,caption_1,split"]
    for number in range(30):
        soundfile.write(clips / f"{number:02}.wav", tone(0.5, number), RATE_HZ)
        split = "dev" if number < 20 else "val" if number < 25 else "eval"
        pitch = ("low", "middle", "high", "shrill", "piercing")[number % 5]
        lines.append(f"{number:02}.wav,a {pitch} tone rings,{split}")
    (clips / "captions.csv").write_text("\n".join(lines) + "\n")
    atrkit(root, "import", clips, "--name", "tiny")
    (root / "dual.yaml").write_text(RECIPE)
    atrkit(root, "train", root / "dual.yaml", "--name", "dual")
    make_captioner(root)
    sounds = root / "sounds"
    (sounds / "field").mkdir(parents=True)
    parts = [tone(10.0, 3), tone(10.0, 1), tone(4.0, 2)]
    soundfile.write(sounds / "field" / "long.flac", np.concatenate(parts), RATE_HZ)
    for number in range(12):
        soundfile.write(sounds / f"{number:02}.wav", tone(1.0 + 0.1 * number, 100 + number), RATE_HZ)
    shutil.copy(sounds / "05.wav", sounds / "field" / "copy of 05.wav")
    (sounds / "captions.csv").write_text("file_name,caption_1\n05.wav,a bell somewhere\n")
    atrkit(root, "index", sounds, "--run", "dual", "--name", "sounds")
    return root


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """A copy of one's own; the indexed sounds stay where they are."""
    for name in ("runs", "index"):
        shutil.copytree(made / name, tmp_path / "workspace" / name)
    return tmp_path / "workspace"


@pytest.fixture
def search(made: Path) -> Callable[..., Any]:
    """Run `atrkit search` and give its JSON."""

    def run(*words: object, code: int = 0) -> Any:
        result = atrkit(made, "search", *words, "--json", code=code)
        return json.loads(result.stdout) if code == 0 else result.stderr.splitlines()[-1]

    return run


@pytest.fixture(scope="module")
def windows(made: Path) -> dict[tuple[str, float], np.ndarray]:
    """Vectors by file and start, made by hand: read, cut, encoded, rounded, embedded, one window at a time."""
    model = DualEncoder.from_pretrained(made / "runs" / "dual" / "seed-1")
    encoder = load_encoder("logmel")
    vectors = {}
    for path in sorted((made / "sounds").rglob("*")):
        if path.suffix in (".wav", ".flac") and "copy" not in path.name:
            wave = load_mono(path, encoder.sample_rate_hz)
            seconds = len(wave) / encoder.sample_rate_hz
            starts = [0.0] if seconds <= 10 else [0.0, 10.0, seconds - 10]
            for start_s in starts:
                first = round(start_s * encoder.sample_rate_hz)
                frames = encoder.encode([wave[first : first + 10 * encoder.sample_rate_hz]]).frames[0]
                vectors[str(path), start_s] = model.embed_clips([frames.astype(np.float16).astype(np.float32)])[0]
    return vectors


def embed(made: Path, text: str) -> np.ndarray:
    return DualEncoder.from_pretrained(made / "runs" / "dual" / "seed-1").embed_captions([text])[0]


def best_by_hand(windows, query_D, k: int) -> list[tuple[str, float]]:
    """Each file with the start of its best window, the best file first."""
    scores = sorted(((float(vector_D @ query_D), key) for key, vector_D in windows.items()), reverse=True)
    best: dict[str, float] = {}
    for _, (path, start_s) in scores:
        best.setdefault(path, start_s)
    return list(best.items())[:k]


def found(record: dict[str, Any]) -> list[tuple[str, float]]:
    return [(result["path"], result["start_s"]) for result in record["results"]]


@pytest.mark.parametrize("text", ["a low tone rings", "a shrill tone", "piercing"])
def test_what_is_found_is_what_a_loop_over_all_windows_finds(made, search, windows, text):
    record = search(text, "-k", 13)
    query_D = embed(made, text)
    assert found(record) == best_by_hand(windows, query_D, 13)
    by_hand = [windows[key] @ query_D for key in found(record)]
    assert [result["score"] for result in record["results"]] == pytest.approx(by_hand, abs=1e-5)
    assert (record["query"], record["index"], record["rerank"]) == (text, "sounds", None)
    assert len(search(text, "-k", 4)["results"]) == 4


def test_an_example_and_what_is_not_wanted_are_part_of_the_query(made, search, windows):
    text_D, unwanted_D = embed(made, "a low tone"), embed(made, "a high tone")
    long = str(made / "sounds" / "field" / "long.flac")
    mean_D = np.mean([windows[long, start_s] for start_s in (0.0, 10.0, 14.0)], axis=0)
    like_D = mean_D / np.linalg.norm(mean_D)
    assert found(search("--like", long, "-k", 5)) == best_by_hand(windows, like_D, 5)
    both_D = text_D + like_D
    assert found(search("a low tone", "--like", long, "-k", 5)) == best_by_hand(windows, both_D, 5)
    pushed_D = text_D - 0.5 * unwanted_D
    record = search("a low tone", "--not", "a high tone", "-k", 13)
    assert found(record) == best_by_hand(windows, pushed_D, 13)
    assert record["not"] == ["a high tone"]


@pytest.mark.parametrize(("said", "start_s"), [("@0", 0.0), ("@10", 10.0), ("@14.0", 14.0), ("@20", 14.0)])
def test_an_example_may_be_a_place_in_a_file(made, search, windows, said, start_s):
    long = str(made / "sounds" / "field" / "long.flac")
    record = search("--like", f"{long}{said}", "-k", 1)
    assert found(record) == [(long, start_s)]
    assert record["results"][0]["score"] == pytest.approx(1, abs=1e-4)
    assert record["like"] == [f"{long}{said}"]


def test_a_place_that_is_not_in_the_file_is_refused(made, search):
    long = made / "sounds" / "field" / "long.flac"
    assert "long.flac ends before 24 s" in search("--like", f"{long}@24", code=2)
    for second in ("", "x", "-1", "nan"):
        assert "after @ comes a place in seconds, as in long.flac@12.5" in search("--like", f"{long}@{second}", code=2)
    assert "there is no such file" in search("--like", "none.flac@3", code=2)


def test_several_queries_come_from_a_file_and_give_what_they_give_alone(search, tmp_path):
    file = tmp_path / "queries.txt"
    file.write_text("\ufeffa low tone\n\n  a shrill tone  \n", encoding="utf-8")
    records = search("--queries", file, "-k", 3)
    assert [record["query"] for record in records] == ["a low tone", "a shrill tone"]
    assert [found(record) for record in records] == [
        found(search(text, "-k", 3)) for text in ("a low tone", "a shrill tone")
    ]
    assert isinstance(search("--queries", file, "--like", file.parent / "none.wav", code=2), str)


def test_the_table_fits_into_80_columns_and_says_where_in_the_file_and_what_is_known(made):
    result = atrkit(made, "search", "a high tone", "-k", 13, "--plain")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "a high tone" and lines[1].startswith("files in ")
    row = next(line for line in lines if "long.flac" in line)
    assert any(f" {start} " in f"{row} " for start in ("0:00", "0:10", "0:14"))
    assert any("05.wav" in line and "a bell somewhere" in line for line in lines)
    assert "1 file lies in other places too, with the same content" in result.stdout
    assert "index: sounds (the only one), 14 files" in result.stderr


def test_copies_of_a_file_are_one_hit(made, search):
    of_five = [result for result in search("tone", "-k", 13)["results"] if Path(result["path"]).name == "05.wav"]
    (hit,) = of_five
    assert hit["path"] == str(made / "sounds" / "05.wav")
    assert hit["copies"] == [str(made / "sounds" / "field" / "copy of 05.wav")]
    assert hit["caption"] == "a bell somewhere" and hit["captions"] == ["a bell somewhere"]


def test_words_that_the_model_does_not_know_are_said(made):
    said = atrkit(made, "search", "a zeppelin tone", "--not", "quarrels").stderr
    assert "'zeppelin'" in said and "'quarrels'" in said
    assert "does not know" not in atrkit(made, "search", "a low tone").stderr


def test_a_captioner_puts_the_best_files_in_the_order_of_its_losses(made, search):
    text = "a high tone rings"
    first = search(text, "-k", 6)
    record = search(text, "-k", 4, "--rerank", "captioner", "--rerank-k", 6)
    captioner = Captioner.from_pretrained(made / "runs" / "captioner" / "seed-1")
    encoder = load_encoder("logmel")
    losses = {}
    for path, start_s in found(first):
        wave = load_mono(Path(path), encoder.sample_rate_hz)
        begin = round(start_s * encoder.sample_rate_hz)
        frames = encoder.encode([wave[begin : begin + 10 * encoder.sample_rate_hz]]).frames[0].astype(np.float16)
        losses[path] = loss_by_hand(captioner, frames, text)
    expected = sorted(losses, key=losses.__getitem__)[:4]
    assert [result["path"] for result in record["results"]] == expected
    assert expected != [path for path, _ in found(first)][:4]
    assert [result["score"] for result in record["results"]] == pytest.approx(
        [-losses[path] for path in expected], abs=1e-4
    )
    rerank = record["rerank"]
    assert (rerank["run"], rerank["scoring"], rerank["k"]) == ("captioner/seed-1", "cross_entropy", 6)
    assert rerank["seconds"] > 0


def loss_by_hand(captioner: Captioner, frames_TF: np.ndarray, text: str) -> float:
    """Nats per word and <eos>, one word after the other."""
    captioner.eval()
    frames = Ragged.from_sequences([frames_TF.astype(np.float32)])
    with torch.no_grad():
        frames_BTF, lengths_B = frames.gather(torch.tensor([0]))
        memory = captioner.memory(frames_BTF, lengths_B)
        tokens = [WORDS.index("<bos>"), *(WORDS.index(word) for word in text.split()), WORDS.index("<eos>")]
        total = 0.0
        for length in range(1, len(tokens)):
            words = captioner.decoder.embed_words(torch.tensor([tokens[:length]]))
            logits_V = captioner.decoder(words, memory, lengths_B)[0, -1]
            total -= float(logits_V.log_softmax(0)[tokens[length]])
    return total / (len(tokens) - 1)


def test_the_text_of_a_second_stage_is_normalised_as_captions_were_when_it_learned(search, monkeypatch):
    """Some text sides do that themselves; the tokenizer of a text network does not."""
    heard: list[str] = []
    paired_as_ever = rerank_hits.paired_scores

    def paired_scores(*opened: Any) -> Callable[..., np.ndarray]:
        score = paired_as_ever(*opened)

        def noted(places_N: np.ndarray, captions: Sequence[str]) -> np.ndarray:
            heard.extend(captions)
            return score(places_N, captions)

        return noted

    monkeypatch.setattr(rerank_hits, "paired_scores", paired_scores)
    search("  A HIGH tone, rings!", "-k", 4, "--rerank", "captioner", "--rerank-k", 6)
    assert heard == ["a high tone rings"] * 6


def test_the_seconds_of_a_second_stage_count_reading_and_encoding(search, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rerank_hits, "time", clock)
    read_as_ever = rerank_hits.load_mono_window

    def read(path: Path, *rest: Any) -> np.ndarray:
        clock.now_s += 10  # of hits: one after the other or side by side, the clock stands 60 s later
        return read_as_ever(path, *rest)

    monkeypatch.setattr(rerank_hits, "load_mono_window", read)
    record = search("a high tone rings", "-k", 4, "--rerank", "captioner", "--rerank-k", 6)
    assert record["rerank"]["seconds"] == 60


class Clock:
    """Stands still but for what a test adds."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


def test_what_chose_the_files_and_has_no_part_in_their_order_is_said(made):
    words = ("search", "a high tone rings", "--rerank", "captioner", "--plain")
    sound = made / "sounds" / "05.wav"
    both = " ".join(atrkit(made, *words, "--like", sound, "--not", "a low tone").stdout.split())
    assert "--like and --not count in the choice of these files, not in their order: text alone" in both
    assert "--not counts in the choice" in " ".join(atrkit(made, *words, "--not", "a low tone").stdout.split())
    assert "in the choice" not in atrkit(made, *words).stdout
    assert "in the choice" not in atrkit(made, "search", "a tone", "--not", "a low tone", "--plain").stdout


def test_a_second_stage_that_is_not_there_is_said_before_the_index_is_read(made, monkeypatch):
    def never(*_: Any) -> None:
        raise AssertionError("the index was opened")

    monkeypatch.setattr(workflows_search, "load_index", never)
    said = atrkit(made, "search", "a low tone", "--rerank", "nope", code=2).stderr
    assert said.startswith("atrkit: --rerank nope: no finished run there") and "--run" not in said.replace("--rer", "")


def test_a_second_stage_of_the_first_stages_own_model_changes_nothing(search):
    first, second = search("a low tone", "-k", 5), search("a low tone", "-k", 5, "--rerank", "dual")
    assert found(first) == found(second)
    assert [each["score"] for each in second["results"]] == pytest.approx(
        [each["score"] for each in first["results"]], abs=1e-5
    )


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("context/clotho/moee", "hears with several encoders"),
        ("ac/clotho/resnet38_da_acfi", "reads generated captions of the sounds"),
    ],
)
def test_a_run_that_needs_more_than_one_encoder_gives_cannot_be_the_second_stage(made, workspace, recipe, said):
    run = RunFolder(workspace / "runs" / "other" / "seed-1")
    run.start(load_recipe(RECIPES / f"{recipe}.yaml"), {"dataset": "tiny", "clips": {}, "embeddings": {}})
    run.finish({"run": "other/seed-1", "dataset": "tiny", "test_split": "eval", "checkpoint": None})
    refused = atrkit(workspace, "search", "tone", "--rerank", "other", code=2).stderr.splitlines()[-1]
    assert f"--rerank other/seed-1: that run {said}; take one of" in refused


def test_the_newest_index_is_taken_and_that_is_said(workspace):
    shutil.copytree(workspace / "index" / "sounds", workspace / "index" / "older")
    os.utime(workspace / "index" / "older" / "index.json", ns=(0, 0))
    assert "index: sounds (the newest one), 14 files" in atrkit(workspace, "search", "tone").stderr
    named = atrkit(workspace, "search", "tone", "--index", "older", "--json")
    assert json.loads(named.stdout)["index"] == "older" and "index:" not in named.stderr
    assert "there are: sounds, older" in atrkit(workspace, "search", "tone", "--index", "none", code=2).stderr


def test_without_an_index_the_command_that_makes_one_is_said(tmp_path):
    said = atrkit(tmp_path, "search", "rain", code=3).stderr
    assert said.startswith("atrkit: no index in ") and "make one: atrkit index FOLDER_OF_SOUNDS" in said
    assert len(said.splitlines()) == 1


def test_files_that_are_gone_are_marked(made, workspace, tmp_path):
    sounds = shutil.copytree(made / "sounds", tmp_path / "sounds")
    atrkit(workspace, "index", sounds, "--run", "dual", "--name", "mine")
    (sounds / "03.wav").unlink()
    result = atrkit(workspace, "search", "tone", "-k", 20, "--plain")
    assert "one of the files is no longer where it was" in result.stderr
    assert result.stdout.count("(no longer there)") == 1
    records = json.loads(atrkit(workspace, "search", "tone", "-k", 20, "--json").stdout)["results"]
    assert [Path(each["path"]).name for each in records if not each["is_there"]] == ["03.wav"]
    again = atrkit(workspace, "search", "tone", "-k", 20, "--rerank", "dual", "--json")
    assert "03.wav" in again.stderr and len(json.loads(again.stdout)["results"]) == len(records) - 1


def test_of_a_file_that_is_gone_a_copy_that_is_there_is_given(made, workspace, tmp_path):
    sounds = shutil.copytree(made / "sounds", tmp_path / "sounds")
    atrkit(workspace, "index", sounds, "--run", "dual", "--name", "mine")
    (sounds / "05.wav").unlink()
    result = atrkit(workspace, "search", "tone", "-k", 20, "--json")
    assert "no longer" not in result.stderr
    (hit,) = [each for each in json.loads(result.stdout)["results"] if each["path"].endswith("05.wav")]
    assert hit["path"] == str(sounds / "field" / "copy of 05.wav") and hit["is_there"]
    assert hit["copies"] == [str(sounds / "05.wav")]


def test_what_is_wanted_and_pushed_away_cancels_and_that_is_said(made):
    said = atrkit(made, "search", "a low tone", "--not", "A low tone!").stderr
    assert "'A low tone!' is wanted and pushed away: the two cancel" in said
    assert "cancel" not in atrkit(made, "search", "a low tone", "--not", "a high tone").stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the program is called otherwise here")
def test_the_first_hit_is_opened_by_the_systems_player_without_a_shell(made, tmp_path, monkeypatch):
    programs, told = tmp_path / "bin", tmp_path / "told"
    programs.mkdir()
    os.mkfifo(told)
    (programs / "xdg-open").write_text(f'#!/bin/sh\nprintf "%s|%s" "$#" "$1" > "{told}"\n')
    (programs / "xdg-open").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    name = "a $(touch owned); `touch owned` & 'b'.wav"
    shutil.copy(made / "sounds" / "05.wav", sounds / name)
    shutil.copytree(made / "runs", tmp_path / "workspace" / "runs")
    atrkit(tmp_path / "workspace", "index", sounds, "--run", "dual")
    atrkit(tmp_path / "workspace", "search", "tone", "--open")
    assert told.read_text() == f"1|{sounds / name}"  # waits until the program has written
    assert not list(tmp_path.rglob("owned")) and not Path("owned").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "xdg-utils" in atrkit(tmp_path / "workspace", "search", "tone", "--open", code=3).stderr


@pytest.mark.skipif(not is_faiss_there(), reason=f"faiss is not installed: {INSTALL_COMMAND}")
def test_a_large_index_gets_lists_and_finds_the_same(made, workspace, monkeypatch):
    before = atrkit(workspace, "search", "a low tone", "--json").stdout
    for module in (search_approximate, searcher):
        monkeypatch.setattr(module, "APPROXIMATE_FROM_WINDOWS", 10)
    said = atrkit(workspace, "search", "a low tone").stderr
    assert "search is exact, which takes long with 15 windows" in said
    said = atrkit(workspace, "index", "--name", "sounds").stderr
    assert (
        "approximate search: 4 lists" in said
        and "recall@10 against exact search 1.000 at 25°, 1.000 at 65°, 1.000 at 80°, 1.000 at 85°" in said
    )
    (lists,) = (workspace / "index" / "sounds").glob("approximate-*.faiss")
    record = json.loads((workspace / "index" / "sounds" / "index.json").read_text())["faiss"]
    assert record["name"] == lists.name
    assert "exact" not in atrkit(workspace, "search", "a low tone").stderr
    after = json.loads(atrkit(workspace, "search", "a low tone", "--json").stdout)
    assert after["results"] == json.loads(before)["results"]
    assert "approximate search" not in atrkit(workspace, "index", "--name", "sounds").stderr  # they stay
    lists.write_bytes(b"damaged")
    left = lists.with_name("approximate-000000000000.faiss.part")
    left.write_bytes(b"a killed process left this")
    said = atrkit(workspace, "search", "a low tone").stderr
    assert f"search is exact: {lists.name} is damaged" in said
    assert "approximate search: 4 lists" in atrkit(workspace, "index", "--name", "sounds").stderr
    monkeypatch.setattr(search_approximate, "APPROXIMATE_FROM_WINDOWS", 100)
    atrkit(workspace, "index", "--name", "sounds")
    assert not lists.exists() and not left.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what is to be found"),
        (["  "], "a text without words"),
        (["?!"], "words"),
        (["--not", "rain"], "say what is to be found"),
        (["--like", "none.wav"], "--like none.wav: there is no such file"),
        (["--like", __file__], "test_search.py"),
        (["rain", "--rerank-k", "5"], "--rerank-k 5 of which run"),
        (["rain", "--rerank", "dual", "--rerank-k", "5"], "at least the 10 files of -k"),
        (["rain", "--rerank", "nobody"], "--rerank nobody: no finished run"),
        (["--queries", "none.txt"], "--queries none.txt: it cannot be read"),
        (["rain", "--queries", "none.txt"], "not both"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_in_one_line(made, words, said):
    result = atrkit(made, "search", *words, code=2)
    assert said in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_a_file_of_queries_must_be_text_with_lines(made, tmp_path):
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("\n \n")
    binary.write_bytes(b"rain\xff\xfe")
    assert "holds no query" in atrkit(made, "search", "--queries", empty, code=2).stderr
    assert "not UTF-8 (byte 5)" in atrkit(made, "search", "--queries", binary, code=2).stderr
