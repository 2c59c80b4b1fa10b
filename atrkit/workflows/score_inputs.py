"""What decides the scores of a split: model, clips, captions, calibration; and whether scores there are the same."""

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from atrkit import __version__
from atrkit.datasets.manifest import Dataset
from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.files import sha256_of_file
from atrkit.models.folder import CHECKSUMS_NAME, read_model_folder
from atrkit.recipe.schema import Recipe
from atrkit.store.differences import describe_difference, first_difference
from atrkit.store.embeddings import Embeddings
from atrkit.store.scores import StoredScores, scores_name
from atrkit.text.normalise import words_of
from atrkit.text.vocabulary import CaptionVocabulary
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.score_models import Precision, is_captioner, scoring_of
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, embeddings_as_trained

CALIBRATION_SEED = 0


@dataclass(frozen=True)
class CalibrationClips:
    """Training clips whose losses column scaling compares with.

    Args:
        dataset: that the run was trained on.
        split: of it, that was trained on.
        embeddings: of the whole dataset.
        index: positions of the drawn clips in the embeddings, by rising id.
    """

    dataset: str
    split: str
    embeddings: Embeddings
    index: tuple[int, ...]

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """Ids of the drawn clips."""
        return tuple(self.embeddings.clip_ids[k] for k in self.index)

    @property
    def audio_sha256(self) -> tuple[str, ...]:
        """Hash of the audio of each drawn clip."""
        return tuple(self.embeddings.audio_sha256[k] for k in self.index)

    def as_record(self) -> dict[str, Any]:
        """Which clips they are, as JSON."""
        return {"dataset": self.dataset, "split": self.split, "clips": len(self.index)}


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
        count: how many to draw; all that there are where there are fewer, which is said.
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
    if len(usable) < count:
        session.say(f"calibration: all {len(usable)} clips of {place}; {count} were asked for")
    drawn = np.random.default_rng(CALIBRATION_SEED).permutation(len(usable))[:count]
    return CalibrationClips(dataset.name, split, embeddings, tuple(position[usable[k]] for k in sorted(drawn)))


@dataclass(frozen=True)
class ScoreInputs:
    """Everything that decides the scores of a split.

    Args:
        trained: the run.
        dataset: of the split.
        split: its name.
        clips: of the split, with captions and embeddings.
        precision: arithmetic of a captioner.
        calibration: clips to compare with, or None.
    """

    trained: TrainedRun
    dataset: Dataset
    split: str
    clips: CaptionedClips
    precision: Precision
    calibration: CalibrationClips | None

    @property
    def path(self) -> Path:
        """The score file; each precision has its own."""
        return self.trained.output_folder(self.dataset, self.split) / scores_name(self.precision)

    @property
    def is_captioner(self) -> bool:
        """Whether the scores take long enough to be made in parts."""
        return is_captioner(self.trained.recipe)

    @property
    def command(self) -> str:
        """What a user types to get these scores."""
        words = ["atrkit", "score", "--run", self.trained.name, "--dataset", self.dataset.name, "--split", self.split]
        words += ["--precision", self.precision] if self.precision != "fp32" else []
        words += ["--calib-clips", str(len(self.calibration.index))] if self.calibration else []
        return shlex.join(words)

    @cached_property
    def model(self) -> tuple[dict[str, Any], str]:
        """Configuration of the run's model and the sha256 of its list of checksums, which were all checked."""
        config, _ = read_model_folder(self.trained.folder)
        return config, sha256_of_file(self.trained.folder / CHECKSUMS_NAME)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What changes the numbers, but for the clips."""
        captions = [self.clips.caption_ids, self.clips.clip_of_caption, self.clips.all_captions]
        return {
            "model_sha256": self.model[1],
            "embeddings": self.clips.embeddings.provenance,
            "captions": len(self.clips.caption_ids),
            "captions_sha256": _digest(captions),
            "precision": self.precision,
            "atrkit_version": __version__,
        }

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the score file says of itself: ids of clips and captions are in it anyway, so hashes will do here."""
        embeddings = self.clips.embeddings
        about: dict[str, Any] = {
            "run": self.trained.name,
            "dataset": self.dataset.name,
            "split": self.split,
            "scoring": scoring_of(self.trained.recipe),
            "provenance": {**self.provenance, "audio_sha256": _digest([embeddings.clip_ids, embeddings.audio_sha256])},
        }
        if self.calibration:
            digest = _digest([self.calibration.clip_ids, self.calibration.audio_sha256])
            about["calibration"] = {**self.calibration.as_record(), "audio_sha256": digest}
        return about

    def difference(self, there: StoredScores) -> str | None:
        """In words, how the scores there differ from those that would be made now; None when they do not.

        The calibration is not looked at.
        """
        stated = there.about.get("provenance")
        if stated is None:
            return "it does not say what it was made from"
        old, new = dict(stated), dict(self.about["provenance"])
        audio = old.pop("audio_sha256", None), new.pop("audio_sha256")
        ids = there.matrix.clip_ids, self.clips.embeddings.clip_ids
        records = [
            {"provenance": made_with, "clips": dict.fromkeys(clip_ids, "")}
            for made_with, clip_ids in zip((old, new), ids, strict=True)
        ]
        if difference := describe_difference(*records):
            return difference
        if ids[0] != ids[1]:
            return "the clips are in another order"
        return None if audio[0] == audio[1] else "the audio of clips changed"

    def calibration_difference(self, there: StoredScores) -> str | None:
        """In words, why the calibration there is not the one that is needed; None when it is, or none is needed."""
        if self.calibration is None:
            return None
        stated = there.about.get("calibration")
        if stated is None or there.calibration is None:
            return "it has no calibration"
        needed = self.about["calibration"]
        if stated == needed:
            return None
        said_before, said_now = ({"calibration": {**clips, "audio_sha256": ""}} for clips in (stated, needed))
        return first_difference(said_before, said_now) or "it was calibrated with other clips"


def calibration_count(recipe: Recipe, scalings: Iterable[str], asked: int | None) -> int | None:
    """How many training clips must be scored for these column scalings; None: none.

    Args:
        recipe: says how many, unless the user does.
        scalings: that will be used.
        asked: by the user: so many, whether a scaling needs them or not.
    """
    if asked is not None:
        return asked
    return recipe.retrieval.calibration_clips if {"minmax-calib", "pmi"} & set(scalings) else None


def score_inputs(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    *,
    precision: Precision = "fp32",
    calibration_clips: int | None = None,
    may_extract: bool = True,
) -> ScoreInputs:
    """Put together what decides the scores; the arguments are those of `score_split`.

    Raises:
        UsageError: a precision for a model that makes cosines.
        MissingPrerequisiteError, IntegrityError: as `draw_calibration`.
    """
    if precision != "fp32" and not is_captioner(trained.recipe):
        raise UsageError(f"--precision {precision}: only captioners compute in it, not a {trained.recipe.model.name}")
    calibration = None
    if calibration_clips is not None:
        calibration = draw_calibration(session, trained, clips, calibration_clips, may_extract=may_extract)
    return ScoreInputs(trained, dataset, split, clips, precision, calibration)


def say_unknown_words(session: Session, inputs: ScoreInputs) -> Counter[str]:
    """Count and say words of the captions that a captioner does not know."""
    if not inputs.is_captioner:
        return Counter()
    captions = inputs.clips.all_captions
    unknown = CaptionVocabulary(tuple(inputs.model[0]["words"])).unknown_words(captions)
    if unknown:
        words = sum(len(words_of(caption)) for caption in captions)
        first = ", ".join(repr(word) for word, _ in unknown.most_common(5))
        session.say(
            f"{unknown.total():,} of {words:,} words in the captions are unknown to the captioner and read as <unk>: "
            f"{first}{', ...' if len(unknown) > 5 else ''}"
        )
    return unknown


def _digest(lists: Iterable[Sequence[str]]) -> str:
    return sha256(json.dumps([list(each) for each in lists]).encode()).hexdigest()
