"""Hub captions, counted clip by clip."""

from fractions import Fraction

import numpy as np
import pytest

from atrkit import ScoreMatrix
from atrkit.metrics.hubness import audio_to_text_hubness
from atrkit.reports.charts.hubs import FirstPlaces, first_place_shares_chart, first_places, hub_captions_chart
from tests.reports.charts.drawn import (
    HOSTILE,
    WIDTHS,
    all_text,
    column,
    drawing,
    floats,
    middle,
    of_class,
    path_points,
    reader,
)


def matrix(clips=30, captions=90, levels=None, seed=0):
    generator = np.random.default_rng(seed)
    scores_AC = generator.normal(size=(clips, captions)) + generator.normal(0, 2, size=captions)
    own = [c % (clips - 2) for c in range(captions)]  # the last two clips have no caption
    if levels:
        scores_AC = np.round(scores_AC * levels) / levels
    clip_ids = [f"clip {a}" for a in range(clips)]
    return ScoreMatrix(scores_AC, clip_ids, [f"caption {c}" for c in range(captions)], [clip_ids[a] for a in own])


@pytest.mark.parametrize("levels", [None, 1])
def test_each_clip_gives_one_first_place_shared_by_captions_that_tie(levels):
    scores = matrix(levels=levels)
    expected = [Fraction(0)] * 90
    for row in scores.scores_AC.tolist()[:28]:
        first = [c for c, score in enumerate(row) if score == max(row)]
        for c in first:
            expected[c] += Fraction(1, len(first))
    found = first_places("raw", scores)

    assert found.clips_C == pytest.approx([float(each) for each in expected])
    assert found.clips == 28 == pytest.approx(found.clips_C.sum())
    assert found.at_least_once == sum(each > 0 for each in expected)


def test_without_ties_as_many_captions_are_first_as_hubness_counts():
    scores = matrix()

    assert first_places("raw", scores).at_least_once == audio_to_text_hubness(scores).distinct_at_rank_1


def test_the_order_of_clips_and_captions_changes_nothing():
    scores = matrix()
    rows, columns = np.random.default_rng(1).permutation(30), np.random.default_rng(2).permutation(90)
    shuffled = ScoreMatrix(
        scores.scores_AC[np.ix_(rows, columns)],
        [scores.clip_ids[a] for a in rows],
        [scores.caption_ids[c] for c in columns],
        [scores.clip_of_caption[c] for c in columns],
    )

    assert first_places("raw", shuffled).clips_C == pytest.approx(first_places("raw", scores).clips_C[columns])


def test_shares_and_halves_by_hand():
    places = FirstPlaces("raw scores", np.array([0.0, 6.0, 1.0, 0.0, 3.0]), 10)

    assert [places.share_of_top(k) for k in (1, 2, 3, 5)] == [0.6, 0.9, 1.0, 1.0]
    assert [places.captions_holding(share) for share in (0.5, 0.6, 0.61, 0.9, 1.0)] == [1, 1, 2, 2, 3]
    assert places.top_percent == 1
    assert FirstPlaces("raw", np.ones(1_201), 1_201).top_percent == 13


@pytest.mark.parametrize("width", WIDTHS)
def test_dots_stand_where_the_table_says(width):
    scores = matrix()
    stages = [first_places("raw scores", scores), first_places("scaled", matrix(seed=4))]
    chart = hub_captions_chart(stages, [f"text {c}" for c in range(90)])
    svg = drawing(chart, width)
    read = reader(svg, "x")
    dots = [read(middle(mark)[0]) for mark in of_class(svg, "mark")][2:]  # two are those of the key
    raw, scaled = floats(column(chart, "clips, raw scores")), floats(column(chart, "clips, scaled"))

    assert dots[1::2] == pytest.approx(raw, abs=0.05)
    assert dots[::2] == pytest.approx(scaled, abs=0.05)
    assert (
        raw == sorted(raw, reverse=True) == pytest.approx(sorted(stages[0].clips_C.tolist(), reverse=True)[: len(raw)])
    )
    assert len(raw) <= 10


@pytest.mark.parametrize("width", WIDTHS)
def test_shares_of_first_places_are_drawn_where_the_table_says(width):
    stages = [first_places("raw scores", matrix()), first_places("scaled", matrix(seed=4))]
    chart = first_place_shares_chart(stages)
    svg = drawing(chart, width)
    x, y = reader(svg, "x", is_log=True), reader(svg, "y")
    ks = floats(column(chart, "captions"))
    for path, name in zip(of_class(svg, "shares"), ("raw scores", "scaled"), strict=True):
        assert [x(place) for place, _ in path_points(path)] == pytest.approx(ks, rel=0.02)
        assert [y(place) for _, place in path_points(path)] == pytest.approx(
            floats(column(chart, f"clips, {name} (%)")), abs=0.1
        )
    for k, share in zip(ks, floats(column(chart, "clips, raw scores (%)")), strict=True):
        assert share == pytest.approx(100 * sum(sorted(stages[0].clips_C)[-int(k) :]) / 28, abs=0.006)


def test_the_sentence_says_distinct_captions_and_the_top_percent():
    places = FirstPlaces("raw scores", np.array([0.0, 6.0, 1.0, 0.0, 3.0]), 10)

    assert hub_captions_chart([places], list("abcde")).caption == (
        "By raw scores, 3 of 5 captions come first for any of 10 clips, and the top 1 % of captions (1) hold 60.0 % of "
        "the first places."
    )
    assert first_place_shares_chart([places]).caption == "By raw scores, one caption holds half of the first places."


def test_texts_of_hubs_are_shortened_in_the_drawing_and_whole_in_the_table():
    places = FirstPlaces("raw scores", np.arange(6.0, 0, -1), 21)
    chart = hub_captions_chart([places], list(HOSTILE))

    assert column(chart, "caption") == list(HOSTILE)
    assert max(map(len, all_text(drawing(chart, "narrow")))) < 80


def test_one_clip_and_one_caption():
    scores = ScoreMatrix([[0.5]], ["a"], ["a#1"], ["a"])
    places = first_places("raw scores", scores)

    assert "1 of 1 caption comes first for any of 1 clip" in hub_captions_chart([places], ["rain"]).caption
    assert column(first_place_shares_chart([places]), "clips, raw scores (%)") == ["100.00"]
