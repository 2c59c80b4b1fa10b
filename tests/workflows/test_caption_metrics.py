"""What an evaluation of captions refuses, and the caption that always is a fair guess (figures: tests/metrics)."""

import contextlib

import pytest

from atrkit.errors import UsageError
from atrkit.workflows.caption_metrics import evaluate_captions, most_frequent_caption
from atrkit.workflows.session import Session

SESSION = Session(None, print, lambda *_: contextlib.nullcontext())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ({"a": "x", "b": "y"}, {"a": ["x"]}, "1 of 2 clips have no references, 'b' the first"),
        ({"a": "x"}, {"a": ["x"], "c": ["x"], "b": ["y"]}, "2 of 3 clips have no written caption, 'b' the first"),
        ({}, {}, "there is no caption to score"),
    ],
)
def test_clips_must_be_the_same(candidates, references, message):
    with pytest.raises(UsageError, match=message):
        evaluate_captions(SESSION, candidates, references)


def test_unknown_metrics_are_refused_before_anything_is_computed():
    with pytest.raises(UsageError, match="there is no caption metric 'cider'"):
        evaluate_captions(SESSION, {"a": "x"}, {"a": ["x"]}, metrics=["cider"])


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["b", "a", "b"], ("b", 2)),
        (["b", "a"], ("a", 1)),  # of several the first in the alphabet
        (["A b.", "a  B", "c", "c", "a b!"], ("a b", 3)),
        (["...", "!", "a"], ("a", 1)),
    ],
)
def test_the_most_frequent_caption(captions, expected):
    assert most_frequent_caption(captions) == expected


def test_without_a_training_caption_there_is_no_most_frequent_one():
    with pytest.raises(UsageError, match="no training caption"):
        most_frequent_caption(["..."])
