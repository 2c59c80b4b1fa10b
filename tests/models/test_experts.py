"""Experts against the papers' equations in numpy, and what no order, batch, padding or disk may change."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from atrkit.errors import DivergedError, UsageError
from atrkit.losses import MaxMargin
from atrkit.models import ExpertsRetriever, Ragged, WordTower, seeded_initialisation
from atrkit.models.opening import open_retriever
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded
from atrkit.scoring.retrieval import pair_scorer, score_all_pairs
from atrkit.text.vocabulary import Vocabulary

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls"]
DIMS = (6, 4, 3)
LENGTHS = ([3, 1, 7, 2], [1, 5, 2, 2], [4, 4, 1, 6])  # of each encoder: its frames have their own period
BOTH = pytest.mark.parametrize("collaborative", [False, True], ids=["moee", "ce"])
Array = npt.NDArray[Any]


def model_of(collaborative: bool, experts: int = 3, pooling: Any = "mean", seed: int = 1) -> ExpertsRetriever:
    words = Vocabulary.from_captions(CAPTIONS).words
    with seeded_initialisation(seed):
        text = WordTower(words, word_dim=9, dropout=0.3, pooling=pooling, pooling_dim=10, clusters=2)
        model = ExpertsRetriever(
            DIMS[:experts], text, collaborative=collaborative, expert_dim=5, pooling=pooling, pooling_dim=7, clusters=3
        )
    model.fit_standardisation([Ragged.from_sequences(clips) for clips in frames_of(experts, seed=9)])
    return model


def frames_of(experts: int = 3, seed: int = 1) -> list[list[Array]]:
    """For each encoder its frames of four clips."""
    draw = np.random.default_rng(seed)
    sizes = list(zip(DIMS, LENGTHS, strict=True))[:experts]
    return [[draw.normal(2, 3, (length, dim)).astype(np.float32) for length in lengths] for dim, lengths in sizes]


def inputs_of(frames: list[list[Array]]) -> ClipInputs:
    return ClipInputs(tuple(Ragged.from_sequences(clips) for clips in frames))


# --- the equations


def weights_of(model: ExpertsRetriever) -> dict[str, Array]:
    return {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}


def linear(weights: dict[str, Array], name: str, x_D: Array) -> Array:
    return weights[f"{name}.weight"] @ x_D + weights[f"{name}.bias"]


def sigmoid(x_D: Array) -> Array:
    return 1 / (1 + np.exp(-x_D))


def unit(x_D: Array) -> Array:
    return np.asarray(x_D / np.sqrt((x_D**2).sum()))


def gated_embedding(weights: dict[str, Array], name: str, x_F: Array) -> Array:
    """MoEE's gated embedding unit: y = W x + b, y * sigmoid(V y + c), norm 1."""
    y_D = linear(weights, f"{name}.projection", x_F)
    return unit(y_D * sigmoid(linear(weights, f"{name}.gating.gate", y_D)))


def collaborated(weights: dict[str, Array], pooled: list[Array]) -> list[Array]:
    """CE: x_i * sigmoid(h(sum over j != i of g(x_i, x_j)))."""

    def mlp(name: str, x_D: Array) -> Array:
        hidden_D = np.maximum(linear(weights, f"collaboration.{name}.0", x_D), 0)
        return linear(weights, f"collaboration.{name}.2", hidden_D)

    x = [unit(linear(weights, f"collaboration.projections.{e}", pooled_F)) for e, pooled_F in enumerate(pooled)]
    if len(x) == 1:
        return x
    gates = []
    for i, own_D in enumerate(x):
        compared = [mlp("compare", np.concatenate([own_D, other_D])) for j, other_D in enumerate(x) if j != i]
        gates.append(sigmoid(mlp("conclude", np.sum(compared, axis=0))))
    return [own_D * gate_D for own_D, gate_D in zip(x, gates, strict=True)]


def score_of(model: ExpertsRetriever, frames: list[Array], caption: str) -> float:
    """One clip, one caption: the sum over experts of weight times cosine."""
    weights = weights_of(model)
    pooled = [
        ((frames_TF - weights[f"frames.{e}.mean_F"]) / weights[f"frames.{e}.std_F"]).mean(axis=0)
        for e, frames_TF in enumerate(frames)
    ]
    if model.collaboration is not None:
        pooled = collaborated(weights, pooled)
    clip = [gated_embedding(weights, f"audio_heads.{e}", pooled_F) for e, pooled_F in enumerate(pooled)]
    words = model.text.arguments["vocabulary"]
    caption_F = np.mean([weights["text.embedding.weight"][words.index(word)] for word in caption.split()], axis=0)
    logits_E = linear(weights, "mixture", caption_F)
    mixture_E = np.exp(logits_E) / np.exp(logits_E).sum()
    text = [gated_embedding(weights, f"text_heads.{e}", caption_F) for e in range(len(frames))]
    return float(sum(w * (a @ t) for w, a, t in zip(mixture_E, clip, text, strict=True)))


@BOTH
@pytest.mark.parametrize("experts", [1, 2, 3])
def test_the_score_is_the_papers_sum_over_experts(collaborative: bool, experts: int) -> None:
    model, frames = model_of(collaborative, experts), frames_of(experts)
    scores_AC = score_all_pairs(model, inputs_of(frames), CAPTIONS)
    expected_AC = [[score_of(model, [of_e[a] for of_e in frames], caption) for caption in CAPTIONS] for a in range(4)]
    np.testing.assert_allclose(scores_AC, expected_AC, atol=2e-6)
    assert np.ptp(expected_AC) > 0.05
    pairs = pair_scorer(model, inputs_of(frames))(np.array([2, 0, 2, 3]), [CAPTIONS[c] for c in (1, 0, 1, 3)])
    np.testing.assert_allclose(pairs, scores_AC[[2, 0, 2, 3], [1, 0, 1, 3]], atol=1e-6)


@BOTH
def test_training_sees_the_scores_of_all_pairs(collaborative: bool) -> None:
    model, clips = model_of(collaborative).eval(), inputs_of(frames_of())
    texts = Padded(*model.prepare_captions(CAPTIONS).gather(torch.arange(4)))
    (term,) = model.similarity_terms(clips.gather(torch.arange(4)), texts)
    assert term.weight == 1.0
    np.testing.assert_allclose(
        term.similarity_BB.detach().numpy(), score_all_pairs(model, clips, CAPTIONS), rtol=0, atol=1e-6
    )


def test_the_captions_weights_sum_to_one() -> None:
    model = model_of(collaborative=False)
    text_emb_CED = model.embed_captions(CAPTIONS).reshape(4, 3, 5)
    np.testing.assert_allclose(np.linalg.norm(text_emb_CED, axis=2).sum(axis=1), 1, atol=1e-6)
    audio_emb_AED = model.embed_clips(inputs_of(frames_of())).reshape(4, 3, 5)
    np.testing.assert_allclose(np.linalg.norm(audio_emb_AED, axis=2), 1, atol=1e-6)


# --- what changes nothing


@BOTH
def test_experts_in_another_order_give_the_same_scores(collaborative: bool) -> None:
    model, frames, order = model_of(collaborative), frames_of(), [2, 0, 1]
    words = model.text.arguments["vocabulary"]
    other = ExpertsRetriever(
        [DIMS[e] for e in order],
        WordTower(words, word_dim=9, pooling="mean"),
        collaborative=collaborative,
        expert_dim=5,
        pooling="mean",
    )
    state, moved = model.state_dict(), {}
    for name in state:
        parts = name.split(".")
        place = next((i for i, part in enumerate(parts) if part.isdigit()), None)
        if name.startswith("mixture"):
            moved[name] = state[name][order]
        elif place is None or parts[1] in ("compare", "conclude"):
            moved[name] = state[name]
        else:
            moved[name] = state[".".join([*parts[:place], str(order[int(parts[place])]), *parts[place + 1 :]])]
    other.load_state_dict(moved)
    np.testing.assert_allclose(
        score_all_pairs(other, inputs_of([frames[e] for e in order]), CAPTIONS),
        score_all_pairs(model, inputs_of(frames), CAPTIONS),
        rtol=0,
        atol=1e-6,
    )


def test_the_others_change_an_expert_only_when_they_collaborate() -> None:
    frames = frames_of()
    changed = [frames[0], frames[1], [clip_TF + 1 for clip_TF in frames[2]]]
    for collaborative in (False, True):
        model = model_of(collaborative)
        before, after = (model.embed_clips(inputs_of(each)).reshape(4, 3, 5) for each in (frames, changed))
        assert np.array_equal(before[:, :2], after[:, :2]) is not collaborative
        assert not np.allclose(before[:, 2], after[:, 2])


@BOTH
@pytest.mark.parametrize("pooling", ["mean", "max", "lstm_mean", "netvlad"])
def test_a_batch_of_one_is_as_a_batch_of_many(collaborative: bool, pooling: str) -> None:
    model, frames = model_of(collaborative, pooling=pooling), frames_of()
    alone = np.concatenate([model.embed_clips(inputs_of([[of_e[a]] for of_e in frames])) for a in range(4)])
    for batch_size in (2, 4):
        np.testing.assert_allclose(model.embed_clips(inputs_of(frames), batch_size=batch_size), alone, atol=1e-6)
    alone = np.concatenate([model.embed_captions([caption]) for caption in CAPTIONS])
    np.testing.assert_allclose(model.embed_captions(CAPTIONS), alone, atol=1e-6)


@BOTH
@pytest.mark.parametrize("pooling", ["max", "lstm_last", "netvlad"])
def test_what_stands_in_the_padding_changes_nothing(collaborative: bool, pooling: str) -> None:
    model = model_of(collaborative, pooling=pooling).eval()
    clean = inputs_of(frames_of()).gather(torch.arange(4)).frames
    dirty = []
    for padded in clean:
        is_padding_BT = torch.arange(padded.values.shape[1]) >= padded.lengths_B[:, None]
        assert is_padding_BT.any()
        dirty.append(Padded(padded.values.masked_fill(is_padding_BT[:, :, None], 1e4), padded.lengths_B))
    torch.testing.assert_close(model.clip_vectors(dirty), model.clip_vectors(clean), rtol=0, atol=1e-6)


@BOTH
def test_a_saved_model_opens_with_the_same_outputs_to_the_bit(collaborative: bool, tmp_path: Path) -> None:
    model, clips = model_of(collaborative, pooling="lstm_mean"), inputs_of(frames_of())
    model.save_pretrained(tmp_path)
    opened = open_retriever(tmp_path)
    assert isinstance(opened, ExpertsRetriever) and not opened.training
    np.testing.assert_array_equal(score_all_pairs(opened, clips, CAPTIONS), score_all_pairs(model, clips, CAPTIONS))
    assert opened.config == model.config


def test_each_side_has_its_own_clusters() -> None:
    shapes = {name: tuple(value.shape) for name, value in model_of(True, pooling="netvlad").state_dict().items()}
    assert [shapes[f"frames.{e}.pooling.centre_KF"] for e in range(3)] == [(3, dim) for dim in DIMS]
    assert shapes["text.pooling.centre_KF"] == (2, 9)


def test_the_same_seed_gives_the_same_model() -> None:
    clips = inputs_of(frames_of())
    first, same, other = (model_of(True, seed=seed).embed_clips(clips) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other)


# --- training, and what is refused


@BOTH
@pytest.mark.parametrize("experts", [1, 2])
def test_every_parameter_is_trained_with_finite_gradients(collaborative: bool, experts: int) -> None:
    model = model_of(collaborative, experts, pooling="netvlad").train()
    clips = inputs_of(frames_of(experts)).gather(torch.arange(4))
    texts = Padded(*model.prepare_captions(CAPTIONS).gather(torch.arange(4)))
    (term,) = model.similarity_terms(clips, texts)
    MaxMargin(2.0)(term.similarity_BB).backward()
    idle = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    nobody_to_ask = {name for name in idle if name.startswith(("collaboration.compare", "collaboration.conclude"))}
    assert idle == nobody_to_ask and bool(idle) == (collaborative and experts == 1)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@BOTH
def test_nan_is_refused_by_the_clips_name(collaborative: bool) -> None:
    frames = frames_of()
    frames[1][2][0, 0] = np.nan
    with pytest.raises(DivergedError, match=r"clip 'c\.wav' has an embedding that is not finite"):
        score_all_pairs(model_of(collaborative), inputs_of(frames), CAPTIONS, clip_ids=["a.wav", "b.wav", "c.wav", "d"])


def test_a_clip_without_frames_of_one_encoder_is_refused_by_name() -> None:
    frames = frames_of()
    frames[2][1] = frames[2][1][:0]
    with pytest.raises(UsageError, match=r"clip 'b\.wav' has nothing to embed"):
        model_of(True).embed_clips(inputs_of(frames), ids=["a.wav", "b.wav", "c.wav", "d.wav"])


def test_other_encoders_than_the_models_are_refused() -> None:
    model, frames = model_of(False), frames_of()
    with pytest.raises(UsageError, match="frames of 2 encoders, and the model was made for 3"):
        model.embed_clips(inputs_of(frames[:2]))
    with pytest.raises(UsageError, match="frames are 4 wide where the model takes 6"):
        model.similarity_terms(
            ClipBatch(inputs_of([frames[1], frames[0], frames[2]]).gather(torch.tensor([0])).frames),
            Padded(*model.prepare_captions(CAPTIONS[:1]).gather(torch.tensor([0]))),
        )
    with pytest.raises(UsageError, match="needs one audio encoder or more"):
        ExpertsRetriever([], WordTower(["<pad>", "<unk>"]), collaborative=False, expert_dim=5, pooling="mean")


@BOTH
def test_weighted_cosines_keep_their_digits_under_mixed_precision(collaborative: bool) -> None:
    model, index_B = model_of(collaborative).eval(), torch.arange(4)
    clips = inputs_of(frames_of()).gather(index_B)
    texts = Padded(*model.prepare_captions(CAPTIONS).gather(index_B))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (term,) = model.similarity_terms(clips, texts)
        clip_BE, caption_BE = model.clip_vectors(clips.frames), model.caption_vectors(texts)
    assert term.similarity_BB.dtype == torch.float32
    expected = clip_BE.double() @ caption_BE.double().T
    torch.testing.assert_close(term.similarity_BB.double(), expected, rtol=0, atol=1e-6)
