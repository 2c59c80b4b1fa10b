"""Scores of several runs for one pool of clips and captions."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.score_matrix import ScoreMatrix
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.first_stage import NO_FIRST_STAGE, RerankChoice
from atrkit.workflows.score import Scores, score_split
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, clips_as_trained


def scores_of_runs(
    session: Session,
    runs: Sequence[TrainedRun],
    dataset: Dataset,
    split: str,
    *,
    intersect: bool = False,
    may_extract: bool = True,
) -> tuple[CaptionedClips, list[Scores]]:
    """Score a split with every run, every pair of it.

    Args:
        session: where to speak.
        runs: to score with.
        dataset: that the split is of.
        split: its name.
        intersect: leave out clips that not all runs have scored, and say how many; else they are refused.
        may_extract: make missing embeddings.

    Returns:
        The clips in the order of the first run's scores, and the scores of each run.

    Raises:
        UsageError: the pools differ; names the first clip or caption that only one run has scored.
    """
    all_clips, all_scores = [], []
    for run in runs:
        session.say(f"scores of {run.name} on {dataset.name}/{split}")
        clips = clips_as_trained(session, run, dataset, split, may_extract=may_extract)
        every_pair = RerankChoice(NO_FIRST_STAGE)
        scores = score_split(session, run, dataset, split, clips, rerank=every_pair, may_extract=may_extract)
        assert scores is not None  # only a shard has none
        all_clips.append(clips)
        all_scores.append(scores)
    clips = all_clips[0]
    if intersect:
        count = Counter(clip_id for scores in all_scores for clip_id in scores.matrix.clip_ids)
        alone = {clip_id for clip_id, runs_with in count.items() if runs_with < len(runs)}
        session.say(f"{len(alone)} clips of {dataset.name}/{split} were not scored by all runs: left out")
        all_scores = [replace(scores, matrix=without(scores.matrix, alone)) for scores in all_scores]
        kept = tuple(clip for clip in clips.clips if clip.id not in alone)
        clips = CaptionedClips(kept, clips.embeddings.select([clip.id for clip in kept]))
    for run, scores in zip(runs, all_scores, strict=True):
        _refuse_other_pool(runs[0].name, all_scores[0].matrix, run.name, scores.matrix)
    return clips, all_scores


def without(matrix: ScoreMatrix, clip_ids: Collection[str]) -> ScoreMatrix:
    """A score matrix without some of its clips, and their captions.

    Raises:
        UsageError: nothing is left.
    """
    rows = [row for row, clip_id in enumerate(matrix.clip_ids) if clip_id not in clip_ids]
    columns = [column for column, clip_id in enumerate(matrix.clip_of_caption) if clip_id not in clip_ids]
    return ScoreMatrix(
        matrix.scores_AC[np.ix_(rows, columns)],
        [matrix.clip_ids[row] for row in rows],
        [matrix.caption_ids[column] for column in columns],
        [matrix.clip_of_caption[column] for column in columns],
    )


def _refuse_other_pool(first_name: str, first: ScoreMatrix, name: str, other: ScoreMatrix) -> None:
    for kind, ids, others in (
        ("clip", first.clip_ids, other.clip_ids),
        ("caption", first.caption_ids, other.caption_ids),
    ):
        only_one = sorted(set(ids) ^ set(others))
        if only_one:
            scored, missing = (first_name, name) if only_one[0] in set(ids) else (name, first_name)
            more = f", and {len(only_one) - 1} more differ" if len(only_one) > 1 else ""
            raise UsageError(
                f"{kind} {only_one[0]!r} was scored by {scored} and not by {missing}{more}: only scores of one pool "
                "are fused; extract what is missing, or leave such clips out with --intersect"
            )
