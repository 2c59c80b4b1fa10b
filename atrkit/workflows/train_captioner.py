"""The captioner's part of `atrkit train`: objects from the recipe, and the loop."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from atrkit.recipe.models import CaptionerPart, CaptionerSettings
from atrkit.recipe.optimisation import AugmentSettings, CrossEntropySettings
from atrkit.recipe.schema import Recipe
from atrkit.training.captioner import train_captioner
from atrkit.training.data import TrainingData
from atrkit.workflows.build import build_captioner, build_optimizer_settings
from atrkit.workflows.caption import decoding_arguments
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session
from atrkit.workflows.stopping import stop_between_steps
from atrkit.workflows.training_data import choose_memory, training_data
from atrkit.workflows.training_progress import training_progress

if TYPE_CHECKING:
    from atrkit.models.captioner import Captioner
    from atrkit.models.ragged import Ragged
    from atrkit.training.settings import StopRequested
    from atrkit.workflows.captioned import CaptionedClips
    from atrkit.workflows.keep_best import ChosenBy


def train_captioner_run(
    session: Session,
    run: RunFolder,
    recipe: Recipe,
    clips: "CaptionedClips",
    val: "CaptionedClips | None",
    seed: int,
    run_name: str,
    chosen_by: "ChosenBy",
) -> dict[str, Any]:
    """Train in the run's folder, from the start or from its checkpoint.

    Raises:
        DivergedError: features or loss are not finite.
    """
    settings, training, augment = recipe.model, recipe.training, recipe.augment or AugmentSettings()
    # the schema has seen to it; this tells mypy
    assert isinstance(settings, CaptionerPart) and training and recipe.optimizer
    assert isinstance(recipe.loss, CrossEntropySettings)
    in_memory = choose_memory(session, clips, *([] if val is None else [val]))
    train_data = training_data(clips, in_memory=in_memory)
    val_data = None if val is None else training_data(val, in_memory=in_memory)
    model = _build(settings, clips, train_data.all_captions, seed)
    _say_unknown(session, model, train_data, "training")
    if val_data is not None:
        _say_unknown(session, model, val_data, "validation")
    with (
        training_progress(session, run_name, training.epochs) as progress,
        stop_between_steps() as stop_requested,
    ):
        result = train_captioner(
            model,
            train_data,
            val_data,
            label_smoothing=recipe.loss.label_smoothing,
            mixup_alpha=augment.mixup_alpha,
            feature_stripes=augment.feature_stripes,
            stripe_width=augment.stripe_width,
            epochs=training.epochs,
            batch_size=training.batch_size,
            optimizer=build_optimizer_settings(recipe.optimizer),
            run_folder=run.path,
            caption_choice=recipe.data.caption_choice,
            keep_best=chosen_by.keep_best,
            fense=chosen_by.fense,
            write_captions=_captions_writer(recipe, stop_requested),
            bucket_batches=training.bucket_batches,
            validate_every=training.validate_every,
            clip_grad_norm=training.clip_grad_norm,
            precision=training.precision,
            accumulate_batches=training.accumulate_batches,
            seed=seed,
            on_start=progress.on_start,
            on_epoch=progress.on_epoch,
            stop_requested=stop_requested,
        )
    if result.constant_features:
        session.say(f"{result.constant_features} frame features never change in the training clips: not scaled")
    return {
        "model": settings.name,
        "keep_best": chosen_by.keep_best,
        "best_epoch": result.best_epoch,
        "best_metric": result.best_metric,
        "epochs": result.epochs_run,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "words": len(model.vocabulary),
    }


def _build(settings: CaptionerSettings, clips: "CaptionedClips", captions: Sequence[str], seed: int) -> "Captioner":
    return build_captioner(settings, frame_dim=clips.embeddings.frames_NF.shape[1], captions=captions, seed=seed)


def _captions_writer(recipe: Recipe, stop_requested: "StopRequested") -> Any:
    """What writes the validation captions: the recipe's beam search, which may take longer than a step."""
    from atrkit.models.decoding import write_captions

    arguments = decoding_arguments(recipe)

    def stop_where_wished(_: int) -> None:
        if stop := stop_requested():
            raise stop("stopped while captions were written for validation: the same command continues there")

    def write(model: "Captioner", frames: "Ragged") -> list[str]:
        return [written.text for written in write_captions(model, frames, **arguments, on_progress=stop_where_wished)]

    return write


def _say_unknown(session: Session, model: "Captioner", data: TrainingData, which: str) -> None:
    unknown = model.count_unknown_words(data.all_captions)
    if unknown:
        words = ", ".join(word for word, _ in unknown.most_common(5))
        session.say(f"{sum(unknown.values())} words of the {which} captions are <unk> to the captioner ({words} ...)")
