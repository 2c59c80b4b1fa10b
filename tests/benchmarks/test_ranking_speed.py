"""Evaluating and keeping a score matrix of Clotho's size: 1,045 clips, 5,225 captions."""

import time

import numpy as np
import pytest

from atrkit.metrics.ranking import evaluate, hits_at_k
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks
from atrkit.score_matrix import ScoreMatrix
from atrkit.store import load_scores, save_scores

pytestmark = pytest.mark.bench

CLIPS, PER_CLIP = 1_045, 5
KS = (1, 5, 10)
# the loops are timed on these queries of each direction and scaled up
SAMPLE = range(100)


@pytest.fixture(scope="module")
def matrix() -> ScoreMatrix:
    """Cosine-like scores, the right pairs a little higher, a tenth of them equal to others."""
    rng = np.random.default_rng(0)
    scores_AC = rng.normal(size=(CLIPS, CLIPS * PER_CLIP)) + 2.5 * np.repeat(np.eye(CLIPS), PER_CLIP, axis=1)
    scores_AC = np.where(rng.random(scores_AC.shape) < 0.1, scores_AC.round(1), scores_AC).astype(np.float32)
    ids = [f"{number}.wav" for number in range(CLIPS)]
    owners = [clip_id for clip_id in ids for _ in range(PER_CLIP)]
    return ScoreMatrix(scores_AC, ids, [f"{owner}#{n % PER_CLIP}" for n, owner in enumerate(owners)], owners)


def chance_of_a_hit(scores, relevant, k) -> float:
    """One query, by plain loops over the candidates: the probability that a relevant one is among the first k."""
    best = max(score for score, is_relevant in zip(scores, relevant, strict=True) if is_relevant)
    better = sum(score > best for score in scores)
    tied = sum(score == best for score in scores)
    hits = sum(score == best and is_relevant for score, is_relevant in zip(scores, relevant, strict=True))
    miss = 1.0
    for place in range(min(max(k - better, 0), tied)):
        miss *= max(tied - hits - place, 0) / (tied - place)
    return 1 - miss


def fastest(run, times: int = 3) -> float:
    def once() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return min(once() for _ in range(times))


def test_evaluate_against_loops(matrix, show_table, keep_figures):
    evaluate_s = fastest(lambda: evaluate(matrix))
    owner_C = matrix.clip_index_of_caption_C
    directions = (
        (text_to_audio_blocks(matrix), [(matrix.scores_AC[:, c], np.arange(CLIPS) == owner_C[c]) for c in SAMPLE]),
        (audio_to_text_blocks(matrix), [(matrix.scores_AC[a], owner_C == a) for a in SAMPLE]),
    )
    loops_s = 0.0
    for blocks, sample in directions:
        lists = [(scores_N.tolist(), is_relevant_N.tolist()) for scores_N, is_relevant_N in sample]
        start = time.perf_counter()
        looped = {k: [chance_of_a_hit(*query, k) for query in lists] for k in KS}
        loops_s += (time.perf_counter() - start) * blocks.queries / len(sample)
        for k in KS:
            np.testing.assert_allclose(hits_at_k(blocks, k)[: len(sample)], looped[k], atol=1e-12)
    show_table(
        f"evaluate() on {CLIPS:,} x {CLIPS * PER_CLIP:,}",
        ["", "seconds"],
        [
            ["all figures, both directions", f"{evaluate_s:.3f}"],
            ["R@1, R@5, R@10 alone, by loops (scaled up)", f"{loops_s:.1f}"],
            ["ratio", f"{loops_s / evaluate_s:.0f}"],
        ],
    )
    keep_figures("ranking_speed", {"evaluate_s": evaluate_s, "loops_s": loops_s})
    assert evaluate_s < loops_s / 5


def test_scores_are_saved_and_loaded_quickly_and_unchanged(matrix, tmp_path, show_table, keep_figures):
    path = tmp_path / "scores.h5"
    save_s = fastest(lambda: save_scores(path, matrix, {"run": "benchmark"}))
    load_s = fastest(lambda: load_scores(path))
    np.testing.assert_array_equal(load_scores(path).scores_AC, matrix.scores_AC)
    megabytes = path.stat().st_size / 1e6
    seconds = {"save_scores": save_s, "load_scores": load_s}
    rows = [[name, f"{wall_s:.3f}", f"{megabytes / wall_s:.0f}"] for name, wall_s in seconds.items()]
    show_table(f"scores.h5 of {megabytes:.0f} MB, hashed", ["", "seconds", "MB/s"], rows)
    keep_figures("ranking_speed", {"save_s": save_s, "load_s": load_s, "megabytes": megabytes})
