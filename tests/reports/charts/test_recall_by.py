"""Recall of groups of queries, recomputed query by query."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.reports.charts import recall_by
from atrkit.reports.charts.recall_by import groups_of_counts, recall_by_chart, recall_by_group
from tests.reports.charts.drawn import WIDTHS, all_text, column, drawing, floats, middle, of_class, panels, reader


@given(st.lists(st.integers(0, 40), min_size=1, max_size=400))
def test_every_query_is_in_the_group_whose_name_covers_it(counts):
    group_Q, names = groups_of_counts(counts)

    assert 1 <= len(names) <= 7
    for count, group in zip(counts, group_Q.tolist(), strict=True):
        first, _, last = names[group].partition("–")
        assert int(first) <= count <= int(last or first)
    sizes = np.bincount(group_Q, minlength=len(names))
    assert sizes.min() >= min(20, len(counts))


def figures(queries=400, clips=80, seed=0):
    generator = np.random.default_rng(seed)
    hits = {"R@1": generator.random(queries).round(), "R@10": np.ones(queries)}
    return hits, generator.integers(0, 3, size=queries), generator.integers(0, clips, size=queries)


def test_recall_is_the_mean_over_the_queries_of_the_group():
    hits, group_Q, clip_Q = figures()
    for number, group in enumerate(recall_by_group(hits, group_Q, "abc", clip_Q, np.random.default_rng(0))):
        members = [q for q in range(400) if group_Q[q] == number]
        assert group.queries == len(members)
        for figure, hits_Q in hits.items():
            assert group.recall[figure] == pytest.approx(sum(hits_Q[q] for q in members) / len(members))


def test_intervals_draw_whole_clips():
    """Captions of one clip that all hit or all miss: as wide as if each clip were one query, not five."""
    clip_hits = np.random.default_rng(3).random(60).round()
    clip_Q = np.repeat(np.arange(60), 5)
    (clustered,) = recall_by_group({"R@1": clip_hits[clip_Q]}, 0 * clip_Q, "a", clip_Q, np.random.default_rng(0))
    (alone,) = recall_by_group({"R@1": clip_hits}, np.zeros(60, int), "a", np.arange(60), np.random.default_rng(0))
    low, high = clustered.interval["R@1"]

    assert (low, high) == pytest.approx(alone.interval["R@1"], abs=0.03)
    assert high - low == pytest.approx(2 * 1.96 * clip_hits.std() / 60**0.5, rel=0.12)


def test_queries_of_no_group_are_left_out():
    hits = {"R@1": np.array([1.0, 0.0, 0.0])}
    (only,) = recall_by_group(hits, np.array([0, 0, -1]), "a", np.arange(3), np.random.default_rng(0))

    assert (only.queries, only.recall["R@1"]) == (2, 0.5)


@pytest.mark.parametrize("width", WIDTHS)
def test_dots_and_whiskers_stand_where_the_table_says(width):
    hits, group_Q, clip_Q = figures()
    names = ["1–4", "5", "6–12"]
    groups = {
        direction: recall_by_group(hits, group_Q, names, clip_Q, np.random.default_rng(0))
        for direction in ("Text to audio", "Audio to text")
    }
    chart = recall_by_chart("recall-by-length", "Recall by length", "words", groups)
    for number, panel in enumerate(panels(drawing(chart, width))):
        read = reader(panel, "y")
        rows = slice(3 * number, 3 * number + 3)
        dots = [read(middle(mark)[1]) for mark in of_class(panel, "mark")]
        ends = [(read(float(each.get("y1"))), read(float(each.get("y2")))) for each in of_class(panel, "whisker")]
        intervals = [cell for row in chart.table[1:][rows] for cell in (row[4],)]

        assert dots[:3] == pytest.approx(floats(column(chart, "R@1 (%)"))[rows], abs=0.1)
        assert dots[3:] == pytest.approx(floats(column(chart, "R@10 (%)"))[rows], abs=0.1)
        for (low, high), cell in zip(ends[:3], intervals, strict=True):
            assert (low, high) == pytest.approx([float(end) for end in cell.split(" to ")], abs=0.1)
        assert set(names) <= set(all_text(panel))


def test_more_clips_than_can_be_drawn_again_have_no_intervals_and_it_is_said(monkeypatch):
    monkeypatch.setattr(recall_by, "MOST_CLIPS_WITH_INTERVALS", 79)
    hits, group_Q, clip_Q = figures()
    groups = recall_by_group(hits, group_Q, "abc", clip_Q, np.random.default_rng(0))
    chart = recall_by_chart("id", "title", "words", {"Text to audio": groups})

    assert of_class(drawing(chart, "wide"), "whisker") == []
    assert chart.notes == ("No intervals: there are more than 79 clips.",)
    assert "95 % interval" not in chart.table[0]


def test_the_sentence_names_the_best_and_the_worst_group():
    hits = {"R@1": np.array([1.0, 1.0, 0.0, 1.0])}
    groups = recall_by_group(hits, np.array([0, 0, 1, 1]), ["1", "2–3"], np.arange(4), np.random.default_rng(0))

    assert recall_by_chart("id", "t", "events", {"Text to audio": groups}).caption == (
        "Text to audio: R@1 is highest, 100.0 %, at 1 event (n 2), and lowest, 50.0 %, at 2–3 (n 2)."
    )
