"""What is wanted, what sounds alike and what is not wanted, in one direction."""

import numpy as np
import pytest

from atrkit.errors import DivergedError, UsageError
from atrkit.search.query import combined_query


def on_the_sphere(seed: int, *shape: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal(shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def test_a_text_alone_is_its_own_query():
    text_D = on_the_sphere(1, 16)
    assert combined_query([text_D]) == pytest.approx(text_D, abs=1e-6)


def test_a_sound_is_the_mean_of_its_windows_whatever_its_length():
    short_WD, other_WD = on_the_sphere(2, 2, 16), on_the_sphere(3, 1, 16)
    long_WD = np.concatenate([short_WD] * 30)
    together = combined_query(sounds=[long_WD, other_WD])
    assert together == pytest.approx(combined_query(sounds=[short_WD, other_WD]), abs=1e-6)
    mean_D = short_WD.mean(axis=0)
    assert combined_query(sounds=[short_WD]) == pytest.approx(mean_D / np.linalg.norm(mean_D), abs=1e-6)


def test_text_and_sound_count_alike():
    text_D, sound_WD = on_the_sphere(4, 16), on_the_sphere(5, 3, 16)
    query_D = combined_query([text_D], [sound_WD])
    mean_D = sound_WD.mean(axis=0) / np.linalg.norm(sound_WD.mean(axis=0))
    assert query_D @ text_D == pytest.approx(query_D @ mean_D, abs=1e-6)


def test_what_is_not_wanted_goes_down_and_what_is_wanted_stays_first():
    rain, dog = np.eye(3, dtype=np.float32)[:2]
    windows = {"rain": rain, "rain and dog": (rain + dog) / 2**0.5, "dog": dog}

    def order(*unwanted):
        query_D = combined_query([rain], unwanted_ND=unwanted)
        return sorted(windows, key=lambda name: -float(windows[name] @ query_D))

    assert order(dog) == ["rain", "rain and dog", "dog"]
    query_D = combined_query([rain], unwanted_ND=[dog])
    before, after = (float(windows["rain and dog"] @ query) for query in (rain, query_D))
    assert after < before / 2
    assert windows["dog"] @ query_D < 0
    twice_D = combined_query([rain], unwanted_ND=[dog, dog])
    assert twice_D @ dog < query_D @ dog


def test_an_unwanted_text_weighs_the_same_beside_one_wanted_thing_and_beside_two_equal_ones():
    text_D, unwanted_D = on_the_sphere(6, 16), on_the_sphere(7, 16)
    one = combined_query([text_D], unwanted_ND=[unwanted_D])
    assert combined_query([text_D], [text_D[None]], [unwanted_D]) == pytest.approx(one, abs=1e-6)


def test_nothing_wanted_and_what_cancels_itself_is_refused():
    text_D = on_the_sphere(8, 16)
    with pytest.raises(UsageError, match="say what is to be found"):
        combined_query(unwanted_ND=[text_D])
    with pytest.raises(UsageError, match="cancel each other"):
        combined_query([text_D], unwanted_ND=[text_D, text_D])
    with pytest.raises(UsageError, match="cancel each other"):
        combined_query([text_D], [-text_D[None]])
    with pytest.raises(DivergedError, match="not finite"):
        combined_query([np.full(16, np.nan)])
