"""Evaluating and keeping a score matrix of Clotho's size: 1,045 clips, 5,225 captions."""

import time

import numpy as np
import pytest

from atrkit.metrics.ranking import evaluate
from atrkit.score_matrix import ScoreMatrix
from atrkit.store import load_scores, save_scores
from atrkit.workflows.retrieval_figures import FigureOptions, parse_protocols, retrieval_figures

pytestmark = pytest.mark.bench

CLIPS, PER_CLIP = 1_045, 5
KS = (1, 5, 10)


@pytest.fixture(scope="module")
def matrix() -> ScoreMatrix:
    """Cosine-like scores, the right pairs a little higher, a tenth of them equal to others."""
    rng = np.random.default_rng(0)
    scores_AC = rng.normal(size=(CLIPS, CLIPS * PER_CLIP)) + 2.5 * np.repeat(np.eye(CLIPS), PER_CLIP, axis=1)
    scores_AC = np.where(rng.random(scores_AC.shape) < 0.1, scores_AC.round(1), scores_AC).astype(np.float32)
    ids = [f"{number}.wav" for number in range(CLIPS)]
    owners = [clip_id for clip_id in ids for _ in range(PER_CLIP)]
    return ScoreMatrix(scores_AC, ids, [f"{owner}#{n % PER_CLIP}" for n, owner in enumerate(owners)], owners)


def sorted_loops(scores_AC, own_captions_A, clip_of_caption_C) -> dict[str, float]:
    """All figures of both directions as published code has them: a sort for each query, and a search for each item."""
    to_text_ranks, to_audio_ranks, precisions = np.zeros(len(scores_AC)), np.zeros(scores_AC.shape[1]), []
    for clip, own in enumerate(own_captions_A):
        inds = np.argsort(scores_AC[clip])[::-1]
        places = sorted(np.where(inds == caption)[0][0] for caption in own)
        to_text_ranks[clip] = places[0]
        inside = np.array([place for place in places if place < 10])
        precisions.append(np.sum(np.arange(1, len(inside) + 1) / (inside + 1)) / len(own))
    for caption, clip in enumerate(clip_of_caption_C):
        inds = np.argsort(scores_AC[:, caption])[::-1]
        to_audio_ranks[caption] = np.where(inds == clip)[0][0]
    figures = {"a2t mAP@10": float(np.mean(precisions))}
    figures["t2a mAP@10"] = float(np.mean(np.where(to_audio_ranks < 10, 1 / (to_audio_ranks + 1), 0)))
    for name, ranks in (("a2t", to_text_ranks), ("t2a", to_audio_ranks)):
        figures |= {f"{name} R@{k}": float(np.mean(ranks < k)) for k in KS}
        figures |= {f"{name} MedR": float(np.median(ranks)) + 1, f"{name} MnR": float(np.mean(ranks)) + 1}
    return figures


def fastest(run, times: int = 3, clock=time.perf_counter) -> float:
    def once() -> float:
        start = clock()
        run()
        return clock() - start

    return min(once() for _ in range(times))


def processor_s(run, times: int = 3) -> float:
    """Processor time: ratios do not depend on what else the computer does; all of this has one thread."""
    return fastest(run, times, time.process_time)


def test_evaluate_against_a_sort_for_each_query(matrix, show_table, keep_figures):
    """No scores are equal where figures are compared, for a sort leaves ties to chance; times are of ours with ties."""
    evaluate_s, evaluate_processor_s = (
        fastest(lambda: evaluate(matrix)),
        processor_s(lambda: evaluate(matrix), times=10),
    )
    scores_AC, owner_C = matrix.scores_AC, matrix.clip_index_of_caption_C
    own_captions_A = [np.flatnonzero(owner_C == clip) for clip in range(CLIPS)]
    loops_s = processor_s(lambda: sorted_loops(scores_AC, own_captions_A, owner_C))
    rng = np.random.default_rng(1)
    distinct_AC = rng.permutation(scores_AC.size).reshape(scores_AC.shape) + 4e6 * (
        owner_C == np.arange(CLIPS)[:, None]
    )
    distinct = ScoreMatrix(distinct_AC + rng.random(), matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
    figures = evaluate(distinct)
    for name, value in sorted_loops(distinct.scores_AC, own_captions_A, owner_C).items():
        direction, figure = name.split()
        ours = figures["text_to_audio" if direction == "t2a" else "audio_to_text"][figure]
        assert ours == pytest.approx(value, abs=1e-12), name
    texts = [f"caption {number % (CLIPS * PER_CLIP - 100)} of a sound that is heard" for number in range(len(owner_C))]
    options = FigureOptions(protocols=parse_protocols(["all"]))
    all_s = fastest(lambda: retrieval_figures(matrix, matrix, caption_texts=texts, options=options))
    show_table(
        f"{CLIPS:,} x {CLIPS * PER_CLIP:,}, both directions",
        ["", "seconds"],
        [
            ["evaluate(): all figures", f"{evaluate_s:.3f}"],
            ["  processor time", f"{evaluate_processor_s:.3f}"],
            ["a sort for each query: R@1, R@5, R@10, mAP@10, MedR, MnR; processor time", f"{loops_s:.2f}"],
            ["ratio", f"{loops_s / evaluate_processor_s:.0f}"],
            ["with hubs, duplicates, bounds, unscaled, five protocols", f"{all_s:.3f}"],
        ],
    )
    seconds = {"evaluate_s": evaluate_s, "evaluate_processor_s": evaluate_processor_s}
    seconds |= {"sorted_loops_processor_s": loops_s, "retrieval_figures_s": all_s}
    keep_figures("ranking_speed", seconds)
    assert evaluate_s <= 1
    assert all_s <= 2
    assert loops_s / evaluate_processor_s >= 20


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
