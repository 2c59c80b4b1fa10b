"""Score files whose scores stay on the disk."""

import os

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import IntegrityError
from atrkit.score_matrix import BlockedScores
from atrkit.store.array_rows import ArrayInFile
from atrkit.store.scores import load_score_rows, save_scores


@pytest.fixture
def matrix():
    scores_AC = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    clips = [f"clip{a}" for a in range(7)]
    return ScoreMatrix(scores_AC, clips, [f"caption{c}" for c in range(5)], clips[:5])


@pytest.mark.parametrize(("limit", "kind"), [(7 * 5 * 4, ScoreMatrix), (7 * 5 * 4 - 1, BlockedScores)])
def test_a_matrix_above_the_limit_is_read_in_blocks(limit, kind, matrix, tmp_path, monkeypatch):
    monkeypatch.setattr("atrkit.score_matrix._BLOCK_BYTES", 8 * 5 * 3)
    save_scores(tmp_path / "s.h5", matrix, {"scoring": "cosine"})
    stored = load_score_rows(tmp_path / "s.h5", limit)
    assert isinstance(stored.scores, kind) and stored.about == {"scoring": "cosine"}
    blocks = list(stored.scores.row_blocks())
    assert len(blocks) == (1 if kind is ScoreMatrix else 3)
    assert np.array_equal(np.concatenate(blocks), matrix.scores_AC) and stored.scores.pool_id == matrix.pool_id


def test_a_new_file_in_its_place_changes_nothing(matrix, tmp_path):
    save_scores(tmp_path / "s.h5", matrix)
    scores = load_score_rows(tmp_path / "s.h5", 0).scores
    other = ScoreMatrix(matrix.scores_AC + 1, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
    save_scores(tmp_path / "s.h5", other)
    assert np.array_equal(np.concatenate(list(scores.row_blocks())), matrix.scores_AC)


def test_a_flipped_bit_is_found_before_the_first_block(matrix, tmp_path):
    save_scores(tmp_path / "s.h5", matrix)
    content = bytearray((tmp_path / "s.h5").read_bytes())
    content[content.find(matrix.scores_AC.tobytes()) + 17] ^= 4
    (tmp_path / "s.h5").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"s\.h5 is damaged"):
        load_score_rows(tmp_path / "s.h5", 0)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", ">f8", "<i2"])
def test_rows_are_what_was_written(dtype, tmp_path):
    values = np.arange(-6, 6).reshape(4, 3).astype(dtype)
    (tmp_path / "a").write_bytes(b"head" + values.tobytes())
    with (tmp_path / "a").open("rb") as file:
        stored = ArrayInFile(file, 4, (4, 3), np.dtype(dtype), "a")
        assert stored.size_bytes == values.nbytes
        for start, stop in ((0, 4), (1, 2), (3, 4), (2, 2)):
            rows = stored.read_rows(start, stop)
            assert np.array_equal(rows, values[start:stop]) and rows.dtype.isnative


def test_a_file_that_becomes_shorter_is_said(tmp_path):
    (tmp_path / "a").write_bytes(np.arange(12.0).tobytes())
    with (tmp_path / "a").open("rb") as file:
        stored = ArrayInFile(file, 0, (4, 3), np.dtype(float), str(tmp_path / "a"))
        os.truncate(tmp_path / "a", 50)
        with pytest.raises(IntegrityError, match="became shorter"):
            stored.read_rows(0, 4)
