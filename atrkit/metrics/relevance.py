"""What is relevant to what: each caption's own clip, clips with the same words, or what people judged.

Every ranking figure takes its ground truth from here, as pairs of a caption and a clip.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from atrkit.errors import UsageError
from atrkit.score_matrix import IntArray, ScoreRows
from atrkit.text.normalise import normalise_caption


@dataclass(frozen=True, eq=False)
class RelevantPairs:
    """Pairs of a caption and a clip that is relevant to it, each once.

    Args:
        caption_P: (P,) columns of the score matrix.
        clip_P: (P,) rows.
        grade_P: (P,) how relevant; 0 only where what was judged not relevant is meant to be in.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1]], ["rain"], ["rain#1", "rain#2"], ["rain", "rain"])
        >>> own_pairs(matrix).caption_P.tolist(), own_pairs(matrix).clip_P.tolist()
        ([0, 1], [0, 0])
    """

    caption_P: IntArray
    clip_P: IntArray
    grade_P: IntArray

    def of_at_least(self, grade: int) -> "RelevantPairs":
        """Those of at least a grade."""
        is_kept_P = self.grade_P >= grade
        return RelevantPairs(self.caption_P[is_kept_P], self.clip_P[is_kept_P], self.grade_P[is_kept_P])


def own_pairs(scores: ScoreRows) -> RelevantPairs:
    """The default: each caption belongs to one clip, and nothing else is relevant (PROTOCOL.md, "Input")."""
    captions = len(scores.caption_ids)
    return RelevantPairs(np.arange(captions), scores.clip_index_of_caption_C, np.ones(captions, dtype=np.int64))


def same_text_pairs(scores: ScoreRows, caption_texts: Sequence[str]) -> RelevantPairs:
    """Captions with the same normalised words, and any at all, are relevant to each other's clips (`--dedup text`).

    No scorer can know which of two clips is meant by words that both have; counting one of them as wrong measures
    chance.

    Args:
        scores: names the clip of each caption.
        caption_texts: as written, in the order of the captions; normalised here.

    Raises:
        UsageError: not one text for each caption.

    Source: PROTOCOL.md, "Pools".

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9, .1], [.2, .3]], ["a", "b"], ["a#1", "b#1"], ["a", "b"])
        >>> pairs = same_text_pairs(matrix, ["A dog barks.", "a dog barks"])
        >>> list(zip(pairs.caption_P.tolist(), pairs.clip_P.tolist()))
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    if len(caption_texts) != len(scores.caption_ids):
        raise UsageError(f"{len(scores.caption_ids)} captions in the score matrix, but {len(caption_texts)} texts")
    clips_of_text: dict[str, set[int]] = defaultdict(set)
    texts = [normalise_caption(text) for text in caption_texts]
    own_C = scores.clip_index_of_caption_C.tolist()
    for text, clip in zip(texts, own_C, strict=True):
        clips_of_text[text].add(clip)
    clips_of_caption = [sorted(clips_of_text[text]) if text else [own] for text, own in zip(texts, own_C, strict=True)]
    return _pairs([(caption, clip, 1) for caption, clips in enumerate(clips_of_caption) for clip in clips])


@dataclass(frozen=True, eq=False)
class JudgedPairs:
    """Judgements expressed in the rows and columns of a score matrix.

    Args:
        pairs: those of at least the grade that counts as relevant.
        unknown_captions: judged captions that are no column.
        unknown_clips: judged pairs, of captions that are one, whose clip is no row.
        without_relevant: judged captions that are a column and have no relevant clip among the rows.
        all_judged: pairs of a row and a column that were judged, whatever the grade, also 0.
    """

    pairs: RelevantPairs
    unknown_captions: int
    unknown_clips: int
    without_relevant: int
    all_judged: RelevantPairs


def judged_pairs(scores: ScoreRows, grades: Mapping[str, Mapping[str, int]], least_grade: int = 1) -> JudgedPairs:
    """What people found relevant to a caption; what was not judged is not relevant.

    Args:
        scores: of the captions and clips.
        grades: caption id -> clip id -> grade.
        least_grade: from which a clip counts as relevant, at least 1.

    Raises:
        UsageError: a grade to count from below 1, or no caption with a relevant clip is left.

    Example:
        >>> from atrkit import ScoreMatrix
        >>> matrix = ScoreMatrix([[.9], [.2]], ["rain", "dog"], ["rain#1"], ["rain"])
        >>> judged_pairs(matrix, {"rain#1": {"rain": 100, "dog": 30, "sea": 80}}, least_grade=20).pairs.grade_P.tolist()
        [100, 30]
    """
    if least_grade < 1:
        raise UsageError(f"--min-grade {least_grade}: grade 0 is 'not relevant', the least that can count is 1")
    column_of = {caption_id: column for column, caption_id in enumerate(scores.caption_ids)}
    row_of = {clip_id: row for row, clip_id in enumerate(scores.clip_ids)}
    found: list[tuple[int, int, int]] = []
    unknown_clips = without_relevant = 0
    for caption_id, graded in grades.items():
        if caption_id not in column_of:
            continue
        known = [(column_of[caption_id], row_of[c], grade) for c, grade in graded.items() if c in row_of]
        unknown_clips += len(graded) - len(known)
        without_relevant += not any(grade >= least_grade for _, _, grade in known)
        found += known
    relevant = [triple for triple in found if triple[2] >= least_grade]
    if not relevant:
        raise UsageError(
            f"none of the {len(grades)} judged captions has a relevant clip (grade {least_grade} or more) among these "
            "scores: are the ids those of this dataset and split?"
        )
    unknown_captions = sum(caption_id not in column_of for caption_id in grades)
    all_judged = _pairs(sorted(found))
    return JudgedPairs(_pairs(sorted(relevant)), unknown_captions, unknown_clips, without_relevant, all_judged)


def _pairs(triples: Sequence[tuple[int, int, int]]) -> RelevantPairs:
    caption_P, clip_P, grade_P = np.array(triples, dtype=np.int64).T
    return RelevantPairs(caption_P, clip_P, grade_P)
