"""What is held out, how clips are laid out, and that twins differ in nothing but their relation."""

from collections import Counter, defaultdict
from itertools import combinations

import pytest

from atrkit.datasets.synthetic.events import AXES, KINDS, Cell, axes_of
from atrkit.datasets.synthetic.layouts import SyntheticSizes, draw_plan, sizes_for
from atrkit.errors import UsageError


@pytest.fixture(scope="module", params=[0, 1, 2])
def plan(request):
    return draw_plan(SyntheticSizes(), seed=request.param)


def clips_of(plan, split, *layouts):
    return [clip for clip in plan.clips if clip.split == split and (not layouts or clip.layout in layouts)]


def pairs_in(clips):
    return {frozenset(pair) for clip in clips for pair in combinations([event.kind for event in clip.events], 2)}


def cells_in(clips):
    return {
        Cell(event.kind, axis, value)
        for clip in clips
        for event in clip.events
        for axis, value in event.properties.items()
    }


def test_sizes_are_those_asked_for(plan):
    assert Counter(clip.split for clip in plan.clips) == {"dev": 1200, "val": 120, "eval": 240}
    assert len({clip.audio_name for clip in plan.clips}) == 1560


def test_dev_val_and_eval_have_95_14_and_27_pairs_of_kinds_and_share_none(plan):
    dev, val, test = (pairs_in(clips_of(plan, split, "sequence", "overlap")) for split in ("dev", "val", "eval"))
    assert (len(dev), len(val), len(test)) == (95, 14, 27)
    assert not dev & val and not dev & test and not val & test


def test_no_clip_of_three_events_lets_a_held_out_pair_into_another_split(plan):
    dev, val, test = (pairs_in(clips_of(plan, split)) for split in ("dev", "val", "eval"))
    held_for_val, held_for_eval = (pairs_in(clips_of(plan, split, "sequence", "overlap")) for split in ("val", "eval"))
    assert not dev & (held_for_val | held_for_eval)
    assert not val & held_for_eval and not test & held_for_val


def test_a_quarter_of_the_cells_is_held_out_from_single_events(plan):
    val, test = (set(plan.partition.cells(split)) for split in ("val", "eval"))
    singles = {split: clips_of(plan, split, "one") for split in ("dev", "val", "eval")}
    assert len(val | test) == 19 and not val & test
    assert not cells_in(singles["dev"]) & (val | test)
    assert not cells_in(singles["val"]) & test and not cells_in(singles["eval"]) & val
    assert all(cells_in([clip]) & val for clip in singles["val"])
    assert all(cells_in([clip]) & test for clip in singles["eval"])


def test_dev_has_every_property_of_every_kind_in_some_clip_and_every_kind_alone(plan):
    everything = {Cell(kind, axis, value) for kind in KINDS for axis in axes_of(kind) for value in AXES[axis]}
    assert cells_in(clips_of(plan, "dev")) == everything
    assert {clip.events[0].kind for clip in clips_of(plan, "dev", "one")} == set(KINDS)


def test_every_kind_is_tested(plan):
    assert {kind for pair in pairs_in(clips_of(plan, "eval")) for kind in pair} == set(KINDS)


@pytest.mark.parametrize("split", ["dev", "val", "eval"])
def test_all_splits_have_the_same_mixture_of_layouts(plan, split):
    clips = clips_of(plan, split)
    shares = {layout: count / len(clips) for layout, count in Counter(clip.layout for clip in clips).items()}
    assert shares == pytest.approx({"one": 1 / 6, "sequence": 4 / 9, "overlap": 2 / 9, "three": 1 / 6}, abs=0.02)


def twin_groups(plan):
    groups = defaultdict(dict)
    for clip in plan.clips:
        if clip.group is not None:
            groups[clip.group][clip.relation] = clip
    return groups


def test_all_pairs_of_eval_are_in_groups_of_three_that_play_the_same_events(plan):
    groups = twin_groups(plan)
    assert len(groups) == 54
    assert sum(map(len, groups.values())) == len(clips_of(plan, "eval", "sequence", "overlap"))
    for group in groups.values():
        assert set(group) == {"a_then_b", "b_then_a", "a_with_b"}
        assert group["a_then_b"].events == group["b_then_a"].events[::-1] == group["a_with_b"].events
        assert [group[relation].layout for relation in ("a_then_b", "b_then_a", "a_with_b")] == [
            "sequence",
            "sequence",
            "overlap",
        ]


def test_captions_of_sequence_twins_mirror_each_other(plan):
    for group in twin_groups(plan).values():
        for forward, backward in zip(group["a_then_b"].captions, group["b_then_a"].captions, strict=True):
            assert forward != backward
            if "followed by" in forward:
                continue
            relation = next(word for word in ("before", "after", "and then", "then") if f" {word} " in forward)
            first, second = forward.split(f" {relation} ")
            assert backward == f"{second} {relation} {first}"
            assert sorted(backward.split()) == sorted(forward.split())


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    sizes = sizes_for(30)
    assert draw_plan(sizes, seed=5) == draw_plan(sizes, seed=5)
    first, second = draw_plan(sizes, seed=5), draw_plan(sizes, seed=6)
    assert [clip.captions for clip in first.clips] != [clip.captions for clip in second.clips]
    assert first.partition != second.partition


@pytest.mark.parametrize(("clips", "sizes"), [(1200, (1200, 120, 240)), (3000, (3000, 300, 600)), (30, (30, 12, 12))])
def test_val_and_eval_grow_with_dev(clips, sizes):
    scaled = sizes_for(clips)
    assert (scaled.dev, scaled.val, scaled.eval) == sizes
    assert scaled.eval % 3 == 0


def test_the_smallest_set_has_every_layout_in_every_split():
    plan = draw_plan(sizes_for(12), seed=0)
    for split in ("dev", "val", "eval"):
        assert {clip.layout for clip in clips_of(plan, split)} == {"one", "sequence", "overlap", "three"}


def test_too_few_clips_and_negative_seeds_are_refused():
    with pytest.raises(UsageError, match="dev needs at least 12 clips, not 11"):
        sizes_for(11)
    with pytest.raises(UsageError, match="seed"):
        draw_plan(sizes_for(12), seed=-1)
