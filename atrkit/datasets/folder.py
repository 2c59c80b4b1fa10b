"""Your own recordings as a dataset: a folder of sound files, or a table of captions with the audio beside it.

Nothing is copied or moved: the manifest holds absolute paths. Every file is read once from end to end now, so that
a broken one is met here and not hours into a training run.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from atrkit.audio.read import AudioFacts, UnusableAudioError, inspect_audio
from atrkit.datasets.captions_csv import DEFAULT_FILE_COLUMN
from atrkit.datasets.folder_plan import ImportPlan, PlannedClip, plan_import
from atrkit.datasets.folder_table import TableOptions
from atrkit.datasets.manifest import Caption, Clip, Dataset, Problem
from atrkit.datasets.splits import assign_splits, check_split_spec
from atrkit.errors import IntegrityError, UsageError
from atrkit.processes import result_of

ONLY_SPLIT = "all"
_DATASET_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_WORD_OF_INFO = "encoders"
_MADE_BY_ATRKIT = "synthetic"


def import_folder(
    source: Path,
    name: str,
    folder: Path,
    *,
    audio_folder: Path | None = None,
    file_column: str = DEFAULT_FILE_COLUMN,
    caption_column: str | Sequence[str] | None = None,
    delimiter: str = ",",
    split: str | None = None,
    split_column: str | None = None,
    seed: int = 0,
    strict: bool = False,
    workers: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Describe recordings that lie on disk; the caller saves the result with `save_dataset`.

    A folder's table of captions is the one CSV in it that has the columns, `captions.csv` before others; without one
    the clips have no captions. A file that cannot be used is skipped and listed, one that can be used only in part
    is listed as repaired.

    Args:
        source: a folder, or a CSV.
        name: of the dataset.
        folder: where the dataset will be: data/<name>.
        audio_folder: where the audio lies; None looks beside the table and in `audio/` there.
        file_column: holds the file names.
        caption_column: holds captions; None takes caption_1, caption_2, ... or caption. One name gathers the
            captions of several rows with the same file.
        delimiter: between columns: one character, or "tab".
        split: "80/10/10", "80/20" or one name for all clips; see `assign_splits`.
        split_column: names each clip's split. With neither, a column called split is used, else all are in "all".
        seed: of the draw that `split` asks for.
        strict: refuse instead of skipping or repairing.
        workers: threads that read audio.
        on_progress: called with the number of files inspected so far, and of all.

    Returns:
        The dataset; `about["notes"]` says what was decided, and `problems` what was skipped or repaired.

    Raises:
        UsageError: name, options, table or folder cannot be used as they are (exit code 2).
        IntegrityError: there is a problem and `strict` is set, or no file is usable (exit code 5).
    """
    check_dataset_name(name)
    if split is not None and split_column is not None:
        raise UsageError("--split and --split-column were both given: splits come from one of them")
    if split is not None:
        check_split_spec(split)
    caption_columns = (caption_column,) if isinstance(caption_column, str) else tuple(caption_column or ()) or None
    options = TableOptions(file_column, caption_columns, delimiter, split_column, reads_split=split is None)
    plan = plan_import(source, audio_folder, options)
    outcomes = _inspect_all(plan.clips, workers, on_progress)
    problems = [*plan.problems, *_audio_problems(plan.clips, outcomes)]
    usable = [(clip, facts) for clip, facts in zip(plan.clips, outcomes, strict=True) if isinstance(facts, AudioFacts)]
    _refuse(problems, len(usable), strict=strict)
    splits = _splits([clip for clip, _ in usable], split, seed)
    clips = tuple(_to_clip(clip, facts, splits[clip.id]) for clip, facts in usable)
    return Dataset(
        name=name,
        clips=tuple(sorted(clips, key=lambda clip: (clip.split, clip.id))),
        folder=folder,
        about=_about(source, plan, clips, split, seed),
        problems=tuple(problems),
    )


def check_dataset_name(name: str) -> None:
    """Refuse names that are no plain folder name, or that atrkit uses itself.

    Raises:
        UsageError: says what a name may be.
    """
    if not _DATASET_NAME.fullmatch(name):
        raise UsageError(
            f"--name {name[:100]!r}: a dataset's name has letters, digits, - _ . only, at most 100 of them, and begins "
            "with neither - nor ."
        )
    if name == _WORD_OF_INFO:
        raise UsageError(f"--name {name}: `atrkit info {name}` lists the audio encoders; choose another name")
    if name == _MADE_BY_ATRKIT:
        raise UsageError(f"--name {name}: this is the dataset that atrkit makes itself; choose another name")


def _inspect_all(
    clips: Sequence[PlannedClip], workers: int, on_progress: Callable[[int, int], None] | None
) -> list[AudioFacts | str]:
    """Facts of every file, or the reason why it cannot be used, in the order of `clips`."""
    outcomes: list[AudioFacts | str] = []
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_inspect, clip.path) for clip in clips]
        try:
            for future in futures:
                outcomes.append(result_of(future))
                if on_progress is not None:
                    on_progress(len(outcomes), len(clips))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes


def _inspect(path: Path) -> AudioFacts | str:
    try:
        return inspect_audio(path)
    except UnusableAudioError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _audio_problems(clips: Iterable[PlannedClip], outcomes: Iterable[AudioFacts | str]) -> Iterable[Problem]:
    for clip, outcome in zip(clips, outcomes, strict=True):
        if isinstance(outcome, str):
            yield Problem(clip.id, "skipped", outcome)
        elif outcome.repairs:
            yield Problem(clip.id, "repaired", "; ".join(outcome.repairs))


def _refuse(problems: Sequence[Problem], usable: int, *, strict: bool) -> None:
    if strict and problems:
        first = problems[0]
        raise IntegrityError(
            f"{len(problems)} files are not as they should be; the first is {first.item!r}: {first.reason} "
            "(without --strict such files are skipped or repaired, and listed)"
        )
    if not usable:
        first = problems[0]
        raise IntegrityError(f"none of {len(problems)} files can be used; the first is {first.item!r}: {first.reason}")


def _splits(clips: Sequence[PlannedClip], spec: str | None, seed: int) -> dict[str, str]:
    if spec is not None:
        return assign_splits([clip.id for clip in clips], spec, seed)
    return {clip.id: clip.split or ONLY_SPLIT for clip in clips}


def _to_clip(planned: PlannedClip, facts: AudioFacts, split: str) -> Clip:
    return Clip(
        id=planned.id,
        path=str(planned.path),
        sha256=facts.sha256,
        sample_rate_hz=facts.sample_rate_hz,
        frames=facts.frames,
        channels=facts.channels,
        split=split,
        captions=tuple(Caption(f"{planned.id}#{k}", text) for k, text in enumerate(planned.captions, start=1)),
    )


def _about(source: Path, plan: ImportPlan, clips: Sequence[Clip], split: str | None, seed: int) -> dict[str, Any]:
    drawn = {"split": split, "seed": seed} if split is not None else {}
    return {
        "source": str(source.resolve()),
        "table": str(plan.table.resolve()) if plan.table else None,
        "audio_folder": str(plan.audio_folder),
        **drawn,
        "notes": [*plan.notes, *_twice_there(clips)],
    }


def _twice_there(clips: Sequence[Clip]) -> list[str]:
    copies = Counter(clip.sha256 for clip in clips)
    repeated = [sha256 for sha256, count in copies.items() if count > 1]
    if not repeated:
        return []
    across = sum(len({clip.split for clip in clips if clip.sha256 == sha256}) > 1 for sha256 in repeated)
    count = sum(copies[sha256] for sha256 in repeated)
    warning = f"; {across} of these recordings are in more than one split" if across else ""
    return [f"{count} files hold only {len(repeated)} different recordings, byte for byte{warning}"]
