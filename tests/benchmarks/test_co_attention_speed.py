"""What a pair costs by co-attention at MCAN's size, what all of Clotho's test set would, and what a shortlist saves."""

import time

import numpy as np
import pytest
import torch

from atrkit.models import CoAttentionRetriever, Ragged, seeded_initialisation
from atrkit.models.retriever import ClipInputs, evaluating
from atrkit.models.token_towers import WordTokens
from atrkit.scoring.co_attention import score_all_by_co_attention
from atrkit.scoring.reranking import put_above, shortlist

pytestmark = pytest.mark.bench

CLIPS, CAPTIONS, FRAMES, WORDS = 16, 40, 30, 15
CLOTHO = (1_045, 5_225)
LEAST_GAIN, MOST_SECONDS = 2.0, 10.0


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def timed(run) -> float:
    """Of the processor: others may be using the machine."""
    start = time.process_time()
    run()
    return time.process_time() - start


def test_scoring_all_pairs_beside_passing_each_pair_through_the_whole_model(show_table, keep_figures):
    rng = np.random.default_rng(0)
    with seeded_initialisation(1):
        text = WordTokens(["<pad>", "<unk>", *(f"w{n}" for n in range(300))], dim=768)
        model = CoAttentionRetriever(768, text, dim=512, num_heads=8, ff_dim=2048)
    frames = Ragged.from_sequences([rng.standard_normal((FRAMES, 768)) for _ in range(CLIPS)])
    captions = Ragged.from_sequences([rng.integers(2, 300, WORDS) for _ in range(CAPTIONS)])

    def one_clip_with_all_captions() -> None:
        """Self-attention of both sides for every pair, as `CoAttention.forward` does; projections are left out."""
        frames_PTD = torch.zeros(CAPTIONS, FRAMES, 512)
        lengths = torch.full((CAPTIONS,), FRAMES), torch.full((CAPTIONS,), WORDS)
        for _ in range(CLIPS):
            model.co_attention(frames_PTD, lengths[0], torch.zeros(CAPTIONS, WORDS, 512), lengths[1])

    pairs, clotho_pairs = CLIPS * CAPTIONS, CLOTHO[0] * CLOTHO[1]
    with torch.inference_mode(), evaluating(model):
        naive_s = min(timed(one_clip_with_all_captions) for _ in "12")
        seconds = min(timed(lambda: score_all_by_co_attention(model, ClipInputs((frames,)), captions)) for _ in "12")
    listed = float(shortlist(rng.standard_normal(CLOTHO), 100).mean())
    figures = {
        "ms_per_pair": 1e3 * seconds / pairs,
        "naive_ms_per_pair": 1e3 * naive_s / pairs,
        "clotho_hours": seconds / pairs * clotho_pairs / 3600,
        "share_listed_of_unrelated_scores": listed,
        "clotho_hours_of_100_best": seconds / pairs * clotho_pairs * listed / 3600,
    }
    show_table("co-attention, dim 512, one layer, 30 frames, 15 words, one thread", ["", ""],
               [[name, f"{value:.3g}"] for name, value in figures.items()])  # fmt: skip
    keep_figures("co_attention_speed", figures)
    assert naive_s / seconds > LEAST_GAIN


def test_a_shortlist_of_clothos_size_costs_nothing_beside_it(show_table, keep_figures):
    rng = np.random.default_rng(0)
    first_AC = rng.standard_normal(CLOTHO).astype(np.float32)
    is_listed_AC = shortlist(first_AC, 100)
    new_N = rng.standard_normal(int(is_listed_AC.sum()))
    figures = {
        "shortlist_s": timed(lambda: shortlist(first_AC, 100)),
        "put_above_s": timed(lambda: put_above(first_AC, is_listed_AC, new_N)),
    }
    show_table("5,460,125 pairs, the 100 best", ["", "s"], [[name, f"{value:.2f}"] for name, value in figures.items()])
    keep_figures("reranking_speed", figures)
    assert sum(figures.values()) < MOST_SECONDS
