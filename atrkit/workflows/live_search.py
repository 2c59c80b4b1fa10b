"""An index that is searched for as long as somebody asks, and opened again when it was brought up to date."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import AtrkitError, UsageError
from atrkit.reports.counting import counted
from atrkit.search.index_files import INDEX_NAME, IndexedFile, SearchIndex, find_index, load_index, read_about, roots_of
from atrkit.search.places import Place, places_of
from atrkit.search.query import combined_query
from atrkit.search.results import Hit, with_living_file
from atrkit.search.searcher import open_searcher
from atrkit.serve.interface import Wanted
from atrkit.serve.sound_files import is_unchanged
from atrkit.workflows.query_model import QueryModel, name_of_source, refuse_other_model
from atrkit.workflows.search import OpenedSearch, open_search
from atrkit.workflows.session import Session
from atrkit.workflows.shown_paths import labels_of, shown_path

Float32Array = npt.NDArray[np.float32]

_TRY_AGAIN_AFTER_S = 10.0
_EXAMPLES = 3
_LONGEST_EXAMPLE = 70


@dataclass(frozen=True, eq=False)
class _Opened:
    """One state of the index, with its model."""

    search: OpenedSearch
    mtime_ns: int

    @property
    def index(self) -> SearchIndex:
        return self.search.index

    @cached_property
    def labels(self) -> dict[str, PurePosixPath]:
        """What stands for each folder that was indexed."""
        return labels_of(roots_of(self.index.folder, self.index.about))

    @cached_property
    def examples(self) -> list[str]:
        """A few captions of files far from each other, for people who do not know yet what to type."""
        files = self.index.files
        if not files:
            return []
        places = dict.fromkeys(np.linspace(0, len(files) - 1, 20 * _EXAMPLES).round().astype(int).tolist())
        captions = [file.captions[0] for place in places if (file := files[place]).captions]
        short = list(dict.fromkeys(caption for caption in captions if len(caption) <= _LONGEST_EXAMPLE))
        step = max(1, len(short) // _EXAMPLES)
        return short[::step][:_EXAMPLES]


@dataclass(frozen=True)
class _Failure:
    """The last try to open the index again, if it failed."""

    message: str = ""
    mtime_ns: int = 0
    at_s: float = -math.inf

    def is_recent(self, mtime_ns: int) -> bool:
        """Whether to wait: the index may still be copied here, or the system be short of something for a moment."""
        return mtime_ns == self.mtime_ns and time.monotonic() < self.at_s + _TRY_AGAIN_AFTER_S


class LiveSearch:
    """Answers searches of a server; several threads may ask.

    Args:
        session: where to speak.
        named: name of an index; None: the newest.

    Raises:
        MissingPrerequisiteError, UsageError, IntegrityError: as `workflows.search.open_search`; both sides of the model
            are opened when they are first used, but for the texts': that is here.
    """

    def __init__(self, session: Session, named: str | None) -> None:
        self._noted = threading.local()
        self._session = replace(session, say=self._say_or_note(session.say))
        self._texts_lock, self._sounds_lock = threading.Lock(), threading.Lock()
        # a search takes all cores and reads all vectors: 16 at once took four times as long as one after the other
        self._search_lock = threading.Lock()
        self._reloading, self._warming = threading.Lock(), threading.Lock()
        folder = find_index(session.workspace.index_root, named)
        mtime_ns = _mtime_ns(folder)  # before it is read: an update meanwhile is noticed at the first search
        opened = open_search(self._session, named)
        self._named = opened.index.name
        self._opened = _Opened(opened, mtime_ns if opened.index.folder == folder else 0)
        self._failure = _Failure()
        self._warmed: QueryModel | None = None
        with self._noting():
            opened.model.embed_texts(["a sound"])
        _prepare(opened.index)

    def about(self) -> dict[str, Any]:
        """The index in a few words: "index", "files", "windows", "model", "examples"."""
        opened = self._current()
        self._open_sounds_in_background(opened.search.model)
        about = opened.index.about
        return {
            "index": opened.index.name,
            "files": len(opened.index.files),
            "windows": int(opened.index.is_alive_W.sum()),
            "model": name_of_source(about["model"]),
            "examples": opened.examples,
        }

    def _open_sounds_in_background(self, model: QueryModel) -> None:
        """The page is open: open what the first search by a sound would wait seconds for."""
        with self._warming:
            if self._warmed is model:
                return
            self._warmed = model

        def open_sounds() -> None:
            try:
                with self._sounds_lock, self._noting():
                    model.window_encoder()
            except AtrkitError:
                pass  # who searches by a sound is told
            except Exception as error:
                self._session.say(f"the model cannot be made ready for sounds: {type(error).__name__}: {error}")

        threading.Thread(target=open_sounds, name="atrkit-sounds", daemon=True).start()

    def file(self, file_id: str) -> IndexedFile | None:
        """The file of that id, in the newest state of the index."""
        return self._current().index.file_of_id.get(file_id)

    def find(self, wanted: Wanted) -> dict[str, Any]:
        """Search.

        Args:
            wanted: what is asked for.

        Returns:
            "query", "not", "like", "index", "files", "seconds", "notes" (what the model did not understand), "results".

        Raises:
            UsageError: a text has no words, a sound cannot be read, or `like` is of no file of the index.
        """
        started_s = time.perf_counter()
        opened = self._current()
        index, like = opened.index, wanted.like
        liked = None if like is None else _window_of(index, like)
        with self._noting() as notes:
            query_D = self._query(opened.search, wanted, [] if liked is None else [_vector_of(index, liked)])
        own = None if like is None else like[0]
        # what is like a file is first of all the file itself
        with self._search_lock:
            hits = opened.search.searcher.find(query_D, wanted.k + (own is not None))
        hits = [hit for hit in hits if own is None or own not in (hit.file_id, *hit.file.copies)][: wanted.k]
        hits = [with_living_file(index, hit, is_unchanged) for hit in hits]
        return {
            "query": wanted.text,
            "not": wanted.unwanted,
            "like": None if like is None or liked is None else _like_record(index, like[0], liked),
            "index": index.name,
            "files": len(index.files),
            "seconds": round(time.perf_counter() - started_s, 4),
            "notes": list(dict.fromkeys(notes)),
            "results": [_hit_record(index, hit, opened.labels, places_of(index, hit, query_D)) for hit in hits],
        }

    def _query(self, search: OpenedSearch, wanted: Wanted, sounds: list[Float32Array]) -> Float32Array:
        with self._texts_lock:
            texts, unwanted = ([text] if text else [] for text in (wanted.text, wanted.unwanted))
            wanted_QD, unwanted_ND = search.embed_texts(texts, unwanted)
        if wanted.sound is not None:
            with self._sounds_lock:
                sounds = [*sounds, search.model.embed_audio(wanted.sound)]
        return combined_query(wanted_QD, sounds, unwanted_ND)

    def _current(self) -> _Opened:
        """The index as it is on the disk; while one thread opens it again, the others go on with what was."""
        opened = self._opened
        mtime_ns = _mtime_ns(opened.index.folder)
        if mtime_ns in (0, opened.mtime_ns) or self._failure.is_recent(mtime_ns):
            return opened
        if not self._reloading.acquire(blocking=False):
            return opened
        try:
            self._opened = self._opened_again(opened)
            return self._opened
        finally:
            self._reloading.release()

    def _opened_again(self, old: _Opened) -> _Opened:
        mtime_ns = _mtime_ns(old.index.folder)
        try:
            about = read_about(old.index.folder)
            index = load_index(old.index.folder, is_checked=about.get("faiss") is None)
            try:
                refuse_other_model(index.about, old.search.model)
                search = OpenedSearch(open_searcher(index, self._session.say), old.search.model, self._session.say)
            except AtrkitError:  # it was made anew, with another model
                search = open_search(self._session, self._named)
            _prepare(search.index)
        except (AtrkitError, OSError) as error:
            if str(error) != self._failure.message:
                self._session.say(f"the index changed and cannot be opened, so the old one is searched: {error}")
            self._failure = _Failure(str(error), mtime_ns, time.monotonic())
            return old
        self._failure = _Failure()
        self._session.say(f"index {self._named} was brought up to date: {counted(len(search.index.files), 'file')}")
        return _Opened(search, mtime_ns)

    def _say_or_note(self, say: Callable[[str], None]) -> Callable[[str], None]:
        def speak(line: str) -> None:
            notes = getattr(self._noted, "notes", None)
            if notes is None:
                say(line)
            else:
                notes.append(line)

        return speak

    @contextmanager
    def _noting(self) -> Iterator[list[str]]:
        """Gather what this thread says meanwhile: it is for who asked, not for the terminal."""
        notes: list[str] = []
        self._noted.notes = notes
        try:
            yield notes
        finally:
            self._noted.notes = None


def _mtime_ns(folder: Path) -> int:
    """When the index was updated; 0: it is gone."""
    try:
        return (folder / INDEX_NAME).stat().st_mtime_ns
    except OSError:
        return 0


def _prepare(index: SearchIndex) -> None:
    """Do at the start what the first request would wait for."""
    assert index.file_of_id is not None and index.is_alive_W is not None


def _window_of(index: SearchIndex, like: tuple[str, float]) -> int:
    """The window of a file that begins nearest to a second."""
    file = index.file_of_id.get(like[0])
    if file is None:
        raise UsageError("the index does not hold the sound that others should be like any more")
    windows = index.windows_of(file)
    return int(windows.start) + int(np.abs(index.start_s_W[windows] - like[1]).argmin())


def _vector_of(index: SearchIndex, window: int) -> Float32Array:
    """(1, D) of a window."""
    for vectors_WD in index.vectors:
        if window < len(vectors_WD):
            return np.asarray(vectors_WD[window : window + 1])
        window -= len(vectors_WD)
    raise IndexError("no such window")


def _like_record(index: SearchIndex, file_id: str, window: int) -> dict[str, Any]:
    name = PurePosixPath(index.file_of_id[file_id].path).name
    return {"id": file_id, "name": name, "start_s": round(float(index.start_s_W[window]), 3)}


def _hit_record(
    index: SearchIndex, hit: Hit, labels: Mapping[str, PurePosixPath], places: Sequence[Place]
) -> dict[str, Any]:
    """A hit for the page."""
    file = hit.file
    path = shown_path(file, labels)
    return {
        "id": file.id,
        "name": path.name,
        "folder": "" if str(path.parent) == "." else str(path.parent),
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "duration_s": round(file.duration_s, 3),
        "score": round(float(hit.score), 4),
        "caption": hit.captions[0] if hit.captions else None,
        "captions": list(hit.captions),
        "places": [{"start_s": round(p.start_s, 3), "end_s": round(p.end_s, 3), "score": p.score} for p in places],
        "copies": [str(shown_path(index.file_of_id[copy], labels)) for copy in file.copies],
        "is_there": is_unchanged(file),
    }
