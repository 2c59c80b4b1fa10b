"""Rendered clips: levels, lengths, order in time, and nothing but the order to tell twins apart."""

from dataclasses import replace

import numpy as np
import pytest

from atrkit.datasets.synthetic.events import KINDS, Event, draw_event
from atrkit.datasets.synthetic.layouts import ClipPlan, draw_plan, sizes_for
from atrkit.datasets.synthetic.render import limited, noise_bank, render

SEED = 3


@pytest.fixture(scope="module")
def bank():
    return noise_bank(SEED)


@pytest.fixture(scope="module")
def rendered(bank):
    return [(plan, render(plan, SEED, bank)) for plan in draw_plan(sizes_for(90), SEED).clips]


def loudest_20_ms_dbfs(signal):
    blocks = np.lib.stride_tricks.sliding_window_view(signal, 320)[::40]
    return 10 * np.log10(np.max(np.mean(blocks**2, axis=1)))


def test_no_clip_is_clipped_or_silent(rendered):
    for _, clip in rendered:
        assert np.abs(clip.signal).max() < 1
        assert loudest_20_ms_dbfs(clip.signal) > -33


def test_lengths_are_1_6_to_7_seconds_and_about_3_7_on_average(rendered):
    lengths_s = [len(clip.signal) / 16_000 for _, clip in rendered]
    assert min(lengths_s) >= 1.6 and max(lengths_s) <= 7
    assert 3.3 < np.mean(lengths_s) < 4.2


@pytest.mark.parametrize("kind", KINDS)
def test_loud_unnamed_and_faint_never_meet(kind, bank):
    for loudness, middle_dbfs in (("loud", -10), ("unnamed", -19), ("faint", -28)):
        for index in range(4):
            event = draw_event(kind, np.random.default_rng(index))
            event = replace(event, properties={**event.properties, "loudness": loudness})
            clip = render(ClipPlan("dev", index, "one", (event,), (), ()), SEED, bank)
            # the limiter takes up to 1 dB from peaks, the background adds up to 0.5 dB to what is faint
            assert middle_dbfs - 3.5 < loudest_20_ms_dbfs(clip.signal) < middle_dbfs + 2.8


def test_events_of_a_sequence_follow_each_other_with_a_gap_of_a_tenth_to_half_a_second(rendered):
    for plan, clip in rendered:
        if plan.layout in ("sequence", "three"):
            for before, after in zip(clip.placements, clip.placements[1:], strict=False):
                assert 0.0999 < after.start_s - before.end_s < 0.5001


def test_of_two_overlapping_events_one_lies_within_the_other(rendered):
    for plan, clip in rendered:
        if plan.layout == "overlap":
            inner, outer = sorted(clip.placements, key=lambda place: place.end_s - place.start_s)
            assert outer.start_s <= inner.start_s and inner.end_s <= outer.end_s


def centre_s(signal, low_hz, high_hz):
    """Where in time the energy of a band lies."""
    frames = np.lib.stride_tricks.sliding_window_view(signal, 1024)[::256] * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    hz = np.fft.rfftfreq(1024, 1 / 16_000)
    energy = power[:, (hz > low_hz) & (hz < high_hz)].sum(axis=1)
    return np.sum(energy * np.arange(len(energy))) / energy.sum() * 256 / 16_000


def test_the_order_of_events_can_be_heard(bank):
    cricket = Event("cricket", {"speed": "fast", "loudness": "loud"})
    engine = Event("engine", {"pitch": "low", "loudness": "loud"})
    for index in range(5):
        forward = render(ClipPlan("eval", index, "sequence", (cricket, engine), (), ()), SEED, bank).signal
        backward = render(ClipPlan("eval", index, "sequence", (engine, cricket), (), ()), SEED, bank).signal
        assert centre_s(forward, 4_500, 5_500) < centre_s(forward, 40, 400) - 0.5
        assert centre_s(backward, 40, 400) < centre_s(backward, 4_500, 5_500) - 0.5


def facts(clip, order):
    """Durations and levels of events A and B, and everything about the clip that is not their order."""
    event_a, event_b = clip.placements[::order]
    first, second = clip.placements
    return [
        *(event_a.end_s - event_a.start_s, event_a.level_dbfs, event_b.end_s - event_b.start_s, event_b.level_dbfs),
        *(second.start_s - first.end_s, first.start_s, len(clip.signal) / 16_000, loudest_20_ms_dbfs(clip.signal)),
    ]


def test_nothing_but_order_tells_sequence_twins_apart(bank):
    events = (
        Event("drips", {"speed": "fast", "loudness": "loud"}),
        Event("dog", {"pitch": "low", "count": "several", "loudness": "faint"}),
    )
    forward, backward = (
        np.array(
            [
                facts(render(ClipPlan("eval", index, "sequence", events[::order], (), ()), SEED, bank), order)
                for index in indices
            ]
        )
        for order, indices in ((1, range(150)), (-1, range(150, 300)))
    )
    error = np.sqrt((forward.var(axis=0) + backward.var(axis=0)) / 150)
    assert np.all(np.abs(forward.mean(axis=0) - backward.mean(axis=0)) < 4 * error)


def test_the_same_events_are_rendered_anew_in_every_clip(bank):
    event = Event("beep", {"pitch": "high", "count": "once", "loudness": "loud"})
    first, second = (render(ClipPlan("dev", index, "one", (event,), (), ()), SEED, bank).signal for index in (0, 1))
    shorter = min(len(first), len(second))
    assert np.abs(first[:shorter] - second[:shorter]).max() > 0.05


def test_the_limiter_leaves_quiet_sound_alone_and_keeps_order_and_sign_of_what_is_loud():
    ramp = np.linspace(-4, 4, 801)
    bent = limited(ramp)
    quiet = np.abs(ramp) <= 0.7
    np.testing.assert_allclose(bent[quiet], ramp[quiet], atol=1e-15)
    assert np.all(np.diff(bent) >= 0) and np.all(np.sign(bent) == np.sign(ramp)) and np.abs(bent).max() < 1
