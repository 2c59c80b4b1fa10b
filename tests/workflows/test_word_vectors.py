"""A recipe's file of word vectors, read into a model's word embedding."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.models import seeded_initialisation
from atrkit.models.word_embedding import WordEmbedding
from atrkit.recipe.schema import Recipe
from atrkit.recipe.towers import WordEmbeddingsSettings
from atrkit.text.vocabulary import Vocabulary
from atrkit.workflows.build_retriever import build_retriever
from atrkit.workflows.word_vectors import (
    WordsOf,
    further_captions,
    start_from_vectors,
    vocabulary_of,
    word_dim,
    word_vectors_input,
)

CAPTIONS = ["A dog barks", "a dog, a TV", "rain"]
GLOVE = "<unk> 9 9 9\ndog 1 2 3\nTV 4 5 6\nbarks 7 8 9\nbarks 0 0 0\n"


@pytest.fixture
def glove(tmp_path) -> Path:
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE)
    return path


def settings_of(path: Path | str, **options: object) -> WordEmbeddingsSettings:
    return WordEmbeddingsSettings.model_validate({"name": "word_embeddings", "vectors": str(path), **options})


def started(
    settings: WordEmbeddingsSettings, further: Sequence[str] = ()
) -> tuple[WordEmbedding, dict[str, list[float]], list[str]]:
    """The embedding, its vectors by word, and what was said."""
    words = WordsOf(CAPTIONS, further)
    with seeded_initialisation(1):
        embedding = WordEmbedding(vocabulary_of(settings, words), word_dim(settings), trainable=settings.trainable)
    said: list[str] = []
    start_from_vectors(embedding, settings, words, said.append)
    weights = embedding.weight.detach().tolist()
    return embedding, dict(zip(embedding.vocabulary.words, weights, strict=True)), said


def test_vectors_are_the_files_and_words_without_one_start_at_random(glove) -> None:
    embedding, vector_of, said = started(settings_of(glove))
    assert (vector_of["dog"], vector_of["barks"], vector_of["tv"]) == ([1, 2, 3], [7, 8, 9], [4, 5, 6])
    assert any(vector_of["rain"]) and any(vector_of["a"]) and embedding.weight.requires_grad
    assert vector_of["<pad>"] == vector_of["<unk>"] == [0, 0, 0]
    assert said[1:] == [
        "word vectors: text without a header, 5 words of 3 numbers; 3 of the 5 words of the training captions have one",
        "2 words have none (a, rain), 50.0% of the text: start at random and are trained",
        "1 words have one only with other capitals, which is taken (TV for tv)",
        "1 rows hold a word of the vocabulary again: the first one counts",
    ]


def test_frozen_words_without_a_vector_are_zero_like_unk(glove) -> None:
    embedding, vector_of, said = started(settings_of(glove, trainable=False))
    assert vector_of["rain"] == vector_of["a"] == [0, 0, 0] and vector_of["dog"] == [1, 2, 3]
    assert not embedding.weight.requires_grad
    assert "2 words have none (a, rain), 50.0% of the text: are zero, like <unk>" in said


def test_words_without_a_vector_start_at_the_scale_of_the_files(tmp_path) -> None:
    """word2vec's values have a standard deviation of 0.15: one drawn from N(0, 1) among them would drown the others."""
    draw, width = np.random.default_rng(0), 300
    vectors_VF = draw.normal(0.02, 0.15, size=(2, width)).astype(np.float32)
    rows = zip(("dog", "barks"), vectors_VF.tolist(), strict=True)
    (tmp_path / "own.txt").write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows))
    _, vector_of, _ = started(settings_of(tmp_path / "own.txt"))
    with seeded_initialisation(1):
        drawn = torch.nn.Embedding(7, width, padding_idx=0).weight.detach().numpy()
    words = Vocabulary.from_captions(CAPTIONS).words
    for word in ("rain", "a", "tv"):
        expected = drawn[words.index(word)] * vectors_VF.astype(np.float64).std()
        np.testing.assert_allclose(vector_of[word], expected, rtol=1e-5)
        assert 0.12 < np.std(vector_of[word]) < 0.18
    np.testing.assert_array_equal(np.float32(vector_of["dog"]), vectors_VF[0])


FURTHER = ["Barks of a cat", "an eel and an owl", "a dog"]
WIDE = GLOVE + "cat 3 3 3\nowl 4 4 4\n"


def test_frozen_vectors_are_kept_for_words_that_only_other_captions_have(glove) -> None:
    glove.write_text(WIDE)
    embedding, vector_of, said = started(settings_of(glove, trainable=False), FURTHER)
    assert (vector_of["cat"], vector_of["owl"], vector_of["dog"]) == ([3, 3, 3], [4, 4, 4], [1, 2, 3])
    assert vector_of["rain"] == vector_of["a"] == [0, 0, 0]
    own = Vocabulary.from_captions(CAPTIONS).words
    assert embedding.vocabulary.words == (*own, "cat", "owl"), "training words keep their places"
    assert embedding.unknown_words(FURTHER) == {"an": 2, "eel": 1, "and": 1, "of": 1}
    assert said[1].endswith("7 words of 3 numbers; 3 of the 5 words of the training captions have one")
    assert said[2] == "2 words have none (a, rain), 50.0% of the text: are zero, like <unk>"
    assert said[3] == (
        "2 of 6 words that only other captions of the dataset have are in the file, and kept: vectors are frozen; "
        "4 are read as <unk> (an, and, eel, of)"
    )


def test_trained_vectors_know_the_words_of_the_training_captions_alone(glove) -> None:
    glove.write_text(WIDE)
    embedding, _, said = started(settings_of(glove), FURTHER)
    assert embedding.vocabulary.words == Vocabulary.from_captions(CAPTIONS).words
    assert not any("other captions" in line for line in said)


def test_a_file_with_words_of_other_captions_alone_is_refused(tmp_path) -> None:
    (tmp_path / "cats.txt").write_text("cat 1 2\n")
    with pytest.raises(UsageError, match="has none of the 5 words of the training captions"):
        started(settings_of(tmp_path / "cats.txt", trainable=False), FURTHER)


def test_a_frozen_run_knows_and_records_the_words_of_all_splits(glove, tmp_path) -> None:
    def clip(split: str, text: str) -> Clip:
        return Clip(f"{split}.wav", "", split * 8, 16000, 16000, 1, split, (Caption(split, text),))

    dataset = Dataset("toy", (clip("dev", "A dog"), clip("eval", "a cat")), tmp_path)
    frozen = recipe_of(glove, trainable=False)
    assert further_captions(recipe_of(glove), dataset, ["an owl"]) == ()
    further = further_captions(frozen, dataset, ["an owl"])
    assert further == ("A dog", "a cat", "an owl")
    recorded = word_vectors_input(frozen, further)
    assert set(recorded) == {"word_vectors_sha256", "further_words_sha256"}
    assert word_vectors_input(frozen, further[::-1]) == recorded != word_vectors_input(frozen, further[:2])
    glove.write_text(WIDE)
    model = build_retriever(
        frozen.model, frame_dims=[2], captions=CAPTIONS, seed=1, further_captions=further, say=lambda _: None
    )
    assert model.count_unknown_words(["a cat and an owl"]) == {"and": 1, "an": 1}


def test_the_files_width_counts_and_not_the_recipes(glove) -> None:
    assert word_dim(settings_of(glove, dim=77)) == 3
    assert word_dim(WordEmbeddingsSettings(dim=77)) == 77


def test_without_a_file_nothing_is_read_and_nothing_said() -> None:
    embedding, said = WordEmbedding(Vocabulary.from_captions(CAPTIONS).words, 4), []
    before = embedding.weight.clone()
    start_from_vectors(embedding, WordEmbeddingsSettings(), WordsOf(CAPTIONS), said.append)
    assert torch.equal(embedding.weight, before) and not said


def test_a_file_without_any_of_the_words_is_refused(tmp_path) -> None:
    (tmp_path / "german.txt").write_text("hund 1 2\n")
    with pytest.raises(UsageError, match="has none of the 5 words of the training captions"):
        started(settings_of(tmp_path / "german.txt"))


def test_a_relative_path_counts_from_the_current_folder(glove, monkeypatch) -> None:
    monkeypatch.chdir(glove.parent)
    assert word_dim(settings_of("glove.txt")) == 3


def test_a_missing_file_is_said_with_where_to_get_it(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        MissingPrerequisiteError, match=re.escape(f"there is no file of word vectors {tmp_path}/my.vec")
    ):
        word_dim(settings_of("my.vec"))
    with pytest.raises(
        MissingPrerequisiteError, match=r"code\.google\.com/archive/p/word2vec/ .*1\.6 GB, unpacked 3\.6"
    ):
        word_dim(settings_of("GoogleNews-vectors-negative300.bin"))


def recipe_of(path: Path | None, **options: object) -> Recipe:
    text = {"name": "word_embeddings", **({} if path is None else {"vectors": str(path)}), **options}
    return Recipe.model_validate(
        {
            "source": "a test",
            "encoder": {"name": "logmel"},
            "model": {"name": "dual_encoder", "out_dim": 4, "text": {**text, "pooling": {"name": "netrvlad"}}},
            "loss": {"name": "max_margin"},
            "optimizer": {"name": "adamw", "lr": 1e-2},
            "training": {"epochs": 1, "batch_size": 2},
        }
    )


def test_a_run_records_the_hash_of_its_file_and_a_changed_file_is_another(glove) -> None:
    assert word_vectors_input(recipe_of(None)) == {}
    before = word_vectors_input(recipe_of(glove))
    assert list(before) == ["word_vectors_sha256"] and before == word_vectors_input(recipe_of(glove))
    glove.write_text(GLOVE + "rain 1 1 1\n")
    assert word_vectors_input(recipe_of(glove)) != before


def test_a_built_model_reads_captions_through_the_vectors(glove) -> None:
    model = build_retriever(recipe_of(glove).model, frame_dims=[2], captions=CAPTIONS, seed=1, say=lambda _: None)
    np.testing.assert_array_equal(model.text.embedding.weight[model.text.prepare(["dog"]).values].detach(), [[1, 2, 3]])
    glove.write_text(GLOVE + "rain 1 1\n")
    with pytest.raises(IntegrityError, match=r"glove\.txt, line 6: 2 numbers after 'rain', and 3 in the first line"):
        build_retriever(recipe_of(glove).model, frame_dims=[2], captions=CAPTIONS, seed=1, say=lambda _: None)
