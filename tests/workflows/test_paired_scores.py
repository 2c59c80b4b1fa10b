"""Scores of listed pairs equal the same cells of the matrix of all pairs, whatever the model."""

import numpy as np
import pytest
import torch

from atrkit.errors import UsageError
from atrkit.models import (
    AudioTower,
    Captioner,
    DualEncoder,
    GruDecoder,
    Ragged,
    TransformerDecoder,
    WordTower,
    seeded_initialisation,
)
from atrkit.models.ridge_retriever import RidgeRetriever
from atrkit.models.text_embedding import StemmedTfIdf
from atrkit.recipe.load import load_recipe
from atrkit.scoring.cross_entropy import caption_cross_entropy
from atrkit.store.embeddings import Embeddings
from atrkit.text.vocabulary import Vocabulary
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.paired_scores import COSINE_TOLERANCE, paired_scores

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls"]
CLIP_INDEX_N = np.array([3, 0, 0, 4, 1, 2, 3, 0])
CAPTION_INDEX_N = np.array([0, 1, 1, 3, 2, 0, 2, 3])  # in no order, with pairs, clips and captions that come again
TRAINED = "optimizer: {name: adamw, lr: 1e-3}\ntraining: {epochs: 1, keep_best: last}\n"


def recipe_of(model: str, loss: str | None):
    sections = f"loss: {{name: {loss}}}\n{TRAINED}" if loss else ""
    text = "{name: word_embeddings, pooling: {name: lstm, output: mean}}"
    text = f", text: {text}" if model == "dual_encoder" else ""
    return load_recipe(f"source: ours\nencoder: {{name: logmel}}\nmodel: {{name: {model}{text}}}\n{sections}")


@pytest.fixture
def clips() -> CaptionedClips:
    """Five clips of different lengths, as stored."""
    noise = np.random.default_rng(1)
    lengths = [3, 9, 1, 6, 4]
    embeddings = Embeddings(
        clip_ids=tuple(f"clip {number}" for number in range(5)),
        audio_sha256=("",) * 5,
        frames_NF=noise.normal(size=(sum(lengths), 6)).astype(np.float16),
        offsets=np.cumsum([0, *lengths]),
        clip_emb_AD=noise.normal(size=(5, 7)).astype(np.float32),
        tag_probs_AK=None,
        labels=(),
        provenance={},
    )
    return CaptionedClips((), embeddings)


def frames_of(clips: CaptionedClips) -> Ragged:
    return Ragged.from_rows(clips.embeddings.frames_NF, clips.embeddings.offsets)


def make_dual_encoder(pooling: str = "lstm_mean") -> DualEncoder:
    words = Vocabulary.from_captions(CAPTIONS).words
    with seeded_initialisation(1):
        audio = AudioTower(6, 16, hidden_dims=(12,), pooling=pooling, pooling_dim=10)
        return DualEncoder(audio, WordTower(words, 16, word_dim=9, pooling=pooling, pooling_dim=10))


def make_ridge(clips: CaptionedClips) -> RidgeRetriever:
    return RidgeRetriever.fit(
        clips.embeddings.clip_emb_AD, [[text] for text in [*CAPTIONS, "wind"]], StemmedTfIdf.fit(CAPTIONS, [])
    )


def make_captioner(model: str) -> Captioner:
    words = ("<pad>", "<unk>", "<bos>", "<eos>", *sorted({word for caption in CAPTIONS for word in caption.split()}))
    with seeded_initialisation(2):
        decoder = (
            GruDecoder(len(words), dim=16)
            if model == "gru_captioner"
            else TransformerDecoder(len(words), dim=16, num_layers=1, num_heads=2, ff_dim=16)
        )
        captioner = Captioner(6, words, decoder, standardise=True)
    captioner.fit_standardisation(torch.randn(50, 6, generator=torch.Generator().manual_seed(3)))
    return captioner


def cosines(one_AD, other_CD):
    one_AD, other_CD = (np.asarray(each, dtype=np.float64) for each in (one_AD, other_CD))
    lengths_AC = np.linalg.norm(one_AD, axis=1)[:, None] * np.linalg.norm(other_CD, axis=1)
    return one_AD @ other_CD.T / lengths_AC


def scores_of_pairs(recipe, folder, clips):
    captions = [CAPTIONS[number] for number in CAPTION_INDEX_N]
    return np.asarray(paired_scores(recipe, folder, clips)(CLIP_INDEX_N, captions))


def test_a_dual_encoders_pairs_are_the_cosines_of_its_embeddings(clips, tmp_path):
    model = make_dual_encoder()
    model.save_pretrained(tmp_path)
    matrix_AC = cosines(model.embed_clips(frames_of(clips)), model.embed_captions(CAPTIONS))
    found_N = scores_of_pairs(recipe_of("dual_encoder", "max_margin"), tmp_path, clips)
    np.testing.assert_allclose(found_N, matrix_AC[CLIP_INDEX_N, CAPTION_INDEX_N], atol=2e-6)
    assert np.ptp(matrix_AC) > 1e-3


def test_a_ridges_pairs_are_the_cosines_of_its_embeddings(clips, tmp_path):
    model = make_ridge(clips)
    model.save_pretrained(tmp_path)
    matrix_AC = cosines(model.embed_clips(clips.embeddings.clip_emb_AD), model.embed_captions(CAPTIONS))
    found_N = scores_of_pairs(recipe_of("ridge", None), tmp_path, clips)
    np.testing.assert_allclose(found_N, matrix_AC[CLIP_INDEX_N, CAPTION_INDEX_N], atol=2e-6)
    assert np.ptp(matrix_AC) > 1e-3


@pytest.mark.parametrize("model", ["transformer_captioner", "gru_captioner"])
def test_a_captioners_pairs_are_its_negated_losses(clips, tmp_path, model):
    captioner = make_captioner(model)
    captioner.save_pretrained(tmp_path)
    loss_AC = np.asarray(caption_cross_entropy(captioner.eval(), frames_of(clips), CAPTIONS))
    found_N = scores_of_pairs(recipe_of(model, "cross_entropy"), tmp_path, clips)
    np.testing.assert_allclose(found_N, -loss_AC[CLIP_INDEX_N, CAPTION_INDEX_N], atol=1e-5)
    assert np.ptp(loss_AC, axis=0).min() > 1e-3  # clips differ


@pytest.mark.parametrize("model", ["dual_encoder", "ridge"])
def test_a_bag_of_words_in_another_order_is_equal_within_the_tolerance(clips, tmp_path, model):
    recipe = recipe_of(model, None if model == "ridge" else "max_margin")
    (make_ridge(clips) if model == "ridge" else make_dual_encoder("mean")).save_pretrained(tmp_path)
    mixing, words = np.random.default_rng(3), CAPTIONS[1].split()
    orders = [" ".join(mixing.permutation(words)) for _ in range(20)]
    score = paired_scores(recipe, tmp_path, clips)
    for clip in range(5):
        scores_N = score(np.full(21, clip), [CAPTIONS[1], *orders])
        assert np.ptp(scores_N) < COSINE_TOLERANCE / 2


def test_a_precision_is_of_captioners(clips, tmp_path):
    make_ridge(clips).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="--precision is of captioners, and this run is of model ridge"):
        paired_scores(recipe_of("ridge", None), tmp_path, clips, precision="fp16")
