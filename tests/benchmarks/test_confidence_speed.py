"""Intervals and comparisons of Clotho's size, and of a matrix that does not fit into memory."""

import resource
import time

import numpy as np
import pytest

from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.metrics.significance import compare_systems, figure_intervals
from atrkit.score_matrix import ScoreMatrix

pytestmark = pytest.mark.bench

CLIPS, PER_CLIP = 1_045, 5


def system(seed: int) -> ScoreMatrix:
    rng = np.random.default_rng(seed)
    scores_AC = rng.normal(size=(CLIPS, CLIPS * PER_CLIP)) + 2.5 * np.repeat(np.eye(CLIPS), PER_CLIP, axis=1)
    ids = [f"{number}.wav" for number in range(CLIPS)]
    owners = [clip_id for clip_id in ids for _ in range(PER_CLIP)]
    captions = [f"{owner}#{n % PER_CLIP}" for n, owner in enumerate(owners)]
    return ScoreMatrix(scores_AC.astype(np.float32), ids, captions, owners)


def ranks_of(clips: int, per_clip: int) -> QueryValues:
    """Queries of a gallery so large that scores themselves would fill the memory."""
    clip_Q = np.repeat(np.arange(clips), per_clip)
    rank_Q = np.random.default_rng(0).geometric(0.02, size=len(clip_Q)).astype(np.float64)
    values = {f"R@{k}": (rank_Q <= k).astype(np.float64) for k in (1, 5, 10)} | {"mAP@10": 1 / rank_Q}
    clip_ids = tuple(f"{clip:05}.wav" for clip in range(clips))
    return QueryValues(tuple(f"{clip_ids[c]}#{q}" for q, c in enumerate(clip_Q)), clip_Q, clip_ids, values, rank_Q)


def seconds_of(run) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def test_ten_thousand_resamples_take_seconds(show_table, keep_figures):
    one, other = system(1), system(2)
    to_audio = [text_to_audio_values(matrix) for matrix in (one, other)]
    to_text = [audio_to_text_values(matrix) for matrix in (one, other)]
    figures = {
        "intervals, text to audio": seconds_of(lambda: figure_intervals(to_audio[0], np.random.default_rng(0))),
        "intervals, audio to text": seconds_of(lambda: figure_intervals(to_text[0], np.random.default_rng(0))),
        "comparison of two, both directions": seconds_of(
            lambda: [
                compare_systems([[values] for values in pair], np.random.default_rng(0)) for pair in (to_audio, to_text)
            ]
        ),
    }
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    large = ranks_of(20_000, 5)
    figures["intervals, 100,000 captions"] = seconds_of(lambda: figure_intervals(large, np.random.default_rng(0)))
    more_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb
    show_table("10,000 resamples", ["what", "CPU s"], [[name, f"{value:.2f}"] for name, value in figures.items()])
    keep_figures("confidence", {**figures, "memory for 100,000 captions, MB": more_mb})
    assert figures["intervals, text to audio"] + figures["intervals, audio to text"] < 3
    assert figures["comparison of two, both directions"] < 6
    assert more_mb < 500
