"""Mean and deviation over seeds, against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.metrics.seeds import mean_and_deviation, over_seeds

FIGURES = st.lists(st.floats(0, 1000), min_size=2, max_size=8)


@given(FIGURES)
def test_it_is_the_mean_and_the_sample_deviation(values):
    found = mean_and_deviation(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["deviation"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_seed_has_no_deviation_and_none_has_nothing():
    assert mean_and_deviation([0.25]) == {"mean": 0.25, "deviation": None}
    with pytest.raises(UsageError):
        mean_and_deviation([])


def test_every_figure_by_itself():
    found = over_seeds([{"R@1": 0.2, "MedR": 4.0}, {"R@1": 0.4, "MedR": 7.0}], ["R@1", "MedR"])
    assert found["R@1"]["mean"] == pytest.approx(0.3) and found["MedR"]["mean"] == 5.5
    assert found["MedR"]["deviation"] == pytest.approx(np.sqrt(4.5))
