"""Judgements are found in every form and beside the manifest, and real ones give figures that others agree on."""

import csv
from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, R, Success, nDCG

from atrkit import ScoreMatrix
from atrkit.datasets.clotho.tables import read_clotho
from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.datasets.relevance import Qrels, Relevance, save_relevance
from atrkit.datasets.relevance.qrels import qrels_bytes
from atrkit.errors import IntegrityError, UsageError
from atrkit.exchange.truth import Truth
from atrkit.exchange.write_trec import write_trec_qrels
from atrkit.metrics.query_values import QueryValues
from atrkit.metrics.significance import figure_intervals
from atrkit.workflows.judgements import Judgements, find_judgements
from atrkit.workflows.retrieval_figures import FigureOptions, retrieval_figures

SHARED = Path(__file__).resolve().parents[3] / "shared"
GRADES = {"evaluation/Santa Motor.wav#1": {"evaluation/Santa Motor.wav": 100, "evaluation/50%.wav": 0}}


@pytest.fixture
def dataset(tmp_path):
    texts = {"evaluation/Santa Motor.wav": "A motor runs.", "evaluation/50%.wav": "Rain falls."}
    clips = [
        Clip(clip_id, clip_id, "0" * 64, 44100, 1, 1, "eval", (Caption(f"{clip_id}#1", text),))
        for clip_id, text in texts.items()
    ]
    return Dataset("clotho", tuple(sorted(clips, key=lambda clip: clip.id)), tmp_path / "clotho")


def keep(dataset, grades=GRADES, split="eval"):
    save_relevance(dataset.folder, Relevance("ours", Path("x.csv"), (Qrels("ours", split, grades),), (), ()))
    return dataset.folder / "qrels" / f"ours.{split}.tsv"


def test_tab_separated_qrels(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_bytes(qrels_bytes(Qrels("mine", "", GRADES)))
    assert find_judgements(str(path), None, None).grades == GRADES


def test_trec_qrels_with_blanks_and_per_cents_in_ids(tmp_path):
    path = tmp_path / "mine.qrels"
    write_trec_qrels(path, GRADES)
    assert len(path.read_text().split()) == 8
    found = find_judgements(str(path), None, None)
    assert (found.name, found.grades) == ("mine.qrels", GRADES)


def test_junk_in_trec_qrels_is_not_relevant(tmp_path):
    path = tmp_path / "junk.qrels"
    path.write_text("q 0 a 1\n\nq 0 b -2\n")
    assert find_judgements(str(path), None, None).grades == {"q": {"a": 1, "b": 0}}


@pytest.mark.parametrize(
    ("content", "message"),
    [("q 0 a 1\nq 0 b\n", ":2: "), ("q 0 a 1\nq 0 a 0\n", ":2: "), ("q 0 a 1\nq 0 b high\n", ":2: ")],
)
def test_a_line_that_is_no_judgement_is_named(tmp_path, content, message):
    path = tmp_path / "wrong.qrels"
    path.write_text(content)
    with pytest.raises((UsageError, IntegrityError), match=f"wrong.qrels{message}"):
        find_judgements(str(path), None, None)


def test_an_annotation_as_published_needs_the_dataset_it_is_of(tmp_path, dataset):
    path = tmp_path / "metadata_eval.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("query", "audio_filenames"), ("Rain falls.", "['50%.wav', 'Santa Motor.wav', 'x.wav']")]
        )
    found = find_judgements(str(path), dataset, "eval")
    assert found.grades == {"evaluation/50%.wav#1": {"evaluation/50%.wav": 1, "evaluation/Santa Motor.wav": 1}}
    assert found.notes == ("1 times left out: the relevant clip is not in the dataset",)
    with pytest.raises(UsageError, match="needs --dataset"):
        find_judgements(str(path), None, None)
    with pytest.raises(UsageError, match="judges eval of clotho, not dev: choose another --split"):
        find_judgements(str(path), dataset, "dev")


@pytest.fixture
def table():
    """A truth without any audio."""
    texts = {"1": "A motor runs.", "2": "Rain falls."}
    return Truth("t.csv", {"1": "Santa Motor.wav", "2": "50%.wav"}, ("Santa Motor.wav", "50%.wav"), texts)


def test_an_annotation_as_published_is_matched_with_a_table_of_captions(tmp_path, table):
    path = tmp_path / "metadata_eval.csv"
    with path.open("w", newline="") as file:
        rows = [("Rain falls", "['50%.wav', 'Santa Motor.wav', 'x.wav']"), ("A cat.", "['50%.wav']")]
        csv.writer(file).writerows([("query", "audio_filenames"), *rows])
    found = find_judgements(str(path), None, None, table)
    assert found.grades == {"2": {"50%.wav": 1, "Santa Motor.wav": 1}}
    assert sorted(found.notes) == [
        "1 times left out: the query is no caption",
        "1 times left out: the relevant clip is not in the dataset",
    ]
    with pytest.raises(UsageError, match=r"none of its queries is a caption of other\.csv"):
        find_judgements(str(path), None, None, Truth("other.csv", {"1": "a"}, ("a",), {"1": "A bird."}))
    with pytest.raises(UsageError, match=r"t\.csv has none: add a column 'caption'"):
        find_judgements(str(path), None, None, replace(table, texts={}))


def test_graded_judgements_are_those_of_the_subset_that_the_table_has(tmp_path, table):
    tables = {
        "relevance_data/{}_relevances.csv": "tid,fid,rating\nt1,f1,90\nt1,f2,0\n",
        "audio_metadata/{}_audio_metadata.csv": "fid,file_name\nf1,{}\nf2,50%.wav\n",
        "text_data/{}_text.csv": "tid,text,fid\nt1,A motor runs.,f1\n",
    }
    for subset in ("development", "validation", "evaluation"):
        for name, content in tables.items():
            path = tmp_path / name.format(subset)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content.format("Santa Motor.wav" if subset == "validation" else "other.wav"))
    found = find_judgements(str(tmp_path), None, None, table)
    assert found.grades == {"1": {"Santa Motor.wav": 90, "50%.wav": 0}}
    assert found.notes == (), "what other subsets lack is no news"


def test_a_folder_that_is_no_annotation(tmp_path, dataset):
    with pytest.raises(UsageError, match=r"^--qrels .*: neither the file of DCASE 2025"):
        find_judgements(str(tmp_path), dataset, "eval")


def test_judgements_beside_the_manifest_by_name_for_the_split(dataset):
    keep(dataset)
    assert find_judgements("ours", dataset, "eval").grades == GRADES
    with pytest.raises(UsageError, match=r"no judgements of that name of clotho/dev; there are: ours \(eval\)"):
        find_judgements("ours", dataset, "dev")
    with pytest.raises(UsageError, match=r"--qrels theirs: no such file, .* there are: ours \(eval\)"):
        find_judgements("theirs", dataset, "eval")
    with pytest.raises(UsageError, match="needs --dataset"):
        find_judgements("ours", None, None)


def test_kept_judgements_that_changed_are_refused(dataset):
    path = keep(dataset)
    path.write_bytes(path.read_bytes().replace(b"100", b"900"))
    with pytest.raises(IntegrityError, match=r"ours.eval.tsv has changed since it was written"):
        find_judgements("ours", dataset, "eval")
    path.unlink()
    with pytest.raises(IntegrityError, match="--relevance"):
        find_judgements("ours", dataset, "eval")


@pytest.mark.parametrize(
    ("grades", "least", "is_graded"),
    [((0, 1), 1, False), ((100, 100, 0), 1, False), ((6, 100), 50, True), ((1, 2, 3), 2, True), ((0, 1, 2), 1, True)],
)
def test_half_of_the_highest_grade_counts_where_grades_differ(grades, least, is_graded):
    judgements = Judgements("x", {"q": {str(n): grade for n, grade in enumerate(grades)}})
    assert (judgements.least_grade, judgements.is_graded) == (least, is_graded)


@pytest.mark.parametrize("name", ["graded2023", "graded2023.val.tsv"])
def test_a_known_scale_gives_every_subset_the_same_threshold(name):
    assert Judgements(name, {"q": {"a": 92, "b": 30}}).least_grade == 50
    assert Judgements("somebody", {"q": {"a": 92, "b": 30}}).least_grade == 46, "half of the highest"


def test_captions_of_one_clip_move_together_in_intervals_of_ndcg():
    random = np.random.default_rng(5)
    clips, owners = [f"clip{a}" for a in range(8)], np.array([5, 5, 5, 2, 2, 7, 7, 7, 0])
    scores_AC = random.normal(size=(8, 9))
    matrix = ScoreMatrix(scores_AC, clips, [f"c{c}" for c in range(9)], [clips[a] for a in owners])
    judged = [1, 2, 3, 4, 6, 8]
    grades = {f"c{c}": {clips[a]: int(random.integers(0, 4)) for a in range(8)} | {clips[0]: 2} for c in judged}
    found = retrieval_figures(
        matrix,
        caption_texts=None,
        options=FigureOptions(qrels="x", ci=True),
        judgements=Judgements("x", grades),
    )["text_to_audio"]
    gains = []
    for c in judged:
        order = np.argsort(-scores_AC[:, c])
        gain = sum(grades[f"c{c}"][clips[a]] / np.log2(n + 2) for n, a in enumerate(order[:5]))
        best = sorted(grades[f"c{c}"].values(), reverse=True)[:5]
        gains.append(gain / sum(grade / np.log2(n + 2) for n, grade in enumerate(best)))
    values = QueryValues(
        tuple(f"c{c}" for c in judged), owners[judged], tuple(clips), {"nDCG@5": np.array(gains)}, np.ones(len(judged))
    )
    expected = figure_intervals(values, np.random.default_rng(0))["nDCG@5"]
    assert found["nDCG@5"] == pytest.approx(np.mean(gains))
    assert found["ci"]["nDCG@5"] == pytest.approx(list(expected))


# ---- the published annotations of Clotho, judged by ir_measures, too


@pytest.fixture(scope="module")
def clotho(tmp_path_factory):
    """Clotho's evaluation clips and captions, without the audio."""
    table = SHARED / "data/csv/clotho/clotho_captions_evaluation.csv"
    if not table.is_file():
        pytest.skip(f"needs ../shared: {table} is not there")
    clips = []
    for row in read_clotho(table).rows:
        clip_id = f"evaluation/{row.file_name}"
        captions = tuple(Caption(f"{clip_id}#{n}", text) for n, text in enumerate(row.captions, start=1))
        clips.append(Clip(clip_id, clip_id, "0" * 64, 44100, 1, 1, "eval", captions))
    clips.sort(key=lambda clip: clip.id)
    return Dataset("clotho", tuple(clips), tmp_path_factory.mktemp("data") / "clotho")


@pytest.fixture(scope="module")
def matrix(clotho):
    """Scores of every clip with every caption, no two of a caption equal, own clips a little higher."""
    ids = [clip.id for clip in clotho.clips]
    captions = [(caption.id, clip.id) for clip in clotho.clips for caption in clip.captions]
    rng = np.random.default_rng(0)
    scores_AC = rng.random((len(ids), len(captions)))
    row_of = {clip_id: row for row, clip_id in enumerate(ids)}
    scores_AC[[row_of[own] for _, own in captions], np.arange(len(captions))] += 0.6
    return ScoreMatrix(scores_AC, ids, [caption for caption, _ in captions], [own for _, own in captions])


def best_of(matrix, captions, depth=50):
    """What ir_measures reads: the best clips of each caption, enough for figures at 16."""
    column_of = {caption: column for column, caption in enumerate(matrix.caption_ids)}
    run = {}
    for caption in captions:
        scores_A = matrix.scores_AC[:, column_of[caption]]
        run[caption] = {matrix.clip_ids[a]: float(scores_A[a]) for a in np.argsort(-scores_A)[:depth]}
    return run


@pytest.mark.parametrize(
    ("source", "queries", "judgements", "least"),
    [
        ("relevance_dcase2025/metadata_eval.csv", 1_037, 3_116, 1),
        ("relevance_xieh2023", 200, 3_400, 50),
    ],
)
def test_ir_measures_agrees_on_the_published_annotations(clotho, matrix, source, queries, judgements, least):
    path = SHARED / "data/csv" / source
    if not path.exists():
        pytest.skip(f"needs ../shared: {path} is not there")
    found = find_judgements(str(path), clotho, "eval")
    result = retrieval_figures(matrix, caption_texts=None, options=FigureOptions(qrels=str(path)), judgements=found)
    ours, about = result["text_to_audio"], result["relevance"]
    measures = {
        **{f"R@{k}": Success(rel=least) @ k for k in (1, 5, 10)},
        **{f"fractional_R@{k}": R(rel=least) @ k for k in (1, 5, 10)},
        **{f"mAP@{k}": AP(rel=least) @ k for k in (10, 16)},
        **({f"nDCG@{k}": nDCG @ k for k in (1, 5, 10)} if found.is_graded else {}),
    }
    relevant = {q: graded for q, graded in found.grades.items() if max(graded.values()) >= least}
    run = best_of(matrix, found.grades)
    theirs = ir_measures.calc_aggregate([m for m in measures.values() if "nDCG" not in str(m)], relevant, run)
    if found.is_graded:
        theirs |= ir_measures.calc_aggregate([nDCG @ k for k in (1, 5, 10)], found.grades, run)
    assert ours["R@10"] > 0.1, "there is something to compare"
    assert {name: ours[name] for name in measures} == pytest.approx(
        {n: theirs[m] for n, m in measures.items()}, abs=1e-9
    )
    assert (about["queries"], about["judgements"], about["least_grade"]) == (len(relevant), judgements, least)
    assert len(found.grades) == queries and result["audio_to_text"] is None
    judged_places = sum(clip in found.grades[q] for q in found.grades for clip in list(run[q])[:10])
    assert about["unjudged_in_top_10"] == pytest.approx(1 - judged_places / (10 * queries))
