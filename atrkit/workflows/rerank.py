"""Scores of a split by two runs: a first stage scores every pair and shortlists, the second one scores the list."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.datasets.manifest import Dataset
from atrkit.errors import DivergedError, MissingPrerequisiteError
from atrkit.recipe.schema import RerankSettings
from atrkit.scoring.reranking import put_above, shortlist, shortlist_figures
from atrkit.store.scores import StoredScores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.first_stage import FirstStage, open_first_stage
from atrkit.workflows.paired_scores import paired_scores
from atrkit.workflows.score_file import fitting_scores
from atrkit.workflows.score_inputs import ScoreInputs
from atrkit.workflows.score_models import is_captioner, open_scorer
from atrkit.workflows.session import Session

Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def reranked_scores(session: Session, inputs: ScoreInputs, first: FirstStage) -> tuple[Float32Array, dict[str, Any]]:
    """Score the shortlist, and put it above all other pairs, which keep the first stage's order.

    Args:
        session: where to speak, and to show progress.
        inputs: of the second stage; its clips and captions.
        first: of the same clips and captions.

    Returns:
        (A, C) scores, higher is better, and what is to be known about the list (see `ShortlistFigures`), with the
        seconds that both stages took.

    Raises:
        MissingPrerequisiteError: a captioner shortlists, and its scores are not there.
        DivergedError: a score is not finite; names the clip.
    """
    clips = inputs.clips
    if first.trained.folder.resolve() == inputs.trained.folder.resolve():
        session.say(f"run {first.trained.name} shortlists for itself: that changes nothing")
    if first.k >= min(len(clips.clips), len(clips.caption_ids)):
        session.say(
            f"{len(clips.clips):,} clips and {len(clips.caption_ids):,} captions: with the {first.k:,} best of each, "
            "all pairs are on the list"
        )
    started_s = time.perf_counter()
    first_AC = _first_scores(session, inputs, first)
    is_listed_AC = shortlist(first_AC, first.k)
    clip_N, caption_N = np.nonzero(is_listed_AC)
    pair_scores_N = _pair_scores(session, inputs, clip_N, caption_N)
    if len(broken := np.flatnonzero(~np.isfinite(pair_scores_N))):
        pair = broken[0]
        where = f"clip {clips.embeddings.clip_ids[clip_N[pair]]!r} with {clips.caption_ids[caption_N[pair]]!r}"
        raise DivergedError(f"{len(broken)} of {len(clip_N)} listed pairs have no finite score, the first {where}")
    row_of_clip = {clip_id: row for row, clip_id in enumerate(clips.embeddings.clip_ids)}
    own_clip_C = np.array([row_of_clip[clip_id] for clip_id in clips.clip_of_caption])
    record = {
        "run": first.trained.name,
        "k": first.k,
        **asdict(shortlist_figures(is_listed_AC, own_clip_C)),
        "seconds": round(time.perf_counter() - started_s, 3),
    }
    return put_above(first_AC, is_listed_AC, pair_scores_N), record


def _pair_scores(session: Session, inputs: ScoreInputs, clip_N: IntArray, caption_N: IntArray) -> Float32Array:
    trained, clips = inputs.trained, inputs.clips
    left = len(clip_N)
    with session.open_progress(f"re-ranking {inputs.dataset.name}/{inputs.split}", left, "pairs") as advance:

        def on_progress(pairs: int) -> None:
            nonlocal left
            left -= pairs
            advance(pairs)

        precision = inputs.precision if inputs.is_captioner else None
        score = paired_scores(trained.recipe, trained.folder, clips, precision=precision, on_progress=on_progress)
        pair_scores_N = score(clip_N, [clips.all_captions[caption] for caption in caption_N])
        advance(left)  # all of them, of a model that is done in no time and tells nothing
    return pair_scores_N


def require_first_scores(
    session: Session,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    settings: RerankSettings,
    may_extract: bool,
) -> None:
    """Make sure, before a training, that its scores can be re-ranked.

    Raises:
        MissingPrerequisiteError, UsageError, IntegrityError: as `open_first_stage`; and a captioner's scores are not
            there.
    """
    first = open_first_stage(session, dataset, split, clips, settings, may_extract=may_extract)
    if is_captioner(first.trained.recipe):
        _stored_scores(session, ScoreInputs(first.trained, dataset, split, first.clips, "fp32", None))


def _first_scores(session: Session, inputs: ScoreInputs, first: FirstStage) -> Float32Array:
    """The first stage's scores, those that it stored where they fit; its own folder is left as it is."""
    of_first = ScoreInputs(first.trained, inputs.dataset, inputs.split, first.clips, "fp32", None)
    there = _stored_scores(session, of_first)
    if there is not None:
        return np.asarray(there.matrix.scores_AC, dtype=np.float32)
    # clips and captions of both stages come in the order of the split
    return open_scorer(first.trained.recipe, first.trained.folder, first.clips)(first.clips.embeddings)


def _stored_scores(session: Session, of_first: ScoreInputs) -> StoredScores | None:
    """What the first stage stored; a captioner's scores must be there, for they take long.

    Raises:
        MissingPrerequisiteError: they are not; says the command that makes them.
    """
    captioner = is_captioner(of_first.trained.recipe)
    there = fitting_scores(session, of_first, otherwise="not taken" if captioner else "scored anew, not written")
    if there is None and captioner:
        command = of_first.parts.plain_command
        raise MissingPrerequisiteError(
            f"run {of_first.trained.name} is a captioner, and its scores are not there; run: {command}"
        )
    return there
