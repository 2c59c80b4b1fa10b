"""Which queries are shown, and what is shown of them: against plain loops over ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.datasets.clip import Caption, Clip
from atrkit.metrics.query_values import text_to_audio_values
from atrkit.workflows.report_examples import (
    audio_to_text_examples,
    clips_in,
    pick_queries,
    text_to_audio_examples,
)


def world(seed, clips=9, captions=2, levels=6):
    """A matrix with ties, and its clips."""
    rng = np.random.default_rng(seed)
    ids = [f"clip {number}" for number in range(clips)]
    of_caption = [clip for clip in ids for _ in range(captions)]
    caption_ids = [f"{clip}#{number % captions}" for number, clip in enumerate(of_caption)]
    scores = rng.integers(0, levels, (clips, len(caption_ids))) / levels
    return ScoreMatrix(scores, ids, caption_ids, of_caption), clips_by_id(ids, caption_ids, of_caption)


def clips_by_id(ids, caption_ids, of_caption):
    texts = {
        clip: [Caption(c, f"text of {c}") for c, own in zip(caption_ids, of_caption, strict=True) if own == clip]
        for clip in ids
    }
    return {clip: Clip(clip, f"{clip}.wav", "0", 16000, 16000, 1, "eval", tuple(texts[clip])) for clip in ids}


def asked(matrix, clips, examples=2):
    keys = {clip_id: f"d/{clip_id}" for clip_id in clips}
    return text_to_audio_examples(matrix, clips, examples, key_of=keys, score_name="cosine")


def heard(raw, clips, ranked=None, examples=2):
    keys = {clip_id: f"d/{clip_id}" for clip_id in clips}
    return audio_to_text_examples(raw, ranked or raw, clips, examples, key_of=keys, score_name="cosine")


def column(matrix, caption_id):
    return dict(zip(matrix.clip_ids, matrix.scores_AC[:, matrix.caption_ids.index(caption_id)].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_the_top_five_are_those_with_the_highest_scores_and_the_truth_goes_by_id(seed):
    matrix, clips = world(seed)
    for group in asked(matrix, clips).groups:
        for query in group.queries:
            caption_id = query.text.removeprefix("text of ")
            own, scores = caption_id.split("#")[0], column(matrix, caption_id)
            best = sorted(scores, key=lambda clip: (-scores[clip], clip))[:5]
            assert [found.clip_id for found in query.found[:5]] == best
            assert [found.clip_id for found in query.found if found.is_right] == [own]
            better, equal = (sum(op(s, scores[own]) for s in scores.values()) for op in (float.__gt__, float.__eq__))
            assert float(query.rank) == better + (equal + 1) / 2
            assert len(query.found) == (5 if own in best else 6)
            assert query.found[0].score == f"{scores[best[0]]:.3f}"


@pytest.mark.parametrize("seed", range(4))
def test_a_clip_shows_its_captions_and_those_it_retrieves(seed):
    matrix, clips = world(seed)
    for group in heard(matrix, clips).groups:
        for query in group.queries:
            row = dict(zip(matrix.caption_ids, matrix.scores_AC[matrix.clip_ids.index(query.clip_id)], strict=True))
            best = sorted(row, key=lambda caption: (-row[caption], caption))[:5]
            assert [found.text for found in query.found[:5]] == [f"text of {caption}" for caption in best]
            for found in query.found:
                assert found.is_right == found.text.startswith(f"text of {query.clip_id}#")
            assert query.captions == (f"text of {query.clip_id}#0", f"text of {query.clip_id}#1")
            assert any(found.is_right for found in query.found)


def test_captions_are_ranked_by_the_scaled_matrix_and_shown_with_the_raw_score():
    matrix, clips = world(1)
    reversed_order = ScoreMatrix(-matrix.scores_AC, matrix.clip_ids, matrix.caption_ids, matrix.clip_of_caption)
    query = heard(matrix, clips, reversed_order, examples=1).groups[0].queries[0]
    row = dict(zip(matrix.caption_ids, matrix.scores_AC[matrix.clip_ids.index(query.clip_id)], strict=True))
    worst = min(row, key=lambda caption: (row[caption], caption))
    assert (query.found[0].text, query.found[0].score) == (f"text of {worst}", f"{row[worst]:.3f}")


@settings(max_examples=50)
@given(st.integers(0, 50), st.integers(1, 12), st.integers(1, 4))
def test_each_clip_is_asked_for_once_and_kinds_are_in_order(seed, clips, examples):
    matrix, _ = world(seed, clips)
    values = text_to_audio_values(matrix)
    picked = pick_queries(values, examples)
    taken = [query for queries in picked.values() for query in queries]
    assert len({values.query_ids[query].split("#")[0] for query in taken}) == len(taken) == min(clips, 3 * examples)
    ranks = {kind: [values.first_rank_Q[query] for query in queries] for kind, queries in picked.items()}
    assert ranks["Best"][0] == values.first_rank_Q.min()
    assert ranks["Best"] == sorted(ranks["Best"]) and ranks["Worst"] == sorted(ranks["Worst"], reverse=True)
    if ranks["Worst"] and ranks["Median"]:
        assert ranks["Best"][0] <= ranks["Median"][0] <= ranks["Worst"][0]


@settings(max_examples=25)
@given(st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_changes_nothing(seed, chance):
    matrix, clips = world(seed)
    rows, columns = list(range(len(matrix.clip_ids))), list(range(len(matrix.caption_ids)))
    chance.shuffle(rows)
    chance.shuffle(columns)
    shuffled = ScoreMatrix(
        matrix.scores_AC[np.ix_(rows, columns)],
        [matrix.clip_ids[row] for row in rows],
        [matrix.caption_ids[c] for c in columns],
        [matrix.clip_of_caption[c] for c in columns],
    )
    assert asked(shuffled, clips) == asked(matrix, clips)
    assert heard(shuffled, clips) == heard(matrix, clips)


def test_ties_are_said():
    matrix = ScoreMatrix([[0.5], [0.5], [0.5], [0.1]], list("abcd"), ["b#0"], ["b"])
    query = asked(matrix, clips_by_id("abcd", ["b#0"], ["b"])).groups[0].queries[0]
    assert [found.remark for found in query.found] == [*["same score as 2 others"] * 3, ""]
    assert query.rank == "2"
    assert [found.clip_id for found in query.found if found.is_right] == ["b"]
    assert query.found[0].text == "(no caption)"


def test_the_right_clip_is_shown_by_another_of_its_captions():
    matrix, clips = world(0, clips=3)
    query = asked(matrix, clips, 1).groups[0].queries[0]
    (right,) = (found for found in query.found if found.is_right)
    assert right.text != query.text and right.text.startswith(query.text[:-1])


def test_clips_to_encode_come_in_the_order_of_the_page_each_once():
    matrix, clips = world(2)
    both = (asked(matrix, clips, 1), heard(matrix, clips, examples=1))
    keys = clips_in(both)
    assert len(keys) == len(set(keys))
    assert keys[0] == both[0].groups[0].queries[0].found[0].sound
    assert {query.sound for group in both[1].groups for query in group.queries} <= set(keys)
