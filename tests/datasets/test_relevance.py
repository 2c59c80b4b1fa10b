"""Published judgements of relevance, expressed in the ids of a dataset and kept beside its manifest."""

import ast
import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from atrkit.datasets.clotho.tables import read_clotho
from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.datasets.relevance import (
    Qrels,
    detect_and_read,
    kept_qrels,
    load_qrels,
    read_dcase2025,
    read_graded2023,
    save_relevance,
)
from atrkit.errors import IntegrityError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared"
SUBSETS = {"dev": "development", "val": "validation", "eval": "evaluation"}
CAPTIONS = {
    "evaluation/rain.wav": ["Rain falls.", "It pours down on a roof."],
    "evaluation/dog's bowl.wav": ["A dog eats, greedily.", "Rain, and a dog."],
    'evaluation/"sea" &#39;.wav': ["Waves.", "The same words."],
    "evaluation/bell.wav": ["The same words.", "A bell."],
}


def dataset_of(captions: dict[str, list[str]], folder: Path, split: str = "eval") -> Dataset:
    clips = [
        Clip(i, i, "0" * 64, 44100, 1, 1, split, tuple(Caption(f"{i}#{k}", t) for k, t in enumerate(texts, 1)))
        for i, texts in captions.items()
    ]
    return Dataset("clotho", tuple(sorted(clips, key=lambda clip: clip.id)), folder)


@pytest.fixture
def dataset(tmp_path):
    return dataset_of(CAPTIONS, tmp_path / "clotho")


@pytest.fixture
def dcase(tmp_path, dataset):
    """Write a table as DCASE published it, and read it."""

    def read(*rows: tuple[str, str]):
        path = tmp_path / "metadata_eval.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("query", "audio_filenames"), *rows])
        return read_dcase2025(path, dataset)

    return read


def test_listed_clips_are_relevant_and_nothing_else_is_said(dcase):
    read = dcase(
        ("Rain falls.", "['rain.wav', \"dog's bowl.wav\"]"),
        ("A bell.", str(['"sea" &#39;.wav'])),
        ("It pours down on a roof.", "['rain.wav']"),
    )
    (qrels,) = read.qrels
    assert (qrels.name, qrels.split, read.problems) == ("dcase2025", "eval", ())
    assert qrels.grades == {
        "evaluation/rain.wav#1": {"evaluation/rain.wav": 1, "evaluation/dog's bowl.wav": 1},
        "evaluation/bell.wav#2": {'evaluation/"sea" &#39;.wav': 1},
        "evaluation/rain.wav#2": {"evaluation/rain.wav": 1},
    }
    assert qrels.grade("evaluation/bell.wav#2", "evaluation/bell.wav") is None
    assert read.notes == ("1 queries do not have the clip they were written for among their relevant ones",)


def test_what_fits_nowhere_is_listed_and_counted(dcase):
    read = dcase(
        ("Rain falls.", "['rain.wav', 'thunder.wav']"),
        ("No caption at all.", "['rain.wav']"),
        ("The same words.", "['bell.wav']"),
        ("Waves.", "['ocean.wav', 'thunder.wav']"),
        ("rain falls", "['rain.wav']"),
        ("A bell.", "[]"),
    )
    assert read.qrels[0].grades == {"evaluation/rain.wav#1": {"evaluation/rain.wav": 1}}
    assert read.problem_counts == {
        "the relevant clip is not in the dataset": 3,
        "none of the clips that are relevant to the query is in the dataset": 2,
        "the query is no caption": 1,
        "several captions have the query's text": 1,
        "the query occurs more than once": 1,
    }
    assert read.problems[0].item == "eval: Rain falls. -> thunder.wav"
    assert all(problem.action == "skipped" for problem in read.problems)
    assert not read.notes


def test_the_same_words_in_another_spelling_are_the_same_query(dcase):
    assert dcase(("a DOG eats greedily", "['rain.wav']")).qrels[0].query_ids == ("evaluation/dog's bowl.wav#1",)


def test_a_file_name_that_two_clips_have_is_no_clip(tmp_path, dcase):
    path = dcase(("Rain falls.", "['rain.wav', 'bell.wav']")).source
    read = read_dcase2025(path, dataset_of({**CAPTIONS, "other/bell.wav": []}, tmp_path))
    assert read.qrels[0].grades == {"evaluation/rain.wav#1": {"evaluation/rain.wav": 1}}
    assert [problem.item for problem in read.problems] == ["eval: Rain falls. -> bell.wav"]


@pytest.mark.parametrize(
    "cell",
    ["", "rain.wav", "{'a': 1}", "['a', 1]", "['a'", "('a',)", "[['a']]", "['a'] + ['b']", "[b'a']", "[f'{1}']",
     "__import__('os').system('touch /tmp/owned')", "[" * 10_000, r"['\x']", "['a',]"],
)  # fmt: skip
def test_a_cell_that_is_no_list_of_strings_is_refused_with_its_line(dcase, cell):
    with pytest.raises(UsageError, match=r"metadata_eval\.csv:3: column 'audio_filenames'"):
        dcase(("Rain falls.", "['rain.wav']"), ("A bell.", cell))


def test_a_dataset_without_the_subset_is_refused(tmp_path, dcase):
    path = dcase(("Rain falls.", "['rain.wav']")).source
    with pytest.raises(UsageError, match="clotho has none: get them first"):
        read_dcase2025(path, dataset_of(CAPTIONS, tmp_path, split="dev"))


@pytest.fixture
def graded(tmp_path):
    """Write the tables of 2023 for the evaluation subset: texts, files and ratings by opaque ids."""

    def write(*ratings: tuple[str, str, object], texts=()) -> Path:
        folder = tmp_path / "graded"
        tables = {
            "relevance_data/evaluation_relevances.csv": [
                ("tid", "fid", "fid_group", "rating"), *((t, f, "C15", rating) for t, f, rating in ratings),
            ],
            "text_data/evaluation_text.csv": [
                ("split", "tid", "fid", "text", "tokens"),
                ("clotho_evaluation", "t1=", "f1=", "Rain falls.", "['rain', 'falls']"),
                ("clotho_evaluation", "t2=", "f4=", "The same words.", "[]"),
                ("clotho_evaluation", "t3=", "f4=", "A gong.", "[]"),
                *texts,
            ],
            "audio_metadata/evaluation_audio_metadata.csv": [
                ("split", "fid", "file_name", "license"),
                ("e", "f1=", "rain.wav", ""), ("e", "f2=", "dog's bowl.wav", ""), ("e", "f4=", "bell.wav", ""),
                ("e", "f9=", "gone.wav", ""),
            ],
        }  # fmt: skip
        for name, rows in tables.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(rows)
        return folder

    return write


def test_ratings_keep_their_zeros_apart_from_what_was_not_judged(graded, dataset):
    read = read_graded2023(graded(("t1=", "f1=", 96), ("t1=", "f2=", 0), ("t2=", "f4=", 50)), dataset)
    (qrels,) = read.qrels
    assert qrels.grades == {
        "evaluation/rain.wav#1": {"evaluation/rain.wav": 96, "evaluation/dog's bowl.wav": 0},
        "evaluation/bell.wav#1": {"evaluation/bell.wav": 50},
    }
    assert qrels.grade("evaluation/rain.wav#1", "evaluation/bell.wav") is None
    assert qrels.relevant("evaluation/rain.wav#1") == ("evaluation/rain.wav",)
    assert qrels.relevant("evaluation/rain.wav#1", least_grade=97) == ()
    assert (qrels.judgements, qrels.clip_ids) == (
        3, ("evaluation/bell.wav", "evaluation/dog's bowl.wav", "evaluation/rain.wav"),
    )  # fmt: skip
    assert read.notes == (
        "clotho has no development clips: their ratings were left out",
        "clotho has no validation clips: their ratings were left out",
    )


def test_ratings_that_fit_nowhere_are_listed(graded, dataset):
    texts = [("e", "t5=", "f9=", "Of a clip that is gone.", "[]"), ("e", "t6=", "f1=", "It pours down on a roof.", "")]
    folder = graded(
        ("t1=", "f1=", 96), ("t1=", "f9=", 3), ("t1=", "f?=", 0),
        ("t3=", "f4=", 40), ("t?=", "f1=", 2), ("t5=", "f1=", 9), ("t6=", "f1=", 0),
        texts=texts,
    )  # fmt: skip
    read = read_graded2023(folder, dataset)
    assert read.qrels[0].grades == {"evaluation/rain.wav#1": {"evaluation/rain.wav": 96}}
    assert {problem.item: problem.reason for problem in read.problems} == {
        "eval: Rain falls. -> gone.wav": "the rated clip is not in the dataset",
        "eval: Rain falls. -> f?=": "the rated clip is not in the dataset",
        "eval: A gong.": "the query is no caption",
        "eval: t?=": "the query's text is in no table",
        "eval: Of a clip that is gone.": "the clip that the query was written for is not in the dataset",
        "eval: It pours down on a roof.": "none of the clips that are relevant to the query is in the dataset",
    }


@pytest.mark.parametrize("rating", ["101", "-1", "5.5", "", "²"])
def test_ratings_are_whole_numbers_up_to_100(graded, dataset, rating):
    with pytest.raises(UsageError, match=r"evaluation_relevances\.csv:2: column 'rating'"):
        read_graded2023(graded(("t1=", "f1=", rating)), dataset)


def test_a_pair_that_is_rated_twice_is_refused(graded, dataset):
    with pytest.raises(UsageError, match="csv:3: the same pair is rated on an earlier line"):
        read_graded2023(graded(("t1=", "f1=", 5), ("t1=", "f1=", 6)), dataset)


def test_a_table_that_is_not_there_is_named(graded, dataset):
    folder = graded(("t1=", "f1=", 5))
    (folder / "text_data/evaluation_text.csv").unlink()
    with pytest.raises(UsageError, match=r"evaluation_text\.csv: No such file"):
        read_graded2023(folder, dataset)


def test_which_annotation_it_is_is_found_out(graded, dcase, dataset, tmp_path):
    folder = graded(("t1=", "f1=", 5))
    table = dcase(("Rain falls.", "['rain.wav']")).source
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    folder.rename(checkout / "data")
    baseline = tmp_path / "baseline"
    (baseline / "resources").mkdir(parents=True)
    (baseline / "resources" / "metadata_eval.csv").write_bytes(table.read_bytes())
    found = [detect_and_read(path, dataset).name for path in (table, baseline, checkout, checkout / "data")]
    assert found == ["dcase2025", "dcase2025", "graded2023", "graded2023"]
    with pytest.raises(UsageError, match=r"--relevance .*nowhere: neither the file of DCASE 2025"):
        detect_and_read(tmp_path / "nowhere", dataset)
    with pytest.raises(UsageError, match=r"name the folder that they lie in, .*checkout/data$"):
        detect_and_read(checkout / "data" / "relevance_data" / "evaluation_relevances.csv", dataset)


def test_qrels_are_kept_beside_the_manifest_and_come_back(dcase, graded, dataset):
    several, rated = (
        dcase(("A bell.", str(['"sea" &#39;.wav', "bell.wav"]))),
        graded(("t1=", "f1=", 96), ("t1=", "f2=", 0)),
    )
    save_relevance(dataset.folder, read_graded2023(rated, dataset))
    save_relevance(dataset.folder, several)
    kept = kept_qrels(dataset.folder)
    assert [(k.name, k.split, k.queries, k.judgements) for k in kept] == [
        ("dcase2025", "eval", 1, 2), ("graded2023", "eval", 1, 2),
    ]  # fmt: skip
    assert load_qrels(kept[0].path) == several.qrels[0]
    assert kept[1].path.read_text() == (
        "query-id\tcorpus-id\tscore\n"
        "evaluation/rain.wav#1\tevaluation/rain.wav\t96\n"
        "evaluation/rain.wav#1\tevaluation/dog's bowl.wav\t0\n"
    )
    record = json.loads((dataset.folder / "qrels" / "dcase2025.json").read_text())
    assert record["source"] == str(several.source) and record["left_out"] == []


def test_ids_with_tabs_and_quotes_survive(tmp_path):
    from atrkit.datasets.relevance import Relevance

    odd = Qrels("ours", "eval", {'"q"\t1\n': {"a\tb": 3, '"': 0}, "Ünï\u2028": {"c": 1}})
    save_relevance(tmp_path, Relevance("ours", tmp_path, (odd,), (), ()))
    assert load_qrels(tmp_path / "qrels" / "ours.eval.tsv") == odd


def test_an_annotation_that_is_read_again_replaces_the_earlier_one(tmp_path):
    from atrkit.datasets.relevance import Relevance

    both = tuple(Qrels("ours", split, {"q": {"a": 1}}) for split in ("dev", "eval"))
    save_relevance(tmp_path, Relevance("ours", tmp_path, both, (), ()))
    save_relevance(tmp_path, Relevance("ours", tmp_path, both[:1], (), ()))
    assert sorted(path.name for path in (tmp_path / "qrels").iterdir()) == ["ours.dev.tsv", "ours.json"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "its first line is not query-id"),
        ("query-id\tcorpus-id\n", "its first line is not query-id"),
        ("query-id\tcorpus-id\tscore\na\tb\n", "line 2"),
        ("query-id\tcorpus-id\tscore\na\tb\t1\na\tb\t2\n", "line 3 judges a pair again"),
        ("query-id\tcorpus-id\tscore\na\tb\t-1\n", "line 2"),
        ("query-id\tcorpus-id\tscore\na\tb\t.5\n", "line 2"),
        ("query-id\tcorpus-id\tscore\na\tb\t٣\n", "line 2"),
    ],
)
def test_damaged_qrels_are_named(tmp_path, content, what):
    path = tmp_path / "ours.eval.tsv"
    path.write_text(content)
    with pytest.raises(IntegrityError, match=what) as raised:
        load_qrels(path)
    assert str(path) in str(raised.value)


def test_qrels_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read the judgements"):
        load_qrels(tmp_path / "ours.eval.tsv")
    assert kept_qrels(tmp_path) == ()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": "x", "files": [{}]}', '{"name": "x", "files": 3}'])
def test_a_damaged_record_of_qrels_is_named(tmp_path, content):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "ours.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"ours\.json is damaged"):
        kept_qrels(tmp_path)


@pytest.fixture(scope="module")
def clotho(tmp_path_factory):
    """Clotho's clips and captions, without the audio."""
    tables = SHARED / "data/csv/clotho"
    if not tables.is_dir():
        pytest.skip(f"{tables} is absent")
    clips = []
    for split, subset in SUBSETS.items():
        rows = read_clotho(tables / f"clotho_captions_{subset}.csv").rows
        captions = {f"{subset}/{row.file_name}": list(row.captions) for row in rows}
        clips += dataset_of(captions, tables, split).clips
    return Dataset("clotho", tuple(clips), tmp_path_factory.mktemp("data") / "clotho")


def test_the_published_annotation_of_dcase_2025(clotho):
    path = SHARED / "data/csv/relevance_dcase2025/metadata_eval.csv"
    read = detect_and_read(path, clotho)
    (qrels,) = read.qrels
    assert (len(qrels.query_ids), qrels.judgements, len(qrels.clip_ids), read.problems) == (1037, 3116, 1006, ())
    texts = {caption.id: caption.text for clip in clotho.split("eval") for caption in clip.captions}
    with path.open(encoding="utf-8", newline="") as file:
        published = {row["query"]: set(ast.literal_eval(row["audio_filenames"])) for row in csv.DictReader(file)}
    assert {
        texts[query]: {clip_id.removeprefix("evaluation/") for clip_id in qrels.relevant(query)}
        for query in qrels.query_ids
    } == published
    own = sum(query.rpartition("#")[0] in qrels.grades[query] for query in qrels.query_ids)
    assert own == 991 and read.notes[0].startswith("46 queries")


def test_the_published_graded_relevances_of_2023(clotho):
    folder = SHARED / "data/csv/relevance_xieh2023"
    read = detect_and_read(folder, clotho)
    assert {qrels.split: (len(qrels.grades), qrels.judgements) for qrels in read.qrels} == {
        "dev": (197, 3349), "val": (199, 3383), "eval": (200, 3400),
    }  # fmt: skip
    assert read.problem_counts == {"the query is no caption": 4}
    for qrels in read.qrels:
        with (folder / f"relevance_data/{SUBSETS[qrels.split]}_relevances.csv").open(newline="") as file:
            published = Counter(int(row["rating"]) for row in csv.DictReader(file))
        kept = Counter(grade for graded in qrels.grades.values() for grade in graded.values())
        assert kept <= published and (kept == published) == (qrels.split == "eval")
        assert all(qrels.grade(query, query.rpartition("#")[0]) for query in qrels.query_ids), "its own clip is rated"


def test_clips_that_are_missing_leave_the_other_judgements_alone(clotho):
    path = SHARED / "data/csv/relevance_dcase2025/metadata_eval.csv"
    whole = detect_and_read(path, clotho).qrels[0]
    lost = set(whole.clip_ids[::10])
    smaller = Dataset("clotho", tuple(clip for clip in clotho.clips if clip.id not in lost), clotho.folder)
    read = detect_and_read(path, smaller)
    expected = {}
    for query, graded in whole.grades.items():
        left = {clip_id: grade for clip_id, grade in graded.items() if clip_id not in lost}
        if left and query.rpartition("#")[0] not in lost:
            expected[query] = left
    assert read.qrels[0].grades == expected
    assert sum(read.problem_counts.values()) > len(lost)
