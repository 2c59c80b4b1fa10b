"""The retriever of paper 001 against its equations in numpy, term by term, and what no padding, batch or disk changes.

Pretrained text networks are in test_text_encoders.py, where transformers is imported.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from atrkit.errors import UsageError
from atrkit.losses import NtXent
from atrkit.models import HciRetriever, Ragged, seeded_initialisation
from atrkit.models.opening import open_retriever
from atrkit.models.retriever import ClipBatch, ClipInputs, Padded, SimilarityTerm
from atrkit.models.token_towers import WordTokens
from atrkit.text.vocabulary import Vocabulary

CAPTIONS = ["a dog barks", "rain falls on a tin roof while a dog barks", "wind", "a bell rings then rain falls"]
GENERATED = ["a dog", "rain falls on a roof", "wind rings", "a bell"]
LENGTHS = [3, 6, 1, 4]
FRAME_DIM, WORD_DIM, DIM, SEGMENTS = 6, 5, 8, 3
Array = npt.NDArray[np.float64]


def model_of(seed: int = 1, context: Any = "none", **arguments: Any) -> HciRetriever:
    arguments = {"hidden_dims": (7,), "text_hidden_dims": (6,), "segments": SEGMENTS, **arguments}
    with seeded_initialisation(seed):
        text = WordTokens(Vocabulary.from_captions(CAPTIONS).words, dim=WORD_DIM, dropout=0.3, context=context)
        model = HciRetriever(FRAME_DIM, text, dim=DIM, dropout=0.3, num_heads=2, **arguments)
    model.fit_standardisation([Ragged.from_sequences(frames_of(seed=9))])
    return model.eval()


def frames_of(lengths: list[int] = LENGTHS, seed: int = 1) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(2, 3, (length, FRAME_DIM)).astype(np.float32) for length in lengths]


def clips_of(model: HciRetriever, frames: list[Any] | None = None, generated: list[str] = GENERATED) -> ClipInputs:
    captions = model.prepare_auxiliary(generated) if model.reads_generated else None
    return ClipInputs((Ragged.from_sequences(frames or frames_of()),), captions)


def terms_of(
    model: HciRetriever, clips: ClipInputs | None = None, captions: list[str] = CAPTIONS
) -> tuple[SimilarityTerm, ...]:
    clips = clips_of(model) if clips is None else clips
    prepared = model.prepare_captions(captions)
    texts = Padded(*prepared.gather(torch.arange(len(prepared))))
    return model.similarity_terms(clips.gather(torch.arange(len(clips))), texts)


# --- the equations


class Oracle:
    """The model's terms from its weights, one clip and one caption at a time."""

    def __init__(self, model: HciRetriever) -> None:
        self.model = model
        self.weights = {name: value.numpy().astype(np.float64) for name, value in model.state_dict().items()}

    def layers(self, name: str, x: Array) -> Array:
        """Linear layers with ReLU between them; dropout has no weights."""
        numbers = sorted(int(key.split(".")[-2]) for key in self.weights if key.startswith(name) and "bias" in key)
        for number in numbers:
            x = x @ self.weights[f"{name}.{number}.weight"].T + self.weights[f"{name}.{number}.bias"]
            x = np.maximum(x, 0) if number != numbers[-1] else x
        return x

    def parts(self, name: str, x_TD: Array) -> Array:
        """Equation 3."""
        likely_TS = np.exp(x_TD @ self.weights[f"{name}.part_weights.weight"].T)
        return (likely_TS / likely_TS.sum(axis=0)).T @ self.layers(f"{name}.features", x_TD)

    def clip(self, frames_TF: Array) -> dict[str, Array]:
        mean, std = self.weights["frame_side.frame_mean_F"], self.weights["frame_side.frame_std_F"]
        found = {"frames": self.layers("frame_side.layers", (frames_TF - mean) / std)}
        if "segments.part_weights.weight" in self.weights:
            found["segments"] = self.parts("segments", found["frames"])
        if "clip_of_segments.part_weights.weight" in self.weights:
            found["clip"] = self.parts("clip_of_segments", found["segments"])[0]
        else:
            found["clip"] = found["frames"].max(axis=0) + found["frames"].mean(axis=0)
        return found

    def caption(self, caption: str) -> dict[str, Array]:
        ids = self.model.prepare_captions([caption]).values.numpy()
        words = self.weights["text.embedding.weight"][ids]
        found = {"words": self.layers("text_projection", words)}
        if "phrases.part_weights.weight" in self.weights:
            found["phrases"] = self.parts("phrases", found["words"])
        if "sentence_of_phrases.part_weights.weight" in self.weights:
            found["sentence"] = self.parts("sentence_of_phrases", found["phrases"])[0]
        else:
            found["sentence"] = self.layers("text_projection", words.mean(axis=0))
        return found


def cosine(x: Array, y: Array) -> float:
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))


def interaction(x_TD: Array, y_LD: Array) -> float:
    """Equations 6 and 8."""
    cosines = np.array([[cosine(x, y) for y in y_LD] for x in x_TD])
    return float(cosines.max(axis=0).mean() + cosines.max(axis=1).mean()) / 2


@pytest.mark.parametrize("clip", ["frames", "segments"])
@pytest.mark.parametrize("sentence", ["cls", "aggregated"])
def test_every_term_is_its_equation(clip: str, sentence: str) -> None:
    model = model_of(clip=clip, sentence=sentence, frame_word_weight=0.4, segment_phrase_weight=0.3)
    oracle = Oracle(model)
    clips, captions = [oracle.clip(frames) for frames in frames_of()], [oracle.caption(text) for text in CAPTIONS]
    wanted = {
        "clip_sentence": (1.0, [[cosine(a["clip"], c["sentence"]) for c in captions] for a in clips]),
        "frame_word": (0.4, [[interaction(a["frames"], c["words"]) for c in captions] for a in clips]),
        "segment_phrase": (0.3, [[interaction(a["segments"], c["phrases"]) for c in captions] for a in clips]),
    }
    terms = terms_of(model)
    assert [term.name for term in terms] == list(wanted)
    for term in terms:
        weight, similarity_BB = wanted[term.name]
        assert term.weight == weight
        np.testing.assert_allclose(term.similarity_BB.detach(), similarity_BB, rtol=0, atol=1e-5)


def test_the_generated_caption_is_compared_as_the_text_is() -> None:
    model = model_of(caption_matching=True)
    term = terms_of(model)[-1]
    oracle = Oracle(model)
    wanted = [
        [cosine(oracle.caption(g)["sentence"], oracle.caption(t)["sentence"]) for t in CAPTIONS] for g in GENERATED
    ]
    assert (term.name, term.weight) == ("text_caption", 1.0)
    np.testing.assert_allclose(term.similarity_BB.detach(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("sentence", ["cls", "aggregated"])
def test_a_generated_caption_that_is_the_text_fits_it_perfectly(sentence: str) -> None:
    model = model_of(caption_matching=True, sentence=sentence)
    term = terms_of(model, clips_of(model, generated=CAPTIONS))[-1]
    torch.testing.assert_close(term.similarity_BB.diagonal(), torch.ones(4), rtol=0, atol=1e-6)


def test_frames_meet_their_own_generated_caption() -> None:
    model = model_of(caption_interaction=True)
    clips = clips_of(model)
    before = {term.name: term.similarity_BB for term in terms_of(model, clips)}
    changed = clips_of(model, generated=[*GENERATED[:2], "rain falls then a bell rings", GENERATED[3]])
    for term in terms_of(model, changed):
        moved_B = ((term.similarity_BB - before[term.name]).abs() > 1e-6).any(dim=1)
        assert moved_B.tolist() == [False, False, True, False], term.name


# --- what is switched off is not there


@pytest.mark.parametrize(
    ("arguments", "names", "missing"),
    [
        ({}, ["clip_sentence", "frame_word", "segment_phrase"], ("clip_of_segments", "sentence_of", "interaction")),
        ({"frame_word_weight": 0.0}, ["clip_sentence", "segment_phrase"], ("clip_of_segments",)),
        ({"segment_phrase_weight": 0.0}, ["clip_sentence", "frame_word"], ("segments", "phrases")),
        ({"frame_word_weight": 0.0, "segment_phrase_weight": 0.0}, ["clip_sentence"], ("segments", "phrases")),
        ({"caption_interaction": True}, ["clip_sentence", "frame_word", "segment_phrase"], ("caption_",)),
    ],
)
def test_a_term_of_weight_0_is_not_built(arguments: dict[str, Any], names: list[str], missing: tuple[str, ...]) -> None:
    model = model_of(**arguments)
    assert [term.name for term in terms_of(model)] == names
    assert not [name for name in model.state_dict() if name.startswith(missing)]


def test_without_both_interactions_it_is_the_baseline() -> None:
    """Max + mean of frames, mean of words, one cosine."""
    model = model_of(frame_word_weight=0.0, segment_phrase_weight=0.0)
    (baseline,), (first, *_) = terms_of(model), terms_of(model_of())
    torch.testing.assert_close(baseline.similarity_BB, first.similarity_BB, rtol=0, atol=0)


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="frames or segments"):
        model_of(clip="middle")
    with pytest.raises(UsageError, match="cls or aggregated"):
        model_of(sentence="first")
    with pytest.raises(UsageError, match="must be 0 or more"):
        model_of(frame_word_weight=-0.1)
    with pytest.raises(UsageError, match="reads no generated captions"):
        model_of().prepare_auxiliary(GENERATED)
    model = model_of(caption_matching=True)
    with pytest.raises(UsageError, match="reads generated captions, and there are none"):
        terms_of(model, ClipInputs((Ragged.from_sequences(frames_of()),)))
    with pytest.raises(UsageError, match="frames are 5 wide, the model takes 6"):
        terms_of(model_of(), ClipInputs((Ragged.from_sequences([np.zeros((2, 5))] * 4),)))


# --- padding, batch, order

EVERYTHING: dict[str, Any] = {
    "clip": "segments",
    "sentence": "aggregated",
    "caption_interaction": True,
    "caption_matching": True,
    "context": "gru",
}


@pytest.mark.parametrize("arguments", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_pair_alone_scores_as_in_any_batch(arguments: dict[str, Any]) -> None:
    model = model_of(**arguments)
    together = terms_of(model)
    for b, (frames, caption) in enumerate(zip(frames_of(), CAPTIONS, strict=True)):
        alone = terms_of(model, clips_of(model, [frames], GENERATED[b : b + 1]), [caption])
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one.similarity_BB[0, 0], all_.similarity_BB[b, b], rtol=0, atol=1e-5)


@pytest.mark.parametrize("padding", [0.0, 1e3])
def test_padding_changes_neither_similarities_nor_gradients(padding: float) -> None:
    model = model_of(**EVERYTHING)
    clips = clips_of(model).gather(torch.arange(4))
    texts = Padded(*model.prepare_captions(CAPTIONS).gather(torch.arange(4)))
    results = []
    for extra in (0, 3):
        (frames, lengths_B), model.text.embedding.weight.grad = clips.frames[0], None
        wider_BTF = torch.nn.functional.pad(frames, (0, 0, 0, extra), value=padding)
        is_padding_BT = torch.arange(wider_BTF.shape[1]) >= lengths_B[:, None]
        wider_BTF[is_padding_BT] = padding if extra else 0.0
        model.zero_grad()
        terms = model.similarity_terms(
            ClipBatch((Padded(wider_BTF.requires_grad_(), lengths_B),), clips.captions), texts
        )
        torch.stack([term.weight * NtXent()(term.similarity_BB) for term in terms]).sum().backward()
        assert wider_BTF.grad is not None and not wider_BTF.grad[is_padding_BT].any()
        results.append(([term.similarity_BB for term in terms], [p.grad.clone() for p in model.parameters()]))
    for plain, wider in zip(results[0], results[1], strict=True):
        for wanted, got in zip(plain, wider, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arguments", [{}, EVERYTHING], ids=["plain", "everything"])
def test_every_weight_has_a_finite_gradient(arguments: dict[str, Any]) -> None:
    model = model_of(**arguments)
    loss = torch.stack([term.weight * NtXent()(term.similarity_BB) for term in terms_of(model.train())]).sum()
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_silent_clips_have_finite_gradients() -> None:
    model = model_of()
    terms = terms_of(model, ClipInputs((Ragged.from_sequences([np.zeros((2, FRAME_DIM), np.float32)] * 4),)))
    torch.stack([term.similarity_BB.sum() for term in terms]).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# --- trained


def trained(steps: int, **arguments: Any) -> tuple[HciRetriever, tuple[SimilarityTerm, ...]]:
    """On four clips, each with frames of its own kind."""
    rng = np.random.default_rng(1)
    frames = [rng.normal(rng.normal(0, 3, FRAME_DIM), 0.3, (length, FRAME_DIM)) for length in LENGTHS]
    model = model_of(**arguments)
    clips = clips_of(model, frames)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = torch.stack([term.weight * NtXent()(term.similarity_BB) for term in terms_of(model, clips)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, terms_of(model, clips)


@pytest.mark.parametrize("arguments", [{}, {"caption_matching": True}], ids=["plain", "matching"])
def test_every_term_learns_which_caption_is_of_which_clip(arguments: dict[str, Any]) -> None:
    for term in trained(steps=30, **arguments)[1]:
        assert term.similarity_BB.argmax(dim=1).tolist() == [0, 1, 2, 3], term.name


def test_training_twice_gives_the_same_bits() -> None:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        first, again = (trained(steps=3, **EVERYTHING)[0].state_dict() for _ in range(2))
    finally:
        torch.use_deterministic_algorithms(before)
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_half_precision_around_it_leaves_similarities_whole_and_gradients_finite() -> None:
    model = model_of(**EVERYTHING).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = terms_of(model)
        loss = torch.stack([term.weight * NtXent()(term.similarity_BB) for term in terms]).sum()
    loss.backward()
    assert {term.similarity_BB.dtype for term in terms} == {torch.float32}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


# --- saved


@pytest.mark.parametrize("arguments", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_saved_model_opens_with_the_same_outputs_to_the_bit(tmp_path: Path, arguments: dict[str, Any]) -> None:
    model = model_of(**arguments)
    model.save_pretrained(tmp_path)
    opened = open_retriever(tmp_path)
    assert isinstance(opened, HciRetriever) and not opened.training and opened.config == model.config
    for wanted, got in zip(terms_of(model), terms_of(opened), strict=True):
        assert wanted.name == got.name and torch.equal(wanted.similarity_BB, got.similarity_BB)


def test_the_same_seed_makes_the_same_model() -> None:
    first, same, other = (terms_of(model_of(seed))[0].similarity_BB for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.allclose(first, other)


def test_unknown_words_are_counted() -> None:
    model = model_of()
    assert model.count_unknown_words(["a cat barks", "a cat"]) == {"cat": 2}
    assert model.count_cut_captions(CAPTIONS) == 0
