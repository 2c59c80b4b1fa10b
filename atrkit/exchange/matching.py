"""From the names in a file of scores to the ids of the ground truth; what fits nowhere is refused or counted."""

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from atrkit.datasets.csv_records import shown
from atrkit.errors import DivergedError, IntegrityError, UsageError
from atrkit.exchange.foreign import ForeignScores, FoundLists, FoundMatrix, RankedList, RankedLists
from atrkit.exchange.near_names import how_they_differ, nearly
from atrkit.exchange.truth import Truth, ways_in_words
from atrkit.score_matrix import BlockedScores, IntArray, ScoreMatrix, ScoreRows

_WAYS_OUT = "--truth CSV (file_name,caption_1,...), --dataset NAME [--split NAME], or --qrels FILE"
_IN_THE_FILE = {
    "npz matrix": ", or save clip_of_caption= (the clip id of each caption) in it",
    "pair of embedding files": ", or save clip_of_caption= (the clip id of each) in the .npz of the captions",
}


def judge_matrix(
    path: Path,
    found: FoundMatrix,
    truth: Truth | None,
    judged: Container[str] | None = None,
    *,
    is_partial: bool = False,
) -> ForeignScores:
    """Give the rows and columns of a matrix the ids of the truth.

    Args:
        path: of the file, for messages.
        found: what is in it.
        truth: whose caption is whose; None: the file says so itself.
        judged: captions that are queries, where judgements say so: no other needs a score. None: all of the truth.
        is_partial: clips and captions of the truth without a score are left out, and counted in the notes.

    Raises:
        UsageError: nobody says whose caption is whose, or an id occurs twice (exit code 2).
        IntegrityError: clips or captions of the truth have no score, or the other way round; or file and truth
            disagree (exit code 5).
        DivergedError: a score is NaN (exit code 8).
    """
    if truth is None:
        return _by_itself(path, found)
    is_encoded = found.is_encoded and truth.is_encoded(found.captions, found.clips)
    clips = _clips_of(path, found.clips, truth, is_encoded=is_encoded)
    placed = place_captions(path, found.captions, truth, is_encoded=is_encoded)
    _refuse_rest(path, "clips", found.clips, clips.unknown, truth, clips.ids)
    if not truth.is_judged or len(placed.unknown) == len(found.captions):
        _refuse_rest(path, "captions", found.captions, placed.unknown, truth, placed.caption_ids)
    notes = [*found.notes, *clips.notes, *placed.notes, *_near_judged(clips.strange, truth)]
    if is_partial and not truth.is_judged:
        truth, placed, left_out = _scored_part(path, truth, clips.ids, placed)
        notes += left_out
    _refuse_missing(path, "captions", _queries(truth, judged) - set(placed.caption_ids), truth)
    _refuse_missing(path, "clips", set() if truth.is_judged else set(truth.clip_ids) - set(clips.ids), truth)
    clip_of_caption = {caption_id: truth.clip_of_caption[caption_id] for caption_id in placed.caption_ids}
    _refuse_missing(path, "clips", set(clip_of_caption.values()) - set(clips.ids), truth)
    _refuse_contradiction(path, found, clips.ids, placed, truth)
    scores = _scores(path, found, clips.ids, placed.caption_ids, list(clip_of_caption.values()), placed.column_C)
    if placed.unknown:
        notes.append(f"{len(placed.unknown):,} captions without a relevant clip in {truth.source} are no query")
    texts = dict(truth.texts) or _own_texts(found, placed)
    return ForeignScores(scores, clip_of_caption, scores.clip_ids, found.format_name, texts, tuple(notes))


def judge_lists(
    path: Path,
    found: FoundLists,
    truth: Truth | None,
    judged: Container[str] | None = None,
    *,
    is_partial: bool = False,
) -> ForeignScores:
    """Give queries and listed clips the ids of the truth.

    Captions without a list are refused, because figures over the others could flatter. So are listed clips that the
    truth does not have: a name that is spelled otherwise would be a wrong answer that nobody gave. Judgements alone do
    not say the gallery: there, clips that nobody judged stay in their places, relevant to nothing.

    Args:
        path, found, truth, judged: as of `judge_matrix`.
        is_partial: captions of the truth without a list are left out, and counted in the notes; the gallery stays.

    Raises:
        UsageError: nobody says whose caption is whose (exit code 2).
        IntegrityError: a caption of the truth has no list, or a listed clip is not there or listed twice (exit code 5).
    """
    if truth is None:
        raise no_truth(path, found.format_name)
    listed = dict.fromkeys(name for ranked in found.lists for name in ranked.clip_ids)
    is_encoded = found.is_encoded and truth.is_encoded(found.captions, listed)
    placed = place_captions(path, found.captions, truth, is_encoded=is_encoded)
    if len(placed.unknown) == len(found.captions):
        _refuse_rest(path, "captions", found.captions, placed.unknown, truth, ())
    missing = _queries(truth, judged) - set(placed.caption_ids)
    if not is_partial or truth.is_judged:
        _refuse_missing(path, "captions", missing, truth, placed.unknown)
    names = dict.fromkeys(name for column in placed.column_C.tolist() for name in found.lists[column].clip_ids)
    named = {name: truth.clip_named(name, is_encoded=is_encoded) for name in names}
    strange = [name for name, meant in named.items() if not meant.ids]
    if not truth.is_judged:
        known_ids = [meant.ids[0] for meant in named.values() if meant.ids]
        _refuse_rest(path, "listed clips", list(names), strange, truth, known_ids)
    id_of = {name: (meant.ids or (name,))[0] for name, meant in named.items()}
    lists: dict[str, RankedList] = {}
    for caption_id, column in zip(placed.caption_ids, placed.column_C.tolist(), strict=True):
        ranked = found.lists[column]
        clip_ids = tuple(id_of[name] for name in ranked.clip_ids)
        if len(set(clip_ids)) < len(clip_ids):
            twice = next(clip for clip, count in Counter(clip_ids).items() if count > 1)
            raise IntegrityError(f"{path}: caption {shown(caption_id)} lists clip {shown(twice)} more than once")
        lists[caption_id] = RankedList(clip_ids, ranked.scores_N)
    gallery = tuple(dict.fromkeys([*truth.clip_ids, *strange]))
    ways = Counter(meant.way for meant in named.values() if meant.ids)
    notes = [*found.notes, *placed.notes, *ways_in_words("clips", ways), *_near_judged(strange, truth)]
    if missing and is_partial and not truth.is_judged:
        there = len(truth.clip_of_caption)
        notes.append(f"{len(missing):,} of {there:,} captions of {truth.source} have no list and are left out")
    if placed.unknown:
        first = shown(placed.unknown[0])
        notes.append(f"{len(placed.unknown):,} lists are of captions that are not in {truth.source}, the first {first}")
    if truth.is_judged:
        notes.append(f"gallery: the {len(gallery):,} clips that are listed or judged; --truth or --dataset says others")
    clip_of_caption = {caption_id: truth.clip_of_caption[caption_id] for caption_id in lists}
    return ForeignScores(
        RankedLists(lists), clip_of_caption, gallery, found.format_name, dict(truth.texts), tuple(notes)
    )


def _queries(truth: Truth, judged: Container[str] | None) -> set[str]:
    return {caption_id for caption_id in truth.clip_of_caption if judged is None or caption_id in judged}


def no_truth(path: Path, format_name: str) -> UsageError:
    """The error for scores that nobody says the truth of."""
    in_the_file = _IN_THE_FILE.get(format_name, "")
    return UsageError(f"{path}: a {format_name} does not say whose caption is whose: name {_WAYS_OUT}{in_the_file}")


@dataclass(frozen=True, eq=False)
class PlacedCaptions:
    """Which column, or list, each caption of the truth takes its scores from.

    Args:
        caption_ids: in the order of the file.
        column_C: position of each in the file.
        unknown: names in the file that are no caption of the truth.
        notes: how they were found.
    """

    caption_ids: tuple[str, ...]
    column_C: IntArray
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


def place_captions(path: Path, names: Sequence[str], truth: Truth, *, is_encoded: bool = False) -> PlacedCaptions:
    """Find the captions that names mean.

    Where several captions have one text, the k-th of the names with that text is the k-th of the captions; one name
    alone stands for all of them, because the same words get the same scores.

    Raises:
        IntegrityError: a name occurs more often than there are captions that it can mean (exit code 5).
    """
    positions_of: dict[tuple[str, ...], list[int]] = defaultdict(list)
    unknown: list[str] = []
    ways: Counter[str] = Counter()
    for position, name in enumerate(names):
        meant = truth.captions_named(name, is_encoded=is_encoded)
        if meant.ids:
            positions_of[meant.ids].append(position)
            ways[meant.way] += 1
        else:
            unknown.append(name)
    placed: list[tuple[int, str]] = []
    in_order = alone = 0
    for caption_ids, positions in positions_of.items():
        if len(positions) == len(caption_ids):
            placed += zip(positions, caption_ids, strict=True)
            in_order += len(caption_ids) if len(caption_ids) > 1 else 0
        elif len(positions) == 1:
            placed += [(positions[0], caption_id) for caption_id in caption_ids]
            alone += len(caption_ids)
        else:
            raise IntegrityError(
                f"{path}: {shown(names[positions[0]])} occurs {len(positions)} times, and {len(caption_ids)} captions "
                f"in {truth.source} are called so: name captions by their ids"
            )
    placed.sort(key=lambda pair: pair[0])
    ids = tuple(caption_id for _, caption_id in placed)
    if len(set(ids)) < len(ids):
        twice = next(caption_id for caption_id, count in Counter(ids).items() if count > 1)
        raise IntegrityError(f"{path}: caption {shown(twice)} is named in two ways: name captions by their ids")
    notes = ways_in_words("captions", ways)
    if in_order:
        notes.append(
            f"{in_order:,} captions share their text with another: the k-th row with a text is taken for the k-th "
            "caption with it"
        )
    if alone:
        notes.append(f"{alone:,} captions share their text with another and are listed once: both get the same scores")
    columns = np.array([position for position, _ in placed], dtype=np.int64)
    return PlacedCaptions(ids, columns, tuple(unknown), tuple(notes))


@dataclass(frozen=True)
class _PlacedClips:
    """Ids of rows; names that are not in the truth are `strange`, and `unknown` where that says the gallery."""

    ids: tuple[str, ...]
    strange: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]


def _clips_of(path: Path, names: Sequence[str], truth: Truth, *, is_encoded: bool) -> _PlacedClips:
    ways: Counter[str] = Counter()
    ids: list[str] = []
    strange: list[str] = []
    for name in names:
        meant = truth.clip_named(name, is_encoded=is_encoded)
        if meant.ids:
            ways[meant.way] += 1
        else:
            strange.append(name)
        ids.append((meant.ids or (name,))[0])
    if len(set(ids)) < len(ids):
        twice = next(clip for clip, count in Counter(ids).items() if count > 1)
        raise IntegrityError(f"{path}: clip {shown(twice)} has two rows: ids must be unique")
    unknown = () if truth.is_judged else tuple(strange)
    return _PlacedClips(tuple(ids), tuple(strange), unknown, tuple(ways_in_words("clips", ways)))


def _by_itself(path: Path, found: FoundMatrix) -> ForeignScores:
    if found.own_clips is None:
        raise no_truth(path, found.format_name)
    scores = _scores(path, found, found.clips, found.captions, found.own_clips, None)
    clip_of_caption = dict(zip(scores.caption_ids, scores.clip_of_caption, strict=True))
    texts = {} if found.texts is None else dict(zip(scores.caption_ids, found.texts, strict=True))
    return ForeignScores(scores, clip_of_caption, scores.clip_ids, found.format_name, texts, found.notes)


def _scores(
    path: Path,
    found: FoundMatrix,
    clip_ids: Sequence[str],
    caption_ids: Sequence[str],
    clip_of_caption: Sequence[str],
    column_C: IntArray | None,
) -> ScoreRows:
    is_as_it_is = column_C is None or bool(np.array_equal(column_C, np.arange(len(found.captions))))
    try:
        if not callable(found.scores):
            scores_AC = found.scores if is_as_it_is else found.scores[:, column_C]
            return ScoreMatrix(scores_AC, clip_ids, caption_ids, clip_of_caption)
        read_rows = found.scores
        if not is_as_it_is:
            return BlockedScores(lambda a, b: read_rows(a, b)[:, column_C], clip_ids, caption_ids, clip_of_caption)
        return BlockedScores(read_rows, clip_ids, caption_ids, clip_of_caption)
    except UsageError as error:
        raise IntegrityError(f"{path}: {error}") from None
    except DivergedError as error:
        raise DivergedError(f"{path}: {error}") from None


def _own_texts(found: FoundMatrix, placed: PlacedCaptions) -> dict[str, str]:
    if found.texts is None:
        return {}
    texts = found.texts
    return {caption: texts[at] for caption, at in zip(placed.caption_ids, placed.column_C.tolist(), strict=True)}


def _refuse_rest(
    path: Path, kind: str, names: Sequence[str], unknown: Sequence[str], truth: Truth, taken: Collection[str]
) -> None:
    """Refuse what is not in the truth, with a name that is close; where not one name is known, that is said."""
    if not unknown:
        return
    is_none = len(unknown) == len(names)
    if is_none and all(_is_of_the_other_side(kind, name, truth) for name in unknown):
        raise IntegrityError(
            f"{path}: its {'candidates are captions' if 'clips' in kind else 'queries are clips'} of {truth.source}: "
            "these are scores of audio to text; those of text to audio are read, where captions are the queries"
        )
    there = truth.clip_ids if "clips" in kind else tuple(truth.clip_of_caption)
    taken = set(taken)
    differ = how_they_differ(unknown, there, [name for name in there if name not in taken])
    way_out = "are the names those of this dataset and split?" if is_none else "leave them out, or add them there"
    if " alone" in differ:
        way_out = "write them as they stand there"
    raise IntegrityError(
        f"{path}: {len(unknown):,} of {len(names):,} {kind} are not in {truth.source}, {differ}: {way_out}"
    )


def _is_of_the_other_side(kind: str, name: str, truth: Truth) -> bool:
    named = truth.captions_named if "clips" in kind else truth.clip_named
    return bool(named(name, is_encoded=True).ids)


def _near_judged(names: Sequence[str], truth: Truth) -> list[str]:
    """A warning where judgements alone say which clips there are, and name some of them otherwise."""
    found = nearly(names, truth.clip_ids) if truth.is_judged else {}
    if not found:
        return []
    first, judged = next(iter(found.items()))
    return [
        f"WARNING: {len(found):,} clips differ from judged ones in suffix, case, blanks or '_' alone, the first "
        f"{shown(first)} (judged: {shown(judged)}): they are relevant to nothing until one of the files is mended"
    ]


def _scored_part(
    path: Path, truth: Truth, clip_ids: Sequence[str], placed: PlacedCaptions
) -> tuple[Truth, PlacedCaptions, list[str]]:
    """The clips and captions of a truth that have scores, and what was left out."""
    clips = set(clip_ids)
    kept = [at for at, caption in enumerate(placed.caption_ids) if truth.clip_of_caption[caption] in clips]
    captions = tuple(placed.caption_ids[at] for at in kept)
    if not captions:
        raise IntegrityError(
            f"{path}: none of its captions belongs to one of its {len(clips):,} clips in {truth.source}: are the ids "
            "those of one dataset?"
        )
    part = replace(
        truth,
        clip_of_caption={caption: truth.clip_of_caption[caption] for caption in captions},
        clip_ids=tuple(clip for clip in truth.clip_ids if clip in clips),
    )
    there = len(truth.clip_ids), len(truth.clip_of_caption)
    if (len(part.clip_ids), len(captions)) == there and len(captions) == len(placed.caption_ids):
        return part, placed, []
    note = (
        f"ranked among the {len(part.clip_ids):,} of {there[0]:,} clips and {len(captions):,} of {there[1]:,} captions "
        f"of {truth.source} that have scores: another pool, whose figures do not compare with those of all"
    )
    return part, replace(placed, caption_ids=captions, column_C=placed.column_C[kept]), [note]


def _refuse_missing(path: Path, kind: str, missing: set[str], truth: Truth, unknown: Sequence[str] = ()) -> None:
    if missing:
        there = f"; {len(unknown):,} others are no {kind} there, the first {shown(unknown[0])}" if unknown else ""
        part = "" if truth.is_judged else ", or rank only what has scores (eval --partial, compare --intersect)"
        raise IntegrityError(
            f"{path}: {len(missing):,} {kind} of {truth.source} have no score, the first {shown(min(missing))}{there}: "
            f"score them too, name a truth without them{part}"
        )


def _refuse_contradiction(
    path: Path, found: FoundMatrix, clip_ids: Sequence[str], placed: PlacedCaptions, truth: Truth
) -> None:
    """Refuse a file that says another clip for a caption than the truth does."""
    if found.own_clips is None or truth.is_judged:
        return
    id_of = dict(zip(found.clips, clip_ids, strict=True))
    for caption_id, column in zip(placed.caption_ids, placed.column_C.tolist(), strict=True):
        own = found.own_clips[column]
        if id_of.get(own, own) != truth.clip_of_caption[caption_id]:
            raise IntegrityError(
                f"{path}: caption {shown(caption_id)} belongs to clip {shown(own)} there, and to "
                f"{shown(truth.clip_of_caption[caption_id])} in {truth.source}: one of the two is wrong"
            )
