"""What the tests of the store share: embeddings of clips with known numbers, plans and their parts."""

import dataclasses

import numpy as np
import pytest

from atrkit.store.embeddings import Embeddings, gather_embeddings
from atrkit.store.parts import PartFolder, PartPlan


class ToyEncoder:
    """Numbers that depend on the clip alone: clip n has n % 4 frames (so some have none), three wide."""

    def clips(self, numbers, *, frame_dtype="float16", tags=True, problems=(), provenance=None) -> Embeddings:
        """What encoding these clips gives."""
        draws = [np.random.default_rng(number) for number in numbers]
        lengths = [number % 4 for number in numbers]
        return gather_embeddings(
            [f"clip {number} ü.wav" for number in numbers],
            [f"sha-{number}" for number in numbers],
            [draw.standard_normal((n, 3), dtype=np.float32) for draw, n in zip(draws, lengths, strict=True)],
            [draw.standard_normal(2, dtype=np.float32) for draw in draws],
            [draw.random(4, dtype=np.float32) for draw in draws] if tags else None,
            labels=["rain", "dog", "bell", "Größe"] if tags else [],
            frame_dim=3,
            clip_dim=2,
            frame_dtype=frame_dtype,
            provenance=provenance or {"encoder": "toy", "settings": {"hop": 320}},
            problems=problems,
            notes={"checkpoint": "toy.pt"},
        )

    def plan(self, clips, *, part_clips=2, hop=320) -> PartPlan:
        """A plan of so many clips."""
        ids = tuple(f"clip {number} ü.wav" for number in range(clips))
        hashes = tuple(f"sha-{number}" for number in range(clips))
        return PartPlan({"encoder": "toy", "settings": {"hop": hop}}, ids, hashes, part_clips)

    def part(self, plan, part, **options) -> Embeddings:
        """A finished part of a plan."""
        return self.clips(list(plan.parts[part]), provenance=plan.provenance, **options)

    def folder(self, path, plan, *, without=(), **options) -> PartFolder:
        """All parts of a plan, some left out."""
        folder = PartFolder(path)
        folder.start(plan)
        for part in range(len(plan.parts)):
            if part not in without:
                folder.save(part, plan, self.part(plan, part, **options))
        return folder


@pytest.fixture(scope="session")
def toy() -> ToyEncoder:
    """Makes embeddings, plans and parts."""
    return ToyEncoder()


@pytest.fixture(scope="session")
def assert_same():
    """Two embeddings agree in every field, dtypes included."""

    def check(one: Embeddings, other: Embeddings) -> None:
        for field in dataclasses.fields(Embeddings):
            left, right = getattr(one, field.name), getattr(other, field.name)
            if isinstance(left, np.ndarray):
                assert left.dtype == right.dtype, field.name
                np.testing.assert_array_equal(left, right)
            else:
                assert left == right, field.name

    return check
