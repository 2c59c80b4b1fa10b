"""Tables and arrays as other programs leave them: wide, with too many columns, without ids."""

import csv
import json
import zipfile

import numpy as np
import pytest

from atrkit.cli.app import main
from atrkit.metrics.ranking import evaluate
from atrkit.score_matrix import ScoreMatrix
from tests.cli.foreign_files import run

CLIPS = ("rain, heavy.wav", "dog.wav", "sea.wav")
CAPTIONS = tuple(f"{clip}#{n}" for clip in CLIPS for n in (1, 2))
TEXTS = tuple(f"Words, of {caption}" for caption in CAPTIONS)
OWN = tuple(caption.partition("#")[0] for caption in CAPTIONS)
SCORES_AC = np.random.default_rng(3).normal(size=(3, 6))


def table(path, rows, delimiter=","):
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


@pytest.fixture
def truth(tmp_path):
    return table(tmp_path / "t.csv", [("caption_id", "clip_id", "caption"), *zip(CAPTIONS, OWN, TEXTS, strict=True)])


def error(path, truth, code=5):
    return run("--scores", path, "--truth", truth, code=code).stderr.splitlines()[-1].removeprefix("atrkit: ")


def pairs(*more_columns):
    """Rows of pairs, with more columns than are needed."""
    rows = [
        (clip, caption, SCORES_AC[a, c], *(0 for _ in more_columns))
        for a, clip in enumerate(CLIPS)
        for c, caption in enumerate(CAPTIONS)
    ]
    return [("clip", "caption", "score", *more_columns), *rows]


@pytest.mark.parametrize("delimiter", ",;\t")
@pytest.mark.parametrize("corner", ["", "clip"])
@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("names", [CAPTIONS, TEXTS])
def test_a_wide_table_gives_the_figures_of_its_matrix(delimiter, corner, is_turned, names, truth, tmp_path):
    rows, heads, scores = (names, CLIPS, SCORES_AC.T) if is_turned else (CLIPS, names, SCORES_AC)
    lines = [(corner, *heads), *((name, *values) for name, values in zip(rows, scores.tolist(), strict=True))]
    done = run("--scores", table(tmp_path / "w.csv", lines, delimiter), "--truth", truth, "--json")
    found, expected = json.loads(done.stdout), evaluate(ScoreMatrix(SCORES_AC, CLIPS, CAPTIONS, OWN))
    for direction, figures in expected.items():
        assert {name: found[direction][name] for name in figures} == pytest.approx(figures)
    assert ("its rows are captions and its columns clips: turned" in done.stderr) == is_turned


def test_a_wide_table_larger_than_what_is_looked_at_first(tmp_path):
    captions = [f"{'x' * 100}#{c}" for c in range(1000)]
    truth = table(tmp_path / "t.csv", [("caption_id", "clip_id"), *((caption, "a") for caption in captions)])
    path = table(tmp_path / "w.csv", [("", *captions), ("a", *range(1000))])
    assert json.loads(run("--scores", path, "--truth", truth, "--json").stdout)["text_to_audio"]["queries"] == 1000
    (tmp_path / "s.csv").write_text(" ".join(["1.000000000000000000e+00"] * 5000))
    assert "numbers without ids (as np.savetxt writes them)" in error(tmp_path / "s.csv", truth)


def test_a_wrong_cell_of_a_wide_table_is_named(truth, tmp_path):
    rows = [("", *CAPTIONS), *((clip, *values) for clip, values in zip(CLIPS, SCORES_AC.tolist(), strict=True))]
    rows[2] = ("dog.wav", 1, 2, "high", 4, 5, 6)
    assert ":3: column 'dog.wav#1': 'high' is no number" in error(table(tmp_path / "w.csv", rows), truth)
    rows[2] = ("dog.wav", 1, 2, "nan", 4, 5, 6)
    assert ":3: column 'dog.wav#1': the score is NaN" in error(table(tmp_path / "w.csv", rows), truth, code=8)
    rows[2] = ("dog.wav", 1, 2)
    assert ":3: 3 columns where the header has 7" in error(table(tmp_path / "w.csv", rows), truth)


@pytest.mark.parametrize("delimiter", [",", " ", "\t"])
def test_numbers_alone_are_refused_with_the_way_out(delimiter, truth, tmp_path):
    np.savetxt(tmp_path / "s.csv", SCORES_AC, delimiter=delimiter)
    assert "np.savetxt" in (said := error(tmp_path / "s.csv", truth)) and "np.savez(FILE, scores=" in said


def test_two_columns_that_may_be_the_scores_are_refused(truth, tmp_path):
    said = error(table(tmp_path / "p.csv", pairs("Similarity")), truth)
    assert "columns 'score' and 'Similarity' may all hold the scores" in said


def test_columns_that_nobody_reads_are_said(truth, tmp_path):
    path = table(tmp_path / "p.csv", [("", *row) for row in pairs("fold", "model")])
    assert (
        "p.csv: columns not read: fold, model, and 1 without a name\n" in run("--scores", path, "--truth", truth).stderr
    )
    rows = [(at, caption, *CLIPS) for at, caption in enumerate(CAPTIONS)]
    path = table(tmp_path / "s.csv", [("", "caption", *(f"file_name_{n}" for n in (1, 2, 3))), *rows])
    assert "s.csv: columns not read: 1 without a name\n" in run("--scores", path, "--truth", truth).stderr


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("clip,caption,distance", "'distance' is lower where a pair fits better: write its negative as score"),
        ("clip,words,score", "there is no column of captions (caption_id, query_id"),
        ("wav,caption,score", "there is no column of clips (clip_id, clip"),
        ("clip,caption,value", "there is no column of scores (score, similarity"),
    ],
)
def test_a_table_of_pairs_without_one_column_says_which(header, message, truth, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(f"{header}\na,b,1\n")
    assert f"p.csv:1: {message}" in (said := error(path, truth)) or message in said


def test_an_array_without_ids_names_both_files_at_once(truth, tmp_path):
    np.save(tmp_path / "s.npy", SCORES_AC)
    said = error(tmp_path / "s.npy", truth, code=3)
    assert "s.clips.txt" in said and "s.captions.csv" in said and "np.savez(" in said
    (tmp_path / "s.clips.txt").write_text("\n".join(CLIPS))
    said = error(tmp_path / "s.npy", truth, code=3)
    assert "s.clips.txt" not in said and "s.captions.csv is not there" in said


def test_a_file_of_torch_save_is_called_so(truth, tmp_path):
    with zipfile.ZipFile(tmp_path / "s.pt", "w") as archive:  # as torch lays it out
        archive.writestr("s/data.pkl", b"")
        archive.writestr("s/data/0", b"")
    said = error(tmp_path / "s.pt", truth)
    assert "is a file of torch.save" in said and "scores=t.numpy()" in said


def test_a_run_of_the_other_direction_is_recognised(truth, tmp_path):
    lines = [
        f"{clip.replace(' ', '%20')} Q0 {CAPTIONS[c].replace(' ', '%20')} 1 {c} x" for clip in CLIPS for c in (0, 2)
    ]
    (tmp_path / "a2t.run").write_text("\n".join(lines))
    assert "queries are clips of" in (said := error(tmp_path / "a2t.run", truth)) and "audio to text" in said


@pytest.fixture
def vectors(truth, tmp_path):
    """Files of clips, of captions, and of captions that say whose they are."""
    emb_CD = np.random.default_rng(1).normal(size=(6, 4))
    np.savez(tmp_path / "clips.npz", embeddings=emb_CD[::2], ids=CLIPS)
    np.savez(tmp_path / "texts.npz", embeddings=emb_CD, ids=CAPTIONS)
    np.savez(tmp_path / "own.npz", embeddings=emb_CD, ids=CAPTIONS, clip_of_caption=OWN)
    return tmp_path


def test_the_title_of_embeddings_names_both_files(vectors, truth):
    done = run("--embeddings", vectors / "clips.npz", vectors / "own.npz")
    assert done.stdout.startswith("clips.npz and own.npz\n")
    result = json.loads(run("--embeddings", vectors / "clips.npz", vectors / "own.npz", "--json").stdout)
    assert (result["run"], result["source"]["captions"]["path"]) == (
        "clips.npz and own.npz",
        str(vectors / "own.npz"),
    )


def test_whose_caption_is_whose_may_be_said_in_the_captions_file(vectors, truth):
    done = run("--embeddings", vectors / "clips.npz", vectors / "texts.npz", code=2)
    assert "or save clip_of_caption= (the clip id of each) in the .npz of the captions" in done.stderr
    by_truth = run("--embeddings", vectors / "clips.npz", vectors / "texts.npz", "--truth", truth, "--json")
    by_itself = run("--embeddings", vectors / "clips.npz", vectors / "own.npz", "--json")
    figures = [json.loads(done.stdout)["text_to_audio"] for done in (by_truth, by_itself)]
    assert figures[0] == figures[1]


def test_one_file_of_embeddings_is_too_few(vectors, monkeypatch, capsys):
    done = run("--embeddings", vectors / "clips.npz", "--plain", code=2)
    assert "--embeddings takes two files, CLIPS CAPTIONS, and --plain is an option" in done.stderr
    monkeypatch.setattr("sys.argv", ["atrkit", "eval", "--embeddings", str(vectors / "clips.npz")])
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == (
        "atrkit: Option '--embeddings' requires 2 arguments: CLIPS CAPTIONS (see atrkit --help)\n"
    )
