"""Every worked example of PROTOCOL.md that concerns a score matrix, G1-G4 and G6-G8, to the last fraction.

G5 (column scaling) is in tests/scoring/test_scaling.py; G5 and G7 at the command line in
tests/cli/test_evaluation_definitions.py.
"""

from fractions import Fraction

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import DivergedError
from atrkit.metrics.ranking import (
    average_precisions_at_k,
    evaluate,
    first_ranks,
    fractional_recall_at_k,
    hits_at_k,
    map_at_k,
    recall_at_k,
)
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks


def matrix_of(scores_CA, clip_of_caption):
    """A score matrix from captions x clips, as PROTOCOL.md writes them, with clips named 0, 1, ..."""
    scores_AC = np.asarray(scores_CA, dtype=np.float64).T
    clip_ids = [str(clip) for clip in range(scores_AC.shape[0])]
    caption_ids = [f"caption {c}" for c in range(scores_AC.shape[1])]
    return ScoreMatrix(scores_AC, clip_ids, caption_ids, [str(clip) for clip in clip_of_caption])


def one_query(scores_C, relevant):
    """Audio-to-text blocks whose query 0 is a clip with these scores; other captions belong to a second clip."""
    clip_of_caption = [0 if caption in relevant else 1 for caption in range(len(scores_C))]
    return audio_to_text_blocks(matrix_of(np.array([scores_C, np.zeros(len(scores_C))]).T, clip_of_caption))


def exactly(fraction):
    return pytest.approx(float(Fraction(fraction)), abs=1e-14)


@pytest.fixture
def g1():
    return matrix_of([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]], [0, 0, 1, 1])


@pytest.fixture
def g2():
    return matrix_of(np.zeros((20, 4)), np.repeat(range(4), 5))


@pytest.mark.parametrize(
    ("figure", "value"), [("R@1", "1/2"), ("R@2", 1), ("mAP@10", "3/4"), ("MedR", "3/2"), ("MnR", "3/2")]
)
def test_g1_text_to_audio(g1, figure, value):
    assert evaluate(g1, ks=(1, 2))["text_to_audio"][figure] == exactly(value)


@pytest.mark.parametrize(
    ("figure", "value"), [("R@1", "1/2"), ("R@2", 1), ("mAP@10", "2/3"), ("MedR", "3/2"), ("MnR", "3/2")]
)
def test_g1_audio_to_text(g1, figure, value):
    assert evaluate(g1, ks=(1, 2))["audio_to_text"][figure] == exactly(value)


def test_g1_fractional_recall_and_average_precision_of_each_clip(g1):
    blocks = audio_to_text_blocks(g1)
    assert fractional_recall_at_k(blocks, 1) == exactly("1/4")
    assert fractional_recall_at_k(blocks, 2) == exactly("1/2")
    assert average_precisions_at_k(blocks, 10) == pytest.approx([3 / 4, 7 / 12], abs=1e-14)


@pytest.mark.parametrize(
    ("figure", "value"),
    [("R@1", "1/4"), ("R@2", "1/2"), ("R@5", 1), ("mAP@10", "25/48"), ("MedR", "5/2"), ("MnR", "5/2")],
)
def test_g2_text_to_audio(g2, figure, value):
    assert evaluate(g2, ks=(1, 2, 5))["text_to_audio"][figure] == exactly(value)


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("R@1", "1/4"),
        ("R@2", "17/38"),
        ("R@5", "4167/5168"),
        ("R@10", "1271/1292"),
        ("mAP@10", "14101/63840"),
        ("MedR", "7/2"),
        ("MnR", "7/2"),
    ],
)
def test_g2_audio_to_text(g2, figure, value):
    figures = evaluate(g2, ks=(1, 2, 5, 10))["audio_to_text"]
    assert figures[figure] == exactly(value)
    assert figures[f"chance_{figure}"] == exactly(value), "everything tied is what chance means"


def test_g2_fractional_recall(g2):
    assert fractional_recall_at_k(audio_to_text_blocks(g2), 1) == exactly("1/20")


def test_g2_every_query_is_tied(g2):
    figures = evaluate(g2)
    assert figures["text_to_audio"]["tied_queries"] == 20
    assert figures["audio_to_text"]["tied_queries"] == 4


def test_g3_five_tied_captions_of_the_own_clip_are_perfect():
    figures = evaluate(matrix_of(np.repeat(np.eye(4), 5, axis=0), np.repeat(range(4), 5)))["audio_to_text"]
    assert (figures["R@1"], figures["MedR"]) == (1, 1)
    assert figures["mAP@10"] == exactly(1)
    assert figures["tied_queries"] == 0, "a tie among relevant captions changes no figure"


def test_g4_relevant_at_ranks_1_3_and_6():
    blocks = one_query(np.arange(10, 0, -1), relevant={0, 2, 5})
    assert average_precisions_at_k(blocks, 10)[0] == exactly("13/18")
    assert average_precisions_at_k(blocks, 5)[0] == exactly("5/9")


def test_g4_twelve_relevant_on_top_of_thirty():
    blocks = one_query(np.arange(30, 0, -1), relevant=set(range(12)))
    assert average_precisions_at_k(blocks, 10)[0] == exactly("5/6")
    assert average_precisions_at_k(blocks, 16)[0] == exactly(1)


def test_g6_best_relevant_caption_need_not_come_first_among_the_relevant():
    blocks = one_query([0.5, 0.6, 0.7, 0.8, 0.9] + 10 * [0.0], relevant=set(range(5)))
    assert average_precisions_at_k(blocks, 10)[0] == exactly(1)


def test_g7_nan_gives_an_error_and_no_table():
    with pytest.raises(DivergedError, match=r"1 of 4 scores are NaN, the first at .*'1', 'caption 0'"):
        matrix_of([[0.9, np.nan], [0.2, 0.8]], [0, 1])


@pytest.mark.filterwarnings("error")
def test_infinite_scores_are_best_and_worst_and_no_error():
    figures = evaluate(matrix_of([[np.inf, 0.0], [0.0, -np.inf]], [0, 1]), ks=(1, 2))["text_to_audio"]
    assert (figures["R@1"], figures["R@2"]) == (0.5, 1)


def test_g8_two_of_four_relevant_in_the_tied_middle():
    blocks = one_query([3, 2, 2, 2, 1], relevant={1, 3})
    assert hits_at_k(blocks, 1)[0] == exactly(0)
    assert hits_at_k(blocks, 2)[0] == exactly("2/3")
    assert hits_at_k(blocks, 3)[0] == exactly(1)
    assert average_precisions_at_k(blocks, 10)[0] == exactly("1/2")
    assert first_ranks(blocks)[0] == exactly("7/3")


def test_text_to_audio_recall_is_also_the_fractional_one(g1):
    blocks = text_to_audio_blocks(g1)
    assert recall_at_k(blocks, 1) == fractional_recall_at_k(blocks, 1)
    assert map_at_k(blocks, 1) == recall_at_k(blocks, 1)
