"""Scaling and ranking a score matrix of Clotho's size: 1,045 clips, 5,225 captions, 500 calibration clips."""

import time
import tracemalloc

import numpy as np
import pytest

from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.scaling import audio_to_text_matrix, scale_columns

pytestmark = pytest.mark.bench

CLIPS, PER_CLIP, CALIBRATION_CLIPS = 1_045, 5, 500
SCALINGS = ("minmax", "minmax-calib", "pmi")
MOST_SECONDS, MOST_COPIES = 1.0, 3.5


@pytest.fixture(scope="module")
def losses():
    """Test and calibration losses like a captioner's: a level for each caption, and what the clip makes of it."""
    rng = np.random.default_rng(0)
    level_C = rng.normal(4, 0.5, CLIPS * PER_CLIP)
    test_AC, calibration_KC = (
        (level_C + rng.normal(0, 0.3, (clips, len(level_C)))).astype(np.float32) for clips in (CLIPS, CALIBRATION_CLIPS)
    )
    return test_AC - np.repeat(np.eye(CLIPS, dtype=np.float32), PER_CLIP, axis=1), calibration_KC


def test_the_matrix_that_audio_to_text_ranks_by(losses, show_table, keep_figures):
    loss_AC, calibration_KC = losses
    ids = [f"{number}.wav" for number in range(CLIPS)]
    owners = [clip_id for clip_id in ids for _ in range(PER_CLIP)]
    matrix = ScoreMatrix(-loss_AC, ids, [f"{owner}#{n % PER_CLIP + 1}" for n, owner in enumerate(owners)], owners)
    figures = {}
    for column_scaling in SCALINGS:
        seconds = min(
            timed(lambda way=column_scaling: audio_to_text_matrix(matrix, way, calibration_KC)) for _ in "123"
        )
        tracemalloc.start()
        ranked = audio_to_text_matrix(matrix, column_scaling, calibration_KC)
        copies = tracemalloc.get_traced_memory()[1] / ranked.scores_AC.nbytes
        tracemalloc.stop()
        scaled_AC = scale_columns(loss_AC, column_scaling, calibration_KC)
        sort_s = timed(lambda scaled_AC=scaled_AC: np.lexsort((loss_AC, scaled_AC), axis=1))
        figures[column_scaling] = {"seconds": seconds, "sort_alone_s": sort_s, "peak_float64_copies": copies}
    show_table(
        f"audio_to_text_matrix on {CLIPS:,} x {CLIPS * PER_CLIP:,}",
        ["", "seconds", "np.lexsort alone", "peak memory in float64 copies"],
        [[name, *(f"{value:.2f}" for value in values.values())] for name, values in figures.items()],
    )
    keep_figures("scaling_speed", figures)
    assert max(each["seconds"] for each in figures.values()) < MOST_SECONDS
    assert max(each["peak_float64_copies"] for each in figures.values()) < MOST_COPIES


def timed(run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
