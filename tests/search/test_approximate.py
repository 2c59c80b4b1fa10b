"""Approximate search beside exact search, on clustered vectors; and what happens without faiss or with a bad file."""

import builtins
import dataclasses
import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest

from atrkit.errors import DivergedError, IntegrityError, MissingPrerequisiteError, ResourceError
from atrkit.search.approximate import (
    INSTALL_COMMAND,
    ApproximateFacts,
    is_faiss_there,
    open_approximate,
    recall_against_exact,
)
from atrkit.search.approximate_build import build_approximate
from atrkit.search.exact import top_windows

WINDOWS, DIM = 20_000, 64
SEGMENTS = ("aa", "bb")
needs_faiss = pytest.mark.skipif(not is_faiss_there(), reason=f"faiss is not installed: {INSTALL_COMMAND}")


def draw(count: int, seed: int) -> np.ndarray:
    """Vectors around 200 centres, so far around that clusters touch each other."""
    centres = np.random.default_rng(0).standard_normal((200, DIM))
    generator = np.random.default_rng(seed)
    vectors = centres[generator.integers(200, size=count)] + 0.7 * generator.standard_normal((count, DIM))
    return on_the_sphere(vectors).astype(np.float32)


def on_the_sphere(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def vectors() -> list[np.ndarray]:
    all_of_them = draw(WINDOWS, seed=1)
    return [all_of_them[:12_345], all_of_them[12_345:]]


@pytest.fixture(scope="module")
def built(vectors, tmp_path_factory) -> tuple[Path, ApproximateFacts]:
    folder = tmp_path_factory.mktemp("index")
    return folder, build_approximate(folder, vectors, SEGMENTS)


@pytest.fixture
def approximate(built):
    folder, facts = built
    return open_approximate(folder, facts.as_record(), SEGMENTS)


@needs_faiss
def test_of_the_ten_best_windows_nearly_all_are_found_with_their_exact_cosines(approximate, vectors):
    queries_QD = draw(150, seed=2)
    exact_scores_QK, exact_QK = top_windows(vectors, queries_QD, 10)
    scores_QK, windows_QK = approximate.top_windows(vectors, queries_QD, 10)
    assert recall_against_exact(windows_QK, exact_QK) >= 0.99
    rows = np.concatenate(vectors)[windows_QK].astype(np.float64)
    assert scores_QK == pytest.approx(np.einsum("qkd,qd->qk", rows, queries_QD), abs=1e-6)
    assert (np.diff(scores_QK) <= 0).all()
    alike = (windows_QK == exact_QK).all(axis=1)
    assert np.array_equal(scores_QK[alike], exact_scores_QK[alike])  # to the bit
    # a query gives the same alone
    for query in (0, 149):
        assert np.array_equal(approximate.top_windows(vectors, queries_QD[query], 10)[1][0], windows_QK[query])


@needs_faiss
def test_not_all_lists_are_read_and_the_recall_that_is_said_is_what_is_measured(built):
    _, facts = built
    assert (facts.windows, facts.lists, facts.sample_queries) == (WINDOWS, 256, 800)
    near, *_, far = facts.reading
    assert 1 <= near[1] < far[1] <= facts.lists // 4 and near[0] > far[0]
    near, text, *far = facts.recall_at_degrees.values()
    assert min(near, text) >= 0.998 and min(far) >= 0.995
    assert facts.recall == min(near, text, *far)


@needs_faiss
def test_what_lies_far_from_all_windows_is_found_as_well(tmp_path):
    """As the text of a sound that the index does not hold; other windows, and other directions than when built."""
    generator = np.random.default_rng(3)
    centres = generator.standard_normal((200, 128))
    around = 0.4 * generator.standard_normal((WINDOWS, 128))
    vectors = centres[generator.integers(200, size=WINDOWS)] + around  # tight: few lists are enough for what is near
    vectors = [on_the_sphere(vectors).astype(np.float32)]
    facts = build_approximate(tmp_path, vectors, ["aa"])
    approximate = open_approximate(tmp_path, facts.as_record(), ["aa"])
    generator = np.random.default_rng(20)
    rows_ND = np.concatenate(vectors)[generator.integers(WINDOWS, size=300)].astype(np.float64)
    away_ND = generator.standard_normal(rows_ND.shape)
    away_ND -= (away_ND * rows_ND).sum(axis=1, keepdims=True) * rows_ND
    away_ND = on_the_sphere(away_ND)
    for degrees in (50, 70, 75, 80, 85):
        queries_QD = np.cos(np.radians(degrees)) * rows_ND + np.sin(np.radians(degrees)) * away_ND
        _, windows_QK = approximate.top_windows(vectors, queries_QD, 10)
        assert recall_against_exact(windows_QK, top_windows(vectors, queries_QD, 10)[1]) >= 0.99


@needs_faiss
def test_dead_windows_are_not_found(approximate, vectors):
    queries_QD = draw(50, seed=3)
    alive = np.random.default_rng(4).random(WINDOWS) < 0.7
    _, windows_QK = approximate.top_windows(vectors, queries_QD, 10, alive)
    assert alive[windows_QK].all()
    assert recall_against_exact(windows_QK, top_windows(vectors, queries_QD, 10, alive)[1]) >= 0.99


@needs_faiss
def test_where_the_lists_hold_too_few_search_is_exact(approximate, vectors):
    query_D = draw(1, seed=5)[0]
    few = np.zeros(WINDOWS, dtype=bool)
    few[np.argsort(np.concatenate(vectors) @ query_D)[:7]] = True  # the furthest of all
    for k in (3, 7, 20):
        assert np.array_equal(
            approximate.top_windows(vectors, query_D, k, few)[1], top_windows(vectors, query_D, k, few)[1]
        )
    deep = approximate.top_windows(vectors, query_D, WINDOWS)
    assert np.array_equal(deep[1], top_windows(vectors, query_D, WINDOWS)[1])
    assert approximate.top_windows(vectors, query_D, 3, np.zeros(WINDOWS, dtype=bool))[1].shape == (1, 0)


@needs_faiss
def test_of_many_copies_of_one_sound_the_first_are_found_after_what_is_better(vectors, tmp_path):
    generator = np.random.default_rng(7)
    copies = generator.permutation(WINDOWS - 3)[:300]  # more than a shortlist holds
    with_copies = np.concatenate(vectors)
    with_copies[copies] = sound_D = with_copies[copies[0]]
    steps_3 = np.array([0.1, 0.15, 0.2])
    better_3D = sound_D + steps_3[:, None] * (aside_D := on_the_sphere(generator.standard_normal(DIM)))
    with_copies[-3:] = on_the_sphere(better_3D)
    query_D = on_the_sphere(sound_D + 0.2 * aside_D)
    facts = build_approximate(tmp_path, [with_copies], ["aa"])
    approximate = open_approximate(tmp_path, facts.as_record(), ["aa"])
    _, windows_QK = approximate.top_windows([with_copies], query_D, 10)
    assert windows_QK[0, :3].tolist() == [WINDOWS - 1, WINDOWS - 2, WINDOWS - 3]
    assert windows_QK[0, 3:].tolist() == np.sort(copies)[:7].tolist()


@needs_faiss
def test_segments_that_came_later_are_searched_too(built, vectors):
    folder, facts = built
    newer = draw(300, seed=6)
    approximate = open_approximate(folder, facts.as_record(), (*SEGMENTS, "cc"))
    everything = [*vectors, newer]
    scores_QK, windows_QK = approximate.top_windows(everything, newer[:20], 10)
    exact_QK = top_windows(everything, newer[:20], 10)[1]
    assert (windows_QK[:, 0] == WINDOWS + np.arange(20)).all()
    assert recall_against_exact(windows_QK, exact_QK) >= 0.99
    assert (np.diff(scores_QK) <= 0).all()


@needs_faiss
def test_the_same_vectors_give_the_same_bytes_with_any_number_of_threads(vectors, tmp_path):
    some = [segment[:1500] for segment in vectors]
    first = build_approximate(tmp_path / "a", some, SEGMENTS)
    assert build_approximate(tmp_path / "b", some, SEGMENTS, threads=2) == first
    assert (tmp_path / "a" / first.name).read_bytes() == (tmp_path / "b" / first.name).read_bytes()
    assert build_approximate(tmp_path / "b", some, SEGMENTS, seed=2).sha256 != first.sha256


@needs_faiss
def test_a_file_that_is_stale_damaged_or_gone_is_refused(built, tmp_path):
    folder, facts = built
    data = (folder / facts.name).read_bytes()
    for segments in (("aa",), ("bb", "aa"), ("aa", "cc", "bb")):
        with pytest.raises(IntegrityError, match="no longer in the index"):
            open_approximate(folder, facts.as_record(), segments)
    with pytest.raises(IntegrityError, match="another version"):
        open_approximate(folder, {**facts.as_record(), "format": "atrkit approximate 0"}, SEGMENTS)
    with pytest.raises(IntegrityError, match="another version"):
        open_approximate(folder, {"name": facts.name}, SEGMENTS)
    with pytest.raises(IntegrityError, match="cannot be read: No such file"):
        open_approximate(tmp_path, facts.as_record(), SEGMENTS)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for damaged in (flipped, data[:-1], b""):
        (tmp_path / facts.name).write_bytes(damaged)
        with pytest.raises(IntegrityError, match="is damaged"):
            open_approximate(tmp_path, facts.as_record(), SEGMENTS)
    (tmp_path / facts.name).write_bytes(b"no lists")  # of the right sha256, as of another version of faiss
    other = dataclasses.replace(facts, sha256=hashlib.sha256(b"no lists").hexdigest())
    with pytest.raises(IntegrityError, match="by this version of faiss"):
        open_approximate(tmp_path, other.as_record(), SEGMENTS)


@needs_faiss
def test_a_full_disk_leaves_nothing_behind(vectors, tmp_path, monkeypatch):
    import faiss

    def full(lists, writer):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        build_approximate(tmp_path, [vectors[0][:500]], ["aa"])
    assert list(tmp_path.iterdir()) == []


@needs_faiss
def test_a_query_that_is_not_finite_is_refused(approximate, vectors):
    with pytest.raises(DivergedError, match="query 1 is not finite"):
        approximate.top_windows(vectors, np.full(DIM, np.nan), 3)


def test_without_faiss_the_command_that_installs_it_is_said(monkeypatch, tmp_path, vectors):
    real_import = builtins.__import__

    def without_faiss(name, *rest):
        if name == "faiss":
            raise ImportError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_faiss)
    facts = ApproximateFacts("x.faiss", "00", SEGMENTS, WINDOWS, 256, ((-1.0, 8),), 1.0, {}, 200)
    for use in (
        lambda: build_approximate(tmp_path, vectors, SEGMENTS),
        lambda: open_approximate(tmp_path, facts.as_record(), SEGMENTS),
    ):
        with pytest.raises(MissingPrerequisiteError, match=r"pip install 'atrkit\[search\]'"):
            use()


def test_facts_survive_json():
    facts = ApproximateFacts(
        "x.faiss", "00", SEGMENTS, WINDOWS, 256, ((0.5, 2), (-1.0, 8)), 0.997, {"25": 1.0, "80": 0.997}, 200
    )
    assert ApproximateFacts.of_record(facts.as_record()) == facts
