"""`atrkit eval --scores` and `--embeddings` with wrong files and words: one line that names file and place."""

import io
import zipfile

import numpy as np
import pytest

from tests.cli.foreign_files import error, npz, small_matrix, written

WRONG_BYTES = {
    b"": "is empty",
    b"<!DOCTYPE html><html>": "is a web page",
    b"\x80\x04\x95\x00": "is a Python pickle",
    b"\x1f\x8b\x08\x00": "is compressed: unpack it first",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file that atrkit did not write",
    b"\x01\x02\x00\x03": "is a binary file of no known kind: tried .h5 of atrkit, .npz and .npy",
    b'{"scores": []}': "is JSON",
    "clip,caption".encode("utf-16"): "is UTF-16",
    b"a,b,c\n1,2,3\n": "'a,b,c' begins no file of scores: tried a table of pairs",
    b"clip,caption,score\n": "only the column names are there",
    b"clip,caption,score\na,one\n": ":2: 2 columns where the header has 3",
    b"clip,caption,score\na,one,good\n": ":2: column 'score': 'good' is no number",
    b"clip;caption;score\na;one;0,9\n": ":2: column 'score': '0,9' is no number: write the decimal sign as a point",
    b"clip,caption,score\na,,1\n": ":2: column 'caption' is empty",
    b"clip,caption,score\n ,one,1\n": ":2: column 'clip' is empty",
    b"clip,caption,score\na,one,1\nb,two,1\na,one,2\n": ":4: caption 'one' with clip 'a' is on line 2 too",
    b"clip,caption,score\na,one,1\nb,one,1\na,two,2\n": "1 of 4 pairs have no score, the first is caption 'two' with",
    b"clip,caption,score\na,on\xe9,1\n": "byte 0xe9 is not UTF-8",
    b"clip,caption,score\na," + b"x" * 200_000 + b",1\n": ":2: field larger than field limit",
    b'clip,caption,score\na,"one,1\n': "unexpected end of data: is a quote left open",
    b"q Q0 a 1 0.5\n": ":1: 5 columns where a TREC run has 6",
    b"q Q0 a b 1 0.5 x\n": ":1: 7 columns where a TREC run has 6 (query Q0 clip rank score tag): write blanks",
    b"q Q0 a 1 high x\n": ":1: column 5 (score): 'high' is no number",
    b"one Q0 a 1 1 x\none Q0 a 2 1 x\n": ":2: caption 'one' with clip 'a' is on line 1 too",
    b"caption,file_name_1,file_name_2\none,a,a\n": ":2: column 'file_name_2': 'a' is listed twice in this row",
    b"caption,file_name_1,file_name_2\none,,a\n": ":2: column 'file_name_1' is empty, and a later one is not",
    b"caption,file_name_1\none,a\n": "1 captions of",
    b"clip,caption,score\na,one,1\na,nine,1\nb,one,1\nb,nine,1\n": "1 of 2 captions are not in",
    b"clip,caption,score\na,one,1\na,two,1\n": "1 clips of",
}


@pytest.mark.parametrize(("content", "message"), WRONG_BYTES.items(), ids=range(len(WRONG_BYTES)))
def test_a_wrong_file_is_one_line_with_its_name(content, message, tmp_path):
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    (tmp_path / "t.csv").write_text("file_name,caption\na,one\nb,two\n")
    said = error("--scores", path, "--truth", tmp_path / "t.csv", code=5)
    assert said.startswith(str(path)) and message in said


def test_a_nan_in_a_table_is_found_by_line_and_column(tmp_path):
    (tmp_path / "p.csv").write_text("clip,caption,score\na,one,1\nb,one,nan\n")
    assert f"{tmp_path}/p.csv:3: column 'score': the score is NaN" in error("--scores", tmp_path / "p.csv", code=8)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": np.ones((3, 2))}, "scores is transposed: 3 rows are captions and 2 columns are clips"),
        ({"scores": np.ones((2, 4))}, "scores has shape (2, 4), and there are 2 clip ids and 3 caption ids"),
        ({"scores": np.array([["1", "2", "3"]] * 2)}, "should be a matrix of numbers"),
        ({"scores": np.ones((2, 3)) * 1j}, "should be a matrix of numbers"),
        ({"scores": None}, "has no array scores; it has clip_ids, caption_ids, clip_of_caption"),
        ({"clip_ids": np.array(["a", "b"], dtype=object)}, "holds Python objects, which can run code"),
        ({"clip_ids": np.array(["a", "a"])}, "clip id 'a' occurs more than once"),
        ({"clip_of_caption": np.array(["a", "a"])}, "3 caption_ids, but 2 in clip_of_caption"),
        ({"clip_of_caption": np.array(["a", "a", "q"])}, "1 captions belong to clips that are no row, the first 'q'"),
    ],
)
def test_a_wrong_npz_is_one_line(changed, message, tmp_path):
    said = error("--scores", npz(tmp_path / "s.npz", **changed), code=5)
    assert said.startswith(str(tmp_path / "s.npz")) and message in said


def test_a_damaged_npz_is_found_whether_read_at_once_or_in_blocks(tmp_path, monkeypatch):
    whole = npz(tmp_path / "s.npz", scores=np.arange(600.0).reshape(2, 300), caption_ids=np.arange(300).astype(str),
                clip_of_caption=np.array(["a"] * 300)).read_bytes()  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        place = archive.getinfo("scores.npy").header_offset + 1000
    flipped = bytearray(whole)
    flipped[place] ^= 1
    for limit in (10**6, 100):
        monkeypatch.setattr("atrkit.exchange.numpy_files.LARGEST_IN_MEMORY_BYTES", limit)
        (tmp_path / "s.npz").write_bytes(flipped)
        assert "array 'scores' is damaged" in error("--scores", tmp_path / "s.npz", code=5)
        (tmp_path / "s.npz").write_bytes(whole[:-100])
        assert "is damaged or truncated" in error("--scores", tmp_path / "s.npz", code=5)
    np.save(tmp_path / "s.npy", np.ones((2, 3)))
    (tmp_path / "s.npy").write_bytes((tmp_path / "s.npy").read_bytes()[:-8])
    assert f"{tmp_path}/s.npy has no ids: write {tmp_path}/s.clips.txt" in error("--scores", tmp_path / "s.npy", code=3)
    (tmp_path / "s.clips.txt").write_text("a\nb\n")
    (tmp_path / "s.captions.csv").write_text("caption_id,clip_id\nx,a\ny,a\nz,b\n")
    assert "s.npy is truncated" in error("--scores", tmp_path / "s.npy", code=5)


def test_an_altered_score_file_is_refused(tmp_path):
    path = written(tmp_path, "h5", small_matrix())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert f"{path} is damaged" in error("--scores", path, code=5)


def test_file_and_truth_that_contradict_each_other_are_refused(tmp_path):
    path = npz(tmp_path / "s.npz")
    (tmp_path / "t.csv").write_text("caption_id,clip_id\nx,a\ny,b\nz,b\n")
    message = error("--scores", path, "--truth", tmp_path / "t.csv", code=5)
    assert "caption 'y' belongs to clip 'a' there, and to 'b' in" in message


@pytest.mark.parametrize(
    ("vectors", "code", "message"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], 5, "the vector of 'b' is all zeros"),
        ([[1.0, np.nan], [0.0, 1.0]], 8, "the vector of 'a' is NaN or infinite"),
        ([[1.0], [1.0]], 2, "vectors of 1 numbers and"),
        ([[1.0, 1.0]], 5, "embeddings has 1 rows, and there are 2 ids"),
    ],
)
def test_wrong_embeddings_are_one_line(vectors, code, message, tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=np.array(vectors), ids=np.array(["a", "b"]))
    np.savez(tmp_path / "t.npz", embeddings=np.eye(2), ids=np.array(["x", "y"]), clip_of_caption=np.array(["a", "b"]))
    said = error("--embeddings", tmp_path / "a.npz", tmp_path / "t.npz", code=code)
    assert str(tmp_path / "a.npz") in said and message in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--run", "x"], "--run needs a run"),
        (["--precision", "fp16"], "--precision needs a run"),
        (["--calib-clips", "3"], "--calib-clips needs a run"),
        (["--rerank", "none"], "--rerank needs a run"),
        (["--rerank-k", "3"], "--rerank needs a run"),
        (["--no-extract"], "--no-extract needs a run"),
        (["--metric", "recall,caption"], "--metric caption needs a run"),
        (["--metric", "caption", "--beam-size", "2"], "--beam-size needs a run"),
        (["--split", "eval"], "--split is of --dataset"),
        (["--truth", "t.csv", "--dataset", "x"], "--truth and --dataset both say"),
        (["--embeddings", "a", "b"], "--scores and --embeddings: say one"),
        (["--model", "x"], "take the place of --model and --runs"),
        (["--runs", "x/*"], "take the place of --model and --runs"),
    ],
)
def test_options_of_runs_are_refused(words, message, tmp_path):
    assert message in error("--scores", npz(tmp_path / "s.npz"), *words, code=2)


def test_without_a_truth_the_ways_to_name_one_are_listed(tmp_path):
    path = npz(tmp_path / "s.npz", clip_of_caption=None)
    message = error("--scores", path, code=2)
    for way in ("--truth CSV", "--dataset NAME", "--qrels FILE"):
        assert way in message
    assert "--truth is of --scores" in error("--truth", path, code=2)
    assert "cannot read" in error("--scores", tmp_path / "nothing.csv", code=2)
