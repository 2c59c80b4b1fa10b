"""What decides the scores of a split: model, clips, captions, calibration; and whether scores there are the same."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from atrkit import __version__
from atrkit.datasets.manifest import Dataset
from atrkit.errors import UsageError
from atrkit.files import sha256_of_file
from atrkit.models.folder import CHECKSUMS_NAME, read_model_folder
from atrkit.recipe.retrievers import RETRIEVERS
from atrkit.store.differences import describe_difference
from atrkit.store.score_parts import ScoreParts
from atrkit.store.scores import StoredScores, scores_name
from atrkit.text.normalise import words_of
from atrkit.text.vocabulary import CaptionVocabulary
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.first_stage import AS_THE_RECIPE_SAYS, FirstStage, RerankChoice, open_first_stage
from atrkit.workflows.score_calibration import (
    CalibrationClips,
    digest,
    draw_calibration,
    least_calibration,
    require_calibration,
)
from atrkit.workflows.score_models import Precision, is_captioner, scores_every_pair_by_itself, scoring_of
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun
from atrkit.workflows.unread_captions import say_what_is_not_read, unknown_words_line


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
        stored_will_do: at least so many clips that are stored are taken instead, as nobody asked for a number; None:
            `calibration` is what was asked for.
        kept: the file has, or will have, this many clips of the calibration, or more.
        first_stage: only what this run shortlists is scored; None: every pair.
    """

    trained: TrainedRun
    dataset: Dataset
    split: str
    clips: CaptionedClips
    precision: Precision
    calibration: CalibrationClips | None
    stored_will_do: int | None = None
    kept: int = 0
    first_stage: FirstStage | None = None

    @property
    def path(self) -> Path:
        """The score file; each precision has its own, and so have re-ranked scores."""
        name = scores_name(self.precision, reranked=self.first_stage is not None)
        return self.trained.output_folder(self.dataset, self.split) / name

    @property
    def is_captioner(self) -> bool:
        """Whether scores are losses of captions."""
        return is_captioner(self.trained.recipe)

    @property
    def in_parts(self) -> bool:
        """Whether the scores take long enough to be made in parts."""
        return self.first_stage is None and (self.is_captioner or scores_every_pair_by_itself(self.trained.recipe))

    @property
    def takes_long(self) -> bool:
        """Whether scores that are there and fit are taken, rather than made again in seconds."""
        return self.in_parts or self.first_stage is not None

    @property
    def parts(self) -> ScoreParts:
        """Where they are under way, beside the score file; it knows what a user types to get these scores."""
        words = ["atrkit", "score", "--run", self.trained.name, "--dataset", self.dataset.name, "--split", self.split]
        words += ["--precision", self.precision] if self.precision != "fp32" else []
        calibration = self.stored_calibration
        return ScoreParts(self.path, shlex.join(words), len(calibration.index) if calibration else None)

    @cached_property
    def model(self) -> tuple[dict[str, Any], str]:
        """Configuration of the run's model and the sha256 of its list of checksums, which were all checked."""
        config, _ = read_model_folder(self.trained.folder)
        return config, sha256_of_file(self.trained.folder / CHECKSUMS_NAME)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What changes the numbers, but for the clips."""
        captions = [self.clips.caption_ids, self.clips.clip_of_caption, self.clips.all_captions]
        first_stage = {} if self.first_stage is None else {"first_stage": self.first_stage.provenance}
        return {
            **first_stage,
            "model_sha256": self.model[1],
            "embeddings": self.clips.embeddings.provenance,
            "captions": len(self.clips.caption_ids),
            "captions_sha256": digest(captions),
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
            "provenance": {**self.provenance, "audio_sha256": digest([embeddings.clip_ids, embeddings.audio_sha256])},
        }
        if self.stored_calibration:
            about["calibration"] = self.stored_calibration.as_record()
        return about

    @property
    def stored_calibration(self) -> CalibrationClips | None:
        """The calibration that is in the file in the end: never fewer clips than were there."""
        return self.calibration and self.calibration.of(max(self.kept, self.calibration.asked))

    def beside(self, session: Session, there: StoredScores | None) -> "ScoreInputs":
        """The same, with what the calibration that is there decides; says which one is taken."""
        asked = self.calibration
        if asked is None:
            return self
        stored = asked.stored_in(there)
        if self.stored_will_do is not None and stored >= max(1, self.stored_will_do):
            session.say(f"calibration: the {stored} clips that are stored")
            return replace(self, calibration=asked.of(stored), stored_will_do=None, kept=stored)
        if len(asked.order) < asked.asked:
            session.say(f"calibration: all {len(asked.order)} clips of {asked.place}; {asked.asked} were asked for")
        elif asked.asked < stored:
            session.say(f"calibration: {asked.asked} of the {stored} clips that are stored")
        return replace(self, stored_will_do=None, kept=stored)

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
        needed = self.stored_calibration
        if needed is None:
            return None
        if there.calibration is None:
            return "it has no calibration"
        stored = needed.stored_in(there)
        if stored < len(needed.index):
            return (
                f"{stored} of {len(needed.index)} calibration clips are there"
                if stored
                else ("it was calibrated with other clips")
            )
        return None


def score_inputs(
    session: Session,
    trained: TrainedRun,
    dataset: Dataset,
    split: str,
    clips: CaptionedClips,
    *,
    precision: Precision = "fp32",
    calibration_clips: int | None = None,
    scalings: Sequence[str] = (),
    rerank: RerankChoice = AS_THE_RECIPE_SAYS,
    may_extract: bool = True,
) -> ScoreInputs:
    """Put together what decides the scores.

    Args:
        session: where to speak.
        trained: the run.
        dataset: that the split is of.
        split: its name.
        clips: of the split, with captions and embeddings.
        precision: arithmetic of a captioner.
        calibration_clips: the user asked for so many calibration clips; None: as many as are stored, and where there
            are none, and one of the scalings needs some, the recipe's number.
        scalings: of columns, that will be used.
        rerank: what the user says of re-ranking beside the recipe.
        may_extract: make missing embeddings of the training clips, or of the run that shortlists.

    Raises:
        UsageError: a precision for a model that makes cosines, fewer calibration clips than a scaling needs, or
            columns to be scaled of which only a shortlist is scored.
        MissingPrerequisiteError, IntegrityError: as `draw_calibration` and `open_first_stage`.
    """
    if precision != "fp32" and not is_captioner(trained.recipe):
        raise UsageError(f"--precision {precision}: only captioners compute in it, not a {trained.recipe.model.name}")
    if settings := rerank.settings_with(trained.recipe):
        _refuse_scaling(scalings, calibration_clips)
        first_stage = open_first_stage(session, dataset, split, clips, settings, may_extract=may_extract)
        return ScoreInputs(trained, dataset, split, clips, precision, None, first_stage=first_stage)
    least = least_calibration(scalings)
    is_asked = calibration_clips is not None
    if calibration_clips is None and least:
        calibration_clips = trained.recipe.retrieval.calibration_clips
    if calibration_clips is None:
        return ScoreInputs(trained, dataset, split, clips, precision, None)
    require_calibration(scalings, calibration_clips)
    calibration = draw_calibration(session, trained, clips, calibration_clips, may_extract=may_extract)
    require_calibration(scalings, len(calibration.index))
    return ScoreInputs(trained, dataset, split, clips, precision, calibration, None if is_asked else least)


def _refuse_scaling(scalings: Sequence[str], calibration_clips: int | None) -> None:
    if scaled := [scaling for scaling in scalings if scaling != "none"]:
        raise UsageError(
            f"column scaling {scaled[0]} compares a caption's losses over all clips, and of a shortlist only some are "
            "known: --scaling none, or --rerank none"
        )
    if calibration_clips is not None:
        raise UsageError("--calib-clips are for column scaling, which a shortlist cannot have: leave it out")


def say_unknown_words(session: Session, inputs: ScoreInputs) -> Counter[str]:
    """Count and say words of the captions that the model does not know; of a retrieval model also what it cuts."""
    captions = inputs.clips.all_captions
    if isinstance(inputs.trained.recipe.model, RETRIEVERS):
        from atrkit.models.opening import open_retriever

        model = open_retriever(inputs.trained.folder)
        generated = inputs.clips.embeddings.auxiliary_captions if model.reads_generated else None
        return say_what_is_not_read(session, model, captions, generated, f"{inputs.dataset.name}/{inputs.split}")
    if not inputs.is_captioner:
        return Counter()
    unknown = CaptionVocabulary(tuple(inputs.model[0]["words"])).unknown_words(captions)
    if unknown:
        words = sum(len(words_of(caption)) for caption in captions)
        session.say(unknown_words_line(unknown, words, "the captions", "the captioner"))
    return unknown
