"""Calibration clips: training clips whose losses column scaling compares with, always drawn in the same order."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.store.embeddings import Embeddings
from atrkit.store.scores import Calibration, StoredScores
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, embeddings_as_trained

CALIBRATION_SEED = 0
# that a column scaling needs at least; the others need none
LEAST_CLIPS = {"minmax-calib": 2, "pmi": 1}


@dataclass(frozen=True)
class CalibrationClips:
    """Training clips in the order of their draw, and how many of them are taken.

    Args:
        dataset: that the run was trained on.
        split: of it, that was trained on.
        embeddings: of the whole dataset.
        order: positions in the embeddings of all clips that can be drawn, in the order of the draw.
        asked: so many are taken; all that there are where there are fewer.
    """

    dataset: str
    split: str
    embeddings: Embeddings
    order: tuple[int, ...]
    asked: int

    @property
    def place(self) -> str:
        """Dataset and split."""
        return f"{self.dataset}/{self.split}"

    @cached_property
    def index(self) -> tuple[int, ...]:
        """Positions of the drawn clips in the embeddings, by rising id."""
        return tuple(sorted(self.order[: self.asked], key=self.embeddings.clip_ids.__getitem__))

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of the drawn clips."""
        return tuple(self.embeddings.clip_ids[k] for k in self.index)

    @property
    def audio_sha256(self) -> tuple[str, ...]:
        """Hash of the audio of each drawn clip."""
        return tuple(self.embeddings.audio_sha256[k] for k in self.index)

    def of(self, count: int) -> "CalibrationClips":
        """Another number of the same draw."""
        return replace(self, asked=count)

    def as_record(self) -> dict[str, Any]:
        """Which clips they are, as JSON."""
        audio = digest([self.clip_ids, self.audio_sha256])
        return {"dataset": self.dataset, "split": self.split, "clips": len(self.index), "audio_sha256": audio}

    def stored_in(self, there: StoredScores | None) -> int:
        """How many clips of this draw have their losses in a score file; 0 where those in it are of other clips."""
        if there is None or there.calibration is None:
            return 0
        count = len(there.calibration.clip_ids)
        of_draw = self.of(count)
        fits = there.about.get("calibration") == of_draw.as_record()
        return count if fits and there.calibration.clip_ids == of_draw.clip_ids else 0

    def losses_in(self, calibration: Calibration) -> Calibration:
        """Of a calibration with more clips of this draw, those that are taken here."""
        row = {clip_id: k for k, clip_id in enumerate(calibration.clip_ids)}
        return Calibration(calibration.loss_KC[[row[clip_id] for clip_id in self.clip_ids]], self.clip_ids)


def draw_calibration(
    session: Session, trained: TrainedRun, tested: CaptionedClips, count: int, *, may_extract: bool = True
) -> CalibrationClips:
    """Draw training clips, always the same ones: neither their order nor the order of clips in the dataset matters.

    A draw of fewer clips is part of every draw of more. A recording that is also tested is left out, whatever it is
    called in training.

    Args:
        session: where to speak.
        trained: the run, whose training clips are drawn from.
        tested: clips that are scored.
        count: how many to draw; all that there are where there are fewer.
        may_extract: make missing embeddings.

    Raises:
        MissingPrerequisiteError: the dataset or its embeddings are not there, or no training clip is left.
        IntegrityError: the embeddings are others than those that were trained on.
    """
    dataset = session.workspace.load_dataset(trained.finished["dataset"])
    split: str = trained.finished["train_split"]
    embeddings = embeddings_as_trained(session, trained, dataset, may_extract=may_extract)
    position = {clip_id: index for index, clip_id in enumerate(embeddings.clip_ids)}
    encoded = sorted((clip for clip in dataset.split(split) if clip.id in position), key=lambda clip: clip.id)
    known = {clip.sha256 for clip in tested.clips} | set(tested.embeddings.audio_sha256)
    usable = [clip.id for clip in encoded if not known & {clip.sha256, embeddings.audio_sha256[position[clip.id]]}]
    place = f"{dataset.name}/{split}"
    if len(usable) < len(encoded):
        session.say(f"{len(encoded) - len(usable)} clips of {place} are tested, too: left out of the calibration")
    if not usable:
        raise MissingPrerequisiteError(
            f"no clip of {place} is left to calibrate with: score another split, or take another column scaling"
        )
    order = np.random.default_rng(CALIBRATION_SEED).permutation(len(usable))
    return CalibrationClips(dataset.name, split, embeddings, tuple(position[usable[k]] for k in order), count)


def least_calibration(scalings: Iterable[str]) -> int:
    """How many calibration clips these column scalings need at least; 0: none.

    >>> least_calibration(["none", "minmax"]), least_calibration(["pmi", "minmax-calib"])
    (0, 2)
    """
    return max((LEAST_CLIPS.get(scaling, 0) for scaling in scalings), default=0)


def require_calibration(scalings: Iterable[str], count: int | None) -> None:
    """Refuse a number of calibration clips that a column scaling cannot do with, before anything is made.

    Args:
        scalings: that will be used.
        count: of calibration clips; None: nobody has said.

    Raises:
        UsageError: it is too small; names the scaling.
    """
    for scaling in scalings:
        least = LEAST_CLIPS.get(scaling, 0)
        if count is not None and count < least:
            raise UsageError(
                f"--calib-clips {count} is too few: column scaling {scaling} compares with {least} clips or more"
            )


def digest(lists: Iterable[Sequence[str]]) -> str:
    """Sha256 of lists of texts."""
    return sha256(json.dumps([list(each) for each in lists]).encode()).hexdigest()
