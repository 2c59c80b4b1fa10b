"""Which weights `extract` takes when none are named, and embeddings made with some are there."""

import numpy as np
import pytest

from atrkit.store.embeddings import gather_embeddings, save_embeddings
from atrkit.workflows.extract import _checkpoint_used_before
from atrkit.workflows.extract_options import ExtractOptions


@pytest.fixture
def store_of(tmp_path):
    """Embeddings that some weights made: `store_of("no_audiocaps", published=True)` gives store and weights."""

    def make(variant, *, published):
        weights = tmp_path / "weights.pth"
        weights.write_bytes(b"weights")
        path = tmp_path / "store.h5"
        frames = [np.ones((1, 2), np.float32)]
        save_embeddings(
            path,
            gather_embeddings(
                ["a"],
                ["0"],
                frames,
                [np.ones(2, np.float32)],
                None,
                labels=(),
                frame_dim=2,
                clip_dim=2,
                frame_dtype="float16",
                provenance={"settings": {} if variant is None else {"variant": variant}},
                notes={"checkpoint": str(weights), "weights_are_published": published},
            ),
        )
        return path, weights

    return make


@pytest.mark.parametrize("variant", ["no_audiocaps", "audioset", "own"])
def test_asking_again_takes_the_same(store_of, variant):
    path, weights = store_of(variant, published=variant != "own")
    assert _checkpoint_used_before(path, ExtractOptions("convnext_tiny")) == str(weights)


def test_another_variant_is_another_file(store_of):
    path, weights = store_of("no_audiocaps", published=True)
    asked = ExtractOptions("convnext_tiny", settings={"variant": "audioset"}, overwrite=True)
    assert _checkpoint_used_before(path, asked) is None
    same = ExtractOptions("convnext_tiny", settings={"variant": "no_audiocaps"}, overwrite=True)
    assert _checkpoint_used_before(path, same) == str(weights)


def test_overwriting_begins_from_what_is_published(store_of):
    path, _ = store_of("own", published=False)
    assert _checkpoint_used_before(path, ExtractOptions("convnext_tiny", overwrite=True)) is None
    path, _ = store_of("audioset", published=True)
    assert _checkpoint_used_before(path, ExtractOptions("convnext_tiny", overwrite=True)) is None
    path, _ = store_of(None, published=False)
    assert _checkpoint_used_before(path, ExtractOptions("cnn10", overwrite=True)) is None
    path, weights = store_of(None, published=True)
    assert _checkpoint_used_before(path, ExtractOptions("cnn10", overwrite=True)) == str(weights)


def test_a_model_of_ones_own_choice_stays_chosen(store_of):
    path, weights = store_of(None, published=False)
    assert _checkpoint_used_before(path, ExtractOptions("clap", overwrite=True)) == str(weights)


def test_weights_that_are_gone_are_looked_for_elsewhere(store_of):
    path, weights = store_of(None, published=True)
    weights.unlink()
    assert _checkpoint_used_before(path, ExtractOptions("cnn10")) is None
