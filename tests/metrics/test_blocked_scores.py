"""Scores that are read in blocks of rows give the figures of scores in memory, to the last bit."""

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError
from atrkit.metrics.hubness import audio_to_text_hubness, text_to_audio_hubness
from atrkit.metrics.protocols import PROTOCOLS, protocol_figures
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.relevance import judged_pairs, same_text_pairs
from atrkit.metrics.tie_blocks import (
    audio_to_text_blocks,
    audio_to_text_ranks,
    text_to_audio_blocks,
    text_to_audio_ranks,
)
from atrkit.score_matrix import BlockedScores

BLOCKS_OF = {"text_to_audio": text_to_audio_blocks, "audio_to_text": audio_to_text_blocks}


def in_blocks(matrix, rows):
    class Blocks(BlockedScores):
        def row_blocks(self):
            for start in range(0, len(self.clip_ids), rows):
                yield np.asarray(self.read_rows(start, start + rows), dtype=np.float64)

    return Blocks(lambda a, b: matrix.scores_AC[a:b], matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)


@pytest.fixture(params=[np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def matrix(request):
    """Many ties; clips with none to forty captions, in no order."""
    rng = np.random.default_rng(3)
    owners = rng.permutation(np.concatenate([np.repeat(5, 40), rng.integers(0, 37, size=130)]))
    scores_AC = rng.normal(size=(41, len(owners))).round(1) + 0.7 * (owners == np.arange(41)[:, None])
    scores_AC[7, 3], scores_AC[5, 9] = -np.inf, np.inf
    ids = [f"clip {a}" for a in range(41)], [f"caption {c}" for c in range(len(owners))], [f"clip {a}" for a in owners]
    return ScoreMatrix(scores_AC.astype(request.param), *ids)


@pytest.mark.parametrize("rows", [1, 2, 7, 100])
def test_figures_hubs_and_protocols_are_equal(matrix, rows):
    blocked = in_blocks(matrix, rows)
    assert evaluate(blocked) == evaluate(matrix)
    assert text_to_audio_hubness(blocked) == text_to_audio_hubness(matrix)
    assert audio_to_text_hubness(blocked) == audio_to_text_hubness(matrix)
    for protocol in PROTOCOLS:
        each = [protocol_figures(protocol, text_to_audio_ranks(s), audio_to_text_ranks(s)) for s in (blocked, matrix)]
        assert each[0] == each[1]


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("direction", BLOCKS_OF)
def test_other_relevance_is_found_in_blocks_too(matrix, rows, direction):
    blocked = in_blocks(matrix, rows)
    texts = [f"text {c % 60}" for c in range(len(matrix.caption_ids))]
    grades = {
        caption: {f"clip {a % 41}": a % 3 for a in range(c, c + 9)} for c, caption in enumerate(matrix.caption_ids)
    }
    for pairs in (same_text_pairs(matrix, texts), judged_pairs(matrix, grades, 1).pairs):
        ours, theirs = BLOCKS_OF[direction](matrix, pairs), BLOCKS_OF[direction](blocked, pairs)
        for name in ("query", "better", "tied", "relevant", "found_before", "grade_sum"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_counts_are_those_of_plain_comparisons(matrix):
    ranks = audio_to_text_ranks(matrix)
    own = [
        (a, c)
        for a, clip in enumerate(matrix.clip_ids)
        for c in np.flatnonzero(np.array(matrix.clip_of_caption) == clip)
    ]
    assert ranks.better_P.tolist() == [sum(matrix.scores_AC[a] > matrix.scores_AC[a, c]) for a, c in own]
    assert ranks.tied_P.tolist() == [sum(matrix.scores_AC[a] == matrix.scores_AC[a, c]) for a, c in own]


def test_more_candidates_than_a_byte_can_count():
    """All equal: every comparison along 5,000 captions, and down 600 clips, holds."""
    owners = [f"clip {c % 600}" for c in range(5_000)]
    ids = [f"clip {a}" for a in range(600)], [str(c) for c in range(5_000)], owners
    matrix = ScoreMatrix(np.zeros((600, 5_000), dtype=np.float16), *ids)
    assert set(audio_to_text_blocks(matrix).tied.tolist()) == {5_000}
    assert set(text_to_audio_blocks(matrix).tied.tolist()) == {600}


def test_nan_in_a_late_block_is_an_error_that_names_it():
    scores_AC = np.zeros((3, 2))
    scores_AC[2, 1] = np.nan
    blocked = BlockedScores(lambda a, b: scores_AC[a:b], ["a", "b", "c"], ["x", "y"], ["a", "b"])
    with pytest.raises(DivergedError, match=r"1 of 6 scores are NaN, the first at .*'c', 'y'"):
        evaluate(blocked)
