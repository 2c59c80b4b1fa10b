"""Captions shared by clips, and the ceiling that follows."""

import csv
from pathlib import Path

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics.duplicates import DuplicateCaptions, duplicate_captions
from atrkit.metrics.ranking import evaluate

SHARED = Path(__file__).resolve().parents[3] / "shared"


def matrix_of(owners, scores_AC=None):
    clips = sorted(set(owners))
    scores_AC = np.zeros((len(clips), len(owners)), np.float32) if scores_AC is None else scores_AC
    return ScoreMatrix(scores_AC, clips, [f"caption {c}" for c in range(len(owners))], owners)


def test_the_same_words_on_one_clip_are_no_duplicate():
    assert duplicate_captions(matrix_of(["a", "a", "b"]), ["rain", "rain", "dog"]) == DuplicateCaptions(0, 3, 1.0)


def test_capitals_and_punctuation_do_not_tell_captions_apart():
    assert duplicate_captions(matrix_of(["a", "b"]), ["Rain falls.", "rain falls"]).captions == 2


def test_best_guess_is_the_clip_that_has_the_text_most_often():
    owners = ["a", "a", "b", "c", "d"]
    result = duplicate_captions(matrix_of(owners), ["rain", "rain", "rain", "rain", "dog"])
    assert result == DuplicateCaptions(captions=4, of=5, ceiling_text_to_audio_R1=3 / 5)


def test_a_scorer_that_knows_every_word_reaches_the_ceiling_and_no_more():
    owners, texts = ["a", "b", "c", "c"], ["rain", "rain", "rain", "dog"]
    best_guess = {"rain": "a", "dog": "c"}
    scores_AC = np.array([[float(best_guess[text] == clip) for text in texts] for clip in "abc"])
    matrix = matrix_of(owners, scores_AC)
    ceiling = duplicate_captions(matrix, texts).ceiling_text_to_audio_R1
    assert evaluate(matrix)["text_to_audio"]["R@1"] == ceiling == 0.5


def test_one_text_for_each_caption_is_required():
    with pytest.raises(UsageError, match="2 captions in the score matrix, but 1 texts"):
        duplicate_captions(matrix_of(["a", "b"]), ["rain"])


def test_audiocaps_with_957_clips_has_220_twins_and_a_ceiling_of_97_point_3_percent():
    table = SHARED / "data/csv/audiocaps_mei/test.csv"
    if not table.is_file():
        pytest.skip(f"{table} is absent")
    with table.open(newline="") as file:
        pairs = [(row["file_name"], row[f"caption_{k}"]) for row in csv.DictReader(file) for k in range(1, 6)]
    result = duplicate_captions(matrix_of([clip for clip, _ in pairs]), [text for _, text in pairs])
    assert (result.captions, result.of) == (220, 4785)
    assert result.ceiling_text_to_audio_R1 == pytest.approx(0.973, abs=5e-4)
