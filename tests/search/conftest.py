"""Indices made without sound and without a model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from atrkit.search.index_files import IndexedFile, SearchIndex, Segment, file_id, load_index, write_index
from atrkit.search.segments import save_segment

MakeIndex = Callable[..., SearchIndex]


@pytest.fixture
def make_index(tmp_path: Path) -> MakeIndex:
    """Make the index of `sounds`: seconds by path, one segment each for the lists given; vectors are random."""

    def make(
        *segments: Sequence[tuple[str, float]],
        name: str = "sounds",
        dim: int = 8,
        captions: dict[str, Sequence[str]] | None = None,
        vectors: npt.ArrayLike | None = None,
        seed: int = 1,
    ) -> SearchIndex:
        generator = np.random.default_rng(seed)
        folder = tmp_path / "index" / name
        given = None if vectors is None else np.asarray(vectors, np.float32)
        files: list[IndexedFile] = []
        records: list[Segment] = []
        taken = 0
        for number, sounds in enumerate(segments, start=1):
            counts = [max(1, int(np.ceil(duration_s / 10.0))) for _, duration_s in sounds]
            rows_WD = generator.standard_normal((sum(counts), dim)) if given is None else given[taken:][: sum(counts)]
            rows_WD = (rows_WD / np.linalg.norm(rows_WD, axis=1, keepdims=True)).astype(np.float32)
            taken += sum(counts)
            hashes = [f"{len(files) + at:064x}" for at in range(len(sounds))]
            records.append(save_segment(folder, number, hashes, rows_WD, counts, {"encoder": "none"}))
            first = 0
            for (path, duration_s), count, sha256 in zip(sounds, counts, hashes, strict=True):
                of_file = tuple((captions or {}).get(path, ()))
                facts = (f"{tmp_path}/sounds", 1000, 1, sha256, 16000, float(duration_s), of_file)
                files.append(IndexedFile(file_id(path, 0), path, *facts, number, first, count))
                first += count
        about = {
            "source": {"folders": [f"{tmp_path}/sounds"]},
            "model": {"run": "none", "identity": {}},
            "window_s": 10.0,
            "dim": dim,
            "segments": [vars(record) for record in records],
            "counts": {"files": len(files), "windows": taken},
            "faiss": None,
        }
        write_index(folder, about, sorted(files, key=lambda file: file.path))
        return load_index(folder)

    return make
