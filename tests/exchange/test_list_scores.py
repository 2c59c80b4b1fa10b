"""Ranked lists: figures against every order of what is not listed, and the last block of the protocol."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from atrkit import ScoreMatrix
from atrkit.exchange.foreign import ForeignScores, FoundMatrix, RankedList, RankedLists
from atrkit.exchange.list_scores import list_ends, open_blocks, scores_of_lists
from atrkit.exchange.matching import judge_lists
from atrkit.exchange.queries import query_scores
from atrkit.exchange.trec import read_trec_run
from atrkit.exchange.truth import Truth
from atrkit.exchange.write_trec import write_trec_run
from atrkit.metrics.ranking import evaluate
from atrkit.metrics.tie_blocks import text_to_audio_blocks
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.list_figures import list_figures
from atrkit.workflows.retrieval_figures import FigureOptions
from atrkit.workflows.shared_pool import select_scores

GALLERY = tuple("abcde")
FIGURES = ("R@1", "R@2", "R@3", "mAP@10", "MedR", "MnR")


def everything_that_fits(ranked):
    """Galleries, as clip -> score, that a list can be the top of: unlisted clips in any order below, or with the last
    score where several listed clips share it.
    """
    rest = [clip for clip in GALLERY if clip not in ranked]
    places = {clip: -sum(other > score for other in ranked.values()) for clip, score in ranked.items()}
    last = min(places.values())
    is_open = list(places.values()).count(last) > 1
    for joined in itertools.product([False, True], repeat=len(rest)) if is_open else [[False] * len(rest)]:
        below = [clip for clip, joins in zip(rest, joined, strict=True) if not joins]
        for order in itertools.permutations(below):
            yield {**places, **dict.fromkeys(rest, last), **{clip: -100 - n for n, clip in enumerate(order)}}


def ranks_of(scores, own):
    """Ranks that the own clip has over all orders of equal scores, by plain loops."""
    better = sum(score > scores[own] for score in scores.values())
    tied = sum(score == scores[own] for score in scores.values())
    return range(better + 1, better + tied + 1)


lists = st.dictionaries(st.sampled_from(GALLERY), st.sampled_from([-np.inf, 0.0, 1.0, np.inf]), min_size=1)


@given(st.lists(st.tuples(lists, st.sampled_from(GALLERY)), min_size=1, max_size=4))
def test_figures_are_known_exactly_when_the_unlisted_do_not_matter(queries):
    found = figures_of(queries)
    possible = [[ranks_of(scores, own) for scores in everything_that_fits(ranked)] for ranked, own in queries]
    for figure in FIGURES:
        values = [[of_ranks(figure, ranks) for ranks in of_query] for of_query in possible]
        lowest, highest = ([pick(of_query) for of_query in values] for pick in (min, max))
        mean = np.median if figure == "MedR" else np.mean
        if mean(lowest) == pytest.approx(mean(highest), abs=1e-12):
            assert found[figure] == pytest.approx(mean(lowest), abs=1e-12)
        else:
            assert found[figure] is None


def of_ranks(figure, ranks):
    """A figure of one query, on average over its possible ranks."""
    if figure.startswith("R@"):
        return np.mean([rank <= int(figure[2:]) for rank in ranks])
    return np.mean([1 / rank for rank in ranks] if figure == "mAP@10" else list(ranks))


def figures_of(queries):
    ranked = {
        f"q{n}": RankedList(tuple(scores), np.array(list(scores.values()))) for n, (scores, _) in enumerate(queries)
    }
    own = {f"q{n}": clip for n, (_, clip) in enumerate(queries)}
    foreign = ForeignScores(RankedLists(ranked), own, GALLERY, "lists")
    return list_figures(foreign, FigureOptions(ks=(1, 2, 3)), None)["text_to_audio"]


grades = st.dictionaries(st.sampled_from(GALLERY), st.integers(0, 3), min_size=1).filter(lambda of: any(of.values()))


@given(lists, grades)
def test_what_graded_judgements_give_is_known_where_no_order_changes_it(ranked, graded):
    listed = RankedList(tuple(ranked), np.array(list(ranked.values())))
    foreign = ForeignScores(RankedLists({"q": listed}), {"q": "a"}, GALLERY, "lists")
    judgements = Judgements("ours", {"q": graded, "p": {"a": 1, "b": 2}})
    found = list_figures(foreign, FigureOptions(ks=(1, 3), qrels="ours", min_grade=1), judgements)["text_to_audio"]
    possible = [
        [[0, *(graded.get(clip, 0) for clip in order)] for order in orders_of(scores)]
        for scores in everything_that_fits(ranked)
    ]
    for k in (1, 3):
        ideal = sum(grade / np.log2(n + 2) for n, grade in enumerate(sorted(graded.values(), reverse=True)[:k]))
        gains = [[sum(order[n] / np.log2(n + 1) for n in range(1, k + 1)) for order in each] for each in possible]
        values = [np.mean(each) / ideal for each in gains]
        shares = [np.mean([sum(map(bool, order[1 : k + 1])) for order in each]) for each in possible]
        for name, of_name in ((f"nDCG@{k}", values), (f"fractional_R@{k}", np.divide(shares, relevant(graded)))):
            if found[name] is not None:
                assert of_name == pytest.approx([found[name]] * len(of_name), abs=1e-12), name
            else:
                assert np.ptp(of_name) > 1e-12, name


def relevant(graded):
    return sum(map(bool, graded.values()))


def orders_of(scores):
    return [
        order
        for order in itertools.permutations(scores)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


@settings(max_examples=60)
@given(hnp.arrays(np.float32, (7, 5), elements=st.sampled_from([0.0, 1.0, 2.0])), st.integers(1, 7), st.data())
def test_a_run_that_is_cut_gives_the_figures_of_all_scores_or_none(scores_AC, depth, data):
    for scores_A in scores_AC.T:  # one clip alone with the last score is taken to be alone
        last = np.sort(scores_A)[::-1][depth - 1]
        if np.count_nonzero(scores_A > last) == depth - 1:
            assume(np.count_nonzero(scores_A == last) == 1)
    owners = data.draw(st.lists(st.integers(0, 6), min_size=5, max_size=5))
    matrix = ScoreMatrix(scores_AC, list("abcdefg"), list("12345"), ["abcdefg"[owner] for owner in owners])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.trec"
        write_trec_run(path, query_scores(matrix, "text-to-audio"), "ours", depth)
        truth = Truth("t", dict(zip(matrix.caption_ids, matrix.clip_of_caption, strict=True)), matrix.clip_ids)
        found = read_trec_run(path, truth)
        if isinstance(found, FoundMatrix):
            return
        figures = list_figures(judge_lists(path, found, truth), FigureOptions(ks=(1, 2, 3)), None)["text_to_audio"]
    whole = evaluate(matrix, ks=(1, 2, 3))["text_to_audio"]
    for name, value in figures.items():
        if name != "tie_bounds" and value is not None:
            assert value == pytest.approx(whole[name], abs=1e-12), name


def test_lists_that_may_have_been_cut_between_equal_scores_are_counted():
    ranked = {"q": RankedList(("a", "b"), np.array([1.0, 1.0])), "p": RankedList(("a", "b"), np.array([1.0, 0.5]))}
    foreign = ForeignScores(RankedLists(ranked), {"q": "a", "p": "b"}, GALLERY, "lists")
    assert list_figures(foreign, FigureOptions(), None)["listed"]["cut_in_ties"] == 1
    whole = {"q": RankedList(GALLERY, np.zeros(5)), "p": RankedList(("a", "b"), np.array([1.0, 0.5]))}
    foreign = ForeignScores(RankedLists(whole), {"q": "a", "p": "b"}, GALLERY, "lists")
    assert list_figures(foreign, FigureOptions(), None)["listed"]["cut_in_ties"] == 0, "nothing is left to tie"


def test_an_end_stays_open_where_its_clips_are_no_part_of_the_pool():
    """In the pool that systems share: the last block is (b, c), and b is left out."""
    ranked = RankedLists({"q": RankedList(("a", "b", "c"), np.array([1.0, 0.5, 0.5]))})
    kept = select_scores(scores_of_lists(ranked, GALLERY, {"q": "a"}), np.array([0, 2, 3]), np.array([0]))
    ends = list_ends(kept, open_blocks(ranked), np.array([0]))
    assert (ends.listed_Q.tolist(), ends.open_Q.tolist()) == ([2], [1])


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
