"""Embeddings of several encoders side by side: the same clips in the same order, wherever their frames lie."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atrkit.errors import MissingPrerequisiteError
from atrkit.store.embeddings import Embeddings, gather_embeddings
from atrkit.workflows import memory
from atrkit.workflows.captioned import captioned_clips
from atrkit.workflows.recipe_embeddings import FURTHER, joined

DATASET: Any = SimpleNamespace(
    name="toy",
    split=lambda _: tuple(_clip(name) for name in "dcba"),
)


def _clip(name: str) -> Any:
    from atrkit.datasets.manifest import Caption, Clip

    return Clip(name, f"{name}.wav", "0", 8000, 8000, 1, split="all", captions=(Caption(f"{name}#1", f"sound {name}"),))


def store(encoder: str, clip_ids: str, dim: int) -> Embeddings:
    """Frames that say whose they are: clip b has 2 frames, all of them 98."""
    frames = [np.full((1 + (ord(name) - ord("a")), dim), ord(name), np.float32) for name in clip_ids]
    return gather_embeddings(
        list(clip_ids), list(clip_ids), frames, [frame_TF[0] for frame_TF in frames], None,
        labels=[], frame_dim=dim, clip_dim=dim, frame_dtype="float16", provenance={"encoder": encoder, "of": dim},
    )  # fmt: skip


@pytest.mark.parametrize("available", [10**9, 0], ids=["in memory", "on the disk"])
def test_clips_that_all_have_in_the_order_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int
) -> None:
    monkeypatch.setattr(memory, "available_memory_bytes", lambda: available)
    said: list[str] = []
    session: Any = SimpleNamespace(say=said.append, workspace=SimpleNamespace(root=tmp_path))
    first, second = store("first", "bxdac", 2), store("second", "dabc", 3)
    both = joined(session, DATASET, [first, second])
    assert said == ["1 of 5 clips lack embeddings of an encoder: left out"]
    assert both.provenance == {"encoder": "first", "of": 2, FURTHER: {"second": {"encoder": "second", "of": 3}}}
    chosen = captioned_clips(session, DATASET, "all", both).embeddings
    for embeddings, order in ((both, "bdac"), (chosen, "dcba")):
        for each, dim in zip(embeddings.all_encoders, (2, 3), strict=True):
            assert "".join(each.clip_ids) == order
            for a, name in enumerate(order):
                np.testing.assert_array_equal(each.frames_of(a), store("x", name, dim).frames_NF)
            assert isinstance(each.frames_NF, np.memmap) is (available == 0)
    assert list(tmp_path.iterdir()) == []


def test_no_clip_in_common_is_refused_with_the_commands() -> None:
    session: Any = SimpleNamespace(say=print)
    with pytest.raises(MissingPrerequisiteError, match="no clip of 'toy' has embeddings of all 2 encoders: atrkit ext"):
        joined(session, DATASET, [store("first", "ab", 2), store("second", "cd", 2)])
