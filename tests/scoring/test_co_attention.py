"""Scores by co-attention: blocks, chunks and lists of pairs give what one pair after the other gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.errors import DivergedError, UsageError
from atrkit.models import CoAttentionRetriever, Ragged, seeded_initialisation
from atrkit.models.retriever import ClipInputs
from atrkit.models.token_towers import WordTokens
from atrkit.scoring import co_attention as module
from atrkit.scoring.co_attention import score_all_by_co_attention, score_pairs_by_co_attention
from atrkit.scoring.pair_blocks import by_length
from atrkit.scoring.retrieval import pair_scorer, score_all_pairs
from atrkit.text.vocabulary import Vocabulary

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls", "wind"]
LENGTHS = [3, 9, 1, 6, 4, 4]


def model_of(mode="stacking", num_layers=2):
    words = Vocabulary.from_captions(CAPTIONS).words
    with seeded_initialisation(1):
        text = WordTokens(words, dim=5, context="gru", dropout=0.5)
        return CoAttentionRetriever(
            6, text, mode=mode, num_layers=num_layers, dim=8, num_heads=2, ff_dim=12, dropout=0.5
        )


def clips_of(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return ClipInputs((Ragged.from_sequences([rng.standard_normal((length, 6)) for length in lengths]),))


def one_pair_at_a_time(model, clips, captions):
    """The oracle: a batch of one pair, as in training."""
    model = model.eval()
    prepared = model.prepare_captions(captions)
    scores = []
    for a in range(len(clips)):
        frames = model.start_clips(*clips.frames[0].gather(torch.tensor([a])))
        words = [model.start_captions(*prepared.gather(torch.tensor([c]))) for c in range(len(captions))]
        scores.append([model.score_pairs(frames, each).item() for each in words])
    return np.array(scores)


MODEL, CLIPS = model_of(), clips_of()
PREPARED = MODEL.prepare_captions(CAPTIONS)
EXPECTED_AC = one_pair_at_a_time(MODEL, CLIPS, CAPTIONS)


@pytest.mark.parametrize(("mode", "num_layers"), [("single", 1), ("iterating", 2)])
def test_every_pair_scores_what_it_scores_alone(mode, num_layers):
    model = model_of(mode, num_layers).train()
    scores_AC = score_all_pairs(model, CLIPS, CAPTIONS)
    assert model.training and scores_AC.dtype == np.float32
    np.testing.assert_allclose(scores_AC, one_pair_at_a_time(model, CLIPS, CAPTIONS), atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), max_size=40),
    block=st.integers(1, 60),
    rows=st.sampled_from([1, 20, 200]),
)
def test_listed_pairs_score_what_they_score_alone(pairs, block, rows):
    clip_N, caption_N = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_FRAMES", block)
        patch.setattr(module, "BLOCK_WORDS", block)
        patch.setitem(module._CHUNK_ROWS, "cpu", rows)
        done: list[int] = []
        scores_N = score_pairs_by_co_attention(MODEL, CLIPS, PREPARED, clip_N, caption_N, on_progress=done.append)
        scores_AC = score_all_by_co_attention(MODEL, CLIPS, PREPARED)
    assert sum(done) == len(pairs) == len(scores_N)
    np.testing.assert_allclose(scores_N, EXPECTED_AC[clip_N, caption_N], atol=1e-5)
    np.testing.assert_allclose(scores_AC, EXPECTED_AC, atol=1e-5)


def test_captions_in_words_and_pairs_in_any_order():
    clip_N, caption_N = np.array([3, 0, 0, 4, 1]), np.array([0, 1, 1, 3, 2])
    score = pair_scorer(MODEL, CLIPS)
    np.testing.assert_allclose(
        score(clip_N, [CAPTIONS[c] for c in caption_N]), EXPECTED_AC[clip_N, caption_N], atol=1e-5
    )


def test_the_same_caption_twice_ties_to_the_bit():
    scores_AC = score_all_pairs(MODEL, CLIPS, CAPTIONS)
    np.testing.assert_array_equal(scores_AC[:, 2], scores_AC[:, 4])
    assert len(np.unique(scores_AC[:, 2])) == len(LENGTHS)


def test_the_same_caption_twice_costs_once(monkeypatch):
    """So that its two scores cannot differ in the bits of the batches that they would be computed in."""
    scored: list[int] = []
    score_pairs = CoAttentionRetriever.score_pairs

    def count(self, frames, words):
        scored.append(len(words.lengths_P))
        return score_pairs(self, frames, words)

    monkeypatch.setattr(CoAttentionRetriever, "score_pairs", count)
    score_all_pairs(MODEL, CLIPS, CAPTIONS)
    assert sum(scored) == len(LENGTHS) * 4


def test_progress_counts_clips(monkeypatch):
    monkeypatch.setattr(module, "BLOCK_FRAMES", 16)
    done: list[int] = []
    score_all_pairs(MODEL, CLIPS, CAPTIONS, on_progress=done.append)
    assert done == [4, 1, 1], "of 1, 3, 4 and 4 frames, then of 6, then of 9"
    monkeypatch.setattr(module, "BLOCK_WORDS", 1)
    done.clear()
    score_all_pairs(MODEL, CLIPS, CAPTIONS, on_progress=done.append)
    assert done == [1, 1, 1, 1, 1, 1], "one caption after the other, four clips with each"


def test_blocks_hold_so_many_rows_with_their_padding():
    blocks = by_length(np.array([5, 2, 9, 2, 3]), np.array([0, 1, 2, 3, 4]), 6)
    assert [block.tolist() for block in blocks] == [[1, 3], [4], [0], [2]]


def test_what_is_not_finite_is_named():
    frames = clips_of().frames[0]
    frames.values[frames.offsets[3]] = torch.nan
    ids = [f"{n}.wav" for n in range(len(LENGTHS))]
    with pytest.raises(DivergedError, match=r"clip '3\.wav' is not finite"):
        score_all_pairs(MODEL, ClipInputs((frames,)), CAPTIONS, clip_ids=ids)
    with pytest.raises(DivergedError, match=r"clip 3 \(counted from 0\) is not finite"):
        score_all_pairs(MODEL, ClipInputs((frames,)), CAPTIONS)
    broken = model_of()
    with torch.no_grad():
        broken.text.embedding.weight[broken.text.embedding.vocabulary.encode("bell")] = torch.inf
    with pytest.raises(DivergedError, match="caption 'c3' is not finite"):
        score_all_pairs(broken, CLIPS, CAPTIONS, caption_ids=[f"c{n}" for n in range(len(CAPTIONS))])


def test_a_clip_without_frames_is_named_where_it_is_in_a_pair():
    clips = clips_of([3, 0, 2])
    with pytest.raises(UsageError, match=r"clip 1 .* length is 0"):
        score_all_pairs(MODEL, clips, CAPTIONS)
    assert len(score_pairs_by_co_attention(MODEL, clips, PREPARED, [0, 2], [1, 1])) == 2
    with pytest.raises(UsageError, match="has no words"):
        score_all_pairs(MODEL, CLIPS, ["wind", "?!"])
