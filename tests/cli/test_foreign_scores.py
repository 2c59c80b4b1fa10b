"""`atrkit eval --scores` and `--embeddings` as a user types them: every format gives the figures of the matrix."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.datasets.clip import Caption, Clip
from atrkit.datasets.manifest import Dataset, save_dataset
from atrkit.exchange.write_trec import trec_id
from atrkit.metrics.ranking import evaluate
from atrkit.store import Calibration, save_scores
from atrkit.store.clip_embeddings import Embeddings
from atrkit.store.embeddings import save_embeddings
from tests.cli.foreign_files import error, figures, npz, run, small_matrix, write_pairs, write_truth, written

FORMATS = ("h5", "npz", "compressed npz", "npy", "table of ids", "table of texts", "tabs", "run")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_gives_the_figures_of_the_matrix(form, tmp_path):
    matrix = small_matrix()
    path, truth = written(tmp_path, form, matrix), write_truth(tmp_path / "truth.csv", matrix, shuffled=True)
    before = sorted(tmp_path.rglob("*"))
    found = figures("--scores", path, "--truth", truth)
    for direction, expected in evaluate(matrix).items():
        assert {name: found[direction][name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found["pool_id"] == matrix.pool_id
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


@pytest.mark.parametrize("form", ["h5", "npz", "compressed npz", "npy"])
def test_files_that_say_whose_caption_is_whose_need_no_truth(form, tmp_path):
    matrix = small_matrix(1)
    found = figures("--scores", written(tmp_path, form, matrix))
    assert found["audio_to_text"]["MnR"] == pytest.approx(evaluate(matrix)["audio_to_text"]["MnR"], abs=1e-12)


@pytest.mark.parametrize("form", FORMATS)
def test_the_order_of_rows_and_columns_is_nothing(form, tmp_path):
    matrix, rng = small_matrix(2), np.random.default_rng(5)
    rows, columns = rng.permutation(len(matrix.clip_ids)), rng.permutation(len(matrix.caption_ids))
    shuffled = ScoreMatrix(
        matrix.scores_AC[np.ix_(rows, columns)],
        [matrix.clip_ids[a] for a in rows],
        [matrix.caption_ids[c] for c in columns],
        [matrix.clip_of_caption[c] for c in columns],
    )
    truth = write_truth(tmp_path / "truth.csv", matrix)
    both = []
    for name, each in (("one", matrix), ("other", shuffled)):
        (tmp_path / name).mkdir()
        both.append(figures("--scores", written(tmp_path / name, form, each), "--truth", truth))
    assert both[0]["pool_id"] == both[1]["pool_id"]
    for direction in ("text_to_audio", "audio_to_text"):
        assert both[0][direction].pop("tie_bounds") and both[1][direction].pop("tie_bounds")
        assert both[0][direction] == pytest.approx(both[1][direction], abs=1e-12)


@pytest.mark.parametrize("form", ["npz", "npy"])
def test_two_files_of_embeddings_give_the_figures_of_their_cosines(form, tmp_path):
    matrix, rng = small_matrix(3), np.random.default_rng(6)
    scores_AC = rng.normal(size=matrix.scores_AC.shape)
    scores_AC /= np.linalg.norm(scores_AC, axis=0)  # cosines of unit vectors along the axes with the columns
    expected = evaluate(ScoreMatrix(scores_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption))
    clips, captions = 3.0 * np.eye(len(matrix.clip_ids)), scores_AC.T * 0.5
    if form == "npz":
        np.savez(tmp_path / "a.npz", embeddings=clips, ids=np.array(matrix.clip_ids))
        whose = np.array(matrix.clip_of_caption)
        np.savez(tmp_path / "t.npz", embeddings=captions, ids=np.array(matrix.caption_ids), clip_of_caption=whose)
    else:
        np.save(tmp_path / "a.npy", clips)
        np.save(tmp_path / "t.npy", captions)
        (tmp_path / "a.clips.txt").write_text("\n".join(matrix.clip_ids))
        write_truth(tmp_path / "t.captions.csv", matrix)
        order = {caption: row for row, caption in enumerate(matrix.caption_ids)}
        np.save(tmp_path / "t.npy", captions[[order[caption] for caption in sorted(matrix.caption_ids)]])
    found = figures("--embeddings", tmp_path / f"a.{form}", tmp_path / f"t.{form}")
    for direction, of_matrix in expected.items():
        assert {name: found[direction][name] for name in of_matrix} == pytest.approx(of_matrix, abs=1e-12)


def test_losses_of_a_score_file_can_be_scaled(tmp_path):
    loss_AC = [[1.7, 8.4, 8.1], [2.1, 7.6, 8.5], [2.0, 8.3, 6.5]]  # paper 004, table 3
    matrix = ScoreMatrix(-np.array(loss_AC), ["A1", "A2", "A3"], ["C1", "C2", "C3"], ["A1", "A2", "A3"])
    calibration = Calibration([[1.0, 9.0, 9.0], [3.0, 7.0, 7.0]], ["k1", "k2"])
    about = {"dataset": "ours", "split": "eval", "scoring": "cross_entropy"}
    save_scores(tmp_path / "s.h5", matrix, about, calibration=calibration)
    results = json.loads(
        run("--scores", tmp_path / "s.h5", "--scaling", "none,minmax,minmax-calib,pmi", "--json").stdout
    )
    assert [result["column_scaling"] for result in results] == ["none", "minmax", "minmax-calib", "pmi"]
    assert [round(result["audio_to_text"]["R@1"], 3) for result in results[:2]] == [0.333, 1.0]
    assert (results[1]["dataset"], results[1]["split"], results[1]["scoring"]) == ("ours", "eval", "cross_entropy")
    save_scores(tmp_path / "cosines.h5", matrix, {"scoring": "cosine"})
    assert "--scaling is of losses" in error("--scores", tmp_path / "cosines.h5", "--scaling", "minmax", code=2)
    write_truth(tmp_path / "t.csv", matrix)
    assert "--scaling is of losses" in error(
        "--scores", write_pairs(tmp_path / "p.csv", matrix), "--truth", tmp_path / "t.csv", "--scaling", "pmi", code=2
    )


def test_large_arrays_are_read_in_blocks_with_the_same_figures(tmp_path, monkeypatch):
    matrix = small_matrix(4)
    truth = write_truth(tmp_path / "truth.csv", matrix, shuffled=True)
    paths = [written(tmp_path, form, matrix) for form in ("h5", "npz", "npy")]
    at_once = [figures("--scores", path, "--truth", truth) for path in paths]
    for module in ("detect", "numpy_files"):
        monkeypatch.setattr(f"atrkit.exchange.{module}.LARGEST_IN_MEMORY_BYTES", 100)
    monkeypatch.setattr("atrkit.score_matrix._BLOCK_BYTES", 8 * 3 * len(matrix.caption_ids))  # three rows
    monkeypatch.setattr("numpy.lib.format.read_array", lambda file, **_: _only_ids(file))
    assert [figures("--scores", path, "--truth", truth) for path in paths] == at_once


def _only_ids(file):
    version = np.lib.format.read_magic(file)
    assert version == (1, 0)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    assert dtype.kind == "U", "an array of numbers is read as a whole"
    return np.frombuffer(file.read(), dtype=dtype).reshape(shape)


def test_a_nan_in_a_large_array_names_file_and_pair(tmp_path, monkeypatch):
    matrix = small_matrix()
    path = written(tmp_path, "npz", matrix)
    scores_AC = matrix.scores_AC.copy()
    scores_AC[4, 2] = np.nan
    with np.load(path) as there:
        np.savez(path, **{**there, "scores": scores_AC})
    for limit in (100, 10**6):
        monkeypatch.setattr("atrkit.exchange.numpy_files.LARGEST_IN_MEMORY_BYTES", limit)
        message = error("--scores", path, code=8)
        assert str(path) in message and repr(matrix.caption_ids[2]) in message and "1 of" in message


def test_a_table_may_have_what_excel_leaves_and_semicolons(tmp_path):
    matrix = small_matrix()
    truth = write_truth(tmp_path / "truth.csv", matrix)
    path = write_pairs(tmp_path / "p.csv", matrix, delimiter=";")
    truth.write_bytes(b"\xef\xbb\xbf" + truth.read_bytes())
    lines = path.read_bytes().replace(b"\r", b"").replace(b"\n", b"\n\n", 1)
    path.write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    done = run("--scores", path, "--truth", truth, "--json")
    assert json.loads(done.stdout)["text_to_audio"]["R@1"] == evaluate(matrix)["text_to_audio"]["R@1"]
    assert "columns are separated by ';'" in done.stderr and "1 blank lines were skipped" in done.stderr


def a_run(tmp_path, *lines):
    (tmp_path / "s.run").write_text("".join(f"{line}\n" for line in lines))
    return tmp_path / "s.run"


def test_a_run_is_judged_by_qrels_alone(tmp_path):
    tied = ["q2 Q0 c 1 7 x", "q2 Q0 d 2 7 x", "q2 Q0 a%20b 3 1 x"]
    path = a_run(tmp_path, "q1 Q0 a%20b 1 0.9 x", "q1 Q0 c 2 0.8 x", *tied, "q3 Q0 c 1 1 x")
    (tmp_path / "q.qrels").write_text("q1 0 a%20b 1\nq1 0 d 1\nq2 0 d 1\nq2 0 c 0\n")
    words = ["--qrels", tmp_path / "q.qrels", "--json", "-k", "1,2,3"]
    done = run("--scores", path, *words)
    result = json.loads(done.stdout)
    assert "1 lists are of captions that are not in q.qrels" in done.stderr
    to_audio = result["text_to_audio"]
    assert (to_audio["queries"], to_audio["candidates"]) == (2, 3), "gallery: a b, c, d"
    assert (to_audio["R@1"], to_audio["R@2"], to_audio["R@3"]) == (0.75, 1.0, 1.0), "q2 ties"
    assert to_audio["fractional_R@2"] == 0.75 and to_audio["MedR"] == 1.25
    assert result["audio_to_text"] is None and result["hubness"] is None
    listed = {"least": 2, "most": 3, "relevant": 3, "relevant_not_listed": 1, "cut_in_ties": 0}
    assert result["listed"] == listed
    cut = json.loads(run("--scores", a_run(tmp_path, *tied[:2], "q1 Q0 a%20b 1 0.9 x"), *words).stdout)
    assert cut["listed"]["cut_in_ties"] == 1 and cut["text_to_audio"]["R@1"] is None, "a b may tie with c and d"
    assert result["relevance"]["queries"] == 2


def test_a_run_that_lists_the_same_clips_for_all_is_still_lists(tmp_path):
    path = a_run(tmp_path, "q1 0 a 1 0.9 x", "q1 0 b 2 0.8 x")
    (tmp_path / "q.qrels").write_text("q1 0 a 1\nq1 0 c 1\n")
    to_audio = json.loads(run("--scores", path, "--qrels", tmp_path / "q.qrels", "--json").stdout)["text_to_audio"]
    assert (to_audio["candidates"], to_audio["R@1"], to_audio["fractional_R@1"]) == (3, 1.0, 0.5)
    assert to_audio["mAP@10"] == pytest.approx((1 + 2 / 3) / 2), "c can only be third"


def test_lists_in_which_the_same_words_count_have_no_ceiling(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,caption\na,Rain.\nb,rain\nc,dog\n")
    path = a_run(tmp_path, *(f"{q}#1 Q0 {clip} 1 {s} x" for q in "abc" for s, clip in ((2, "b"), (1, "c"))))
    words = ("--scores", path, "--truth", tmp_path / "t.csv", "--json")
    plain, dedup = (json.loads(run(*words, *more).stdout) for more in ([], ["--dedup", "text"]))
    assert plain["duplicate_captions"]["ceiling_text_to_audio_R1"] == pytest.approx(2 / 3)
    assert dedup["duplicate_captions"]["ceiling_text_to_audio_R1"] == 1
    assert (plain["text_to_audio"]["R@1"], dedup["text_to_audio"]["R@1"]) == (
        pytest.approx(1 / 3),
        pytest.approx(2 / 3),
    )


def test_columns_that_are_not_read_are_said(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,caption\na,one\nb,two\n")
    (tmp_path / "s.tsv").write_text("fid\tquery\tfname_2\tfname_1\n7\tone\tb\ta\n8\ttwo\ta\tb\n")
    done = run("--scores", tmp_path / "s.tsv", "--truth", tmp_path / "t.csv", "--json")
    assert json.loads(done.stdout)["text_to_audio"]["R@1"] == 1.0
    assert "columns not read: fid" in done.stderr


def test_figures_below_the_lists_are_not_known(tmp_path):
    clips = [f"clip{number}" for number in range(20)]
    lines = [f"{clip}#1 Q0 clip{(n + k) % 20} {k} {-k} x" for n, clip in enumerate(clips) for k in range(4)]
    (tmp_path / "t.csv").write_text("file_name,caption_1\n" + "".join(f"{clip},{clip} sounds\n" for clip in clips))
    words = ("--truth", tmp_path / "t.csv", "-k", "1,4,5", "--ci")
    to_audio = json.loads(run("--scores", a_run(tmp_path, *lines), *words, "--json").stdout)["text_to_audio"]
    assert (to_audio["R@1"], to_audio["R@5"], to_audio["mAP@10"], to_audio["MnR"]) == (1, 1, 1, 1), "all are listed"
    lines = [line for line in lines if not line.startswith(("clip0#1 Q0 clip0 ", "clip1#1 Q0 clip1 "))]
    result = json.loads(run("--scores", a_run(tmp_path, *lines), *words, "--json").stdout)
    to_audio = result["text_to_audio"]
    known = ("R@1", "R@4", "R@5", "mAP@10", "mAP@16", "MedR", "MnR", "tied_queries")
    assert [to_audio[name] for name in known] == [0.9, None, None, None, None, 1.0, None, 0]
    assert "R@1" in to_audio["ci"] and not {"R@5", "mAP@10", "MnR"} & to_audio["ci"].keys()
    assert result["listed"] == {"least": 3, "most": 4, "relevant": 20, "relevant_not_listed": 2, "cut_in_ties": 0}
    row = next(
        line for line in run("--scores", tmp_path / "s.run", *words, "--plain").stdout.splitlines() if "text to" in line
    )
    assert row.split() == ["text", "to", "audio", "90.0", "-", "-", "-", "1.0", "-"]


def test_ranks_that_contradict_the_scores_are_said(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,caption\na,one\nb,two\n")
    path = a_run(tmp_path, "a#1 Q0 b 1 1 x", "a#1 Q0 a 2 9 x", "b#1 Q0 b 1 9 x", "b#1 Q0 a 2 1 x")
    done = run("--scores", path, "--truth", tmp_path / "t.csv", "--json")
    assert "the ranks of 1 queries are not in the order of their scores: the scores are taken" in done.stderr
    assert json.loads(done.stdout)["text_to_audio"]["R@1"] == 1.0


def test_a_table_of_the_best_few_is_lists(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,caption\na,one\nb,two\nc,three\n")
    (tmp_path / "p.csv").write_text("query,fname,sim\none,a,2\none,b,1\ntwo,c,2\ntwo,b,1\nthree,a,1\nthree,b,0\n")
    done = run("--scores", tmp_path / "p.csv", "--truth", tmp_path / "t.csv", "-k", "1,2,3", "--json")
    to_audio = json.loads(done.stdout)["text_to_audio"]
    assert "lists of the best 2 clips: 3 pairs are not listed (which is no 0)" in done.stderr
    assert [to_audio[f"R@{k}"] for k in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert to_audio["MedR"] == 2.0 and to_audio["MnR"] == 2.0, "three's clip can only be third"
    message = error("--scores", tmp_path / "p.csv", "--truth", tmp_path / "t.csv", "--protocol", "mteb", code=2)
    assert "--protocol needs every score" in message


def test_one_text_of_several_captions_goes_by_its_rows(tmp_path):
    (tmp_path / "t.csv").write_text("file_name,caption\na,rain\nb,Rain!\nc,rain\n")
    head = "caption,fname_1,fname_2\n"
    (tmp_path / "s.csv").write_text(head + "rain,a,b\nRain!,b,a\nrain,c,a\n")
    done = run("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.csv", "--json")
    assert json.loads(done.stdout)["text_to_audio"]["R@1"] == 1.0
    assert "2 captions share their text with another: the k-th row with a text" in done.stderr
    (tmp_path / "s.csv").write_text(head + "rain,a,c\nRain!,b,a\n")
    done = run("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.csv", "--json")
    assert json.loads(done.stdout)["text_to_audio"]["R@1"] == pytest.approx(2 / 3)
    assert "2 captions share their text with another and are listed once" in done.stderr
    (tmp_path / "s.csv").write_text(head + "rain,a,c\nRain!,b,a\n" + 2 * "rain,c,a\n")
    message = error("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.csv", code=5)
    assert "'rain' occurs 3 times, and 2 captions" in message
    (tmp_path / "s.csv").write_text(head + "rain,a,c\nRain!,b,a\nrain,c,a\n")
    dedup = json.loads(
        run("--scores", tmp_path / "s.csv", "--truth", tmp_path / "t.csv", "--dedup", "text", "--json").stdout
    )
    assert dedup["text_to_audio"]["fractional_R@1"] == pytest.approx(1 / 3), "three clips are relevant to each"


@pytest.fixture
def dataset(tmp_path):
    """A dataset with two splits, whose clips lie in folders."""

    def clip(split, number):
        captions = tuple(Caption(f"{split}/{number}.wav#{n}", f"{split} {number} says {n}.") for n in (1, 2))
        return Clip(f"{split}/{number}.wav", f"{number}.wav", "0" * 64, 8000, 800, 1, split, captions)

    clips = tuple(clip(split, number) for split in ("dev", "eval") for number in range(6))
    made = Dataset("ours", clips, tmp_path / "workspace" / "data" / "ours")
    made.folder.mkdir(parents=True)
    save_dataset(made)
    return made


def test_a_dataset_of_the_workspace_says_whose_caption_is_whose(dataset, tmp_path):
    clips = dataset.split("eval")
    captions = [(caption.id, clip.id) for clip in clips for caption in clip.captions]
    matrix = ScoreMatrix(
        np.random.default_rng(0).normal(size=(len(clips), len(captions))).round(1),
        [clip.id for clip in clips],
        [caption for caption, _ in captions],
        [clip for _, clip in captions],
    )
    words = ("--dataset", "ours", "--workspace", tmp_path / "workspace")
    path = write_pairs(tmp_path / "p.csv", matrix)
    result = json.loads(run("--scores", path, *words, "--json").stdout)
    assert result["text_to_audio"]["R@1"] == evaluate(matrix)["text_to_audio"]["R@1"]
    assert (result["dataset"], result["split"], result["run"]) == ("ours", "eval", "p.csv")
    assert result["duplicate_captions"]["of"] == len(captions), "texts are known"
    assert "p.csv on ours/eval" in run("--scores", path, *words).stdout
    path.write_text(path.read_text().replace("\neval/", "\n"))
    by_file_name = run("--scores", path, *words, "--json")
    assert json.loads(by_file_name.stdout)["pool_id"] == result["pool_id"] == matrix.pool_id
    assert "6 of 6 clips were found by their file name" in by_file_name.stderr
    assert "12 of 12 captions are not in ours/dev" in error("--scores", path, *words, "--split", "dev", code=5)


def test_a_clip_without_captions_is_in_the_gallery_too(dataset, tmp_path):
    lonely = replace(dataset.split("eval")[0], id="eval/lonely.wav", captions=())
    save_dataset(replace(dataset, clips=(*dataset.clips, lonely)))
    words = ("--dataset", "ours", "--workspace", tmp_path / "workspace", "--json")
    whose = {caption.id: clip.id for clip in dataset.split("eval") for caption in clip.captions}
    clips = [clip.id for clip in dataset.split("eval")]
    arrays = {"caption_ids": np.array(list(whose)), "clip_of_caption": np.array(list(whose.values()))}
    path = npz(tmp_path / "s.npz", scores=np.ones((6, 12)), clip_ids=np.array(clips), **arrays)
    assert "1 clips of ours/eval have no score, the first 'eval/lonely.wav'" in error("--scores", path, *words, code=5)
    npz(path, scores=np.ones((7, 12)), clip_ids=np.array([*clips, lonely.id]), **arrays)
    result = json.loads(run("--scores", path, *words).stdout)
    assert (result["text_to_audio"]["candidates"], result["audio_to_text"]["skipped_queries"]) == (7, 1)


def test_judged_captions_alone_need_a_list(dataset, tmp_path):
    words = ("--dataset", "ours", "--workspace", tmp_path / "workspace", "--json")
    path = a_run(tmp_path, "eval/0.wav#1 Q0 eval/3.wav 1 9 x", "eval/0.wav#1 Q0 eval/0.wav 2 8 x")
    assert "11 captions of ours/eval have no score" in error("--scores", path, *words, code=5)
    (tmp_path / "q.tsv").write_text("query-id\tcorpus-id\tscore\neval/0.wav#1\teval/0.wav\t1\n")
    to_audio = json.loads(run("--scores", path, *words, "--qrels", tmp_path / "q.tsv").stdout)["text_to_audio"]
    assert (to_audio["R@1"], to_audio["MedR"], to_audio["candidates"], to_audio["queries"]) == (0.0, 2.0, 6, 1)


def test_our_own_embeddings_are_the_clips_of_an_encoder_elsewhere(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    clips = tuple(f"clip{number}" for number in range(5))
    stored = Embeddings(clips, clips, vectors, np.arange(6), vectors, None, (), {"encoder": "ours"})
    save_embeddings(tmp_path / "a.h5", stored)
    captions, whose = np.array(["x", "y", "z", "u", "v"]), np.array(clips)[[4, 1, 2, 0, 3]]
    np.savez(tmp_path / "t.npz", embeddings=vectors[[4, 1, 2, 0, 3]], ids=captions, clip_of_caption=whose)
    found = figures("--embeddings", tmp_path / "a.h5", tmp_path / "t.npz")
    assert found["text_to_audio"]["R@1"] == found["audio_to_text"]["R@1"] == 1.0, "each has its clip's own vector"
    assert "holds no embeddings that can be read" in error("--embeddings", tmp_path / "a.h5", tmp_path / "a.h5", code=5)
    save_scores(tmp_path / "s.h5", small_matrix())
    assert "s.h5" in error("--embeddings", tmp_path / "s.h5", tmp_path / "t.npz", code=5)
    assert "a.h5" in error("--scores", tmp_path / "a.h5", code=5)


def test_many_cosines_are_computed_in_blocks(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    captions = rng.normal(size=(40, 3)).round()[rng.integers(0, 40, size=90)] + 0.5  # many are the same
    np.savez(tmp_path / "a.npz", embeddings=rng.normal(size=(20, 3)), ids=np.arange(20))
    np.savez(tmp_path / "t.npz", embeddings=captions, ids=np.arange(90), clip_of_caption=np.arange(90) % 20)
    at_once = figures("--embeddings", tmp_path / "a.npz", tmp_path / "t.npz")
    assert at_once["audio_to_text"]["tied_queries"]
    monkeypatch.setattr("atrkit.workflows.foreign_embeddings.LARGEST_IN_MEMORY_BYTES", 100)
    monkeypatch.setattr("atrkit.score_matrix._BLOCK_BYTES", 8 * 90 * 7)
    assert figures("--embeddings", tmp_path / "a.npz", tmp_path / "t.npz") == at_once


def test_torch_is_not_imported(tmp_path):
    path = npz(tmp_path / "s.npz")
    code = f"""
import sys
from typer.testing import CliRunner
from atrkit.cli.app import app
done = CliRunner().invoke(app, ["eval", "--scores", {str(path)!r}, "--json", "--ci"])
assert done.exit_code == 0, done.stderr
assert not {{"torch", "transformers", "librosa"}} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_result_names_file_and_hash(tmp_path):
    path = npz(tmp_path / "s.npz")
    result = json.loads(run("--scores", path, "--json").stdout)
    assert result["source"] == {
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": "npz matrix",
    }
    assert (result["metric"], result["dataset"], result["target"], result["precision"]) == ("recall", None, None, None)
    assert trec_id("a b") == "a%20b"
