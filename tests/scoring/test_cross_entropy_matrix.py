"""From an embedding store and captions by clip to a score matrix."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.models import Captioner, GruDecoder, Ragged, TransformerDecoder
from atrkit.scoring import caption_cross_entropy, score_pairs
from atrkit.store.clip_embeddings import gather_embeddings
from atrkit.store.embeddings import save_embeddings

WORDS = ("<pad>", "<unk>", "<bos>", "<eos>", "rain", "falls", "dog")


@pytest.fixture(params=["transformer", "gru"])
def captioner(request) -> Captioner:
    torch.manual_seed(0)
    decoder = GruDecoder(len(WORDS), dim=8)
    if request.param == "transformer":
        decoder = TransformerDecoder(len(WORDS), dim=8, num_layers=2, num_heads=2, ff_dim=8)
    return Captioner(4, WORDS, decoder).eval()


@pytest.fixture
def store():
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(length, 4)).astype(np.float32) for length in (3, 5, 1)]
    return gather_embeddings(
        ["rain", "dog", "silence"], ["1", "2", "3"], frames, [frame[0] for frame in frames], None,
        labels=[], frame_dim=4, clip_dim=4, frame_dtype="float16", provenance={"encoder": "toy"},
    )  # fmt: skip


def test_scores_are_losses_negated_by_clip_and_caption_id(captioner, store) -> None:
    captions = {"dog": ["a dog", "dog"], "silence": [], "rain": ["rain falls"]}
    finished: list[int] = []
    matrix = score_pairs(captioner, store, captions, on_progress=finished.append)
    assert matrix.clip_ids == ("dog", "silence", "rain")
    assert matrix.caption_ids == ("dog#1", "dog#2", "rain#1")
    assert matrix.clip_of_caption == ("dog", "dog", "rain")
    frames = Ragged.from_sequences([store.frames_of(index) for index in (1, 2, 0)])
    loss_AC = caption_cross_entropy(captioner, frames, ["a dog", "dog", "rain falls"])
    np.testing.assert_array_equal(matrix.scores_AC, -loss_AC)
    assert sum(finished) == 3


def test_a_store_on_disk_gives_the_same_bits(captioner, store, tmp_path) -> None:
    path = tmp_path / "toy.h5"
    save_embeddings(path, store)
    captions = {"rain": ["rain falls"], "dog": ["dog"]}
    in_memory = score_pairs(captioner, store, captions, precision="bf16")
    for place in (path, str(path)):
        on_disk = score_pairs(captioner, place, captions, precision="bf16")
        np.testing.assert_array_equal(on_disk.scores_AC, in_memory.scores_AC)
        assert on_disk.pool_id == in_memory.pool_id


def test_what_cannot_be_scored_is_named(captioner, store, tmp_path) -> None:
    with pytest.raises(MissingPrerequisiteError, match="no toy embedding, the first 'cat'"):
        score_pairs(captioner, store, {"rain": ["rain"], "cat": ["rain"]})
    with pytest.raises(MissingPrerequisiteError, match="no embeddings at"):
        score_pairs(captioner, tmp_path / "none.h5", {"rain": ["rain"]})
    with pytest.raises(UsageError, match="'rain' are one string"):
        score_pairs(captioner, store, {"rain": "rain falls"})
    with pytest.raises(UsageError, match="no caption"):
        score_pairs(captioner, store, {"rain": []})


def test_torch_is_not_imported_before_a_scorer_is_asked_for() -> None:
    code = "import sys, atrkit.scoring; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_scorer_stays_a_function_after_it_was_imported() -> None:
    from atrkit import scoring

    assert all(callable(getattr(scoring, name)) for name in 2 * scoring.__all__)
