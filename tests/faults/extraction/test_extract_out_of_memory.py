"""FAULTS.md row 13 through the command: memory runs out, batches are halved, and the numbers stay."""

import re

import numpy as np
import pytest
import torch

from atrkit.encoders.panns import PannsEncoder
from atrkit.store.embeddings import load_embeddings
from atrkit.workflows import encode_ahead


@pytest.fixture
def room_for(monkeypatch):
    """Let the network run out of memory with more than so many windows at once; how many it was given each time."""
    frames_of, given = PannsEncoder._frames_of, []

    def with_room_for(most):
        def limited(self, windows):
            given.append(len(windows))
            if len(windows) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return frames_of(self, windows)

        monkeypatch.setattr(PannsEncoder, "_frames_of", limited)
        return given

    return with_room_for


def store_of(command):
    return load_embeddings(command.workspace / "embeddings" / "mine" / "cnn10.h5")


@pytest.mark.parametrize("most", [1, 2])
def test_the_batch_is_halved_and_said_and_the_numbers_are_the_same(mine, cnn10, room_for, monkeypatch, most):
    monkeypatch.setattr(encode_ahead, "WORKERS", 1)
    words = (*cnn10, "--dtype", "float32", "--batch-size", 4)
    mine(*words)
    expected = store_of(mine)
    given = room_for(most)
    said = mine(*words, "--overwrite").stderr
    assert max(given) > most
    assert "memory ran out on cpu: going on with --batch-size 2" in said
    stored = store_of(mine)
    assert stored.clip_ids == expected.clip_ids
    scale = np.abs(expected.frames_NF).max()
    assert np.abs(stored.frames_NF - expected.frames_NF).max() <= 1e-5 * scale
    assert np.abs(stored.clip_emb_AD - expected.clip_emb_AD).max() <= 1e-5 * np.abs(expected.clip_emb_AD).max()
    assert np.abs(stored.tag_probs_AK - expected.tag_probs_AK).max() <= 1e-5


def test_with_no_room_for_one_clip_there_is_one_line_and_nothing_half(mine, cnn10, room_for):
    room_for(0)
    message = mine.error(*cnn10, code=4)
    assert re.search(r"cnn10 has no room for one window of 0\.\d s on cpu", message) and "--device" in message
    assert not list(mine.workspace.rglob("cnn10.h5")) and not list(mine.workspace.rglob("*.part"))


def test_each_halving_is_said_once(mine, cnn10, room_for):
    room_for(1)
    said = mine(*cnn10, "--batch-size", 4).stderr.splitlines()
    halvings = [line for line in said if "memory ran out" in line]
    assert halvings and len(halvings) == len(set(halvings))
