"""How fast captions are written: kept keys and values, and clips together, against the plain ways."""

import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from atrkit.models import Captioner, Ragged, TransformerDecoder, seeded_initialisation
from atrkit.models.caption_decoder import DecoderState
from atrkit.models.decoding import write_captions

pytestmark = pytest.mark.bench

CLIPS, VOCABULARY, FRAME_DIM = 16, 4_371, 768  # words of Clotho, frames of ConvNeXt
SHORTEST, LONGEST = 47, 93  # 15 to 30 s


@dataclass(frozen=True)
class WholeCaptions(DecoderState):
    """All that was read so far, and nothing else."""

    tokens_NL: Tensor
    memory_NTD: Tensor
    lengths_N: Tensor

    def select(self, index_N: Tensor) -> "WholeCaptions":
        return WholeCaptions(self.tokens_NL[index_N], self.memory_NTD[index_N], self.lengths_N[index_N])


class ForgetfulDecoder(TransformerDecoder):
    """The same network, which reads each caption anew for every word."""

    def start(self, memory_BTD, memory_lengths_B):
        return WholeCaptions(memory_lengths_B.new_empty(len(memory_BTD), 0), memory_BTD, memory_lengths_B)

    def step(self, tokens_B, state):
        tokens_NL = torch.cat([state.tokens_NL, tokens_B[:, None]], dim=1)
        logits_NLV = self(self.embed_words(tokens_NL), state.memory_NTD, state.lengths_N)
        return logits_NLV[:, -1], WholeCaptions(tokens_NL, state.memory_NTD, state.lengths_N)


def make_captioner(decoder: type[TransformerDecoder]) -> Captioner:
    words = ("<pad>", "<unk>", "<bos>", "<eos>", *(f"word{number}" for number in range(VOCABULARY - 4)))
    with seeded_initialisation(0):
        captioner = Captioner(FRAME_DIM, words, decoder(VOCABULARY))
    with torch.no_grad():  # else near ties of an untrained network could fall out either way
        captioner.decoder.classifier.weight.mul_(5.0)
    return captioner


def test_captions_per_second(show_table, keep_figures):
    rng = np.random.default_rng(0)
    lengths = rng.integers(SHORTEST, LONGEST + 1, CLIPS)
    clips = [rng.normal(size=(length, FRAME_DIM)).astype(np.float32) for length in lengths]
    kept, forgetful = make_captioner(TransformerDecoder), make_captioner(ForgetfulDecoder)
    ways = {
        "each caption read anew for every word": (forgetful, {"batch_size": 64}),
        "a clip at a time": (kept, {"batch_size": 1}),
        "clips together": (kept, {"batch_size": 64}),
        "clips together, greedy": (kept, {"batch_size": 64, "beam_size": 1}),
    }
    seconds, written = {}, {}
    for way, (captioner, arguments) in ways.items():
        start = time.thread_time()
        written[way] = write_captions(captioner, Ragged.from_sequences(clips), **arguments)
        seconds[way] = time.thread_time() - start
    fastest = seconds["clips together"]
    rows = [[way, f"{CLIPS / each:.1f}", f"{each / fastest:.2f}"] for way, each in seconds.items()]
    words = np.mean([len(caption.text.split()) for caption in written["clips together"]])
    title = f"captions of {CLIPS} clips of 15 to 30 s, {words:.0f} words, beam of 3, one thread"
    show_table(title, ["", "clips/s", "times the seconds of clips together"], rows)
    keep_figures("decoding_speed", {way: {"seconds": each, "clips": CLIPS} for way, each in seconds.items()})
    texts = {way: [caption.text for caption in captions] for way, captions in written.items()}
    assert texts["clips together"] == texts["a clip at a time"] == texts["each caption read anew for every word"]
