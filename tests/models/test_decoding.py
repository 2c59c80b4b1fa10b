"""Captions written by beam search, against slow searches that look at one caption at a time and keep nothing."""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from atrkit.errors import DivergedError, ResourceError, UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.models.decoding import WrittenCaption, write_captions
from atrkit.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")
FEW_WORDS = ("rain", "the", "dog")
MORE_WORDS = ("a", "and", "the", "rain", "dog", "barks", "falls", "bell")
STOP_WORDS = {"a", "and", "the"}
FRAME_DIM = 5
KINDS = ("transformer", "gru")
FORBID = ("content_words", "all_words", "none")


def make_captioner(kind: str, words: tuple[str, ...] = MORE_WORDS, seed: int = 1, sharpness: float = 3.0) -> Captioner:
    """An untrained captioner whose words depend strongly on the clip."""
    vocabulary = (*SPECIALS, *words)
    with seeded_initialisation(seed):
        decoder = (
            TransformerDecoder(len(vocabulary), dim=8, num_layers=2, num_heads=2, ff_dim=16, dropout=0.4)
            if kind == "transformer"
            else GruDecoder(len(vocabulary), dim=8, dropout=0.4)
        )
        model = Captioner(FRAME_DIM, vocabulary, decoder)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("classifier.weight", "projection.1.weight", "cross_out.weight")):
                weight.mul_(sharpness)
    return model


def clips_of(lengths: list[int], seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, FRAME_DIM)).astype(np.float32) for length in lengths]


def frames_of(lengths: list[int], seed: int = 1) -> Ragged:
    return Ragged.from_sequences(clips_of(lengths, seed))


Words = tuple[int, ...]


class SlowSearch:
    """All there is to know about one clip, each time by reading a whole caption."""

    def __init__(self, model: Captioner, frames_TF: np.ndarray, least: int, most: int, forbid: str) -> None:
        self.model, self.frames_TF = model, torch.from_numpy(frames_TF)
        self.least, self.most, self.forbid = least, most, forbid

    def next_log_probs(self, words: Words) -> list[float]:
        tokens_1L = torch.tensor([[BOS_ID, *words]])
        with torch.no_grad():
            logits_1LV = self.model.eval()(self.frames_TF[None], torch.tensor([len(self.frames_TF)]), tokens_1L)
        return logits_1LV[0, -1].log_softmax(dim=0).tolist()

    def may_follow(self, words: Words) -> list[int]:
        if len(words) == self.most:
            return [EOS_ID]
        text = self.model.vocabulary.words
        limited = {
            "none": set(),
            "all_words": set(words),
            "content_words": {word for word in words if text[word] not in STOP_WORDS},
        }[self.forbid]
        allowed = [word for word in range(EOS_ID + 1, len(text)) if word not in limited]
        return allowed if allowed and len(words) < self.least else [EOS_ID, *allowed]

    def continuations(self, words: Words, log_prob: float) -> Iterator[tuple[float, Words]]:
        log_probs = self.next_log_probs(words)
        for word in self.may_follow(words):
            yield log_prob + log_probs[word], (*words, word)

    def as_caption(self, ended: list[tuple[float, Words]]) -> WrittenCaption:
        """The best by mean log-probability; `<eos>` is the last word of each."""
        log_prob, words = max(ended, key=lambda each: each[0] / len(each[1]))
        text = " ".join(self.model.vocabulary.words[word] for word in words[:-1])
        return WrittenCaption(text, log_prob / len(words))

    def exhaustive(self) -> WrittenCaption:
        ended, going = [], [(0.0, ())]
        while going:
            longer = [each for log_prob, words in going for each in self.continuations(words, log_prob)]
            ended += [each for each in longer if each[1][-1] == EOS_ID]
            going = [each for each in longer if each[1][-1] != EOS_ID]
        return self.as_caption(ended)

    def beam(self, size: int) -> WrittenCaption:
        ended, going = [], [(0.0, ())]
        while going:
            longer = [each for log_prob, words in going for each in self.continuations(words, log_prob)]
            best = sorted(longer, key=lambda each: -each[0])[: size - len(ended)]
            ended += [each for each in best if each[1][-1] == EOS_ID]
            going = [each for each in best if each[1][-1] != EOS_ID]
        return self.as_caption(ended)

    def greedy(self) -> WrittenCaption:
        log_prob, words = 0.0, ()
        while not words or words[-1] != EOS_ID:
            log_prob, words = max(self.continuations(words, log_prob))
        return self.as_caption([(log_prob, words)])


def assert_same(written: list[WrittenCaption], expected: list[WrittenCaption]) -> None:
    assert [caption.text for caption in written] == [caption.text for caption in expected]
    assert [caption.score for caption in written] == pytest.approx([each.score for each in expected], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forbid", FORBID)
@pytest.mark.parametrize(("least", "most"), [(0, 3), (2, 3), (3, 3)])
def test_a_beam_with_room_for_all_captions_finds_the_best_of_all(kind: str, forbid: str, least: int, most: int) -> None:
    model, lengths = make_captioner(kind, FEW_WORDS), [4, 1, 6, 2, 3]
    written = write_captions(
        model, frames_of(lengths), beam_size=40, min_tokens=least, max_tokens=most, forbid_repeats=forbid
    )
    assert_same(written, [SlowSearch(model, clip, least, most, forbid).exhaustive() for clip in clips_of(lengths)])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    size=st.integers(1, 5),
    limits=st.tuples(st.integers(0, 6), st.integers(1, 6)).map(sorted).filter(lambda limits: limits[1] > 0),
    forbid=st.sampled_from(FORBID),
)
def test_a_narrow_beam_follows_what_is_likeliest(kind, lengths, seed, size, limits, forbid) -> None:
    least, most = limits
    model = make_captioner(kind, seed=seed)
    written = write_captions(
        model, frames_of(lengths), beam_size=size, min_tokens=least, max_tokens=most, forbid_repeats=forbid
    )
    assert_same(written, [SlowSearch(model, clip, least, most, forbid).beam(size) for clip in clips_of(lengths)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("forbid", FORBID)
def test_a_beam_of_one_is_greedy(kind: str, forbid: str) -> None:
    model, lengths = make_captioner(kind, seed=1), [3, 5, 1, 2, 2, 8]
    written = write_captions(model, frames_of(lengths), beam_size=1, min_tokens=1, max_tokens=7, forbid_repeats=forbid)
    assert_same(written, [SlowSearch(model, clip, 1, 7, forbid).greedy() for clip in clips_of(lengths)])
    assert len({caption.text for caption in written}) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_wider_beam_is_not_greedy(kind: str) -> None:
    """Else the tests of beams would test nothing more."""
    texts = [
        [caption.text for caption in write_captions(make_captioner(kind), frames_of([3] * 30), beam_size=size)]
        for size in (1, 3)
    ]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_score_is_the_captions_own_cross_entropy_negated(kind: str) -> None:
    model, lengths = make_captioner(kind), [4, 2, 7]
    for caption, clip in zip(write_captions(model, frames_of(lengths)), clips_of(lengths), strict=True):
        tokens_1L, _ = model.tokenise([caption.text]).gather(torch.tensor([0]))
        with torch.no_grad():
            logits_1LV = model.eval()(torch.from_numpy(clip)[None], torch.tensor([len(clip)]), tokens_1L[:, :-1])
        assert caption.score == pytest.approx(-F.cross_entropy(logits_1LV[0], tokens_1L[0, 1:]).item(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_at_a_time_gives_the_logits_of_whole_captions(kind: str) -> None:
    """Also after rows were exchanged, repeated and dropped, as a beam does."""
    model = make_captioner(kind).eval()
    frames_BTF, lengths_B = frames_of([3, 6, 2, 5]).gather(torch.arange(4))
    rng = np.random.default_rng(0)
    with torch.no_grad():
        memory_BTD = model.memory(frames_BTF, lengths_B)
        state = model.decoder.start(memory_BTD, lengths_B)
        clip_N, tokens_NL = torch.arange(4), torch.full((4, 1), BOS_ID)
        for count in (4, 6, 5, 12, 12, 3, 2, 1):
            logits_NV, state = model.decoder.step(tokens_NL[:, -1], state)
            words_NLD = model.decoder.embed_words(tokens_NL)
            whole_NLV = model.decoder(words_NLD, memory_BTD[clip_N], lengths_B[clip_N])
            torch.testing.assert_close(logits_NV, whole_NLV[:, -1], rtol=0, atol=1e-5)
            index_N = torch.from_numpy(rng.integers(0, len(clip_N), count))
            state, clip_N = state.select(index_N), clip_N[index_N]
            next_N1 = torch.from_numpy(rng.integers(EOS_ID + 1, len(model.vocabulary), (count, 1)))
            tokens_NL = torch.cat([tokens_NL[index_N], next_N1], dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_leaves_the_state_before_it_as_it_was(kind: str) -> None:
    model = make_captioner(kind).eval()
    frames_BTF, lengths_B = frames_of([3, 6]).gather(torch.arange(2))
    with torch.no_grad():
        _, state = model.decoder.step(
            torch.tensor([BOS_ID] * 2), model.decoder.start(model.memory(frames_BTF, lengths_B), lengths_B)
        )
        first, _ = model.decoder.step(torch.tensor([5, 6]), state)
        model.decoder.step(torch.tensor([7, 8]), state.select(torch.tensor([1, 0])))
        again, _ = model.decoder.step(torch.tensor([5, 6]), state)
    assert torch.equal(first, again)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=6), batch_size=st.integers(1, 6), seed=st.integers(0, 99)
)
def test_a_batch_of_one_is_a_batch_of_many(kind: str, lengths: list[int], batch_size: int, seed: int) -> None:
    model, clips = make_captioner(kind, seed=seed), clips_of(lengths, seed)
    alone = [write_captions(model, Ragged.from_sequences([clip]), max_tokens=9)[0] for clip in clips]
    assert_same(write_captions(model, Ragged.from_sequences(clips), batch_size=batch_size, max_tokens=9), alone)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_of_like_captions_and_others_end_at_different_times(kind: str) -> None:
    """A clip whose captions all ended does not hold the others up, nor do they go on for it."""
    model, lengths = make_captioner(kind, seed=11), list(range(1, 15))
    written = write_captions(model, frames_of(lengths), min_tokens=0, max_tokens=8, forbid_repeats="none")
    counts = {len(caption.text.split()) for caption in written}
    assert len(counts) >= 3 and min(counts) < 3
    assert_same(written, [SlowSearch(model, clip, 0, 8, "none").beam(3) for clip in clips_of(lengths)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("least", "most"), [(1, 1), (4, 4), (2, 9), (20, 20)])
def test_captions_are_as_long_as_they_may_be(kind: str, least: int, most: int) -> None:
    written = write_captions(
        make_captioner(kind), frames_of([3, 1, 6]), min_tokens=least, max_tokens=most, forbid_repeats="none"
    )
    assert all(least <= len(caption.text.split()) <= most for caption in written)


def favour(model: Captioner, *words: int, by: float = 50.0) -> Captioner:
    """Make some words likelier than all others."""
    with torch.no_grad():
        model.decoder.classifier.bias[list(words)] += by
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_special_words_are_never_written_however_likely(kind: str) -> None:
    model = favour(make_captioner(kind), PAD_ID, UNK_ID, BOS_ID)
    for caption in write_captions(model, frames_of([3, 1, 6]), max_tokens=6):
        assert set(caption.text.split()) <= set(MORE_WORDS) and len(caption.text.split()) >= 3


def test_stop_words_may_come_again_and_content_words_not() -> None:
    rain, the = EOS_ID + 1, EOS_ID + 2
    arguments = {"min_tokens": 3, "max_tokens": 5, "beam_size": 1}
    repeats_rain = favour(make_captioner("transformer", FEW_WORDS), rain)
    repeats_the = favour(make_captioner("transformer", FEW_WORDS), the)

    def text(model: Captioner, forbid: str) -> str:
        return write_captions(model, frames_of([3]), **arguments, forbid_repeats=forbid)[0].text

    assert text(repeats_rain, "none") == "rain rain rain rain rain"
    assert text(repeats_the, "content_words") == text(repeats_the, "none") == "the the the the the"
    assert text(repeats_rain, "content_words").split().count("rain") == 1
    assert text(repeats_the, "all_words").split().count("the") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_caption_ends_when_no_word_is_left(kind: str) -> None:
    written = write_captions(
        make_captioner(kind, FEW_WORDS), frames_of([3, 1]), min_tokens=9, max_tokens=12, forbid_repeats="all_words"
    )
    assert [sorted(caption.text.split()) for caption in written] == [sorted(FEW_WORDS)] * 2
    assert all(math.isfinite(caption.score) for caption in written)


def test_a_vocabulary_without_words_has_the_empty_caption_only() -> None:
    (caption,) = write_captions(make_captioner("gru", ()), frames_of([3]))
    assert caption.text == "" and caption.score < 0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_of_equally_likely_words_the_first_is_taken(size: int) -> None:
    model = make_captioner("transformer", sharpness=0.0)
    with torch.no_grad():
        model.decoder.classifier.bias.zero_()
    arguments = {"beam_size": size, "min_tokens": 3, "forbid_repeats": "all_words"}
    (caption,) = write_captions(model, frames_of([3]), **arguments)
    assert caption.text == "a and the"
    assert caption.score == pytest.approx(-math.log(len(model.vocabulary)))


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_of_the_model_is_left_as_it_was_and_does_not_matter(kind: str, is_training: bool) -> None:
    model = make_captioner(kind).train(is_training)
    before = torch.get_rng_state()
    first = write_captions(model, frames_of([3, 1, 6]))
    assert all(module.training == is_training for module in model.modules())
    assert torch.equal(before, torch.get_rng_state())
    assert first == write_captions(model.eval(), frames_of([3, 1, 6]))


def test_the_mode_is_left_as_it_was_when_something_fails() -> None:
    model = make_captioner("gru").train()
    with pytest.raises(UsageError, match="frames are 4 wide, the model takes 5"):
        write_captions(model, Ragged.from_sequences([np.zeros((2, 4), np.float32)]))
    assert model.training


def test_captions_come_in_the_order_of_the_clips_and_progress_is_told() -> None:
    model, lengths, done = make_captioner("transformer"), [2, 9, 4, 1, 6], []
    written = write_captions(model, frames_of(lengths), batch_size=2, on_progress=done.append)
    assert done == [2, 4, 5]
    backwards = Ragged.from_sequences(clips_of(lengths)[::-1])
    assert_same(write_captions(model, backwards, batch_size=2), written[::-1])


def test_frames_kept_in_half_precision_are_those_numbers() -> None:
    model, clips = make_captioner("transformer"), [clip.astype(np.float16) for clip in clips_of([3, 5])]
    exact = Ragged.from_sequences([clip.astype(np.float32) for clip in clips])
    assert write_captions(model, Ragged.from_sequences(clips)) == write_captions(model, exact)


def test_no_clips_no_captions() -> None:
    nothing = Ragged.from_rows(np.zeros((0, FRAME_DIM), np.float32), np.zeros(1, np.int64))
    assert write_captions(make_captioner("gru"), nothing) == []


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_the_frames_names_the_clips(kind: str) -> None:
    clips = clips_of([2, 3, 9, 4])
    clips[1][2, 1] = np.nan
    clips[3][0, 0] = np.inf
    with pytest.raises(DivergedError, match=r"clip 'd\.wav', clip 'b\.wav': the probabilities of words are NaN"):
        write_captions(
            make_captioner(kind), Ragged.from_sequences(clips), clip_ids=["a.wav", "b.wav", "c.wav", "d.wav"]
        )
    with pytest.raises(DivergedError, match=r"clip 1 \(counted from 0\)"):
        write_captions(make_captioner(kind), Ragged.from_sequences(clips[:3]), batch_size=1)


def test_a_clip_without_frames_is_named() -> None:
    clips = [*clips_of([2]), np.zeros((0, FRAME_DIM), np.float32)]
    with pytest.raises(UsageError, match=r"clip 'silent\.wav' has no frames"):
        write_captions(make_captioner("gru"), Ragged.from_sequences(clips), clip_ids=["a.wav", "silent.wav"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"beam_size": 0}, "beam_size is 0: it must be 1 or more"),
        ({"min_tokens": -1}, "min_tokens is -1: it must be 0 or more"),
        ({"max_tokens": 0}, "max_tokens is 0: it must be 1 or more"),
        ({"batch_size": 0}, "batch_size is 0: it must be 1 or more"),
        ({"min_tokens": 8, "max_tokens": 7}, "min_tokens 8 is more than max_tokens 7"),
    ],
)
def test_sizes_that_make_no_sense(arguments: dict[str, int], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        write_captions(make_captioner("gru"), frames_of([3]), **arguments)


def out_of_memory_above(most: int, start: Callable) -> Callable:
    def limited(memory_BTD, lengths_B):
        if len(memory_BTD) > most:
            raise torch.OutOfMemoryError("no room")
        return start(memory_BTD, lengths_B)

    return limited


def test_batches_are_halved_until_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model, frames, remarks = make_captioner("transformer"), frames_of([5, 4, 3, 2, 1, 6, 7, 8, 9]), []
    expected = write_captions(model, frames)
    monkeypatch.setattr(model.decoder, "start", out_of_memory_above(2, model.decoder.start))
    assert_same(write_captions(model, frames, batch_size=8, on_remark=remarks.append), expected)
    assert [remark.split(":")[1] for remark in remarks] == [
        f" captions of {count} clips are written at once" for count in (4, 2)
    ]


def test_no_room_for_a_single_clip_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_captioner("gru")
    monkeypatch.setattr(model.decoder, "start", out_of_memory_above(0, model.decoder.start))
    with pytest.raises(ResourceError, match=r"memory ran out writing one caption, of clip 'long\.wav'"):
        write_captions(model, frames_of([3]), clip_ids=["long.wav"])


def test_the_slow_search_sees_every_caption() -> None:
    """The oracle itself: of two words, "none" and at most two, there are 1 + 2 + 4 captions."""
    model = make_captioner("gru", ("rain", "dog"))
    search, seen = SlowSearch(model, clips_of([3])[0], 0, 2, "none"), []
    search.as_caption = seen.extend  # type: ignore[method-assign,assignment]
    search.exhaustive()
    words = (EOS_ID + 1, EOS_ID + 2)
    expected = [(*said, EOS_ID) for count in range(3) for said in itertools.product(words, repeat=count)]
    assert sorted(words for _, words in seen) == sorted(expected)
    assert sum(math.exp(log_prob) for log_prob, _ in seen) < 1
