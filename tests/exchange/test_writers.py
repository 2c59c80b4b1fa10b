"""What export writes gives the figures back: read by plain loops, and by ir_measures, from the files alone."""

import csv
import itertools
import json
from collections import defaultdict
from fractions import Fraction

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit import ScoreMatrix
from atrkit.errors import UsageError
from atrkit.exchange.queries import grades_by_clip, own_grades, query_scores
from atrkit.exchange.write_ranks import HEADER, unguarded, write_ranks
from atrkit.exchange.write_submission import write_submission
from atrkit.exchange.write_trec import own_id, trec_id, write_trec_qrels, write_trec_run
from atrkit.metrics.ranking import evaluate

CLIPS, CAPTIONS_EACH = 13, 3
DIRECTIONS = {"text-to-audio": "text_to_audio", "audio-to-text": "audio_to_text"}


def matrix_of(scores_AC):
    """Clips whose ids have blanks and `%`, in no order; captions are shuffled."""
    clips = [f"eval/Santa  Motor {number % 4}/100%20 {number}.wav" for number in range(CLIPS)]
    captions = [(f"{clip}#{number}", clip) for clip in clips for number in range(CAPTIONS_EACH)]
    np.random.default_rng(1).shuffle(captions)
    return ScoreMatrix(scores_AC, clips, [caption for caption, _ in captions], [clip for _, clip in captions])


@pytest.fixture
def distinct():
    """No two scores are equal."""
    scores_AC = np.random.default_rng(2).permutation(CLIPS * CLIPS * CAPTIONS_EACH).reshape(CLIPS, -1)
    return matrix_of((scores_AC / 7 - 20).astype(np.float32))


@pytest.fixture
def tied():
    """Many scores are equal, some are infinite."""
    scores_AC = np.random.default_rng(3).choice([-np.inf, -0.0, 0.0, 0.1, 0.7, np.inf], (CLIPS, CLIPS * CAPTIONS_EACH))
    return matrix_of(scores_AC.astype(np.float32))


def relevant_of(matrix, direction):
    grades = own_grades(matrix)
    return grades if direction == "text-to-audio" else grades_by_clip(grades)


def read_run(path):
    """Query -> candidate -> score, with ids decoded."""
    scores = defaultdict(dict)
    for line in path.read_text().splitlines():
        query, q0, candidate, rank, score, tag = line.split()
        assert (q0, tag, int(rank)) == ("Q0", "our%20system", len(scores[own_id(query)]) + 1)
        scores[own_id(query)][own_id(candidate)] = float(score)
    return scores


def hit_rate(scores, relevant, k):
    """Over random order of ties, by counting all choices of the tied candidates that come into the top k."""
    total = Fraction(0)
    for query, wanted in relevant.items():
        best = max(scores[query][candidate] for candidate in wanted)
        better = sum(score > best for score in scores[query].values())
        tied = [candidate for candidate, score in scores[query].items() if score == best]
        places = min(max(k - better, 0), len(tied))
        choices = list(itertools.combinations(tied, places)) if places < len(tied) else [tied]
        total += Fraction(sum(bool(set(choice) & set(wanted)) for choice in choices), len(choices))
    return float(total / len(relevant))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_a_run_read_back_has_every_score_and_gives_the_same_recall(request, kind, direction, tmp_path):
    matrix, path = request.getfixturevalue(kind), tmp_path / "run.txt"
    queries = query_scores(matrix, direction)
    rows, _, cut = write_trec_run(path, queries, "our system")
    read = read_run(path)
    assert rows == sum(map(len, read.values())) == matrix.scores_AC.size and cut == 0
    for query, scores_N in zip(queries.query_ids, queries.scores_QN, strict=True):
        assert read[query] == dict(zip(queries.candidate_ids, scores_N.tolist(), strict=True))
    figures = evaluate(matrix)[DIRECTIONS[direction]]
    for k in (1, 5, 10):
        assert hit_rate(read, relevant_of(matrix, direction), k) == pytest.approx(figures[f"R@{k}"], abs=1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_ir_measures_finds_the_same_figures_in_the_pair_of_files(distinct, direction, tmp_path):
    run, qrels = tmp_path / "run.txt", tmp_path / "qrels.txt"
    write_trec_run(run, query_scores(distinct, direction), "our system")
    lines = write_trec_qrels(qrels, relevant_of(distinct, direction))
    assert lines == CLIPS * CAPTIONS_EACH
    measures = [ir_measures.parse_measure(name) for name in ("Success@1", "Success@5", "Success@10", "AP@10")]
    found = ir_measures.calc_aggregate(
        measures, list(ir_measures.read_trec_qrels(str(qrels))), list(ir_measures.read_trec_run(str(run)))
    )
    figures = evaluate(distinct)[DIRECTIONS[direction]]
    ours = [figures[name] for name in ("R@1", "R@5", "R@10", "mAP@10")]
    assert [found[measure] for measure in measures] == pytest.approx(ours, abs=1e-6)


def test_ranks_in_a_run_are_those_that_trec_eval_takes_for_ties(tied, tmp_path):
    """Precision@k of a single relevant candidate says at which rank trec_eval puts it."""
    write_trec_run(tmp_path / "run.txt", query_scores(tied, "text-to-audio"), "ours")
    lines = [line.split() for line in (tmp_path / "run.txt").read_text().splitlines()]
    query = lines[0][0]
    run = [ir_measures.ScoredDoc(q, doc, float(score)) for q, _, doc, _, score, _ in lines if q == query]
    for _, _, doc, rank, _, _ in lines[: len(run)]:
        found = ir_measures.pytrec_eval.calc_aggregate([ir_measures.RR], [ir_measures.Qrel(query, doc, 1)], run)
        assert found[ir_measures.RR] == pytest.approx(1 / int(rank))


def test_a_zero_is_written_without_a_sign(tmp_path):
    matrix = ScoreMatrix(np.array([[-0.0], [0.0]]), ["a", "b"], ["c"], ["a"])
    assert write_trec_run(tmp_path / "run.txt", query_scores(matrix, "text-to-audio"), "x")[1] == 1, "they tie"
    assert [line.split()[4] for line in (tmp_path / "run.txt").read_text().splitlines()] == ["0.0", "0.0"]


def test_a_depth_keeps_the_best_and_counts_the_lists_that_it_cuts_between_equal_scores(tied, tmp_path):
    rows, ties, cut = write_trec_run(tmp_path / "run.txt", query_scores(tied, "text-to-audio"), "our system", depth=4)
    read = read_run(tmp_path / "run.txt")
    assert rows == 4 * len(tied.caption_ids) and all(len(listed) == 4 for listed in read.values())
    expected = expected_ties = 0
    for caption, scores_A in zip(tied.caption_ids, tied.scores_AC.T.tolist(), strict=True):
        best = sorted(scores_A, reverse=True)
        assert sorted(read[caption].values(), reverse=True) == best[:4]
        expected += best[3] == best[4]
        expected_ties += len(set(best[:4])) < 4
    assert (ties, cut) == (expected_ties, expected) and 0 < cut < len(tied.caption_ids)


def test_graded_qrels_keep_their_grades_and_what_was_judged_irrelevant(tmp_path):
    write_trec_qrels(tmp_path / "qrels.txt", {"b c": {"x": 0, "y%": 3}, "a": {"z": 1}})
    assert (tmp_path / "qrels.txt").read_text() == "a 0 z 1\nb%20c 0 y%25 3\nb%20c 0 x 0\n"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_id_is_one_word_in_trecs_files_and_comes_back(some_id):
    encoded = trec_id(some_id)
    assert encoded.split() == [encoded] and own_id(encoded) == some_id


def read_ranks(path):
    """Rows as dicts, the columns with lists parsed."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADER
    for row in rows:
        row["relevant"], row["relevant_ranks"] = json.loads(row["relevant"]), json.loads(row["relevant_ranks"])
    return rows


def recall_from_ranks(rows, k):
    """From the table alone: ties of the best relevant candidates are those with equal ranks, and `tied` others."""
    total = Fraction(0)
    for row in rows:
        first = row["relevant_ranks"][0]
        together, others = row["relevant_ranks"].count(first), int(row["tied"])
        better = int(first - (together + others + 1) / 2)
        places = min(max(k - better, 0), together + others)
        choices = list(itertools.combinations(range(together + others), places))
        total += Fraction(sum(min(choice, default=together) < together for choice in choices), len(choices))
    return float(total / len(rows))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_ranks_of_queries_give_the_same_figures(request, kind, direction, tmp_path):
    matrix = request.getfixturevalue(kind)
    own = dict(zip(matrix.caption_ids, matrix.clip_of_caption, strict=True)) if direction == "text-to-audio" else {}
    texts = {caption: f'=caption {caption}, "quoted"\nover lines' for caption in matrix.caption_ids}
    queries, relevant = query_scores(matrix, direction), relevant_of(matrix, direction)
    table = write_ranks(tmp_path / "ranks.csv", queries, relevant, texts, own)
    rows = read_ranks(tmp_path / "ranks.csv")
    assert [row["query"] for row in rows] == sorted(queries.query_ids) and table.rows == len(rows)
    figures = evaluate(matrix)[DIRECTIONS[direction]]
    for k in (1, 5, 10):
        assert recall_from_ranks(rows, k) == pytest.approx(figures[f"R@{k}"], abs=1e-12)
    assert np.mean([float(row["first_rank"]) for row in rows]) == pytest.approx(figures["MnR"])
    assert sum(int(row["tied"]) > 0 for row in rows) <= figures["tied_queries"]
    for row in rows:
        scores_N = queries.scores_QN[queries.query_ids.index(row["query"])].tolist()
        scores = dict(zip(queries.candidate_ids, scores_N, strict=True))
        assert set(row["relevant"]) == set(relevant[row["query"]])
        assert float(row["best_score"]) == max(scores_N) == scores[row["best"]]
        assert row["best"] == min(name for name, score in scores.items() if score == max(scores_N))
        assert row["own"] == own.get(row["query"], "")
        for candidate, rank in zip(row["relevant"], row["relevant_ranks"], strict=True):
            better = sum(score > scores[candidate] for score in scores_N)
            assert rank == better + (scores_N.count(scores[candidate]) + 1) / 2
        text = row["text"] if direction == "text-to-audio" else row["best_text"]
        assert unguarded(text) in texts.values()
    assert table.guarded == len(rows)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "'quoted'"])
def test_no_text_is_a_formula_and_each_comes_back(text, tmp_path):
    matrix = ScoreMatrix([[-0.5]], ["@clip"], ["caption"], ["@clip"])
    queries = query_scores(matrix, "text-to-audio")
    done = write_ranks(tmp_path / "r.csv", queries, own_grades(matrix), {"caption": text}, {"caption": "@clip"})
    (row,) = read_ranks(tmp_path / "r.csv")
    assert row["text"] == f"'{text}" and unguarded(row["text"]) == text and row["best"] == row["own"] == "'@clip"
    assert row["best_score"] == "-0.5", "numbers stay numbers"
    assert done.guarded == 3


def test_a_query_without_anything_relevant_is_left_out_and_counted(distinct, tmp_path):
    one = distinct.caption_ids[5]
    table = write_ranks(
        tmp_path / "r.csv", query_scores(distinct, "text-to-audio"), {one: own_grades(distinct)[one]}, {}, {}
    )
    assert (table.rows, table.left_out) == (1, CLIPS * CAPTIONS_EACH - 1)


def names_of(matrix):
    return {clip: f"{number:02}, file.wav" for number, clip in enumerate(reversed(matrix.clip_ids))}


@pytest.mark.parametrize("kind", ["distinct", "tied"])
def test_a_submission_lists_the_ten_best_by_score_then_file_name(request, kind, tmp_path):
    matrix = request.getfixturevalue(kind)
    names, texts = names_of(matrix), {caption: f"text of {caption}" for caption in matrix.caption_ids}
    done = write_submission(tmp_path / "s.csv", query_scores(matrix, "text-to-audio"), texts, names)
    with (tmp_path / "s.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["caption", *(f"file_name_{place}" for place in range(1, 11))]
    assert [row[0] for row in rows] == [texts[caption] for caption in sorted(matrix.caption_ids)]
    tied = 0
    for caption, row in zip(sorted(matrix.caption_ids), rows, strict=True):
        column = matrix.scores_AC[:, matrix.caption_ids.index(caption)].tolist()
        listed = sorted(zip(column, matrix.clip_ids, strict=True), key=lambda pair: (-pair[0], names[pair[1]]))
        assert row[1:] == [names[clip] for _, clip in listed[:10]]
        best = [score for score, _ in listed[:11]]
        tied += len(set(best)) < len(best)
    assert (done.rows, done.tied, done.same_text) == (len(rows), tied, 0)


def test_a_tie_of_the_last_listed_clip_with_one_that_is_cut_off_is_counted(tmp_path):
    clips = [f"{number:02}.wav" for number in range(12)]
    scores_A = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, -1]
    matrix = ScoreMatrix(np.array([scores_A], dtype=np.float32).T, clips, ["rain"], [clips[0]])
    queries, names = query_scores(matrix, "text-to-audio"), dict(zip(clips, clips, strict=True))
    assert write_submission(tmp_path / "s.csv", queries, {"rain": "rain"}, names).tied == 1


def test_recall_of_a_submission_is_that_of_the_scores(distinct, tmp_path):
    names, texts = names_of(distinct), dict(zip(distinct.caption_ids, distinct.caption_ids, strict=True))
    write_submission(tmp_path / "s.csv", query_scores(distinct, "text-to-audio"), texts, names)
    own = {c: names[clip] for c, clip in zip(distinct.caption_ids, distinct.clip_of_caption, strict=True)}
    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    figures = evaluate(distinct)["text_to_audio"]
    for k in (1, 5, 10):
        assert np.mean([own[row[0]] in row[1 : k + 1] for row in rows]) == pytest.approx(figures[f"R@{k}"])


def test_a_submission_is_refused_where_it_would_be_ambiguous_or_short(distinct, tmp_path):
    queries, texts = query_scores(distinct, "text-to-audio"), dict.fromkeys(distinct.caption_ids, "rain")
    names = names_of(distinct)
    assert write_submission(tmp_path / "s.csv", queries, texts, names).same_text == len(texts)
    there = (tmp_path / "s.csv").read_bytes()
    with pytest.raises(UsageError, match=r"1 names are those of several clips, the first '00, file.wav'"):
        write_submission(tmp_path / "s.csv", queries, texts, {**names, distinct.clip_ids[0]: "00, file.wav"})
    with pytest.raises(UsageError, match=r"that of .* is not known"):
        write_submission(tmp_path / "s.csv", queries, {distinct.caption_ids[0]: "rain"}, names)
    with pytest.raises(UsageError, match="these scores come without"):
        write_submission(tmp_path / "s.csv", queries, {}, names)
    few = ScoreMatrix([[1.0]], ["rain"], ["rain#1"], ["rain"])
    with pytest.raises(UsageError, match="lists 10 clips for each caption, and there are 1"):
        write_submission(tmp_path / "s.csv", query_scores(few, "text-to-audio"), {"rain#1": "rain"}, {"rain": "a.wav"})
    assert (tmp_path / "s.csv").read_bytes() == there


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_order_of_clips_and_captions_changes_no_byte(tied, direction, tmp_path):
    rows = np.random.default_rng(5).permutation(CLIPS)
    columns = np.random.default_rng(6).permutation(len(tied.caption_ids))
    other = ScoreMatrix(
        tied.scores_AC[rows][:, columns],
        [tied.clip_ids[row] for row in rows],
        [tied.caption_ids[column] for column in columns],
        [tied.clip_of_caption[column] for column in columns],
    )
    for number, matrix in enumerate((tied, other)):
        queries, relevant = query_scores(matrix, direction), relevant_of(matrix, direction)
        write_trec_run(tmp_path / f"run{number}", queries, "ours", depth=5)
        write_trec_qrels(tmp_path / f"qrels{number}", relevant)
        write_ranks(tmp_path / f"ranks{number}", queries, relevant, {}, {})
    for name in ("run", "qrels", "ranks"):
        assert (tmp_path / f"{name}0").read_bytes() == (tmp_path / f"{name}1").read_bytes()
