"""Round numbers on axes, text that fits, elements that are safe."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.reports.charts.scales import Scale, nice_ticks, tick_labels
from atrkit.reports.charts.svg import element, label, marker, number, shortened, text_width
from tests.reports.charts.drawn import HOSTILE

ordinary = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False).map(lambda value: round(value, 6))


@given(ordinary, ordinary, st.integers(2, 8))
def test_ticks_are_round_even_and_enclose_the_range(a, b, wanted):
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high, wanted)
    steps = {round(after - before, 9) for before, after in itertools.pairwise(ticks)}
    mantissa = f"{ticks[1] - ticks[0]:.6e}".split("e")[0].rstrip("0").rstrip(".")

    little = 1e-8 * max(steps)  # of a step: no eye sees it
    assert ticks[0] <= low + little and ticks[-1] >= high - little
    assert max(steps) - min(steps) <= 1e-6 * max(steps)
    assert mantissa in ("1", "2", "5")
    assert 2 <= len(ticks) <= 2 * wanted + 2


@given(ordinary, ordinary, st.integers(2, 8))
def test_the_labels_of_ticks_say_their_values_and_differ(a, b, wanted):
    ticks = nice_ticks(min(a, b), max(a, b), wanted)
    labels = tick_labels(ticks)

    assert [float(each.replace(",", "")) for each in labels] == pytest.approx(ticks, abs=1e-9, rel=1e-9)
    assert len(set(labels)) == len(ticks)


def test_epochs_have_whole_ticks():
    assert nice_ticks(1, 2, 6, whole=True) == (1.0, 2.0)
    assert nice_ticks(0, 1, 8, whole=True) == (0.0, 1.0)


def test_a_share_that_is_always_nothing_does_not_go_below_it():
    assert nice_ticks(0.0, 0.0, 4)[0] == 0.0


def test_the_only_number_stands_in_the_middle():
    assert Scale(3.0, 3.0, 0.0, 100.0)(3.0) == 50.0


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_well_formed_and_reads_as_it_was(text):
    root = ET.fromstring(str(label(text, 1, 2)))
    shown = "".join(root.itertext())

    assert list(root) == []  # no element came in with it
    for character in text:
        is_allowed = character in "\t\n\r" or " " <= character <= "\ud7ff" or "\ue000" <= character <= "\ufffd"
        assert character in shown or character >= "\U00010000" or not is_allowed


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_leaves_its_attribute_or_element(inside, attribute):
    root = ET.fromstring(str(element("text", inside, x=1.0, data_name=attribute)))

    assert list(root) == []
    assert set(root.attrib) == {"x", "data-name"}


@given(st.text(max_size=200), st.floats(20, 400))
def test_shortened_text_fits_and_begins_as_the_whole(text, width):
    short = shortened(text, width)

    assert text_width(short) <= width
    assert short.endswith("…") or not set(short) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_what_fits_is_not_shortened():
    assert shortened("a dog barks", 200) == "a dog barks"
    assert shortened("a dog barks", 40).startswith("a d")


def test_half_an_emoji_is_not_shown():
    family = "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{WOMAN}"
    for width in range(15, 120):
        assert "\N{ZERO WIDTH JOINER}…" not in shortened(family * 5, width)


def test_six_markers_have_six_shapes():
    shapes = {
        (ET.fromstring(str(marker(n, 0, 0))).tag, str(marker(n, 0, 0)).replace(f"--series-{n + 1}", ""))
        for n in range(6)
    }

    assert len(shapes) == 6


@given(st.floats(-1e4, 1e4, allow_nan=False))
def test_coordinates_are_short_and_close(value):
    assert abs(float(number(value)) - value) <= 0.005 + 1e-9
    assert "e" not in number(value) and number(value) != "-0"
