"""`atrkit train`: from a recipe to run folders, one per seed, resumable."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, assert_never

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, UsageError
from atrkit.files import single_writer
from atrkit.models.folder import read_model_folder
from atrkit.recipe.find import find_recipe, shipped_recipe_folder
from atrkit.recipe.load import load_recipe
from atrkit.recipe.models import (
    GruCaptionerSettings,
    RidgeSettings,
    TransformerCaptionerSettings,
)
from atrkit.recipe.overrides import parse_overrides
from atrkit.recipe.retrievers import CoAttentionSettings, DualEncoderSettings, ExpertsSettings, HciSettings
from atrkit.recipe.schema import Recipe
from atrkit.store.embeddings import Embeddings
from atrkit.workflows.auxiliary_captions import captioner_input
from atrkit.workflows.build import build_ridge_text
from atrkit.workflows.captioned import CaptionedClips, captioned_clips
from atrkit.workflows.finetuned import Finetuning, finetuning_of_recipe
from atrkit.workflows.first_stage import check_first_stage
from atrkit.workflows.initialise import DEFAULT_RECIPE, write_starter_recipe
from atrkit.workflows.keep_best import choose_keep_best
from atrkit.workflows.paraphrases import paraphrases_input, with_paraphrases
from atrkit.workflows.recipe_embeddings import checkpoints_of, embeddings_of_recipe
from atrkit.workflows.rerank import require_first_scores
from atrkit.workflows.run_folder import RunFolder
from atrkit.workflows.session import Session
from atrkit.workflows.splits import Splits, splits_of_recipe
from atrkit.workflows.target import without_a_target_that_is_not_its_own
from atrkit.workflows.text_network import text_network_input
from atrkit.workflows.word_vectors import further_captions, word_vectors_input
from atrkit.workflows.word_vectors_option import word_vectors_override

_OF_FILES = (
    *("word_vectors_sha256", "further_words_sha256", "captions_augmented_sha256"),
    *("text_network_sha256", "text_network_commit"),
)


@dataclass(frozen=True)
class TrainOptions:
    """What the user asked for.

    Args:
        recipe: a file, or the name of a recipe that comes with atrkit.
        overrides: `a.b=c`, applied to the recipe and recorded in the run.
        seeds: these seeds; None: those of the recipe.
        name: of the run; None: the recipe's.
        overwrite: replace runs that are there.
        may_extract: make missing embeddings.
        word_vectors: file for the text side, as `--set model.text.vectors=FILE`.
        needs_test: refuse what cannot be tested, before the training: without a split, or without the first stage.
    """

    recipe: str = DEFAULT_RECIPE
    overrides: Sequence[str] = ()
    seeds: Sequence[int] | None = None
    name: str | None = None
    overwrite: bool = False
    may_extract: bool = True
    word_vectors: Path | None = None
    needs_test: bool = False


@dataclass(frozen=True)
class TrainOutcome:
    """One finished run.

    Args:
        run: its folder.
        name: how tables call it.
        was_there: it was finished before; nothing was done.
        record: what finished.json says.
    """

    run: RunFolder
    name: str
    was_there: bool
    record: dict[str, Any]


def train(session: Session, options: TrainOptions) -> list[TrainOutcome]:
    """Train every seed that is asked for; finished ones are left alone, interrupted ones go on.

    Raises:
        UsageError: the recipe has mistakes, or names what is not there.
        MissingPrerequisiteError: dataset or embeddings are missing; says the command that makes them.
        IntegrityError: a run with other settings, or embeddings of another kind, are in the way.
        DivergedError: features or loss are not finite.
    """
    recipe, recipe_name = read_recipe(session, options)
    name = recipe_name if options.name is None else options.name
    _refuse_odd_name(name)
    seeds = recipe.seeds if options.seeds is None else options.seeds
    for seed in seeds:  # a missing file is said now, and not after hours of extraction
        _files_input(session, recipe, RunFolder(session.workspace.run_folder(name, seed)))
    dataset = session.workspace.load_dataset(recipe.data.dataset)
    if recipe.data.dataset is None:
        session.say(f"dataset: {dataset.name} (the one made last)")
    splits = splits_of_recipe(dataset, recipe)
    if options.needs_test and splits.test is None:
        raise UsageError(
            f"dataset {dataset.name!r} has the splits {', '.join(dataset.splits)}: say which to test on, "
            "--set data.test=SPLIT, or train without an evaluation, --seed instead of --seeds"
        )
    session.say(f"splits: {splits}")
    check_first_stage(session, recipe, is_needed=options.needs_test)
    finetuning = finetuning_of_recipe(session, recipe)
    embeddings = embeddings_of_recipe(session, dataset, recipe, may_extract=options.may_extract)
    if options.needs_test and splits.test is not None and recipe.retrieval.rerank is not None:
        tested = captioned_clips(session, dataset, splits.test, embeddings)
        require_first_scores(session, dataset, splits.test, tested, recipe.retrieval.rerank, options.may_extract)
    outcomes = []
    for seed in seeds:
        try:
            outcome = _train_seed(session, options, recipe, name, seed, dataset, splits, embeddings, finetuning)
        except IntegrityError as error:
            if len(seeds) == 1 or options.overwrite:
                raise
            raise IntegrityError(f"{error} (of this seed alone: --seed {seed} --overwrite)") from error
        outcomes.append(outcome)
    return outcomes


def _files_input(session: Session, recipe: Recipe, run: RunFolder, further: Sequence[str] = ()) -> dict[str, str]:
    """What a run records of files that only its training reads; a finished run is not missing them.

    Raises:
        MissingPrerequisiteError, NetworkError: one is not there, and the run is not finished.
    """
    try:
        of_text = {**word_vectors_input(recipe, further), **text_network_input(recipe)}
        return {**of_text, **paraphrases_input(session, recipe)}
    except (MissingPrerequisiteError, NetworkError):
        if not run.is_finished or run.recipe() != recipe:
            raise
        there = run.inputs()
        return {key: there[key] for key in _OF_FILES if key in there}


def _refuse_odd_name(name: str) -> None:
    """A run's name is a path below runs/ and must stay there.

    Raises:
        UsageError: says what a name may be.
    """
    if not all(re.fullmatch(r"[\w-][\w.-]*", part) for part in name.split("/")):
        raise UsageError(f"--name {name!r}: a run's name has letters, digits, - _ . and / between parts, no dot first")


def read_recipe(session: Session, options: TrainOptions) -> tuple[Recipe, str]:
    """The recipe with its overrides, and its name.

    `recipe.yaml` is what `atrkit init` writes: when it is asked for and is not there, it is written now.
    """
    shipped = shipped_recipe_folder()
    path = Path(options.recipe)
    if options.recipe == DEFAULT_RECIPE and not path.is_file():
        path = session.workspace.root / DEFAULT_RECIPE
        if not path.is_file():
            session.say(f"{DEFAULT_RECIPE} is not there yet")
            dataset_name = dict(parse_overrides(options.overrides)).get(("data", "dataset"))
            write_starter_recipe(session, path, overwrite=False, dataset_name=dataset_name)
    elif not path.is_file():
        path = find_recipe(options.recipe, [shipped])
    session.say(f"recipe: {path}")
    name = path.relative_to(shipped).with_suffix("").as_posix() if path.is_relative_to(shipped) else path.stem
    overrides = [*options.overrides, *word_vectors_override(path, options.overrides, options.word_vectors)]
    return without_a_target_that_is_not_its_own(session, load_recipe(path, overrides), overrides), name


def _train_seed(
    session: Session,
    options: TrainOptions,
    recipe: Recipe,
    name: str,
    seed: int,
    dataset: Dataset,
    splits: Splits,
    embeddings: Embeddings,
    finetuning: Finetuning | None,
) -> TrainOutcome:
    folder = session.workspace.run_folder(name, seed)
    run = RunFolder(folder)
    run_name = session.workspace.run_name(folder)
    further = further_captions(recipe, dataset, embeddings.auxiliary_captions)
    inputs = {
        "dataset": dataset.name,
        "clips": {clip.id: clip.sha256 for clip in dataset.split(splits.train)},
        "text_of_captions_sha256": _captions_sha256(dataset, splits),
        "splits": {"train": splits.train, "val": splits.val, "test": splits.test},
        "embeddings": embeddings.provenance,
        "seed": seed,
        **_files_input(session, recipe, run, further),
        **captioner_input(session, embeddings),
        **({} if finetuning is None else {"fine_tuned_from": finetuning.record}),
    }
    with single_writer(folder):
        chosen_by = choose_keep_best(session, recipe, run, afresh=options.overwrite)
        if chosen_by is not None and chosen_by.is_recorded:
            inputs["keep_best"] = chosen_by.keep_best
        if options.overwrite:
            run.clear()
        if replaced := run.start(recipe, inputs):
            session.say(f"{run_name} was begun with other settings and never trained: begun afresh ({replaced})")
        if run.is_finished:
            read_model_folder(folder)  # a finished run whose model is damaged must not pass for finished
            session.say(f"{run_name} is finished already (--overwrite trains it again)")
            return TrainOutcome(run, run_name, was_there=True, record=run.finished_record())
        run.log(f"training on {dataset.name}/{splits.train} with seed {seed}")
        session = run.logging(session)
        clips = captioned_clips(session, dataset, splits.train, embeddings)
        clips = with_paraphrases(session, dataset, clips, recipe)
        match recipe.model:
            case RidgeSettings():
                facts = _fit_ridge(session, run, recipe.model, clips)
            case DualEncoderSettings() | ExpertsSettings() | HciSettings() | CoAttentionSettings():
                from atrkit.workflows.train_retriever import train_retriever_run

                val = captioned_clips(session, dataset, splits.val, embeddings) if splits.val else None
                facts = train_retriever_run(session, run, recipe, clips, val, seed, run_name, finetuning, further)
            case TransformerCaptionerSettings() | GruCaptionerSettings():
                from atrkit.workflows.train_captioner import train_captioner_run

                assert chosen_by is not None
                val = captioned_clips(session, dataset, splits.val, embeddings) if splits.val else None
                facts = train_captioner_run(session, run, recipe, clips, val, seed, run_name, chosen_by)
            case _:
                assert_never(recipe.model)
        record = {
            "run": run_name,
            "dataset": dataset.name,
            "train_split": splits.train,
            "test_split": splits.test,
            "train_clips": len(clips.clips),
            "train_captions": sum(len(clip.captions) for clip in clips.clips),
            "checkpoint": embeddings.notes.get("checkpoint"),
            "checkpoints": checkpoints_of(embeddings),
            **facts,
        }
        run.finish(record)
        run.log("finished")
    return TrainOutcome(run, run_name, was_there=False, record=record)


def _captions_sha256(dataset: Dataset, splits: Splits) -> str:
    """Digest of what is learned from and chosen by: other captions are another training."""
    used = [split for split in (splits.train, splits.val) if split is not None]
    captions = [
        [clip.id, [caption.text for caption in clip.captions]] for split in used for clip in dataset.split(split)
    ]
    return sha256(json.dumps(captions).encode()).hexdigest()


def _fit_ridge(session: Session, run: RunFolder, settings: RidgeSettings, clips: CaptionedClips) -> dict[str, Any]:
    from atrkit.models.ridge_retriever import RidgeRetriever

    embeddings = clips.embeddings
    with_prior = settings.label_prior and embeddings.tag_probs_AK is not None
    if settings.label_prior and not with_prior:
        session.say(f"{embeddings.provenance['encoder']} has no labels: plain ridge, without the label prior")
    labels = embeddings.labels if with_prior else ()
    text = build_ridge_text(settings, [caption for of_clip in clips.captions for caption in of_clip], labels)
    model = RidgeRetriever.fit(
        embeddings.clip_emb_AD,
        clips.captions,
        text,
        ridge_lambda=settings.ridge_lambda,
        tag_probs_AK=embeddings.tag_probs_AK if with_prior else None,
        labels=labels,
    )
    model.save_pretrained(run.path)
    return {"model": "ridge", "text": text.config()["name"], "label_prior": with_prior}
