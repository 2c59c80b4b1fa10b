"""`atrkit compare`: systems beside each other, and whether their differences are more than chance."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from atrkit.errors import UsageError
from atrkit.exchange.truth import read_truth_csv
from atrkit.metrics.bootstrap import RESAMPLES
from atrkit.metrics.randomisation import FLIPS
from atrkit.metrics.seeds import over_seeds
from atrkit.metrics.significance import MEAN_RANK, Difference, measured_figures
from atrkit.workflows.compared_lists import MemberValues
from atrkit.workflows.compared_names import names_of, same_systems
from atrkit.workflows.compared_system import (
    Named,
    System,
    SystemOptions,
    find_systems,
    open_systems,
    place_of,
    saying_once,
)
from atrkit.workflows.compared_values import (
    COMPARED,
    COMPARED_GRADED,
    ComparedTruth,
    ValuesTable,
    all_values,
    compared_with_the_first,
    known_figures,
    truth_of,
)
from atrkit.workflows.judgements import Judgements, judgements_for
from atrkit.workflows.retrieval_figures import Dedup
from atrkit.workflows.session import Session
from atrkit.workflows.shared_pool import intersect, left_out_lines, refuse_other_pools


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
        names: what to call the systems, in their order; none: as they are named.

    Raises:
        UsageError: ground truths that contradict each other.
    """

    systems: tuple[str, ...]
    scored: SystemOptions = field(default_factory=SystemOptions)
    dedup: Dedup = "none"
    qrels: str | None = None
    min_grade: int | None = None
    intersect: bool = False
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.qrels is not None and self.dedup != "none":
            raise UsageError("--qrels says what is relevant, and so does --dedup text: say one of the two")
        if self.min_grade is not None and self.qrels is None:
            raise UsageError("--min-grade is of --qrels: name the judgements, or leave it out")


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
    names = names_of(found, options.names)
    place = place_of(session, found, options.scored)
    truth = None if options.scored.truth is None else read_truth_csv(options.scored.truth)
    judgements = judgements_for(session, options.qrels, place.dataset, place.split, truth)
    scored = replace(options.scored, is_partial=options.intersect)
    opened = open_systems(session, found, place, scored, judgements)
    systems = [replace(system, name=name) for system, name in zip(opened, names, strict=True)]
    left_out = None
    if options.intersect:
        systems, left_out = intersect(systems)
        for line in left_out_lines(left_out, systems[0].members[0].scores):
            session.say(line)
    record = comparison_of(systems, options, left_out, judgements)
    if record["dataset"] is None and place.dataset is not None:  # files that do not say it are judged by it
        record |= {"dataset": place.dataset.name, "split": place.split}
    return {**record, "same_systems": same_systems(found, names)}


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
    scores = systems[0].members[0].scores
    if judgements is not None:
        judgements = judgements.fitting(scores.caption_ids, scores.clip_ids)
    truth = truth_of(systems, options.dedup, judgements, options.min_grade)
    values = all_values(systems, truth)
    figures = COMPARED_GRADED if truth.is_graded else COMPARED
    known = known_figures(systems, values["text_to_audio"], figures)
    is_plain = not options.qrels and options.dedup == "none" and not any(map(_is_left_out, (left_out or {}).values()))
    first_of = {direction: tables[0].systems[0][0].best for direction, tables in values.items()}
    return {
        **_about(systems),
        "pool_id": scores.pool_id,
        "clips": len(scores.clip_ids),
        "captions": len(scores.caption_ids),
        "queries": {direction: len(first.query_ids) for direction, first in first_of.items()},
        "resampled_clips": {direction: len(np.unique(first.clip_Q)) for direction, first in first_of.items()},
        "baseline": systems[0].name,
        "systems": [
            _system_record(system, {d: [table.systems[number] for table in values[d]] for d in values}, figures, known)
            for number, system in enumerate(systems)
        ],
        "comparisons": _comparisons(systems, values, figures, known),
        "resamples": RESAMPLES,
        "flips": FLIPS,
        "holm_over": len(systems) - 1 if len(systems) > 2 else None,
        "target": _common_target(systems) if is_plain else None,
        "dedup": options.dedup,
        "relevance": _relevance(truth),
        "left_out": left_out,
        "lists": [system.name for system in systems if _has_list(system)],
        "lists_cut_in_ties": {
            system.name: of_member.cut_in_ties
            for system, of_members in zip(systems, values["text_to_audio"][0].systems, strict=True)
            for of_member in of_members
            if of_member.cut_in_ties
        },
    }


def _is_left_out(counts: Mapping[str, int]) -> bool:
    return any(counts.values())


def _about(systems: Sequence[System]) -> dict[str, Any]:
    """Dataset and split, where any of the systems says; those of one pool say the same."""
    known = [member.about for system in systems for member in system.members if "dataset" in member.about]
    return {key: known[0].get(key) if known else None for key in ("dataset", "split")}


def _system_record(
    system: System, tables: Mapping[str, Sequence[Sequence[MemberValues]]], figures: Sequence[str], known: Sequence[str]
) -> dict[str, Any]:
    directions = {}
    for direction, of_tables in tables.items():
        measured = [
            dict(
                ChainMap(*(measured_figures(of_member.best) for of_member in of_tables_of_member))
            )  # ranks of the first
            for of_tables_of_member in zip(*of_tables, strict=True)
        ]
        shown = [*figures, MEAN_RANK] if direction == "text_to_audio" else [*COMPARED, MEAN_RANK]
        # of the ranks below a list the mean is not known, and whether it is was not asked
        certain = [name for name in shown if name in known or (name == MEAN_RANK and not _has_list(system))]
        unknown = {name: {"mean": None, "deviation": None} for name in shown if name not in certain}
        directions[direction] = over_seeds(measured, certain) | unknown
    return {
        "name": system.name,
        "runs" if system.is_run else "files": [member.name for member in system.members],
        "n": len(system.members),
        "scoring": system.members[0].scoring,
        "column_scaling": system.members[0].column_scaling,
        **directions,
        "clips_trained_on": system.trained_on.get("clips_trained_on"),
        "clips_trained_on_by": system.trained_on.get("clips_trained_on_by"),
    }


def _has_list(system: System) -> bool:
    return any(member.is_list for member in system.members)


def _comparisons(
    systems: Sequence[System], values: Mapping[str, Sequence[ValuesTable]], figures: Sequence[str], known: Sequence[str]
) -> list[dict[str, Any]]:
    compared: dict[str, list[dict[str, Difference | None]]] = {}
    for direction, tables in values.items():
        of_tables = [
            compared_with_the_first(table, [name for name in table.figures if name in known]) for table in tables
        ]
        compared[direction] = [dict(ChainMap(*of_system)) for of_system in zip(*of_tables, strict=True)]
    return [
        {
            "system": system.name,
            "baseline": systems[0].name,
            **{
                direction: {
                    name: None if found is None else asdict(found)
                    for name in (figures if direction == "text_to_audio" else COMPARED)
                    for found in [of_systems[number].get(name)]
                }
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


def _relevance(truth: ComparedTruth) -> dict[str, Any] | None:
    if truth.judgements is None:
        return None
    return {
        "name": truth.judgements.name,
        "least_grade": truth.least_grade,
        "highest_grade": truth.judgements.highest_grade,
        "graded": truth.judgements.is_graded,
    }
