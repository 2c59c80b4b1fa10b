"""`atrkit search`: from words or a sound to files, by the model that an index was made with."""

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.reports.counting import counted
from atrkit.reports.printable import echoed, printable
from atrkit.search.index_files import IndexedFile, SearchIndex, find_index, index_names, load_index, read_about
from atrkit.search.query import combined_query
from atrkit.search.results import Hit, with_living_file
from atrkit.search.searcher import Searcher, open_searcher
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.workflows.query_model import QueryModel

Float32Array = npt.NDArray[np.float32]

DEFAULT_RERANK_K = 30


@dataclass(frozen=True)
class SearchOptions:
    """What is asked for.

    Args:
        texts: one search each; none: one search by `like` alone.
        like: sound files, or FILE@SECONDS for the ten seconds at a place; what is found sounds like them, and fits the
            text.
        unwanted: texts that are pushed away.
        index: by name; None: the newest.
        k: files for each search.
        rerank: folder or name of the run that scores the best files again; None: no second stage.
        rerank_k: how many files it scores; None: 30, or k where that is more.
    """

    texts: Sequence[str] = ()
    like: Sequence[Path] = ()
    unwanted: Sequence[str] = ()
    index: str | None = None
    k: int = 10
    rerank: str | None = None
    rerank_k: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be searched for, before a model is opened."""
        if not self.texts and not self.like:
            raise UsageError('say what is to be found: atrkit search "rain on a tin roof", or --like FILE')
        if self.k < 1:
            raise UsageError(f"-k {self.k}: at least one result is needed")
        for text in (*self.texts, *self.unwanted):
            if not text.strip():
                raise UsageError("a text without words cannot be searched for: write what is heard")
        for path in self.like:
            place_in_file(path)
        if self.rerank_k is not None and self.rerank is None:
            raise UsageError(f"--rerank-k {self.rerank_k} of which run? add --rerank RUN")
        if self.rerank is not None and not self.texts:
            raise UsageError("--rerank scores files with a text: say one, beside --like")
        if self.rerank_k is not None and self.rerank_k < self.k:
            raise UsageError(f"--rerank-k {self.rerank_k}: at least the {self.k} files of -k are needed")


@dataclass(frozen=True)
class Answer:
    """What was found.

    Args:
        query: the text; None: it was searched by sound alone.
        hits: the best first.
        seconds: that it took, the opening of index and models left out.
        rerank: what the second stage did: "run", "scoring", "k", "seconds"; None without one.
    """

    query: str | None
    hits: Sequence[Hit]
    seconds: float
    rerank: dict[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class OpenedSearch:
    """An index and its model, ready for queries: what `search` uses once and `serve` many times.

    Args:
        searcher: of the index.
        model: that the index was made with.
        say: takes the line about a text that is ignored.
    """

    searcher: Searcher
    model: "QueryModel"
    say: Callable[[str], None]

    @property
    def index(self) -> SearchIndex:
        """The index."""
        return self.searcher.index

    def find(
        self, text: str | None = None, like: Sequence[Path] = (), unwanted: Sequence[str] = (), *, k: int = 10
    ) -> list[Hit]:
        """The k files that fit all of these together; see `search.query.combined_query`.

        Raises:
            UsageError: nothing is asked for, a text has no words, or a sound cannot be read.
        """
        (query_D,) = self.queries([] if text is None else [text], like, unwanted)
        return self.searcher.find(query_D, k)

    def queries(self, texts: Sequence[str], like: Sequence[Path], unwanted: Sequence[str]) -> list[Float32Array]:
        """A query for each text, or one by sound alone; all texts are embedded at once, and each sound once.

        Raises:
            UsageError: a text has no words or none that the model knows, or a sound cannot be read.
        """
        texts_QD, unwanted_ND = self.embed_texts(texts, unwanted)
        sounds = [self.model.embed_audio(*place_in_file(path)) for path in like]
        wanted: list[list[Float32Array]] = [[text_D] for text_D in texts_QD] or [[]]
        return [combined_query(text_1D, sounds, unwanted_ND) for text_1D in wanted]

    def embed_texts(
        self, texts: Sequence[str], unwanted: Sequence[str]
    ) -> tuple[list[Float32Array], list[Float32Array]]:
        """What is wanted, and what is pushed away, all embedded at once.

        The embedding of a text that the model knows no word of points somewhere, and means nothing.

        Raises:
            UsageError: a text has no words, or none of one that is wanted is known.
        """
        for text in texts:
            if self.model.is_unknown(text):
                raise UsageError(
                    f"{self.model.name} knows no word of '{echoed(text)}': say it otherwise, or search by a sound"
                )
        known = []
        for text in unwanted:
            if self.model.is_unknown(text):
                self.say(f"not: '{echoed(text)}' is ignored, {self.model.name} knows no word of it")
            else:
                known.append(text)
        embedded = list(self.model.embed_texts([*texts, *known])) if texts or known else []
        wanted_QD, unwanted_ND = embedded[: len(texts)], embedded[len(texts) :]
        for text, unwanted_D in zip(known, unwanted_ND, strict=True):
            if any(np.allclose(unwanted_D, wanted_D, atol=1e-6) for wanted_D in wanted_QD):
                self.say(f"'{echoed(text)}' is wanted and pushed away: the two cancel, leave one of them out")
        return wanted_QD, unwanted_ND


@dataclass(frozen=True)
class SearchOutcome:
    """Answers, and what they were found in.

    Args:
        index: that was searched.
        options: what was asked for.
        answers: one for each text.
        missing: paths of hits that are no longer where they were indexed.
    """

    index: SearchIndex
    options: SearchOptions
    answers: Sequence[Answer]
    missing: frozenset[str] = field(default_factory=frozenset)


def search(session: Session, options: SearchOptions) -> SearchOutcome:
    """Search an index.

    Args:
        session: where to speak.
        options: what is asked for.

    Returns:
        The answers, in the order of the texts.

    Raises:
        MissingPrerequisiteError: there is no index, or its model is not where it was; says the command.
        UsageError: no index has that name, a text has no words, a sound cannot be read, a run cannot re-rank.
        IntegrityError: the index or a model is damaged, or the model is another one by now.
        DivergedError: an embedding is not finite.
    """
    second_stage = None
    if options.rerank is not None:  # before the index is read: a wrong name is said at once
        from atrkit.workflows.rerank_hits import open_second_stage

        second_stage = open_second_stage(session, options.rerank)
    opened = open_search(session, options.index)
    queries = opened.queries(options.texts, options.like, options.unwanted)
    rerank_k = max(options.k, options.rerank_k or DEFAULT_RERANK_K)
    answers = []
    texts: list[str | None] = [*options.texts] or [None]
    for text, query_D in zip(texts, queries, strict=True):
        started_s = time.perf_counter()
        found = opened.searcher.find(query_D, options.k if second_stage is None else rerank_k)
        hits = [with_living_file(opened.index, hit, _is_there) for hit in found]
        answers.append(Answer(text, hits, time.perf_counter() - started_s))
    if second_stage is not None:
        from atrkit.workflows.rerank_hits import reranked

        answers = [
            replace(answer, hits=answer.hits[: options.k]) for answer in reranked(session, second_stage, answers)
        ]
    paths = {hit.path for answer in answers for hit in answer.hits}
    missing = frozenset(path for path in paths if not Path(path).is_file())
    if missing:
        count = f"{len(missing)} of the files are" if len(missing) > 1 else "one of the files is"
        they = "they were" if len(missing) > 1 else "it was"
        session.say(f"{count} no longer where {they}: atrkit index brings the index up to date")
    return SearchOutcome(opened.index, options, answers, missing)


def _is_there(file: IndexedFile) -> bool:
    return file.full_path.is_file()


def search_records(outcome: SearchOutcome) -> list[dict[str, Any]]:
    """The answers as JSON, one object for each query.

    Args:
        outcome: of `search`.

    Returns:
        "query", "index", "like", "not", "seconds", "rerank", and "results": "path", "start_s", "end_s", "score",
        "caption" (the first of "captions", or null), "id", "windows" (see `search.results.Hit`), "copies" (paths of
        files with the same content) and "is_there".
    """
    index, options = outcome.index, outcome.options
    return [
        {
            "query": answer.query,
            "index": index.name,
            "like": [str(path) for path in options.like],
            "not": list(options.unwanted),
            "seconds": round(answer.seconds, 4),
            "rerank": answer.rerank,
            "results": [_hit_record(index, hit, hit.path not in outcome.missing) for hit in answer.hits],
        }
        for answer in outcome.answers
    ]


def _hit_record(index: SearchIndex, hit: Hit, is_there: bool) -> dict[str, Any]:
    return {
        "path": hit.path,
        "start_s": round(hit.start_s, 3),
        "end_s": round(hit.end_s, 3),
        "score": hit.score,
        "caption": hit.captions[0] if hit.captions else None,
        "captions": list(hit.captions),
        "id": hit.file_id,
        "windows": hit.windows,
        "copies": [str(index.file_of_id[copy].full_path) for copy in hit.file.copies],
        "is_there": is_there,
    }


def open_search(session: Session, named: str | None) -> OpenedSearch:
    """An index and the model it was made with.

    Vectors are read once to see that they are what was written, but for an index with lists: that would take longer
    than the search.

    Args:
        session: where to speak; says which index it is where none is named.
        named: name of an index; None: the newest.

    Raises:
        MissingPrerequisiteError, UsageError, IntegrityError: as `search`.
    """
    from atrkit.workflows.query_model import open_query_model

    root = session.workspace.index_root
    folder = find_index(root, named)
    has_lists = read_about(folder).get("faiss") is not None
    index = load_index(folder, is_checked=not has_lists)
    if named is None:
        which = "the newest one" if len(index_names(root)) > 1 else "the only one"
        session.say(f"index: {index.name} ({which}), {counted(len(index.files), 'file')}")
    if not index.files:
        raise MissingPrerequisiteError(f"index {index.name!r} holds no file: atrkit index FOLDER_OF_SOUNDS")
    return OpenedSearch(open_searcher(index, session.say), open_query_model(session, index.about), session.say)


def read_queries(path: Path) -> list[str]:
    """One query a line; empty lines are left out.

    Raises:
        UsageError: the file cannot be read, is not UTF-8, or holds no query.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"--queries {path}: it cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--queries {path}: it is not UTF-8 (byte {error.start + 1}): save it as UTF-8") from error
    queries = [line.strip() for line in lines if line.strip()]
    if not queries:
        raise UsageError(f"--queries {path}: it holds no query; write one a line")
    return queries


def place_in_file(said: Path) -> tuple[Path, float | None]:
    """A file, and the second of it that FILE@SECONDS gives; a file that is really called so comes first.

    Raises:
        UsageError: there is no such file, or what follows @ is no time in seconds.
    """
    if said.is_file():
        return said, None
    name, at, second = str(said).rpartition("@")
    if not at or not Path(name).is_file():
        raise UsageError(f"--like {printable(str(said))}: there is no such file")
    try:
        start_s = float(second)
    except ValueError:
        start_s = math.nan
    if not 0 <= start_s < 1e9:
        raise UsageError(
            f"--like {printable(str(said))}: after @ comes a place in seconds, as in {Path(name).name}@12.5"
        )
    return Path(name), start_s


def open_in_player(path: Path) -> None:
    """Give a file to the program that the system plays such files with, and do not wait for it.

    Raises:
        MissingPrerequisiteError: the file is gone, or there is no such program; says what to do.
    """
    if not path.is_file():
        raise MissingPrerequisiteError(
            f"--open: {printable(str(path))} is no longer there; bring the index up to date: atrkit index"
        )
    if sys.platform == "win32":
        import os

        os.startfile(path)
        return
    name = "open" if sys.platform == "darwin" else "xdg-open"
    program = shutil.which(name)
    if program is None:
        raise MissingPrerequisiteError(f"--open needs the program {name} (on Linux, of the package xdg-utils): {path}")
    # the path is absolute, so no file name reads as an option; there is no shell that could read anything into it
    quiet = subprocess.DEVNULL
    subprocess.Popen([program, str(path.absolute())], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
