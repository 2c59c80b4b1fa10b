"""A page of scores that were made elsewhere: the same tables, charts and queries, without a training to tell of."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from platform import python_version
from typing import Any, Protocol

import numpy as np

from atrkit import __version__
from atrkit.datasets.clip import Caption, Clip
from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.exchange.foreign import ForeignScores
from atrkit.files import sha256_of_file
from atrkit.reports.counting import counted
from atrkit.reports.page.content import Fact
from atrkit.score_matrix import ScoreMatrix
from atrkit.workflows.evaluate import EvaluateOptions
from atrkit.workflows.evaluate_foreign import ForeignSource, evaluate_foreign, read_foreign, stated_truth
from atrkit.workflows.report_figures import ChartMaterial
from atrkit.workflows.report_sections import Reported
from atrkit.workflows.retrieval_figures import FigureOptions
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import choose_test_split


class _Options(Protocol):
    """What is read of a report's options."""

    @property
    def dataset(self) -> str | None: ...

    @property
    def split(self) -> str | None: ...

    @property
    def truth(self) -> Path | None: ...


def reported_scores(session: Session, path: Path, options: _Options) -> Reported:
    """Evaluate a file of scores as `eval --scores` does, with intervals, and keep what the page needs.

    Args:
        session: where to speak.
        path: scores of every pair, in any format that `eval --scores` reads.
        options: dataset (which also has the audio), split, or truth.

    Raises:
        UsageError: the file holds lists of the best, or is too large for memory: a page shows all ranks.
        MissingPrerequisiteError, IntegrityError, DivergedError: as of `evaluate_foreign`.
    """
    source = ForeignSource(path, None, options.truth)
    how = EvaluateOptions(
        dataset=options.dataset, split=options.split, scalings=("none",), figures=FigureOptions(ci=True)
    )
    result = evaluate_foreign(session, source, how)[0]
    quiet = replace(session, say=lambda line: None)  # it was said while evaluating
    dataset = None if options.dataset is None else session.workspace.load_dataset(options.dataset)
    split = None if dataset is None else choose_test_split(quiet, dataset, options.split)
    _, foreign = read_foreign(quiet, source, stated_truth(source, dataset, split))
    if not isinstance(foreign.scores, ScoreMatrix):
        raise UsageError(
            f"{path}: a page needs scores of every pair, in memory, and these are lists of the best, or too large; "
            "their figures: atrkit eval --scores"
        )
    clips = _clips(foreign, foreign.scores, dataset)
    text_of = {caption.id: caption.text for clip in clips.values() for caption in clip.captions}
    material = ChartMaterial(
        path.name,
        foreign.scores,
        result["scoring"],
        "none",
        result,
        [text_of[caption_id] for caption_id in foreign.scores.caption_ids],
    )
    return Reported(
        path.name,
        result,
        foreign.scores,
        None,
        clips,
        dataset,
        tuple(_facts(result, options.truth)),
        material,
        trained=None,
    )


def _clips(foreign: ForeignScores, scores: ScoreMatrix, dataset: Dataset | None) -> dict[str, Clip]:
    """Clips by id: those of the dataset, or what file and truth say of them; a caption without text is its id."""
    if dataset is not None:
        known = {clip.id: clip for clip in dataset.clips}
        return {clip_id: known[clip_id] for clip_id in scores.clip_ids}
    captions: dict[str, list[Caption]] = defaultdict(list)
    for caption_id, clip_id in zip(scores.caption_ids, scores.clip_of_caption, strict=True):
        captions[clip_id].append(Caption(caption_id, foreign.texts.get(caption_id, caption_id)))
    return {clip_id: Clip(clip_id, "", "", 1, 0, 1, "", tuple(captions[clip_id])) for clip_id in scores.clip_ids}


def _facts(result: Mapping[str, Any], truth: Path | None) -> Iterator[Fact]:
    """What is known; no date, as a file says none that stays the same when it is copied."""
    source, to_audio = result["source"], result["text_to_audio"]
    yield Fact("Scores made elsewhere", source["path"], is_code=True)
    yield Fact("sha256 of the scores", source["sha256"], is_code=True)
    yield Fact("Format", source["format"])
    if result["scoring"] != source["format"]:
        yield Fact("Scores", str(result["scoring"]))
    size = f"{counted(to_audio['candidates'], 'clip')}, {counted(to_audio['queries'], 'caption')}"
    where = f"{result['dataset']}/{result['split']}: " if result["dataset"] and result["split"] else ""
    yield Fact("Evaluated on", f"{where}{size}")
    yield from _truth_facts(result, truth)
    yield Fact("Pool id", result["pool_id"], is_code=True)
    for note in result["notes"]:
        yield Fact("Note", note)
    yield Fact("Training", "not known: whether these clips were trained on cannot be said")
    yield Fact("Versions", f"atrkit {__version__}, Python {python_version()}, numpy {np.__version__}")


def _truth_facts(result: Mapping[str, Any], truth: Path | None) -> Iterator[Fact]:
    whose = "Whose caption is whose"
    if truth is not None:
        yield Fact(whose, str(truth), is_code=True)
        yield Fact("sha256 of that table", sha256_of_file(truth), is_code=True)
    elif result["dataset"] and result["split"]:
        yield Fact(whose, f"as in the dataset {result['dataset']}, split {result['split']}")
    else:
        yield Fact(whose, "as the scores say themselves")
