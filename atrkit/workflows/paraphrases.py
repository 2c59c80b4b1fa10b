"""Caption augmentation (paper 002): paraphrases of training captions from a file, and such a file for `synthetic`."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from atrkit.datasets.manifest import Caption, Clip, Dataset
from atrkit.datasets.paraphrases import Paraphrase, paraphrases_as_csv, read_paraphrases
from atrkit.datasets.synthetic import SyntheticSizes
from atrkit.datasets.synthetic.paraphrases import template_paraphrases
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file, write_atomic
from atrkit.recipe.schema import Recipe
from atrkit.reports.counting import counted
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.session import Session

_MAKE_SYNTHETIC = "atrkit download paraphrases"


def paraphrases_input(session: Session, recipe: Recipe) -> dict[str, str]:
    """What a run records of its paraphrases, so that it does not go on with others; empty for runs without.

    Raises:
        MissingPrerequisiteError: the file is not there.
    """
    named = recipe.data.captions_augmented
    return {} if named is None else {"captions_augmented_sha256": sha256_of_file(_path(session, named))}


def with_paraphrases(session: Session, dataset: Dataset, clips: CaptionedClips, recipe: Recipe) -> CaptionedClips:
    """Training clips whose captions are joined by the paraphrases of the recipe's file, to be drawn like captions.

    A row belongs to the training clips that have its caption (and its clip id, where it states one). Rows that belong
    to none are counted apart: those of captions of other splits would be answers of the test.

    Args:
        session: where to speak.
        dataset: of the clips, to tell rows of other splits from rows of nothing.
        clips: of the training split.
        recipe: that may name a file.

    Returns:
        The clips as they were where the recipe names no file.

    Raises:
        MissingPrerequisiteError: the file is not there.
        UsageError: it is no such table, or no row of it can be used.
    """
    if recipe.data.captions_augmented is None:
        return clips
    path = _path(session, recipe.data.captions_augmented)
    rows = read_paraphrases(path)
    added, left_out = _matched(dataset, clips, rows)
    total = sum(map(len, added.values()))
    remarks = [f"{count:,} {why}" for why, count in left_out.items() if count]
    if not total:
        raise UsageError(
            f"{path}: none of {len(rows):,} rows can be used ({', '.join(remarks)}): `caption` must be the text of a "
            f"caption of {dataset.name}'s training split, and `clip`, where it is filled in, the id of its clip"
        )
    session.say(f"{counted(total, 'paraphrase')} of {len(added):,} of {len(clips.clips):,} training clips: {path}")
    if remarks:
        session.say(f"{sum(left_out.values()):,} of {len(rows):,} rows of {path.name} left out: {', '.join(remarks)}")
    return replace(clips, clips=tuple(_joined(clip, added.get(clip.id, [])) for clip in clips.clips))


def _matched(
    dataset: Dataset, clips: CaptionedClips, rows: list[Paraphrase]
) -> tuple[dict[str, list[str]], Counter[str]]:
    """Paraphrases by clip id, and how many rows are of no use, by reason."""
    clips_with: defaultdict[str, list[str]] = defaultdict(list)
    known: dict[str, set[str]] = {}
    for clip, captions in zip(clips.clips, clips.captions, strict=True):
        known[clip.id] = set(captions)
        for caption in known[clip.id]:
            clips_with[caption].append(clip.id)
    elsewhere = set(_captions_of_other_splits(dataset, set(known)))
    added: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    for row in rows:
        caption, text = normalise_caption(row.caption), normalise_caption(row.text)
        meant = [clip_id for clip_id in clips_with.get(caption, ()) if row.clip_id in (None, clip_id)]
        new = [clip_id for clip_id in meant if text not in known[clip_id]]
        if not text:
            left_out["without a paraphrase"] += 1
        elif not meant and caption in elsewhere:
            left_out["of captions of other splits"] += 1
        elif not meant:
            left_out["of no training caption"] += 1
        elif not new:
            left_out["that are among the captions already"] += 1
        for clip_id in new if text else ():
            known[clip_id].add(text)
            added.setdefault(clip_id, []).append(row.text)
    return added, left_out


def _captions_of_other_splits(dataset: Dataset, training: set[str]) -> Iterator[str]:
    splits = {clip.split for clip in dataset.clips if clip.id in training}
    for clip in dataset.clips:
        if clip.split not in splits:
            yield from (caption.normalised for caption in clip.captions)


def _joined(clip: Clip, texts: list[str]) -> Clip:
    more = tuple(Caption(f"{clip.id}#paraphrase-{number}", text) for number, text in enumerate(texts, start=1))
    return replace(clip, captions=(*clip.captions, *more))


def _path(session: Session, named: str) -> Path:
    """The file, looked for from the current folder, then from the workspace.

    Raises:
        MissingPrerequisiteError: it is in neither.
    """
    for path in (Path(named), session.workspace.root / named):
        if path.is_file():
            return path
    raise MissingPrerequisiteError(
        f"there is no file of paraphrases {named}: give a CSV with the columns caption and paraphrase "
        f"(--set data.captions_augmented=FILE), or for synthetic make one: {_MAKE_SYNTHETIC} --out {named}"
    )


def write_synthetic_paraphrases(
    session: Session, out: Path | None, *, per_caption: int, overwrite: bool
) -> dict[str, Any]:
    """Write template paraphrases of the training captions of the dataset `synthetic` that is there.

    Args:
        session: where the dataset is.
        out: the file; None: paraphrases.csv in the workspace.
        per_caption: how many of each caption.
        overwrite: replace the file.

    Returns:
        The file, and how many there are of how many captions.

    Raises:
        MissingPrerequisiteError: there is no dataset synthetic.
        UsageError: the file is there already, or fewer than one per caption are asked for.
        ResourceError: the file cannot be written.
    """
    out = session.workspace.root / "paraphrases.csv" if out is None else out
    if out.exists() and not overwrite:
        raise UsageError(f"{out} is there already: --overwrite replaces it, --out NAME.csv writes another")
    dataset = session.workspace.load_dataset("synthetic")
    source = dataset.about["source"]
    rows = template_paraphrases(SyntheticSizes(**source["sizes"]), source["seed"], per_caption=per_caption)
    write_atomic(out, paraphrases_as_csv(rows))
    captions = sum(len(clip.captions) for clip in dataset.split("dev"))
    return {"out": str(out), "paraphrases": len(rows), "captions": captions, "seed": source["seed"]}
