"""Compaction: rows are copied bit for bit, and only where it is worth it."""

import numpy as np
import pytest

from atrkit.errors import IntegrityError
from atrkit.search.segments import (
    MOST_SEGMENTS,
    groups_to_compact,
    join_segments,
    open_segment,
    save_segment,
)


@pytest.fixture
def make_segment(tmp_path):
    """Make a segment of contents with so many windows each; vectors say whose they are."""

    def make(number, **windows):
        vectors_WD = np.concatenate([np.full((count, 4), ord(name), np.float32) for name, count in windows.items()])
        save_segment(tmp_path, number, list(windows), vectors_WD, list(windows.values()), {"encoder": "none"})
        return open_segment(tmp_path, number)

    return make


def alive(segments, *contents):
    places = {}
    for segment in segments:
        for content, place in segment.places.items():
            if content in contents:
                places.setdefault(content, place)
    return places


def numbers(groups):
    return [[segment.about.number for segment in group] for group in groups]


def test_up_to_a_quarter_of_dead_rows_is_left(make_segment):
    segment = make_segment(1, a=3, b=1)
    assert groups_to_compact([segment], alive([segment], "a")) == []
    assert numbers(groups_to_compact([segment], alive([segment], "b"))) == [[1]]
    wholly_dead = make_segment(2, c=1)
    assert groups_to_compact([segment, wholly_dead], alive([segment], "a", "b")) == [], "nothing to copy there"


def test_of_many_segments_the_smallest_become_one(make_segment):
    segments = [make_segment(1, z=50), *(make_segment(number, **{chr(96 + number): 1}) for number in range(2, 18))]
    everything = {content for segment in segments for content in segment.places}
    assert len(segments) == MOST_SEGMENTS + 1
    assert numbers(groups_to_compact(segments, alive(segments, *everything))) == [list(range(2, 18))]
    assert groups_to_compact(segments[:-1], alive(segments[:-1], *everything)) == []


def test_what_is_alive_is_copied_in_order(make_segment, tmp_path):
    one, two = make_segment(1, a=3, b=2), make_segment(2, c=1, a=3, d=2)
    joined = join_segments(tmp_path, 3, [one, two], alive([one, two], "a", "d", "c"))
    assert list(joined.places) == ["a", "c", "d"] and joined.about.rows == 6
    from atrkit.store.embeddings import load_embeddings

    store = load_embeddings(tmp_path / "segments" / "003.h5")
    assert store.frames_NF[:, 0].tolist() == [ord(name) for name in "aaacdd"]
    assert store.offsets.tolist() == [0, 3, 4, 6]
    assert store.provenance == {"encoder": "none"}


def test_a_segment_that_changed_since_is_not_copied(make_segment, tmp_path):
    one = make_segment(1, a=3, b=2)
    make_segment(1, x=3, b=2)
    with pytest.raises(IntegrityError, match=r"001\.h5 is damaged"):
        join_segments(tmp_path, 2, [one], alive([one], "b"))
    assert not (tmp_path / "segments" / "002.h5").exists()
