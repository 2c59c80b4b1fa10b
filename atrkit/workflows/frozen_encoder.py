"""The frozen encoder that an extraction asks for, on its device, with its weights found or fetched."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from atrkit.datasets.commands import downloaded_dataset
from atrkit.datasets.manifest import Dataset
from atrkit.encoders import load_encoder
from atrkit.encoders.catalogue import ENCODERS, require_known
from atrkit.encoders.checkpoints import find_weights
from atrkit.errors import MissingPrerequisiteError
from atrkit.workflows.byte_progress import byte_progress
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.session import Session

if TYPE_CHECKING:
    from atrkit.encoders import Encoder
    from atrkit.encoders.checkpoints import Checkpoint


def load_frozen_encoder(session: Session, options: ExtractOptions, checkpoint: str | None) -> "Encoder":
    """Load the encoder, with a display of what is downloaded, and say what was chosen.

    Args:
        session: where to speak.
        options: what the user asked for.
        checkpoint: the weights to take; None: the published ones.

    Raises:
        MissingPrerequisiteError: the checkpoint or the device is not there.
        UsageError, IntegrityError, NetworkError: as `load_encoder`.
    """
    with byte_progress(session, f"downloading the weights of {options.encoder}") as on_progress:
        encoder = load_encoder(
            options.encoder,
            _find_weights(session, options, checkpoint, on_progress),
            on_progress=on_progress,
            on_remark=session.say,
            device=choose_device(session, options.device),
            batch_size=options.batch_size,
            compile=options.compile,
            **options.settings,
        )
    if encoder.checkpoint_note:
        session.say(encoder.checkpoint_note)
    if options.settings.get("precision") == "fp16" and encoder.device.type == "cpu" and not _has_fast_fp16():
        session.say("this CPU has no fp16 arithmetic and is many times slower in it than in fp32: bf16 may be faster")
    return encoder


def _find_weights(
    session: Session,
    options: ExtractOptions,
    checkpoint: str | None,
    on_progress: Callable[[int, int | None], None],
) -> "Checkpoint | str | None":
    """The published weights, before torch is imported: who lacks them and a network is told so at once."""
    require_known(options.encoder, options.settings)
    if not ENCODERS[options.encoder].checkpoints:
        return checkpoint
    file, variant = Path(checkpoint) if checkpoint else None, options.settings.get("variant")
    return find_weights(options.encoder, file, variant, on_progress=on_progress, on_remark=session.say)


def _has_fast_fp16() -> bool:
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def choose_device(session: Session, asked: str | None) -> str:
    """The device that was asked for, else a GPU where there is one.

    Raises:
        MissingPrerequisiteError: torch sees no such device.
    """
    if asked == "cpu":
        return asked
    import torch

    devices = torch.cuda.device_count()
    if asked is None:
        if not devices:
            return "cpu"
        session.say(f"device: {torch.cuda.get_device_name()}")
        return "cuda"
    if int(asked.partition(":")[2] or 0) >= devices:
        raise MissingPrerequisiteError(f"--device {asked}: torch sees {devices} GPUs here; use --device auto or cpu")
    return asked


def warn_of_flattering_figures(session: Session, dataset: Dataset, encoder: "Encoder") -> None:
    """Say when the network was trained on the very clips that it is to be judged by."""
    is_audiocaps = downloaded_dataset(dataset.name, dataset.about) == "audiocaps"
    if is_audiocaps and encoder.settings.get("variant") == "audioset":
        session.say(
            "these weights were trained on AudioSet with the clips of AudioCaps among them: figures on AudioCaps are "
            "flattered (paper 004 uses --variant no_audiocaps)"
        )


def say_what_is_not_heard(session: Session, dataset: Dataset, encoder: "Encoder") -> None:
    """Count the clips whose end leaves no trace in their embeddings, by the manifest's durations."""
    unheard = [encoder.unheard_samples(round(clip.duration_s * encoder.sample_rate_hz)) for clip in dataset.clips]
    count, unheard_s = sum(samples > 0 for samples in unheard), sum(unheard) / encoder.sample_rate_hz
    if unheard_s >= 1.0:
        total_s = sum(clip.duration_s for clip in dataset.clips)
        session.say(
            f"{encoder.name} does not hear the end of {count:,} of {len(dataset.clips):,} clips: "
            f"{unheard_s:,.0f} of {total_s:,.0f} s"
        )
