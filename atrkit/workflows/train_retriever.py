"""How `atrkit train` trains a retrieval model by steps: objects from the recipe, the loop, and its interruption."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from atrkit.recipe.optimisation import CrossEntropySettings
from atrkit.recipe.retrievers import RETRIEVERS
from atrkit.recipe.schema import Recipe
from atrkit.training.data import TrainingData
from atrkit.training.finetune import train_finetuned
from atrkit.training.retriever import train_retriever
from atrkit.workflows.build import build_loss, build_optimizer_settings
from atrkit.workflows.build_retriever import build_retriever
from atrkit.workflows.finetuned import Finetuning, say_crops, tuned_record
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session
from atrkit.workflows.stopping import stop_between_steps
from atrkit.workflows.training_data import choose_memory, training_data
from atrkit.workflows.training_progress import training_progress
from atrkit.workflows.unread_captions import say_what_is_not_read

if TYPE_CHECKING:
    from torch import nn

    from atrkit.models.retriever import Retriever
    from atrkit.workflows.captioned import CaptionedClips


def train_retriever_run(
    session: Session,
    run: RunFolder,
    recipe: Recipe,
    clips: "CaptionedClips",
    val: "CaptionedClips | None",
    seed: int,
    run_name: str,
    finetuning: Finetuning | None = None,
    further_captions: Sequence[str] = (),
) -> dict[str, Any]:
    """Train in the run's folder, from the start or from its checkpoint; with `finetuning` its audio encoder too.

    Frozen word vectors are also kept for words of `further_captions`.

    Raises:
        DivergedError: features or loss are not finite.
    """
    settings, training = recipe.model, recipe.training
    # the schema has seen to it; this tells mypy
    assert isinstance(settings, RETRIEVERS) and training and recipe.optimizer and recipe.loss
    assert training.keep_best != "fense" and not isinstance(recipe.loss, CrossEntropySettings)
    in_memory = choose_memory(session, clips, *([] if val is None else [val]))
    auxiliary = recipe.auxiliary_captions
    train_data = training_data(
        clips, in_memory=in_memory, shows_auxiliary=auxiliary is not None and auxiliary.augmentation
    )
    audio = None if finetuning is None else finetuning.open_network()
    frame_dims = [frames.values.shape[1] for frames in train_data.all_frames]
    model = build_retriever(
        settings,
        frame_dims=frame_dims if audio is None else [audio.frame_dim],
        # a text side from scratch learns the words of generated captions too, wherever they are read
        captions=[*train_data.all_captions, *(train_data.auxiliary_captions or ())],
        seed=seed,
        auxiliary=auxiliary,
        further_captions=further_captions,
        say=session.say,
    )
    val_data = None if val is None else training_data(val, in_memory=in_memory)
    _say_what_is_not_read(session, model, train_data, "training")
    if val_data is not None:
        _say_what_is_not_read(session, model, val_data, "validation")
    if finetuning is None or audio is None:
        learn = partial(train_retriever, model)
    else:
        crop_rows = say_crops(session, finetuning, train_data)
        learn = partial(train_finetuned, audio, model, started_from=finetuning.start.sha256, crop_rows=crop_rows)
    with (
        training_progress(session, run_name, training.epochs) as progress,
        stop_between_steps() as stop_requested,
    ):
        result = learn(
            build_loss(recipe.loss),
            train_data,
            val_data,
            epochs=training.epochs,
            batch_size=training.batch_size,
            optimizer=build_optimizer_settings(recipe.optimizer),
            run_folder=run.path,
            caption_choice=recipe.data.caption_choice,
            keep_best=training.keep_best,
            clip_grad_norm=training.clip_grad_norm,
            precision=training.precision,
            accumulate_batches=training.accumulate_batches,
            validate_every=training.validate_every,
            seed=seed,
            on_start=progress.on_start,
            on_epoch=progress.on_epoch,
            stop_requested=stop_requested,
        )
    if result.constant_features:
        session.say(f"{result.constant_features} frame features never change in the training clips: not scaled")
    return {
        "model": settings.name,
        "keep_best": training.keep_best,
        "best_epoch": result.best_epoch,
        "best_metric": result.best_metric,
        "epochs": result.epochs_run,
        "parameters": _count_parameters(model) + (0 if audio is None else _count_parameters(audio)),
        **({} if finetuning is None else tuned_record(run.path)),
    }


def _count_parameters(network: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _say_what_is_not_read(session: Session, model: "Retriever", data: TrainingData, which: str) -> None:
    reads_generated = data.shows_auxiliary or model.reads_generated
    say_what_is_not_read(session, model, data.all_captions, data.auxiliary_captions if reads_generated else None, which)
