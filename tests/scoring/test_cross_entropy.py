"""Losses of all pairs against the model itself, asked for one pair at a time."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder
from atrkit.scoring import caption_cross_entropy
from atrkit.scoring import cross_entropy as module
from atrkit.scoring.cross_entropy import CrossEntropyScorer, paired_cross_entropy

WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "rain", "falls", "a", "dog", "barks")
FRAME_DIM = 6
ROUNDING = 1e-5  # of a model in float32 with random weights; the scorer is held to 1e-4
KINDS = ("transformer", "relu", "one word known", "gru")

CAPTIONS = [
    "rain",
    "rain falls",  # the one before is its beginning
    "Rain, falls!",  # the same again
    "rain falls a dog",
    "rain falls a dog barks",
    "a dog barks",
    "a cat barks",  # an unknown word
    "a horse barks",  # another: the same ids
    "dog",
    "barks rain barks rain falls",
]
LONG = [" ".join(["rain falls a dog"] * 40), "rain falls a dog " * 33 + "barks", "a dog " * 64 + "dog"]


def make_captioner(kind: str = "transformer", *, seed: int = 0, **options) -> Captioner:
    torch.manual_seed(seed)
    words = WORDS[:5] if kind == "one word known" else WORDS
    match kind:
        case "gru":
            decoder = GruDecoder(len(words), dim=10)
        case "relu":
            decoder = TransformerDecoder(len(words), dim=7, num_layers=1, num_heads=1, ff_dim=9, activation="relu")
        case _:
            decoder = TransformerDecoder(len(words), dim=12, num_layers=3, num_heads=3, ff_dim=20)
    captioner = Captioner(FRAME_DIM, words, decoder, **options)
    with torch.no_grad():
        for parameter in captioner.parameters():  # biases and norms, too, must count for something
            parameter.add_(0.3 * torch.randn_like(parameter))
    return captioner.eval()


def make_frames(*lengths: int, seed: int = 0, dtype=np.float32) -> Ragged:
    rng = np.random.default_rng(seed)
    return Ragged.from_sequences([rng.normal(size=(length, FRAME_DIM)).astype(dtype) for length in lengths])


def exact(captioner: Captioner) -> Captioner:
    return copy.deepcopy(captioner).double()


def loss_of_pair(captioner: Captioner, frames: Ragged, clip: int, caption: str) -> float:
    """Mean over words and <eos> of the negative log-probability that the model itself, made exact, gives."""
    frames_1TF = frames.values[frames.offsets[clip] : frames.offsets[clip + 1]].double()[None]
    ids = captioner.tokenise([caption]).values
    with torch.no_grad():
        logits_LV = captioner(frames_1TF, torch.tensor([frames_1TF.shape[1]]), ids[None, :-1])[0]
    log_prob_LV = logits_LV.log_softmax(dim=-1)
    losses = [-log_prob_LV[position, word].item() for position, word in enumerate(ids[1:])]
    return sum(losses) / (len(captioner.vocabulary.encode(caption)) + 1)


def losses_of_pairs(captioner: Captioner, frames: Ragged, captions: list[str]) -> np.ndarray:
    captioner = exact(captioner)
    return np.array([[loss_of_pair(captioner, frames, a, caption) for caption in captions] for a in range(len(frames))])


@pytest.mark.parametrize("options", [{}, {"audio_positions": "sinusoidal", "standardise": True}], ids=["plain", "both"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_pair_equals_the_model_asked_alone(kind: str, options: dict) -> None:
    captioner, frames = make_captioner(kind, **options), make_frames(4, 1, 7, 4)
    captioner.fit_standardisation(2 * frames.values + 1)
    captions = CAPTIONS + LONG
    loss_AC = caption_cross_entropy(captioner, frames, captions)
    assert loss_AC.dtype == np.float32 and loss_AC.shape == (4, len(captions))
    np.testing.assert_allclose(loss_AC, losses_of_pairs(captioner, frames, captions), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    captions=st.lists(st.lists(st.sampled_from([*WORDS[4:], "owl"]), min_size=1, max_size=9), min_size=1, max_size=12),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    block_slots=st.sampled_from([4, 16, 128]),
    chunk_rows=st.sampled_from([1, 20, 1000]),
    clips_at_once=st.sampled_from([1, 3]),
)
def test_any_captions_and_clips(monkeypatch, kind, captions, lengths, block_slots, chunk_rows, clips_at_once) -> None:
    monkeypatch.setattr(module, "BLOCK_SLOTS", block_slots)
    monkeypatch.setitem(module._CHUNK_ROWS, "cpu", chunk_rows)
    monkeypatch.setitem(module._INNER_ELEMENTS, "cpu", 50 * chunk_rows)
    captioner, frames, texts = make_captioner(kind), make_frames(*lengths), [" ".join(words) for words in captions]
    scorer = CrossEntropyScorer(captioner, texts, clips_at_once=clips_at_once)
    np.testing.assert_allclose(
        scorer.losses_of(frames), losses_of_pairs(captioner, frames, texts), atol=ROUNDING, rtol=0
    )


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_clips_of_equal_length_in_one_batch(kind: str, monkeypatch) -> None:
    monkeypatch.setattr(module, "BLOCK_SLOTS", 8)  # several blocks of each clip
    captioner, frames = make_captioner(kind), make_frames(4, 2, 4, 7, 4, 2, 4, 4, 7)
    finished: list[int] = []
    scorer = CrossEntropyScorer(captioner, CAPTIONS + LONG, clips_at_once=3)
    loss_AC = scorer.losses_of(frames, on_progress=finished.append)
    assert sorted(finished) == [2, 2, 2, 3]
    expected_AC = CrossEntropyScorer(captioner, CAPTIONS + LONG, clips_at_once=1).losses_of(frames)
    np.testing.assert_allclose(loss_AC, expected_AC, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_bits_of_a_row_do_not_depend_on_other_clips(kind: str) -> None:
    captioner, frames = make_captioner(kind), make_frames(4, 2, 4, 5, 2)
    scorer = CrossEntropyScorer(captioner, CAPTIONS)
    loss_AC = scorer.losses_of(frames)
    for cut in ([[0, 1, 2, 3, 4]], [[4], [3, 2], [1, 0]], [[2, 0, 2], [1, 4], [3]]):
        for part in cut:
            rows = CrossEntropyScorer(captioner, CAPTIONS).losses_of(frames, torch.tensor(part))
            np.testing.assert_array_equal(rows, loss_AC[part])
    alone = Ragged.from_sequences([frames.values[frames.offsets[3] : frames.offsets[4]].numpy()])
    np.testing.assert_array_equal(scorer.losses_of(alone)[0], loss_AC[3])


def test_order_of_captions_and_duplicates_change_no_bit() -> None:
    captioner, frames = make_captioner(), make_frames(4, 2)
    loss_AC = caption_cross_entropy(captioner, frames, CAPTIONS)
    order = np.random.default_rng(0).permutation([*range(len(CAPTIONS)), 3, 3, 5])
    np.testing.assert_array_equal(
        caption_cross_entropy(captioner, frames, [CAPTIONS[c] for c in order]), loss_AC[:, order]
    )


@pytest.mark.parametrize("kind", ["transformer", "gru"])
@pytest.mark.parametrize(("precision", "mean_error"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_half_precision_is_near_and_is_half(kind: str, precision, mean_error: float) -> None:
    captioner, frames = make_captioner(kind), make_frames(4, 1, 7)
    exact_AC = caption_cross_entropy(captioner, frames, CAPTIONS)
    pairs = [(clip, caption) for clip in range(3) for caption in CAPTIONS]
    clips_N, captions_N = zip(*pairs, strict=True)
    paired_N = paired_cross_entropy(captioner, frames, clips_N, captions_N, precision=precision)
    for loss_AC in (
        caption_cross_entropy(captioner, frames, CAPTIONS, precision=precision),
        paired_N.reshape(exact_AC.shape),
    ):
        error = np.abs(loss_AC - exact_AC).mean()
        assert mean_error / 100 < error < mean_error


@pytest.mark.parametrize("kind", KINDS)
def test_listed_pairs_equal_the_model_asked_alone(kind: str, monkeypatch) -> None:
    monkeypatch.setattr("atrkit.scoring.cross_entropy_paired._BATCH_PAIRS", 5)
    captioner, frames = make_captioner(kind, audio_positions="sinusoidal"), make_frames(4, 1, 7, 4)
    rng = np.random.default_rng(0)
    pairs = [(int(rng.integers(4)), caption) for caption in [*CAPTIONS, *LONG[:1], *CAPTIONS]]
    clips_N, captions_N = zip(*pairs, strict=True)
    loss_N = paired_cross_entropy(captioner, frames, np.array(clips_N), captions_N)
    assert loss_N.dtype == np.float32
    expected_N = [loss_of_pair(exact(captioner), frames, clip, caption) for clip, caption in pairs]
    np.testing.assert_allclose(loss_N, expected_N, atol=ROUNDING, rtol=0)
    assert paired_cross_entropy(captioner, frames, [], []).shape == (0,)


def test_frames_of_half_precision_mapped_from_a_file(tmp_path) -> None:
    captioner, frames = make_captioner(), make_frames(4, 1, dtype=np.float16)
    np.save(tmp_path / "frames.npy", frames.values.numpy())
    mapped = Ragged.from_rows(np.load(tmp_path / "frames.npy", mmap_mode="r"), frames.offsets.numpy())
    loss_AC = caption_cross_entropy(captioner, mapped, CAPTIONS)
    np.testing.assert_allclose(loss_AC, losses_of_pairs(captioner, frames, CAPTIONS), atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_dropout_and_autocast_are_off_and_modes_are_put_back(kind: str) -> None:
    captioner, frames = make_captioner(kind), make_frames(4)
    loss_AC = caption_cross_entropy(captioner, frames, CAPTIONS)
    captioner.train()
    captioner.projection.eval()
    modes = {name: part.training for name, part in captioner.named_modules()}
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(caption_cross_entropy(captioner, frames, CAPTIONS), loss_AC)
        paired_N = paired_cross_entropy(captioner, frames, [0] * len(CAPTIONS), CAPTIONS)
    np.testing.assert_allclose(paired_N, loss_AC[0], atol=ROUNDING, rtol=0)
    assert {name: part.training for name, part in captioner.named_modules()} == modes
    assert not captioner.projection.training and captioner.decoder.training


def test_a_model_that_was_trained_on_needs_a_new_scorer() -> None:
    captioner, frames = make_captioner(), make_frames(4)
    scorer = CrossEntropyScorer(captioner, CAPTIONS)
    before_AC = scorer.losses_of(frames)
    captioner(frames.values[None], torch.tensor([4]), torch.tensor([[2, 4]])).sum().backward()
    np.testing.assert_array_equal(scorer.losses_of(frames), before_AC)
    with torch.no_grad():
        captioner.decoder.layers[1].norm_ff.bias.sub_(captioner.decoder.layers[1].norm_ff.bias.grad)
    with pytest.raises(UsageError, match="make a new scorer"):
        scorer.losses_of(frames)
    assert not np.array_equal(caption_cross_entropy(captioner, frames, CAPTIONS), before_AC)


def test_prefixes_are_computed_once() -> None:
    trie = CrossEntropyScorer(make_captioner(), ["a dog barks", "a dog", "a dog barks rain", "A dog."]).trie
    assert (trie.num_slots, trie.num_positions, trie.num_distinct) == (5, 4 + 3 + 5 + 3, 3)
