"""Ceilings on hand-made clips whose ties can be counted, and on the real plan."""

import pytest

from atrkit.datasets.synthetic.events import Event
from atrkit.datasets.synthetic.layouts import ClipPlan, SyntheticSizes, draw_plan
from atrkit.datasets.synthetic.oracle import ceilings


def clip(layout, *events, captions, mentioned):
    made = tuple(Event(kind, {**properties, "loudness": "unnamed"}) for kind, properties in events)
    return ClipPlan("eval", 0, layout, made, tuple(captions), tuple(mentioned))


HIGH, LOW = {"pitch": "high"}, {"pitch": "low"}
ENGINE_HIGH = clip(
    "one", ("engine", HIGH), captions=["an engine hums at a high pitch", "an engine hums"], mentioned=[(HIGH,), ({},)]
)
ENGINE_LOW = clip(
    "one", ("engine", LOW), captions=["an engine hums at a low pitch", "an engine hums"], mentioned=[(LOW,), ({},)]
)
RAIN = clip("one", ("rain", {}), captions=["rain falls", "drizzle falls"], mentioned=[({},), ({},)])


def test_kinds_alone_cannot_tell_a_high_engine_from_a_low_one_and_properties_can_where_they_are_said():
    found = ceilings([ENGINE_HIGH, ENGINE_LOW, RAIN])
    assert found["kinds"] == pytest.approx((4 * 1 / 2 + 2 * 1) / 6)
    assert found["properties"] == pytest.approx((2 * 1 + 2 * 1 / 2 + 2 * 1) / 6)


def test_captions_that_two_clips_share_are_lost_to_everyone():
    assert ceilings([ENGINE_HIGH, ENGINE_LOW, RAIN])["text"] == pytest.approx((2 * 1 + 2 * 1 / 2 + 2 * 1) / 6)


def test_only_the_overlap_is_told_from_its_twins():
    events = [("engine", HIGH), ("rain", {})]
    nothing = [({}, {})]
    twins = [
        clip("sequence", *events, captions=["an engine hums then rain falls"], mentioned=nothing),
        clip("sequence", *events[::-1], captions=["rain falls then an engine hums"], mentioned=nothing),
        clip("overlap", *events, captions=["rain falls as an engine hums"], mentioned=nothing),
    ]
    assert ceilings(twins) == pytest.approx(
        {"kinds": 1 / 3, "properties": 1 / 3, "overlap": (1 / 2 + 1 / 2 + 1) / 3, "text": 1}
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_ceilings_of_eval_lie_near_the_prototype(seed):
    found = ceilings([clip for clip in draw_plan(SyntheticSizes(), seed).clips if clip.split == "eval"])
    assert found == pytest.approx({"kinds": 0.32, "properties": 0.45, "overlap": 0.64, "text": 0.97}, abs=0.03)


def test_no_clips_are_refused():
    with pytest.raises(ValueError, match="at least one clip"):
        ceilings([])
