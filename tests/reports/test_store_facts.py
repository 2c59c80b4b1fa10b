"""`info --store`: what people see of a store."""

import io

import pytest
from rich.console import Console

from atrkit.reports.store_facts import store_view

RECORD = {
    "path": "x/clap.h5", "kind": "embeddings", "size_bytes": 2_000_000, "sha256": "ab" * 32, "provenance": {},
    "notes": {}, "clips": 12, "frames": 384, "labels": 0, "arrays": {}, "problems_by_action": {},
    "largest_cosine_loss": 3e-8, "audio_sha256": {}, "parts": None, "frame_hours": 0.0333,
}  # fmt: skip


@pytest.fixture
def shown():
    def text(**changes) -> str:
        console = Console(file=io.StringIO(), width=80, record=True, highlight=False)
        console.print(store_view(RECORD | changes))
        return console.export_text()

    return text


def test_hours_are_said_to_be_those_of_the_frames(shown):
    """Of a second of sound clap and vggsound make ten seconds of frames."""
    assert "12 clips, 384 frames, 0.03 hours of frames" in shown()
    assert "hours" not in shown(frame_hours=None)


def test_a_loss_is_said_where_there_is_one(shown):
    assert "cosine of a frame to its float32 at least 1 - 3.0e-08" in shown()
    for nothing in (0.0, None):
        assert "cosine" not in shown(largest_cosine_loss=nothing)
