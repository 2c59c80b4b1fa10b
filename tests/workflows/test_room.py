"""Pieces of a buffer never overlap, and what is given back can be taken again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.workflows.room import Room

SAMPLES = 20


@given(st.lists(st.one_of(st.integers(1, SAMPLES + 2), st.integers(-5, -1)), max_size=40))
@settings(deadline=None)
def test_room_is_what_a_list_of_cells_would_be(steps):
    """Positive: take so many; negative: give back one of those that are taken."""
    room, cells, taken = Room(SAMPLES), [False] * SAMPLES, {}
    for step in steps:
        if step > 0:
            fits = [at for at in range(SAMPLES - step + 1) if not any(cells[at : at + step])]
            start = room.take(step)
            assert start == (fits[0] if fits else None)
            if start is not None:
                taken[start] = step
                cells[start : start + step] = [True] * step
        elif taken:
            start = sorted(taken)[step % len(taken)]
            room.give_back(start)
            count = taken.pop(start)
            cells[start : start + count] = [False] * count
        assert room.taken_samples == sum(cells)
