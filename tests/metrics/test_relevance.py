"""What is relevant to what: shared words and judgements, against plain loops, and figures against ir_measures."""

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, R, Success, nDCG

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.metrics.graded import ndcg_at_k
from atrkit.metrics.ranking import (
    direction_figures,
    evaluate,
    first_ranks,
    fractional_recall_at_k,
    map_at_k,
    recall_at_k,
)
from atrkit.metrics.relevance import judged_pairs, same_text_pairs
from atrkit.metrics.tie_blocks import audio_to_text_blocks, text_to_audio_blocks, text_to_audio_ranks


def matrix_of(scores_AC, owners=None):
    clips, captions = np.shape(scores_AC)
    owners = range(captions) if owners is None else owners
    clip_ids = [f"clip {a}" for a in range(clips)]
    return ScoreMatrix(scores_AC, clip_ids, [f"caption {c}" for c in range(captions)], [f"clip {a}" for a in owners])


def pairs_as_ids(matrix, pairs):
    triples = zip(pairs.caption_P, pairs.clip_P, pairs.grade_P, strict=True)
    return {(matrix.caption_ids[c], matrix.clip_ids[a], grade) for c, a, grade in triples}


# ---- captions with the same words


@st.composite
def captioned(draw):
    clips, captions = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    owners = draw(st.lists(st.integers(0, clips - 1), min_size=captions, max_size=captions))
    texts = draw(
        st.lists(
            st.sampled_from(["Rain.", "rain", "A dog barks", "a dog  barks!", "Sea"]),
            min_size=captions,
            max_size=captions,
        )
    )
    scores_AC = draw(
        st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 5, (clips, captions)))
    )
    return matrix_of(scores_AC.astype(float), owners), texts


WORDS = {"Rain.": "rain", "rain": "rain", "A dog barks": "dog", "a dog  barks!": "dog", "Sea": "sea"}


@settings(max_examples=60, deadline=None)
@given(captioned())
def test_captions_with_the_same_words_are_relevant_to_each_others_clips(drawn):
    matrix, texts = drawn
    expected = {
        (matrix.caption_ids[c], matrix.clip_of_caption[twin], 1)
        for c, text in enumerate(texts)
        for twin, other in enumerate(texts)
        if WORDS[text] == WORDS[other]
    }
    assert pairs_as_ids(matrix, same_text_pairs(matrix, texts)) == expected


@settings(max_examples=60, deadline=None)
@given(captioned())
def test_figures_of_shared_words_in_both_directions_are_those_of_plain_loops(drawn):
    matrix, texts = drawn
    pairs = same_text_pairs(matrix, texts)
    relevant = pairs_as_ids(matrix, pairs)

    def chance_of_a_hit(scores, is_relevant, k):
        best = max(score for score, hit in zip(scores, is_relevant, strict=True) if hit)
        better, tied = sum(s > best for s in scores), sum(s == best for s in scores)
        hits = sum(s == best and hit for s, hit in zip(scores, is_relevant, strict=True))
        miss = 1.0
        for place in range(min(max(k - better, 0), tied)):
            miss *= max(tied - hits - place, 0) / (tied - place)
        return 1 - miss

    to_audio = [
        chance_of_a_hit(matrix.scores_AC[:, c], [(caption, clip, 1) in relevant for clip in matrix.clip_ids], 2)
        for c, caption in enumerate(matrix.caption_ids)
    ]
    with_captions = [a for a, clip in enumerate(matrix.clip_ids) if clip in matrix.clip_of_caption]
    to_text = [
        chance_of_a_hit(
            matrix.scores_AC[a], [(caption, matrix.clip_ids[a], 1) in relevant for caption in matrix.caption_ids], 2
        )
        for a in with_captions
    ]
    ours = (
        direction_figures(text_to_audio_blocks(matrix, pairs), (2,)),
        direction_figures(audio_to_text_blocks(matrix, pairs), (2,)),
    )
    assert [each["R@2"] for each in ours] == pytest.approx([np.mean(to_audio), np.mean(to_text)])
    assert [each["queries"] for each in ours] == [len(texts), len(with_captions)], "no query comes or goes"


def test_chance_knows_that_there_is_more_to_find():
    matrix = matrix_of(np.zeros((4, 4)))
    to_audio = direction_figures(text_to_audio_blocks(matrix, same_text_pairs(matrix, ["x", "x", "y", "z"])), (1,))
    assert to_audio["chance_R@1"] == pytest.approx((2 + 2 + 1 + 1) / 16)
    assert evaluate(matrix, (1,))["text_to_audio"]["chance_R@1"] == pytest.approx(1 / 4)


def test_captions_without_words_are_relevant_to_their_own_clips_alone():
    matrix = matrix_of(np.eye(3))
    pairs = same_text_pairs(matrix, ["...", "!?", ""])
    assert list(zip(pairs.caption_P.tolist(), pairs.clip_P.tolist(), strict=True)) == [(0, 0), (1, 1), (2, 2)]


def test_texts_that_all_differ_change_nothing():
    matrix = matrix_of(np.random.default_rng(0).normal(size=(5, 10)), [c % 5 for c in range(10)])
    pairs = same_text_pairs(matrix, [f"text {c}" for c in range(10)])
    assert direction_figures(text_to_audio_blocks(matrix, pairs)) == evaluate(matrix)["text_to_audio"]
    assert direction_figures(audio_to_text_blocks(matrix, pairs)) == evaluate(matrix)["audio_to_text"]


def test_one_text_for_each_caption():
    with pytest.raises(UsageError, match="4 captions in the score matrix, but 1 texts"):
        same_text_pairs(matrix_of(np.zeros((4, 4))), ["x"])


# ---- judgements


def test_what_is_not_among_the_scores_is_counted():
    matrix = matrix_of(np.zeros((3, 2)))
    grades = {
        "caption 0": {"clip 0": 80, "clip 1": 20, "sea": 100},
        "caption 1": {"clip 2": 30, "clip 1": 0},
        "another": {"clip 0": 100},
    }
    judged = judged_pairs(matrix, grades, least_grade=50)
    assert pairs_as_ids(matrix, judged.pairs) == {("caption 0", "clip 0", 80)}
    assert (judged.unknown_captions, judged.unknown_clips, judged.without_relevant) == (1, 1, 1)
    assert pairs_as_ids(matrix, judged.all_judged) == {
        ("caption 0", "clip 0", 80),
        ("caption 0", "clip 1", 20),
        ("caption 1", "clip 1", 0),
        ("caption 1", "clip 2", 30),
    }


@pytest.mark.parametrize(
    ("grades", "least", "message"),
    [
        ({"caption 0": {"clip 0": 1}}, 0, "--min-grade 0: grade 0 is 'not relevant'"),
        ({"caption 0": {"clip 0": 1}}, 2, "none of the 1 judged captions has a relevant clip"),
        ({"other": {"clip 0": 1}}, 1, "are the ids those of this dataset and split"),
    ],
)
def test_judgements_that_leave_nothing_to_find_are_refused(grades, least, message):
    with pytest.raises(UsageError, match=message):
        judged_pairs(matrix_of(np.zeros((2, 2))), grades, least)


def test_the_own_clip_is_relevant_only_where_it_was_judged_so():
    matrix = matrix_of([[1.0], [0.0]])
    blocks = text_to_audio_blocks(matrix, judged_pairs(matrix, {"caption 0": {"clip 1": 1}}).pairs)
    assert recall_at_k(blocks, 1) == 0
    assert first_ranks(blocks).tolist() == [2]


# ---- the same figures by ir_measures, where no scores are equal


@pytest.mark.parametrize("highest", [1, 3, 100])
@pytest.mark.parametrize("seed", range(3))
def test_ir_measures_agrees_on_several_and_graded_relevant_clips(highest, seed):
    rng = np.random.default_rng(seed)
    clips, captions, least = 30, 20, (highest + 1) // 2
    matrix = matrix_of(
        rng.permutation(clips * captions).reshape(clips, captions).astype(float), rng.integers(0, clips, captions)
    )
    grades = {
        caption: {clip: int(rng.integers(0, highest + 1)) for clip in rng.choice(matrix.clip_ids, 12, replace=False)}
        | {matrix.clip_ids[c]: highest}
        for c, caption in enumerate(matrix.caption_ids)
    }
    judged = judged_pairs(matrix, grades, least)
    blocks, ranks = text_to_audio_blocks(matrix, judged.pairs), text_to_audio_ranks(matrix, judged.all_judged)
    ours = {
        **{Success(rel=least) @ k: recall_at_k(blocks, k) for k in (1, 5, 10)},
        **{R(rel=least) @ k: fractional_recall_at_k(blocks, k) for k in (1, 5, 10)},
        **{AP(rel=least) @ k: map_at_k(blocks, k) for k in (10, 16)},
        **{nDCG @ k: ndcg_at_k(ranks.select(ranks.grade_P > 0), k) for k in (1, 5, 10)},
        RR(rel=least): float(np.mean(1 / first_ranks(blocks))),
    }
    run = {
        caption: dict(zip(matrix.clip_ids, matrix.scores_AC[:, c].tolist(), strict=True))
        for c, caption in enumerate(matrix.caption_ids)
    }
    theirs = ir_measures.calc_aggregate(list(ours), grades, run)
    assert ours == pytest.approx({measure: theirs[measure] for measure in ours}, abs=1e-12)
