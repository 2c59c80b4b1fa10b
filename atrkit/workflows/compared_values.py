"""Values of every query of compared systems, by one ground truth, and the differences that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atrkit.errors import UsageError
from atrkit.metrics.query_values import audio_to_text_values
from atrkit.metrics.relevance import JudgedPairs, RelevantPairs, judged_pairs, same_text_pairs
from atrkit.metrics.significance import Difference, compare_systems
from atrkit.score_matrix import ScoreMatrix, ScoreRows
from atrkit.workflows.compared_lists import MemberValues, agreed, member_values, text_to_audio_values_of
from atrkit.workflows.compared_system import Member, System
from atrkit.workflows.judged_figures import graded_values
from atrkit.workflows.judgements import Judgements
from atrkit.workflows.retrieval_figures import Dedup

COMPARED = ("R@1", "R@5", "R@10", "mAP@10", "MedR")
COMPARED_GRADED = ("R@1", "R@5", "R@10", "mAP@10", "mAP@16", "nDCG@10", "MedR")
_NDCG = "nDCG@10"
_KS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class ComparedTruth:
    """What is relevant, whoever made the scores.

    Args:
        texts: caption id -> text, where captions with the same words count.
        judgements: of people, or None.
        least_grade: from which a judged clip counts.
    """

    texts: Mapping[str, str] | None
    judgements: Judgements | None
    least_grade: int = 1

    @property
    def is_graded(self) -> bool:
        """Whether some relevant clips are more so than others."""
        return self.judgements is not None and self.judgements.is_graded

    def graded_in(self, scores: ScoreRows) -> RelevantPairs:
        """Every clip with a grade above 0."""
        assert self.judgements is not None
        return self._judged_in(scores, self.judgements).all_judged.of_at_least(1)

    def _judged_in(self, scores: ScoreRows, judgements: Judgements) -> JudgedPairs:
        return judged_pairs(scores, judgements.grades, self.least_grade)

    def pairs_in(self, scores: ScoreRows) -> RelevantPairs | None:
        """What is relevant in these scores; None: each caption's own clip."""
        if self.judgements is not None:
            return self._judged_in(scores, self.judgements).pairs
        if self.texts is not None:
            return same_text_pairs(scores, [self.texts[caption_id] for caption_id in scores.caption_ids])
        return None


def truth_of(
    systems: Sequence[System], dedup: Dedup, judgements: Judgements | None, min_grade: int | None
) -> ComparedTruth:
    """The ground truth of a comparison.

    Args:
        systems: whose texts are known, where captions with the same words count.
        dedup: as of `FigureOptions`.
        judgements: of people, or None.
        min_grade: from which a judged clip counts; None: as the judgements say.

    Raises:
        UsageError: words are to be compared, and some captions come without.
    """
    if judgements is not None:
        return ComparedTruth(None, judgements, min_grade or judgements.least_grade)
    return ComparedTruth(_all_texts(systems) if dedup == "text" else None, None)


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


@dataclass(frozen=True, eq=False)
class ValuesTable:
    """Values of the same queries, and the figures that they make.

    Args:
        figures: that are compared.
        systems: for each its members.
    """

    figures: tuple[str, ...]
    systems: list[list[MemberValues]]


def all_values(systems: Sequence[System], truth: ComparedTruth) -> dict[str, list[ValuesTable]]:
    """Direction -> tables; the queries of nDCG are those with any grade, and so may be more."""
    to_audio = [ValuesTable(tuple(figure for figure in COMPARED_GRADED if figure != _NDCG), _values(systems, truth))]
    if truth.is_graded:
        to_audio.append(ValuesTable((_NDCG,), _values(systems, truth, is_graded=True)))
    if truth.judgements is not None or any(member.is_list for system in systems for member in system.members):
        return {"text_to_audio": to_audio}
    to_text = [
        [MemberValues.of(audio_to_text_values(_ranked_for_text(m), truth.pairs_in(m.scores), _KS)) for m in s.members]
        for s in systems
    ]
    return {"text_to_audio": to_audio, "audio_to_text": [ValuesTable(COMPARED, to_text)]}


def _values(systems: Sequence[System], truth: ComparedTruth, *, is_graded: bool = False) -> list[list[MemberValues]]:
    pairs_in = truth.graded_in if is_graded else truth.pairs_in
    values_of = graded_values if is_graded else text_to_audio_values_of
    return [[member_values(m, pairs_in(m.scores), values_of, _KS) for m in system.members] for system in systems]


def known_figures(systems: Sequence[System], tables: Sequence[ValuesTable], figures: Sequence[str]) -> tuple[str, ...]:
    """Figures that do not depend on clips below any of the lists.

    Raises:
        UsageError: there is none; names a list.
    """
    known = set(figures)
    for number, system in enumerate(systems):
        for table in tables:
            for member, of_member in zip(system.members, table.systems[number], strict=True):
                known -= set(table.figures) - of_member.known(table.figures)
                if not known:
                    raise UsageError(
                        f"{member.name} lists too few clips for any of {', '.join(figures)}: nothing to compare"
                    )
    return tuple(figure for figure in figures if figure in known)


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


def compared_with_the_first(table: ValuesTable, figures: Sequence[str]) -> list[dict[str, Difference | None]]:
    """Each system with the first, wherever unlisted clips stand; the same draws whoever compares."""
    best = [[each.best for each in members] for members in table.systems]
    worst = [[each.worst for each in members] for members in table.systems]
    lowest = compare_systems([best[0], *worst[1:]], np.random.default_rng(0), figures=figures)
    if all(each.is_known for members in table.systems for each in members):
        return [dict(of_system) for of_system in lowest]
    highest = compare_systems([worst[0], *best[1:]], np.random.default_rng(0), figures=figures)
    return [agreed(one, other) for one, other in zip(lowest, highest, strict=True)]
