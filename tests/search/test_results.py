"""From windows to hits: a plain loop over files says who is found, where, and in which order."""

import numpy as np
import pytest

from atrkit.errors import UsageError
from atrkit.search.approximate import INSTALL_COMMAND, is_faiss_there
from atrkit.search.approximate_build import build_approximate
from atrkit.search.index_files import load_index, set_faiss
from atrkit.search.results import find_hits
from atrkit.search.searcher import open_searcher, segment_hashes

needs_faiss = pytest.mark.skipif(not is_faiss_there(), reason=f"faiss is not installed: {INSTALL_COMMAND}")


def silent(line: str) -> None:
    raise AssertionError(f"nothing should be said: {line}")


def hits_by_hand(index, query_D, k) -> list[tuple[str, float, int]]:
    """For each file its best window, the first of equal ones; the best file first."""
    best = {}
    for window, row in enumerate(np.concatenate(index.vectors).astype(np.float64)):
        if index.file_of_window_W[window] < 0:
            continue
        path = index.files[index.file_of_window_W[window]].path
        score = float(row @ query_D)
        if path not in best or score > best[path][0] + 1e-9:
            best[path] = (score, window)
    found = sorted(((path, *of_path) for path, of_path in best.items()), key=lambda each: (-each[1], each[2]))
    return found[:k]


@pytest.fixture
def recordings(make_index):
    """Three long recordings, thirty short ones; vectors of the long ones lie close together."""
    sounds = [("long/a.wav", 95.0), ("long/b.wav", 61.0), ("c.wav", 25.0)]
    short = [(f"short/{number:02d}.wav", 3.0) for number in range(30)]
    generator = np.random.default_rng(7)
    vectors = generator.standard_normal((10 + 7 + 3 + 30, 8))
    vectors[:17] = generator.standard_normal(8) + 0.1 * generator.standard_normal((17, 8))
    return make_index(sounds, short, vectors=vectors, captions={"c.wav": ["rain", "drops"]})


def query_like(index, window: int) -> np.ndarray:
    return np.concatenate(index.vectors)[window]


@pytest.mark.parametrize("k", [1, 3, 5, 33, 100])
@pytest.mark.parametrize("window", [0, 12, 18, 40])
def test_each_file_is_found_once_by_its_best_window_until_k_files_are_found(recordings, window, k):
    query_D = query_like(recordings, window)
    hits = open_searcher(recordings, silent).find(query_D, k)
    expected = hits_by_hand(recordings, query_D, k)
    assert [(hit.file.path, hit.window) for hit in hits] == [(path, at) for path, _, at in expected]
    assert [hit.score for hit in hits] == pytest.approx([score for _, score, _ in expected], abs=1e-6)
    assert len(hits) == min(k, 33)


def test_a_hit_says_where_it_is_and_what_is_known_of_it(recordings):
    searcher = open_searcher(recordings, silent)
    (in_the_middle,) = searcher.find(query_like(recordings, 4), 1)
    assert (in_the_middle.file.path, in_the_middle.start_s, in_the_middle.end_s) == ("long/a.wav", 40.0, 50.0)
    (at_the_end,) = searcher.find(query_like(recordings, 19), 1)
    assert (at_the_end.file.path, at_the_end.start_s, at_the_end.end_s) == ("c.wav", 15.0, 25.0)
    assert at_the_end.captions == ("rain", "drops")
    assert at_the_end.path == str(at_the_end.file.full_path) and at_the_end.file_id == at_the_end.file.id


def test_other_windows_count_that_are_as_good_as_the_last_hit(recordings):
    query_D = query_like(recordings, 0)
    hits = open_searcher(recordings, silent).find(query_D, 3)
    scores_W = np.concatenate(recordings.vectors) @ query_D
    for hit in hits:
        of_file = recordings.windows_of(hit.file)
        assert hit.windows == (scores_W[of_file] >= hits[-1].score - 1e-6).sum()
    assert hits[0].windows == 10 and hits[1].windows == 7
    (alone,) = open_searcher(recordings, silent).find(query_D, 1)
    assert alone.windows == 1  # the best window of all has none beside it


def test_more_results_than_files_or_very_long_recordings_make_no_long_list(make_index):
    """Six recordings of hours, each so alike that its windows stand one behind the other in the order of all."""
    generator = np.random.default_rng(3)
    sounds = [(f"{number}.wav", 5_000.0) for number in range(6)]
    vectors = np.repeat(generator.standard_normal((6, 8)), 500, axis=0) + 0.05 * generator.standard_normal((3000, 8))
    index = make_index(sounds[:4], sounds[4:], vectors=vectors)
    searcher = open_searcher(index, silent)
    asked = []

    def count(query_QD, k, alive_W):
        asked.append(k)
        return searcher.top_windows(query_QD, k, alive_W)

    query_D = query_like(index, 700)
    scores_W = np.concatenate(index.vectors).astype(np.float64) @ query_D
    for k in (3, 5, 6, 10, 1000):
        asked.clear()
        hits = find_hits(index, count, query_D, k)
        assert [(hit.file.path, hit.window) for hit in hits] == [
            (path, at) for path, _, at in hits_by_hand(index, query_D, k)
        ]
        assert len(asked) <= 6 and max(asked) <= 24
        counts = [int((scores_W[index.windows_of(hit.file)] >= hits[-1].score - 1e-7).sum()) for hit in hits]
        assert [hit.windows for hit in hits] == counts


def test_files_that_are_gone_are_not_found(make_index):
    index = make_index([("a.wav", 30.0), ("b.wav", 5.0)], [("c.wav", 5.0)])
    gone = index.file_of_window_W == [file.path for file in index.files].index("a.wav")
    index.file_of_window_W[gone] = -1
    for k in (2, 3, 5):
        hits = open_searcher(index, silent).find(query_like(index, 0), k)
        assert sorted(hit.file.path for hit in hits) == ["b.wav", "c.wav"]


def test_nothing_is_found_in_an_index_without_living_windows(make_index):
    index = make_index([("a.wav", 30.0)])
    index.file_of_window_W[:] = -1
    assert open_searcher(index, silent).find(query_like(index, 0), 5) == []


def test_k_must_be_positive(recordings):
    with pytest.raises(UsageError, match="-k 0"):
        open_searcher(recordings, silent).find(query_like(recordings, 0), 0)


@needs_faiss
def test_with_lists_the_hits_are_the_same(recordings):
    folder = recordings.folder
    set_faiss(folder, build_approximate(folder, recordings.vectors, segment_hashes(recordings)).as_record())
    with_lists = open_searcher(load_index(folder), silent)
    assert with_lists.approximate is not None
    for window in (0, 12, 18, 40):
        query_D = query_like(recordings, window)
        assert with_lists.find(query_D, 6) == open_searcher(recordings, silent).find(query_D, 6)


@needs_faiss
@pytest.mark.parametrize("fault", ["damaged", "gone", "stale"])
def test_with_lists_that_cannot_be_used_search_is_exact_and_says_so(recordings, fault):
    folder = recordings.folder
    facts = build_approximate(folder, recordings.vectors, segment_hashes(recordings))
    record = facts.as_record()
    match fault:
        case "damaged":
            (folder / facts.name).write_bytes((folder / facts.name).read_bytes()[:-1])
        case "gone":
            (folder / facts.name).unlink()
        case "stale":
            record["segments"] = ["00", *record["segments"][1:]]
    set_faiss(folder, record)
    said: list[str] = []
    searcher = open_searcher(load_index(folder), said.append)
    (line,) = said
    assert line.startswith("search is exact: ") and line.endswith("; atrkit index makes the lists anew")
    assert {"damaged": "is damaged", "gone": "No such file", "stale": "no longer in the index"}[fault] in line
    query_D = query_like(recordings, 0)
    assert searcher.find(query_D, 6) == open_searcher(recordings, silent).find(query_D, 6)
