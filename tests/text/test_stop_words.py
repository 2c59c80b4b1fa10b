"""Stop words: those that captions are full of, in the form that captions have."""

import pytest

from atrkit.text.normalise import normalise_caption
from atrkit.text.stop_words import STOP_WORDS


@pytest.mark.parametrize(
    "written", ["a", "The", "and", "while", "then", "in", "before", "of", "Don't", "it's", "should’ve", "again"]
)
def test_function_words_are_stop_words_as_they_are_written_in_captions(written: str) -> None:
    assert normalise_caption(written) in STOP_WORDS


@pytest.mark.parametrize("word", ["dog", "rain", "barks", "loudly", "one", "another", "", "don't"])
def test_content_words_are_none(word: str) -> None:
    assert word not in STOP_WORDS


def test_all_of_them_are_normalised() -> None:
    assert {normalise_caption(word) for word in STOP_WORDS} == STOP_WORDS


def test_there_are_as_many_as_nltk_has_without_apostrophes() -> None:
    assert len(STOP_WORDS) == 179 - 1  # "it's" and "its" become one word
