"""The retriever around co-attention: what a pair scores, what training keeps, and what is saved."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from atrkit.errors import IntegrityError, UsageError
from atrkit.losses import MaxMargin, NtXent
from atrkit.models import CoAttentionRetriever, DualEncoder, Ragged, seeded_initialisation
from atrkit.models import co_attention_retriever as module
from atrkit.models.opening import open_retriever
from atrkit.models.retriever import ClipInputs, Padded
from atrkit.models.token_towers import WordTokens
from atrkit.scoring.retrieval import score_all_pairs
from atrkit.text.vocabulary import Vocabulary
from atrkit.training import OptimizerSettings, TrainingData, train_retriever

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls"]
MODES = [("single", 1), ("stacking", 2), ("iterating", 3)]
LENGTHS = [3, 7, 1, 4]


def model_of(mode="single", num_layers=1, dropout=0.0, context="gru", frame_dim=6, captions=CAPTIONS, seed=1):
    words = Vocabulary.from_captions(captions).words
    with seeded_initialisation(seed):
        return CoAttentionRetriever(
            frame_dim,
            WordTokens(words, dim=5, context=context),
            mode=mode,
            num_layers=num_layers,
            dim=8,
            num_heads=2,
            ff_dim=12,
            dropout=dropout,
            hidden_dims=(7,),
            frame_dropout=dropout,
        )


def clips_of(lengths=LENGTHS, dim=6, seed=0):
    rng = np.random.default_rng(seed)
    return Ragged.from_sequences([3 + rng.standard_normal((length, dim)) for length in lengths])


def batch_of(model, frames, captions):
    index_B = torch.arange(len(frames))
    return ClipInputs((frames,)).gather(index_B), Padded(*model.prepare_captions(captions).gather(index_B))


def pair_oracle(model, frames_TF, caption):
    """Cosine of the means of what `CoAttention` gives of one pair that shares nothing with another."""
    ids_L = model.text.embedding.vocabulary.encode(caption)
    words_1LF = model.text(torch.tensor([ids_L]), torch.tensor([len(ids_L)])).words_BLF
    standardised_TF = (frames_TF - model.frame_side.frame_mean_F) / model.frame_side.frame_std_F
    clip_PTD, caption_PLD = model.co_attention(
        model.frame_side.layers(standardised_TF)[None],
        torch.tensor([len(frames_TF)]),
        model.word_projection(words_1LF),
        torch.tensor([len(ids_L)]),
    )
    audio, text = (part[0].detach().double().numpy().mean(axis=0) for part in (clip_PTD, caption_PLD))
    return audio @ text / np.linalg.norm(audio) / np.linalg.norm(text)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_every_pair_of_a_batch_scores_what_it_scores_alone(mode, num_layers):
    model, frames = model_of(mode, num_layers).eval(), clips_of()
    model.fit_standardisation([frames])
    (term,) = model.similarity_terms(*batch_of(model, frames, CAPTIONS))
    bounds = frames.offsets.tolist()
    expected_BB = [
        [pair_oracle(model, frames.values[bounds[a] : bounds[a + 1]], caption) for caption in CAPTIONS]
        for a in range(len(frames))
    ]
    np.testing.assert_allclose(term.similarity_BB.detach(), expected_BB, atol=1e-5)
    assert (term.name, term.weight) == ("co_attention", 1.0)


def test_frames_are_standardised():
    """Features in other units are the same features."""
    frames = clips_of()
    scores = []
    for values in (frames.values, frames.values * torch.tensor([1, 10, 100, 0.1, 1, 5.0]) - 20):
        model = model_of().eval()
        assert model.fit_standardisation([Ragged(values, frames.offsets)]) == 0
        scores.append(model.similarity_terms(*batch_of(model, Ragged(values, frames.offsets), CAPTIONS))[0][2])
    torch.testing.assert_close(*scores, atol=1e-4, rtol=0)


def gradients_of(model, loss, batch):
    model.zero_grad()
    torch.manual_seed(3)
    (term,) = model.similarity_terms(*batch)
    loss(term.similarity_BB).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
@pytest.mark.parametrize("loss", [NtXent(), MaxMargin()], ids=["nt_xent", "max_margin"])
def test_gradients_are_finite_and_reach_every_weight(mode, num_layers, loss):
    model = model_of(mode, num_layers, dropout=0.1).train()
    for name, gradient in gradients_of(model, loss, batch_of(model, clips_of(), CAPTIONS)).items():
        assert gradient.isfinite().all() and gradient.any(), name


@pytest.mark.parametrize("kept_values", [1, 2000])
def test_what_does_not_fit_is_computed_again_with_the_same_result(monkeypatch, kept_values):
    model = model_of("stacking", 2).train()
    batch = batch_of(model, clips_of(), CAPTIONS)
    expected = gradients_of(model, NtXent(), batch)
    monkeypatch.setattr(module, "_KEPT_VALUES", kept_values)
    for name, gradient in gradients_of(model, NtXent(), batch).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4)


def test_computing_again_draws_the_same_dropout(monkeypatch):
    model = model_of(dropout=0.4).train()
    batch = batch_of(model, clips_of(), CAPTIONS)
    monkeypatch.setattr(module, "_KEPT_VALUES", 1)
    again = gradients_of(model, NtXent(), batch)
    monkeypatch.setattr(module, "checkpoint", lambda function, *arguments, use_reentrant: function(*arguments))
    for name, gradient in gradients_of(model, NtXent(), batch).items():
        torch.testing.assert_close(again[name], gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_a_saved_model_opens_elsewhere_with_the_same_scores_to_the_bit(tmp_path: Path, mode, num_layers):
    model, frames = model_of(mode, num_layers, dropout=0.3), ClipInputs((clips_of(),))
    model.fit_standardisation(frames.frames)
    model.save_pretrained(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    again = open_retriever(tmp_path / "moved")
    assert isinstance(again, CoAttentionRetriever) and again.config == model.config and not again.training
    np.testing.assert_array_equal(score_all_pairs(again, frames, CAPTIONS), score_all_pairs(model, frames, CAPTIONS))
    with pytest.raises(IntegrityError, match="co_attention"):
        DualEncoder.from_pretrained(tmp_path / "moved")


def test_frames_of_another_width_are_refused():
    model = model_of()
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 6"):
        model.fit_standardisation([clips_of(dim=5)])
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 6"):
        score_all_pairs(model, ClipInputs((clips_of(dim=5),)), CAPTIONS)


def test_it_says_which_words_it_does_not_know():
    model = model_of()
    assert model.count_unknown_words(["a cat barks"]) == {"cat": 1} and model.count_cut_captions(CAPTIONS) == 0
    with pytest.raises(UsageError, match="reads no generated captions"):
        model.prepare_auxiliary(["wind"])


# --- training

SOUNDS = ["dog", "rain", "bell", "wind", "siren", "drum"]


def two_sounds(repetitions, seed):
    """Every pair of two sounds, each with a feature of its own, so often."""
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in combinations(range(len(SOUNDS)), 2) for _ in range(repetitions)]
    frames = [np.eye(len(SOUNDS))[rng.permutation(pair)] + rng.normal(size=(2, len(SOUNDS))) / 10 for pair in pairs]
    captions = tuple((f"{SOUNDS[one]} and {SOUNDS[other]}",) for one, other in pairs)
    return TrainingData(Ragged.from_sequences(frames), tuple(f"clip{n}" for n in range(len(pairs))), captions)


def trained(folder, mode, num_layers, epochs=10, **options):
    train, val = two_sounds(5, seed=1), two_sounds(1, seed=2)
    with seeded_initialisation(1):
        text = WordTokens(Vocabulary.from_captions(train.all_captions).words, dim=16)
        model = CoAttentionRetriever(
            len(SOUNDS), text, mode=mode, num_layers=num_layers, dim=16, num_heads=2, ff_dim=32, dropout=0.0
        )
    settings = OptimizerSettings(lr=5e-3, schedule="one_cycle")
    return train_retriever(
        model, NtXent(), train, val, epochs=epochs, batch_size=15, optimizer=settings, run_folder=folder, seed=1,
        keep_best="text_to_audio.mAP@10", **options,
    )  # fmt: skip


@pytest.mark.parametrize(("mode", "num_layers"), MODES)
def test_training_finds_what_belongs_together(tmp_path: Path, mode, num_layers):
    assert trained(tmp_path, mode, num_layers).best_metric > 0.9  # by chance 0.2


def test_the_same_seed_gives_the_same_bits(tmp_path: Path):
    for name in ("a", "b"):
        trained(tmp_path / name, "single", 1, epochs=2)
    for file in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_validation_which_scores_every_pair_can_be_rare(tmp_path: Path):
    metrics = trained(tmp_path, "single", 1, epochs=5, validate_every=3).metrics
    assert [entry["epoch"] for entry in metrics if "val_loss" in entry] == [3, 5]
