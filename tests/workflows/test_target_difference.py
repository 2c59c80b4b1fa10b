"""How far a run is from the paper: which published row is compared with which measured one."""

import pytest

from atrkit.workflows.target import target_difference

SCALED = {"audio_to_text": {"R@1": 14.8}, "audio_to_text_raw": {"R@1": 3.8}}


def measured(recall: float, low: float | None = None, high: float | None = None) -> dict[str, object]:
    return {"R@1": recall, "MedR": 12.0} | ({} if low is None else {"ci": {"R@1": [low, high], "MedR": [11.0, 13.0]}})


@pytest.mark.parametrize(
    ("recall", "low", "high", "inside"),
    [
        (0.16, 0.15, 0.17, True),
        (0.155, 0.155, 0.2, True),
        (0.16, 0.156, 0.17, False),
        (0.16, None, None, None),
        (0.155, 0.155, 0.155, None),
        (0.16, 0.16, 0.16, None),
    ],
)
def test_a_published_figure_is_per_cent_and_inside_or_outside_the_interval(recall, low, high, inside):
    found = target_difference(
        {"text_to_audio": measured(recall, low, high)}, {"values": {"text_to_audio": {"R@1": 15.5}}}
    )
    assert found == {
        "text_to_audio": {"R@1": {"published": 0.155, "difference": pytest.approx(recall - 0.155), "inside_ci": inside}}
    }


def test_ranks_are_published_as_they_are():
    figures = {**measured(0.1, 0, 1), "MnR": 30.0}
    found = target_difference({"text_to_audio": figures}, {"values": {"text_to_audio": {"MedR": 14, "MnR": 41.5}}})
    assert found["text_to_audio"]["MedR"] == {"published": 14, "difference": -2.0, "inside_ci": False}
    assert found["text_to_audio"]["MnR"] == {"published": 41.5, "difference": -11.5, "inside_ci": None}


def test_one_clip_has_no_interval_to_lie_in():
    figures = {"R@1": 0.0, "ci": {"R@1": None}}
    found = target_difference({"text_to_audio": figures}, {"values": {"text_to_audio": {"R@1": 0.0}}})
    assert found["text_to_audio"]["R@1"]["inside_ci"] is None


def test_scaled_rows_are_compared_with_scaled_ones_and_unscaled_with_unscaled():
    results = {"audio_to_text": measured(0.15), "audio_to_text_raw": measured(0.04)}
    found = target_difference(results, {"values": SCALED})
    assert found["audio_to_text"]["R@1"]["difference"] == pytest.approx(0.002)
    assert found["audio_to_text_raw"]["R@1"]["difference"] == pytest.approx(0.002)


def test_where_nothing_is_scaled_the_unscaled_row_is_the_one_to_compare_with():
    found = target_difference({"audio_to_text": measured(0.04)}, {"values": SCALED})
    assert found.keys() == {"audio_to_text_raw"}
    assert found["audio_to_text_raw"]["R@1"]["difference"] == pytest.approx(0.002)


def test_figures_that_were_not_measured_are_left_out():
    values = {"text_to_audio": {"R@1": 10.0, "R@50": 90.0}, "audio_to_text": {"R@1": 1.0}}
    found = target_difference({"text_to_audio": measured(0.1), "audio_to_text": None}, {"values": values})
    assert found.keys() == {"text_to_audio"} and found["text_to_audio"].keys() == {"R@1"}


@pytest.mark.parametrize("target", [None, {"paper": "002"}, {"paper": "002", "values": None}])
def test_without_published_figures_there_is_no_difference(target):
    assert target_difference({"text_to_audio": measured(0.1)}, target) is None
