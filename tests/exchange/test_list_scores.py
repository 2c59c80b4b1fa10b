"""Ranked lists: figures against every order of what is not listed, and the last block of the protocol."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.exchange.foreign import ForeignScores, RankedList, RankedLists
from atrkit.exchange.list_scores import scores_of_lists
from atrkit.metrics.tie_blocks import text_to_audio_blocks
from atrkit.workflows.list_figures import list_figures
from atrkit.workflows.retrieval_figures import FigureOptions

GALLERY = tuple("abcde")
FIGURES = ("R@1", "R@2", "R@3", "mAP@10", "MedR", "MnR")


def ranks_in_every_order(ranked, own):
    """Ranks that the own clip can have: ties and what is not listed in every order; by plain loops."""
    rest = [clip for clip in GALLERY if clip not in ranked]
    found = []
    for order in itertools.permutations(ranked):
        if all(ranked[a] >= ranked[b] for a, b in itertools.pairwise(order)):
            found += [[*order, *below].index(own) + 1 for below in itertools.permutations(rest)]
    return found


lists = st.dictionaries(st.sampled_from(GALLERY), st.sampled_from([-np.inf, 0.0, 1.0, np.inf]), min_size=1)


@given(st.lists(st.tuples(lists, st.sampled_from(GALLERY)), min_size=1, max_size=4))
def test_figures_are_known_exactly_when_the_unlisted_do_not_matter(queries):
    found = figures_of(queries)
    for figure in FIGURES:
        lowest, highest, expected = (of_ranks(figure, queries, pick) for pick in (best_rest, worst_rest, None))
        if lowest == pytest.approx(highest, abs=1e-12):
            assert found[figure] == pytest.approx(expected, abs=1e-12)
        else:
            assert found[figure] is None


def figures_of(queries):
    ranked = {
        f"q{n}": RankedList(tuple(scores), np.array(list(scores.values()))) for n, (scores, _) in enumerate(queries)
    }
    own = {f"q{n}": clip for n, (_, clip) in enumerate(queries)}
    foreign = ForeignScores(RankedLists(ranked), own, GALLERY, "lists")
    return list_figures(foreign, FigureOptions(ks=(1, 2, 3)), None)["text_to_audio"]


def best_rest(scores, own):
    return [len(scores) + 1] if own not in scores else None


def worst_rest(scores, own):
    return [len(GALLERY)] if own not in scores else None


def of_ranks(figure, queries, pick):
    """A figure from the ranks of each query, the unlisted ones as `pick` says."""
    ranks = [(pick and pick(scores, own)) or ranks_in_every_order(scores, own) for scores, own in queries]
    if figure.startswith("R@"):
        return np.mean([np.mean([rank <= int(figure[2:]) for rank in each]) for each in ranks])
    if figure == "mAP@10":
        return np.mean([np.mean([1 / rank for rank in each]) for each in ranks])
    return {"MedR": np.median, "MnR": np.mean}[figure]([np.mean(each) for each in ranks])


def test_unlisted_relevant_clips_are_a_last_block():
    ranked = RankedLists({"q": RankedList(("d", "b"), np.array([0.5, 0.25])), "p": RankedList(("a",), np.array([1.0]))})
    blocks = text_to_audio_blocks(scores_of_lists(ranked, GALLERY, {"q": "c", "p": "a"}))
    assert (blocks.better.tolist(), blocks.tied.tolist()) == ([2, 0], [3, 1])


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_blocks_of_any_size_hold_the_same(rows, monkeypatch):
    monkeypatch.setattr("atrkit.score_matrix._BLOCK_BYTES", 8 * rows)
    ranked = RankedLists({"q": RankedList(("d", "b", "a"), np.array([5.0, 5.0, -1e300]))})
    scores = scores_of_lists(ranked, GALLERY, {"q": "c"})
    assert np.concatenate(list(scores.row_blocks()))[:, 0].tolist() == [-2.0, 0.0, -np.inf, 0.0, -np.inf]
