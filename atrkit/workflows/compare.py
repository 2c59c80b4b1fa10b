"""`atrkit compare`: systems beside each other, and whether their differences are more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atrkit.errors import UsageError
from atrkit.metrics.bootstrap import RESAMPLES
from atrkit.metrics.query_values import QueryValues, audio_to_text_values, text_to_audio_values
from atrkit.metrics.randomisation import FLIPS
from atrkit.metrics.relevance import RelevantPairs, judged_pairs, same_text_pairs
from atrkit.metrics.seeds import over_seeds
from atrkit.metrics.significance import compare_systems, measured_figures
from atrkit.score_matrix import ScoreMatrix, ScoreRows
from atrkit.workflows.compared_lists import figures_known_of
from atrkit.workflows.compared_system import (
    Member,
    Named,
    System,
    SystemOptions,
    find_systems,
    open_systems,
    place_of,
    saying_once,
)
from atrkit.workflows.judgements import Judgements, judgements_for
from atrkit.workflows.retrieval_figures import Dedup
from atrkit.workflows.session import Session
from atrkit.workflows.shared_pool import intersect, left_out_lines, refuse_other_pools

COMPARED = ("R@1", "R@5", "R@10", "mAP@10", "MedR")
_KS = (1, 5, 10)
_SHOWN = (*COMPARED, "MnR")


@dataclass(frozen=True)
class CompareOptions:
    """What the user asked for.

    Args:
        systems: runs by name, folder or pattern, or score files; the first is what the others are compared with.
        scored: how they are scored.
        dedup: as of `FigureOptions`.
        qrels: as of `FigureOptions`; text to audio alone.
        min_grade: as of `FigureOptions`.
        intersect: compare on the clips and captions that all share, where the pools differ.

    Raises:
        UsageError: ground truths that contradict each other.
    """

    systems: tuple[str, ...]
    scored: SystemOptions = field(default_factory=SystemOptions)
    dedup: Dedup = "none"
    qrels: str | None = None
    min_grade: int | None = None
    intersect: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.qrels is not None and self.dedup != "none":
            raise UsageError("--qrels says what is relevant, and so does --dedup text: say one of the two")
        if self.min_grade is not None and self.qrels is None:
            raise UsageError("--min-grade is of --qrels: name the judgements, or leave it out")


@dataclass(frozen=True, eq=False)
class _Truth:
    """What is relevant, whoever made the scores.

    Args:
        texts: caption id -> text, where captions with the same words count.
        judgements: of people, or None.
        least_grade: from which a judged clip counts.
    """

    texts: Mapping[str, str] | None
    judgements: Judgements | None
    least_grade: int = 1

    def pairs_in(self, scores: ScoreRows) -> RelevantPairs | None:
        if self.judgements is not None:
            return judged_pairs(scores, self.judgements.grades, self.least_grade).pairs
        if self.texts is not None:
            return same_text_pairs(scores, [self.texts[caption_id] for caption_id in scores.caption_ids])
        return None


def compare(session: Session, options: CompareOptions) -> dict[str, Any]:
    """Score all systems, and compare each with the first, query by query.

    Returns:
        "systems" with mean and deviation of each figure over their seeds; "comparisons" of each with the first, with
        difference, 95 % interval and p of each figure; the pool, and all that must be known to believe it.

    Raises:
        UsageError: fewer than two systems, or systems of different pools without `options.intersect`.
        MissingPrerequisiteError: there is no finished run, or a dataset or embedding is missing.
        IntegrityError: a run or a file is damaged.
    """
    session = saying_once(session)
    found = find_systems(session, options.systems)
    if len(found) < 2:
        raise UsageError(f"{found[0][0]} is one system, and a comparison needs two: name more runs, or score files")
    _refuse_what_nothing_reads(found, options)
    place = place_of(session, found, options.scored)
    judgements = judgements_for(session, options.qrels, place.dataset, place.split)
    systems = open_systems(session, found, place, options.scored, judgements)
    left_out = None
    if options.intersect:
        systems, left_out = intersect(systems)
        for line in left_out_lines(left_out, systems[0].members[0].scores):
            session.say(line)
    return comparison_of(systems, options, left_out, judgements)


def _refuse_what_nothing_reads(found: Sequence[tuple[str, Named]], options: CompareOptions) -> None:
    files = [name for name, named in found if isinstance(named, Path)]
    if options.scored.truth is not None and not files:
        raise UsageError("--truth is of score files, and these are runs: leave it out")
    if not options.scored.may_extract and len(files) == len(found):
        raise UsageError("--no-extract is of runs, and these are score files: leave it out")
    if options.qrels is not None and options.scored.scaling is not None:
        raise UsageError("--scaling is for audio to text, and --qrels judges text to audio alone: leave one out")


def comparison_of(
    systems: Sequence[System],
    options: CompareOptions,
    left_out: Mapping[str, Mapping[str, int]] | None = None,
    judgements: Judgements | None = None,
) -> dict[str, Any]:
    """Compare systems that are scored already, each with the first.

    Args:
        systems: two or more.
        options: which clips are relevant; what says how to score is not looked at.
        left_out: what had to be, so that all share one pool.
        judgements: that `options.qrels` names.

    Returns:
        As `compare`.

    Raises:
        UsageError: systems of different pools.
    """
    assert (judgements is None) == (options.qrels is None)
    refuse_other_pools(systems)
    truth = _truth(systems, options, judgements)
    every = [member for system in systems for member in system.members]
    has_lists = any(member.is_list for member in every)
    known: tuple[str, ...] = COMPARED
    if has_lists:
        known = figures_known_of([(member, truth.pairs_in(member.scores)) for member in every], COMPARED, _KS)
    values = {
        direction: [[_values(member, truth, direction) for member in system.members] for system in systems]
        for direction in (("text_to_audio",) if judgements or has_lists else ("text_to_audio", "audio_to_text"))
    }
    scores = systems[0].members[0].scores
    is_plain = not options.qrels and options.dedup == "none" and not any(map(_is_left_out, (left_out or {}).values()))
    return {
        **_about(systems),
        "pool_id": scores.pool_id,
        "clips": len(scores.clip_ids),
        "captions": len(scores.caption_ids),
        "queries": {direction: len(of_systems[0][0].query_ids) for direction, of_systems in values.items()},
        "baseline": systems[0].name,
        "systems": [
            _system_record(system, {d: values[d][number] for d in values}, known if has_lists else _SHOWN)
            for number, system in enumerate(systems)
        ],
        "comparisons": _comparisons(systems, values, known),
        "resamples": RESAMPLES,
        "flips": FLIPS,
        "holm_over": len(systems) - 1 if len(systems) > 2 else None,
        "target": _common_target(systems) if is_plain else None,
        "dedup": options.dedup,
        "relevance": _relevance(truth),
        "left_out": left_out,
        "lists": [member.name for member in every if member.is_list],
    }


def _is_left_out(counts: Mapping[str, int]) -> bool:
    return any(counts.values())


def _about(systems: Sequence[System]) -> dict[str, Any]:
    """Dataset and split, where any of the systems says; those of one pool say the same."""
    known = [member.about for system in systems for member in system.members if "dataset" in member.about]
    return {key: known[0].get(key) if known else None for key in ("dataset", "split")}


def _truth(systems: Sequence[System], options: CompareOptions, judgements: Judgements | None) -> _Truth:
    if judgements is not None:
        return _Truth(None, judgements, options.min_grade or judgements.least_grade)
    return _Truth(_all_texts(systems) if options.dedup == "text" else None, None)


def _all_texts(systems: Sequence[System]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for system in systems:
        for member in system.members:
            texts |= member.texts
    missing = [caption_id for caption_id in systems[0].members[0].scores.caption_ids if caption_id not in texts]
    if missing:
        raise UsageError(
            f"--dedup text compares the words of captions, and {len(missing):,} come without, the first "
            f"{missing[0]!r}: name --truth, or compare with a run"
        )
    return texts


def _values(member: Member, truth: _Truth, direction: str) -> QueryValues:
    pairs = truth.pairs_in(member.scores)
    if direction == "text_to_audio":
        return text_to_audio_values(member.scores, pairs, _KS)
    return audio_to_text_values(_ranked_for_text(member), pairs, _KS)


def _ranked_for_text(member: Member) -> ScoreRows:
    if member.column_scaling == "none":
        return member.scores
    if not isinstance(member.scores, ScoreMatrix):
        raise UsageError(
            f"{member.name} is read in blocks, as it is too large for memory, and column scaling "
            f"{member.column_scaling} needs all of it: --scaling none"
        )
    from atrkit.scoring.scaling import audio_to_text_matrix

    return audio_to_text_matrix(member.scores, member.column_scaling, member.loss_KC)


def _system_record(system: System, values: Mapping[str, Sequence[QueryValues]], known: Sequence[str]) -> dict[str, Any]:
    unknown = {name: {"mean": None, "deviation": None} for name in _SHOWN if name not in known}
    return {
        "name": system.name,
        "runs" if system.is_run else "files": [member.name for member in system.members],
        "n": len(system.members),
        "scoring": system.members[0].scoring,
        "column_scaling": system.members[0].column_scaling,
        **{
            direction: over_seeds([measured_figures(each) for each in of_members], known) | unknown
            for direction, of_members in values.items()
        },
        "clips_trained_on": system.trained_on.get("clips_trained_on"),
        "clips_trained_on_by": system.trained_on.get("clips_trained_on_by"),
    }


def _comparisons(
    systems: Sequence[System], values: Mapping[str, Sequence[Sequence[QueryValues]]], known: Sequence[str]
) -> list[dict[str, Any]]:
    compared = {
        # the same draws whoever compares
        direction: compare_systems(of_systems, np.random.default_rng(0), figures=known)
        for direction, of_systems in values.items()
    }
    return [
        {
            "system": system.name,
            "baseline": systems[0].name,
            **{
                direction: {name: asdict(of_systems[number][name]) if name in known else None for name in COMPARED}
                for direction, of_systems in compared.items()
            },
        }
        for number, system in enumerate(systems[1:])
    ]


def _common_target(systems: Sequence[System]) -> dict[str, Any] | None:
    """The published row that all runs aim at; None where they aim at different ones, or one of them at none."""
    targets = [system.target for system in systems if system.is_run]
    if not targets or targets[0] is None or any(target != targets[0] for target in targets):
        return None
    return dict(targets[0])


def _relevance(truth: _Truth) -> dict[str, Any] | None:
    if truth.judgements is None:
        return None
    return {"name": truth.judgements.name, "least_grade": truth.least_grade}
