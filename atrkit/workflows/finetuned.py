"""Runs whose audio encoder was trained with the model: what they start from, and the embeddings they are used with.

A workspace holds one store per encoder and dataset, of its published weights. What a fine-tuned encoder makes belongs
to its run, and lies in the run's folder.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atrkit.datasets.manifest import Dataset
from atrkit.encoders.catalogue import ENCODERS
from atrkit.encoders.checkpoints import Checkpoint, find_weights
from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.models.folder import AUDIO_ENCODER_NAME
from atrkit.recipe.encoders import EncoderSettings, FinetuneSettings, finetuning_of
from atrkit.recipe.schema import Recipe
from atrkit.store.embeddings import Embeddings, load_embeddings
from atrkit.workflows.build import encoder_arguments
from atrkit.workflows.byte_progress import byte_progress
from atrkit.workflows.embeddings import embeddings_for, refuse_not_finite, refuse_other_input, stated_provenance
from atrkit.workflows.extract import extract
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.encoders.trainable import TrainablePanns
    from atrkit.training.data import TrainingData

WAVEFORM = "waveform"
EMBEDDINGS_FOLDER = "embeddings"


@dataclass(frozen=True)
class Finetuning:
    """How one encoder is fine-tuned.

    Args:
        encoder: section of the recipe.
        settings: the part of it that says how.
        start: the weights it begins with.
    """

    encoder: EncoderSettings
    settings: FinetuneSettings
    start: Checkpoint

    @property
    def record(self) -> dict[str, str]:
        """For the run's inputs."""
        return {"encoder": self.encoder.name, "checkpoint_sha256": self.start.sha256}

    def open_network(self) -> "TrainablePanns":
        """The network with the weights it begins with.

        Raises:
            IntegrityError: the file is damaged, unsafe, or holds another network.
        """
        from atrkit.encoders.trainable import trainable_network

        return trainable_network(self.encoder.name, self.start.path, **network_arguments(self.encoder))


def network_arguments(encoder: EncoderSettings) -> dict[str, Any]:
    """Settings of an encoder that is fine-tuned, as `trainable_network` takes them."""
    settings = finetuning_of(encoder)
    assert settings is not None
    return {"pool_time_s": encoder.pool_time_s, **settings.model_dump(exclude={"crop_s"})}


def crop_rows_of(encoder: EncoderSettings) -> int | None:
    """The longest piece of a clip that training hears, in rows of a waveform store; None: whole clips."""
    from atrkit.encoders.waveform import ROW_SAMPLES

    settings = finetuning_of(encoder)
    if settings is None or settings.crop_s is None:
        return None
    return max(1, round(settings.crop_s * ENCODERS[encoder.name].sample_rate_hz / ROW_SAMPLES))


def finetuning_of_recipe(session: Session, recipe: Recipe) -> Finetuning | None:
    """What a recipe says of fine-tuning, with the weights found or fetched; None where its encoders stay frozen.

    Raises:
        MissingPrerequisiteError: the recipe's checkpoint is not there.
        IntegrityError, NetworkError: as `find_weights`.
    """
    (encoder, *_) = recipe.all_encoders
    settings = finetuning_of(encoder)
    if settings is None:
        return None
    checkpoint, _ = encoder_arguments(encoder)
    with byte_progress(session, f"downloading the weights of {encoder.name}") as on_progress:
        file = None if checkpoint is None else Path(checkpoint)
        start = find_weights(encoder.name, file, on_progress=on_progress, on_remark=session.say)
    if start.note:
        session.say(start.note)
    return Finetuning(encoder, settings, start)


def samples_for(session: Session, dataset: Dataset, encoder: EncoderSettings, *, may_extract: bool) -> Embeddings:
    """The dataset's samples at the encoder's rate, made where they are missing.

    Raises:
        MissingPrerequisiteError: they are missing and may not be made.
        IntegrityError: those there have another rate, or are of another state of the dataset.
    """
    settings = {"sample_rate_hz": ENCODERS[encoder.name].sample_rate_hz, "pool_time_s": None}
    samples = embeddings_for(
        session, dataset, WAVEFORM, settings=settings, frame_dtype="float32", may_extract=may_extract
    )
    if samples.provenance["frame_dtype"] == "float16":
        session.say("samples are kept in float16, which fills empty bands with noise: float32 is what recordings are")
    return samples


def say_crops(session: Session, finetuning: Finetuning, data: "TrainingData") -> int | None:
    """Count the clips of which training hears a piece at a time; the piece's length in rows, or None: whole clips."""
    crop_rows = crop_rows_of(finetuning.encoder)
    longer = 0 if crop_rows is None else int((data.frames.lengths_A > crop_rows).sum())
    if longer:
        session.say(
            f"{longer:,} of {len(data):,} training clips are longer than {finetuning.settings.crop_s:g} s: a random "
            "piece of that length is heard each time; validation hears whole clips"
        )
    return crop_rows


def tuned_record(folder: Path) -> dict[str, str]:
    """What a finished run says of the encoder that it trained."""
    return {"audio_encoder": AUDIO_ENCODER_NAME, "audio_encoder_sha256": sha256_of_file(folder / AUDIO_ENCODER_NAME)}


@dataclass(frozen=True)
class TunedEncoder:
    """The encoder that a run trained.

    Args:
        folder: of the run.
        sha256: of the weights that it saved.
    """

    folder: Path
    sha256: str

    @property
    def checkpoint(self) -> Path:
        """The weights."""
        return self.folder / AUDIO_ENCODER_NAME

    def embeddings_path(self, dataset_name: str) -> Path:
        """What it makes of a dataset."""
        return self.folder / EMBEDDINGS_FOLDER / f"{dataset_name}.h5"


def tuned_embeddings(
    session: Session, tuned: TunedEncoder, encoder: EncoderSettings, dataset: Dataset, *, may_extract: bool
) -> Embeddings:
    """Frames of a dataset by a run's own encoder: those in the run's folder, made there when they are missing.

    Args:
        session: where to speak.
        tuned: the run's encoder.
        encoder: section of the recipe.
        dataset: whose clips.
        may_extract: make them when they are missing.

    Raises:
        MissingPrerequisiteError: they are missing and may not be made, or the encoder's weights are gone.
        IntegrityError: the weights are not those that the training saved, or the embeddings there are of other weights,
            settings or audio.
        DivergedError: a clip's embedding is not finite; names it.
    """
    refuse_other_weights(tuned)
    path = tuned.embeddings_path(dataset.name)
    _, settings = encoder_arguments(encoder)
    if path.is_file():
        embeddings = load_embeddings(path, mapped=True)
    else:
        if not may_extract:
            raise MissingPrerequisiteError(
                f"no embeddings of {dataset.name!r} by the encoder of {tuned.folder}: run the same without --no-extract"
            )
        session.say(f"no embeddings of {dataset.name!r} by this run's own encoder yet: making {path}")
        options = ExtractOptions(encoder.name, str(tuned.checkpoint), settings)
        embeddings = extract(session, dataset, options, path=path).embeddings
    wanted = stated_provenance(embeddings.provenance, tuned.sha256, settings)
    again = f"rm {shlex.quote(str(path))}, then the same command"
    refuse_other_input(path, embeddings, dataset, wanted, again)
    refuse_not_finite(path, embeddings, again)
    return embeddings


def refuse_other_weights(tuned: TunedEncoder) -> None:
    """See that a run's encoder is the one that its training saved.

    Raises:
        MissingPrerequisiteError: its weights are gone.
        IntegrityError: they are damaged.
    """
    if not tuned.checkpoint.is_file():
        raise MissingPrerequisiteError(f"{tuned.checkpoint} is gone: copy the run's folder again, or train it anew")
    if sha256_of_file(tuned.checkpoint) != tuned.sha256:
        raise IntegrityError(f"{tuned.checkpoint} is damaged (its sha256 differs): copy the run's folder again")
