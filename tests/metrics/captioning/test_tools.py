"""What each metric lacks is said with the file, the place and the way out, and never guessed."""

from pathlib import Path

import pytest

from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.metrics.captioning.cache import metrics_cache
from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, NEEDS, SBERT_FOLDER, NeedName
from atrkit.metrics.captioning.java import Java
from atrkit.metrics.captioning.tools import MetricTools, check_metric_names


def tools_in(cache: Path, *there: NeedName, java: bool = True) -> MetricTools:
    """A cache that holds something under every name of these needs, and a Java that nobody starts."""
    for name in there:
        for file in NEEDS[name].files:
            (cache / file.path).parent.mkdir(parents=True, exist_ok=True)
            (cache / file.path).write_text("something")
    tools = MetricTools(cache=cache)
    if java:
        tools.__dict__["java"] = Java("/usr/bin/java", "17", 17)
    return tools


def what(tools: MetricTools, metric: str) -> str:
    return "; ".join(lack.what for lack in tools.lacks(metric))


def test_bleu_rouge_and_cider_lack_nothing_on_an_empty_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    tools = MetricTools(cache=tmp_path)
    running = [metric for metric in CAPTION_METRICS if not tools.lacks(metric)]
    assert running == ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "vocabulary_size", "mean_words"]


@pytest.mark.parametrize(
    ("metric", "needs"),
    [
        ("meteor", {"meteor"}),
        ("spice", {"spice", "corenlp"}),
        ("spider", {"spice", "corenlp"}),
        ("sbert_sim", {"sbert"}),
        ("fer", {"fluency"}),
        ("fense", {"sbert", "fluency"}),
        ("spider_fl", {"spice", "corenlp", "fluency"}),
    ],
)
def test_a_metric_runs_once_everything_it_needs_is_there_and_not_before(tmp_path, metric, needs):
    assert not tools_in(tmp_path / "all", *needs).lacks(metric)
    for lacking in needs:
        (lack,) = tools_in(tmp_path / lacking, *(needs - {lacking})).lacks(metric)
        assert NEEDS[lacking].what in lack.what


@pytest.mark.parametrize("metric", ["meteor", "spice", "spider", "spider_fl"])
def test_java_is_lacked_by_name(tmp_path, monkeypatch, metric):
    monkeypatch.setenv("PATH", str(tmp_path))
    tools = tools_in(tmp_path, "ptb", "meteor", "spice", "corenlp", "fluency", java=False)
    assert what(tools, metric) == "Java is not installed"
    assert tools.lack_of_ptb is not None
    assert tools.lack_of_ptb.what == "Java is not installed"


def test_jars_that_a_package_has_are_lacked_with_the_package(tmp_path):
    (lack,) = tools_in(tmp_path).lacks("meteor")
    assert lack.what == f"{tmp_path}/aac-metrics/meteor lacks the files of METEOR"
    assert lack.fix == "pip install --no-deps pycocoevalcap, then atrkit download metrics"
    assert lack.steps == ["pip install --no-deps pycocoevalcap", "atrkit download metrics"]
    assert (lack.need, lack.fetch_mb) == ("meteor", 0)  # the package has them


def test_files_that_are_published_are_lacked_with_address_and_place(tmp_path):
    (lack,) = tools_in(tmp_path, "spice").lacks("spice")
    folder = f"{tmp_path}/aac-metrics/spice/lib"
    assert lack.what == f"{folder} lacks the jars of Stanford CoreNLP 3.6.0, which SPICE needs, about 400 MB"
    assert lack.fix == "atrkit download metrics"
    assert lack.record == {
        "what": lack.what,
        "fix": lack.way_out,
        "need": "corenlp",
        "steps": ["atrkit download metrics"],
        "fetch_mb": 400,
    }
    assert lack.by_hand == (
        "put stanford-corenlp-3.6.0.jar, stanford-corenlp-3.6.0-models.jar from "
        f"https://nlp.stanford.edu/software/stanford-corenlp-full-2015-12-09.zip into {folder}"
    )
    assert lack.way_out == f"atrkit download metrics, or {lack.by_hand}"


def test_what_is_half_there_is_lacked_by_file(tmp_path):
    tools = tools_in(tmp_path, "meteor")
    (tmp_path / "aac-metrics/meteor/data/paraphrase-en.gz").write_bytes(b"")  # as a copy that was cut
    assert what(tools, "meteor") == f"{tmp_path}/aac-metrics/meteor lacks paraphrase-en.gz of the files of METEOR"


def test_damage_is_seen_where_the_hash_is_known(tmp_path):
    tools = tools_in(tmp_path, "meteor", "sbert")
    assert [file.name for file in tools.damaged_files("meteor")] == ["meteor-1.5.jar", "paraphrase-en.gz"]
    assert tools.damaged_files("sbert") == ()


def test_models_that_are_given_are_not_looked_for_in_the_cache(tmp_path):
    given = MetricTools(cache=tmp_path, sbert_model=object(), echecker=object(), echecker_tokenizer=object())
    assert not given.lacks("fense")
    assert (
        MetricTools(cache=tmp_path, sbert_model=object())
        .lacks("fense")[0]
        .what.startswith(f"{tmp_path}/aac-metrics/fense/echecker_clotho_audiocaps_base lacks")
    )


def test_a_detector_without_its_tokenizer_is_refused():
    with pytest.raises(UsageError, match="needs its tokenizer: give echecker_tokenizer"):
        MetricTools(echecker=object())


def test_folders_that_hold_no_models_are_refused(tmp_path):
    with pytest.raises(MissingPrerequisiteError, match=r"holds no sentence encoder: modules\.json is missing"):
        _ = MetricTools(sbert_model=tmp_path).sbert
    with pytest.raises(MissingPrerequisiteError, match=r"no fluency detector: one checkpoint \(\*\.ckpt\) is missing"):
        _ = MetricTools(echecker=str(tmp_path)).fluency
    (tmp_path / "own.ckpt").write_bytes(b"")
    with pytest.raises(MissingPrerequisiteError, match=r"no fluency detector: config\.json is missing"):
        _ = MetricTools(echecker=tmp_path).fluency


def test_a_checkpoint_under_the_published_name_must_be_the_published_one(tmp_path):
    tools = tools_in(tmp_path, "fluency")
    with pytest.raises(IntegrityError, match=r"not the published file .sha256 1a719f09.* expected.*download metrics"):
        _ = tools.fluency


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ({"AAC_METRICS_CACHE_PATH": "/a", "ATRKIT_CACHE": "/b"}, "/a"),
        ({"ATRKIT_CACHE": "/b"}, "/b"),
        ({"AAC_METRICS_CACHE_PATH": "~/c"}, "/home/me/c"),
        ({"AAC_METRICS_CACHE_PATH": "$HOME/d"}, "/home/me/d"),  # as aac-metrics reads it
        ({"AAC_METRICS_CACHE_PATH": "e"}, f"{Path.cwd()}/e"),  # Java is started elsewhere
        ({}, "/home/me/.cache/atrkit"),
    ],
)
def test_the_cache_is_where_a_variable_says(monkeypatch, named, place):
    monkeypatch.setenv("HOME", "/home/me")
    for variable in ("AAC_METRICS_CACHE_PATH", "ATRKIT_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    assert metrics_cache() == Path(place)
    assert SBERT_FOLDER == "aac-metrics/fense/paraphrase-TinyBERT-L6-v2"


def test_metrics_are_chosen_by_name_in_the_order_of_the_table():
    assert check_metric_names(None) == CAPTION_METRICS
    assert check_metric_names(["fense", "bleu_4", "bleu_4"]) == ("bleu_4", "fense")
    with pytest.raises(UsageError, match="there is no caption metric 'blue_1': choose from bleu_1, bleu_2"):
        check_metric_names(["bleu_1", "blue_1"])
    with pytest.raises(UsageError, match="name at least one caption metric"):
        check_metric_names([])
