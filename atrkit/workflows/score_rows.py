"""Rows of losses, one for each clip, by models that take long: what is planned, and how missing parts are made."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atrkit.errors import TerminatedError
from atrkit.files import require_free_space
from atrkit.store.embeddings import Embeddings
from atrkit.store.part_plan import PartPlan
from atrkit.store.score_parts import ScoreParts
from atrkit.store.scores import StoredScores
from atrkit.workflows.score_inputs import ScoreInputs
from atrkit.workflows.score_models import open_cross_entropy, open_scorer, scoring_device
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.models import Ragged

Float32Array = npt.NDArray[np.float32]

# our choice: half a minute of work on a CPU at most; more would share batches better on a GPU, and a kill cost more
PAIRS_PER_PART = {"cpu": 16_384, "cuda": 1 << 21}
# co-attention begins every part with all captions, which fewer pairs would not pay for
CO_ATTENTION_PAIRS_PER_PART = {"cpu": 65_536, "cuda": 1 << 21}
MOST_CLIPS_PER_PART = {"cpu": 64, "cuda": 256}


@dataclass(frozen=True, eq=False)
class RowsOf:
    """Clips of one store that get a row each, by rising length: clips of equal length can share a batch.

    Args:
        place: dataset and split.
        embeddings: in which they are.
        index: their positions there, in the order in which they are wanted.
        role: said before the place to whoever waits.
    """

    place: str
    embeddings: Embeddings
    index: tuple[int, ...]
    role: str = ""

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The order in which rows are made, as places in `index`."""
        lengths_A = np.diff(self.embeddings.offsets)[list(self.index)]
        return np.argsort(lengths_A, kind="stable")

    @cached_property
    def made(self) -> tuple[int, ...]:
        """Positions in the embeddings, in the order in which rows are made."""
        return tuple(self.index[place] for place in self.order)

    @cached_property
    def frames(self) -> "Ragged":
        """Frames of the whole store, where they lie."""
        from atrkit.models import Ragged

        return Ragged.from_rows(self.embeddings.frames_NF, self.embeddings.offsets)

    def clips(self) -> Iterator[tuple[str, str]]:
        """Name and audio sha256 of each; the name says the place, for two datasets may call clips the same."""
        for k in self.made:
            yield f"{self.place}/{self.embeddings.clip_ids[k]}", self.embeddings.audio_sha256[k]

    def in_order(self, made_NC: Float32Array) -> Float32Array:
        """Rows as they are wanted from rows as they were made."""
        wanted_NC = np.empty_like(made_NC)
        wanted_NC[self.order] = made_NC
        return wanted_NC


def rows_of_split(inputs: ScoreInputs) -> RowsOf:
    """The clips of the split."""
    embeddings = inputs.clips.embeddings
    return RowsOf(f"{inputs.dataset.name}/{inputs.split}", embeddings, tuple(range(len(embeddings.clip_ids))))


def calibration_rows(inputs: ScoreInputs, there: StoredScores | None) -> RowsOf | None:
    """The calibration clips whose rows are not there yet; None: none."""
    calibration = inputs.stored_calibration
    if calibration is None:
        return None
    known = set(calibration.of(calibration.stored_in(there)).index)
    missing = tuple(k for k in calibration.index if k not in known)
    return RowsOf(calibration.place, calibration.embeddings, missing, "calibration clips of ") if missing else None


def rows_needed(inputs: ScoreInputs, there: StoredScores | None) -> list[RowsOf]:
    """Whose rows must be made: those of the split unless they are there, and those of the calibration that are not."""
    calibration = calibration_rows(inputs, there)
    return [*([] if there else [rows_of_split(inputs)]), *([calibration] if calibration else [])]


def plan_rows(inputs: ScoreInputs, sources: Iterable[RowsOf], *, device: str | None = None) -> PartPlan:
    """What is to be made, of which clips, with everything that changes the numbers.

    Args:
        inputs: what is to be scored.
        sources: clips that need a row, in order.
        device: where it is made, which changes the last bits; None: here.
    """
    device = device or scoring_device()
    clips = [clip for source in sources for clip in source.clips()]
    calibration = inputs.stored_calibration.as_record() if inputs.stored_calibration else None
    pairs_per_part = (PAIRS_PER_PART if inputs.is_captioner else CO_ATTENTION_PAIRS_PER_PART)[device]
    return PartPlan(
        provenance={**inputs.provenance, "calibration": calibration, "device": device},
        clip_ids=tuple(name for name, _ in clips),
        audio_sha256=tuple(sha256 for _, sha256 in clips),
        part_clips=max(1, min(MOST_CLIPS_PER_PART[device], pairs_per_part // inputs.provenance["captions"])),
    )


def require_room(inputs: ScoreInputs, plan: PartPlan) -> None:
    """Refuse to begin where the parts and the file they are joined into would not fit.

    Raises:
        ResourceError: the disk would be too small.
    """
    row_bytes = 4 * len(inputs.clips.caption_ids)
    require_free_space(inputs.path.parent, 2 * row_bytes * len(plan.clip_ids) + 100_000, "scoring")


def make_rows(
    session: Session,
    inputs: ScoreInputs,
    sources: Iterable[RowsOf],
    plan: PartPlan,
    parts: ScoreParts,
    wanted: Iterable[int],
) -> list[int]:
    """Make those of the wanted parts that are not there yet.

    Returns:
        The parts that were made.

    Raises:
        DivergedError: a frame or a loss is not finite; names the clips.
        ResourceError: the disk is full.
    """
    sources, wanted, finished = list(sources), list(wanted), parts.finished(plan)
    todo = [part for part in wanted if part not in finished]
    if len(todo) < len(wanted):
        others = "making the others" if todo else "none is left to make"
        session.say(f"{len(wanted) - len(todo)} of {len(wanted)} parts are there from an earlier call; {others}")
    if not todo:
        return []
    rows = [(source, k) for source in sources for k in source.made]
    clips, clips_there = (sum(len(plan.parts[part]) for part in some) for some in (wanted, set(wanted) - set(todo)))
    what = f"scores of {' and '.join(f'{source.role}{source.place}' for source in sources)}"
    try:
        with session.open_progress(what, clips, "clips", done=clips_there) as advance:
            losses_of = _open_losses(inputs, advance)
            for part in todo:
                losses = [losses_of(*some) for some in _by_source([rows[row] for row in plan.parts[part]])]
                parts.save(part, plan, np.concatenate(losses))
    except (KeyboardInterrupt, TerminatedError):
        done = len(parts.finished(plan) & set(wanted))
        session.say(f"stopped with {done} of {len(wanted)} parts finished; the same command makes the others")
        raise
    return todo


def _open_losses(
    inputs: ScoreInputs, on_progress: Callable[[int], None]
) -> Callable[[RowsOf, tuple[int, ...]], Float32Array]:
    """What makes rows of a store's clips at these positions; the captions are prepared once."""
    trained, clips = inputs.trained, inputs.clips
    if not inputs.is_captioner:
        score = open_scorer(trained.recipe, trained.folder, clips, on_progress=on_progress)
        return lambda source, index: (
            -score(source.embeddings.select([source.embeddings.clip_ids[position] for position in index]))
        )
    import torch

    scorer = open_cross_entropy(trained.folder, clips.all_captions, precision=inputs.precision)
    return lambda source, index: scorer.losses_of(
        source.frames, torch.tensor(index), on_progress, clip_ids=source.embeddings.clip_ids
    )


def _by_source(rows: Sequence[tuple[RowsOf, int]]) -> Iterator[tuple[RowsOf, tuple[int, ...]]]:
    """Consecutive rows of one store together, as positions in it."""
    for source, group in groupby(rows, key=lambda row: row[0]):
        yield source, tuple(k for _, k in group)
