"""What the recipe can say, the code can do: every shipped recipe, and every kind that the schema knows, is built.

Kinds are found by walking through the schema, so that a kind added there without a builder fails here.
"""

import copy
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, assert_never, get_args, get_origin

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from atrkit.encoders import ENCODER_NAMES, load_encoder
from atrkit.encoders.catalogue import COMMON_SETTINGS, ENCODERS
from atrkit.encoders.panns_networks import Cnn
from atrkit.encoders.trainable import TrainablePanns
from atrkit.models import Captioner, Ragged
from atrkit.models.decoding import write_captions
from atrkit.models.opening import open_retriever
from atrkit.models.retriever import Retriever
from atrkit.models.ridge_retriever import RidgeRetriever
from atrkit.recipe.encoders import EncoderSettings, FinetuneSettings, finetuning_of
from atrkit.recipe.find import shipped_recipe_folder, shipped_recipe_names
from atrkit.recipe.load import dump_recipe, load_recipe
from atrkit.recipe.models import (
    CaptionerPart,
    CaptionerSettings,
    GruCaptionerSettings,
    RidgeSettings,
    TransformerCaptionerSettings,
)
from atrkit.recipe.optimisation import AugmentSettings, CrossEntropySettings, TrainingSettings
from atrkit.recipe.retrievers import (
    RETRIEVERS,
    CoAttentionSettings,
    DualEncoderSettings,
    ExpertsSettings,
    FrameSideSettings,
    HciSettings,
    RetrieverSettings,
)
from atrkit.recipe.schema import AuxiliaryCaptionsSettings, Recipe
from atrkit.recipe.towers import TransformerTokensSettings, WordEmbeddingsSettings, WordTokensSettings
from atrkit.scoring import caption_cross_entropy
from atrkit.scoring.retrieval import score_all_pairs
from atrkit.training import TrainingData, train_captioner, train_retriever
from atrkit.training.retriever import clip_inputs
from atrkit.workflows import build, finetuned
from atrkit.workflows.build_retriever import build_retriever
from atrkit.workflows.caption import decoding_arguments

FRAME_DIM, CLIPS, LABELS = 6, 8, ("Dog", "Rain", "Bell")
SHIPPED = shipped_recipe_names(shipped_recipe_folder())
WORDS = ("dog", "rain", "bell", "wind")

WORD_VECTORS = "vectors.txt"  # GloVe's format, in the current folder

pytestmark = pytest.mark.usefixtures("toy_text_network", "toy_word_vectors")


# --- the schema's kinds


def parts_in(annotation: Any, place: str = "recipe") -> Iterator[tuple[str, type[BaseModel]]]:
    """Every part below an annotation, each kind of a union too, with the place where a recipe says it."""
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        for member in get_args(annotation)[: 1 if get_origin(annotation) is Annotated else None]:
            yield from parts_in(member, place)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation is not Recipe:
            yield place, annotation
        for key, field in annotation.model_fields.items():
            yield from parts_in(field.annotation, f"{place}.{key}".removeprefix("recipe."))


PARTS = sorted(set(parts_in(Recipe)), key=lambda part: (part[0], part[1].__name__))
# these become objects in workflows/build.py; the rest is read by the workflows themselves, and a ridge is solved there
BUILT_PARTS = [
    (place, part)
    for place, part in PARTS
    if place.partition(".")[0] in ("encoder", "loss", "model", "optimizer") and part is not RidgeSettings
]
# what a part cannot be made without
REQUIRED: dict[str, dict[str, Any]] = {
    "AdamWSettings": {"lr": 1e-3},
    "DualEncoderSettings": {"text": {"name": "word_embeddings"}},
    "AuxiliaryCaptionsSettings": {"captions_from": "somewhere", "num_heads": 2},
    "CoAttentionSettings": {"text": {"name": "word_embeddings"}, "dim": 8, "num_heads": 2, "d_ff": 10},
    "ExpertsSettings": {"text": {"name": "word_embeddings"}, "expert_dim": 6},
    "HciSettings": {"text": {"name": "word_embeddings"}, "dim": 8, "segments": 2},
    "RerankSettings": {"run": "somewhere"},
    "Target": {"paper": "004"},
    "TrainingSettings": {"epochs": 1, "batch_size": 4},
    # heads divide d_model whichever of the two is halved
    "TransformerCaptionerSettings": {"d_model": 8, "num_heads": 2, "num_layers": 2, "d_ff": 10, "min_word_count": 2},
    "GruCaptionerSettings": {"d_model": 8, "min_word_count": 2},
    "TransformersSettings": {"model": "somewhere"},
    "TransformerTokensSettings": {"model": "somewhere"},
    # words that are not trained come from a file
    "WordEmbeddingsSettings": {"vectors": WORD_VECTORS},
    "WordTokensSettings": {"vectors": WORD_VECTORS},
}


def choices_of(part: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """The part with its defaults, then once with each value of each of its choices (Literal or bool)."""
    least = dict(REQUIRED.get(part.__name__, {}))
    if "name" in part.model_fields:
        least["name"] = get_args(part.model_fields["name"].annotation)[0]
    yield least
    for key, field in part.model_fields.items():
        if get_origin(field.annotation) is Literal:
            yield from ({**least, key: value} for value in get_args(field.annotation))
        elif field.annotation is bool:
            yield from ({**least, key: value} for value in (True, False))


SMALL_CAPTIONER = {"name": "transformer_captioner", "d_model": 8, "num_layers": 2, "num_heads": 2, "d_ff": 10}


SMALL_DUAL_ENCODER = {
    "name": "dual_encoder",
    "out_dim": 7,
    "audio": {"pooling": {"name": "lstm", "hidden_dim": 5}},
    "text": {"name": "word_embeddings"},
}
SMALL_HCI = {"name": "hci", **REQUIRED["HciSettings"]}
SMALL_EXPERTS = {"name": "moee", **REQUIRED["ExpertsSettings"]}


def base_model(place: str, part: type[BaseModel], value: dict[str, Any]) -> dict[str, Any]:
    """A small model of a kind that the part belongs to."""
    names = {value.get("name"), value.get("score")} & {"transformer_captioner", "gru_captioner", "cross_entropy"}
    if place in ("augment", "decoding") or names or value.get("keep_best") == "fense":
        return SMALL_CAPTIONER
    if part in (FrameSideSettings, WordTokensSettings, TransformerTokensSettings, AuxiliaryCaptionsSettings):
        return SMALL_HCI
    return SMALL_EXPERTS if place == "model.audio_pooling" else SMALL_DUAL_ENCODER


def section_of(place: str, part: type[BaseModel], value: dict[str, Any]) -> dict[str, Any]:
    """A recipe in which one part is as given, and everything around it is small."""
    model = base_model(place, part, value)
    recipe: dict[str, Any] = {
        "source": "a test",
        "encoder": {"name": "logmel"},
        "model": model,
        "loss": {"name": "cross_entropy" if model is SMALL_CAPTIONER else "nt_xent"},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "training": {"epochs": 1, "batch_size": 4, "keep_best": "last"},
    }
    if part is RidgeSettings:
        recipe = {key: recipe[key] for key in ("source", "encoder")}
    if part is TransformerCaptionerSettings:
        value = {**SMALL_CAPTIONER, **value}
    if value.get("mode") in ("stacking", "iterating"):
        value = {"num_layers": 2, **value}
    *parents, last = place.split(".")
    section = recipe = copy.deepcopy(recipe)
    if part is FinetuneSettings:
        recipe["encoder"] = {"name": "cnn10"}
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return recipe


EVERY_CHOICE = [
    pytest.param(
        place, part, value, id="-".join([place, *(str(v) for v in value.values() if isinstance(v, str | bool))])
    )
    for place, part in PARTS
    for value in choices_of(part)
]


def test_the_walk_finds_the_unions_of_the_schema() -> None:
    unions = {place for place, _ in PARTS if sum(place == other for other, _ in PARTS) > 1}
    poolings = {"model.audio.pooling", "model.audio_pooling", "model.text.pooling"}
    assert unions == {"encoder", "loss", "model", "model.audio", "model.text", *poolings}


@pytest.mark.parametrize(("place", "part", "value"), EVERY_CHOICE)
def test_every_choice_of_the_schema_is_built_and_trains(
    place: str, part: type[BaseModel], value: dict[str, Any], run_folder: Path
) -> None:
    recipe = Recipe.model_validate(section_of(place, part, value))
    if place == "encoder":
        assert_encoder_can_be_loaded(recipe)
    else:
        assert_trains(recipe, run_folder)


def test_no_two_choices_make_the_same_thing() -> None:
    made: dict[str, Recipe] = {}
    for place, part in BUILT_PARTS:
        for value in choices_of(part):
            recipe = Recipe.model_validate(section_of(place, part, value))
            assert made.setdefault(what_is_built(recipe), recipe) == recipe
    assert len(made) > 30


@pytest.mark.parametrize(("place", "part"), BUILT_PARTS, ids=str)
def test_every_number_and_text_of_a_part_reaches_what_is_built(place: str, part: type[BaseModel]) -> None:
    least = next(choices_of(part))
    built = what_is_built(Recipe.model_validate(section_of(place, part, least)))
    for key, field in part.model_fields.items():
        if (part.__name__, key) in NOT_IN_WHAT_IS_BUILT:
            continue
        for other in others_than(least.get(key, field.default), field.annotation):
            changed = Recipe.model_validate(section_of(place, part, {**least, key: other}))
            assert what_is_built(changed) != built, f"{place}.{key}"


# where a file of word vectors says how wide they are, and one layer is all that mode single has
NOT_IN_WHAT_IS_BUILT = {
    ("WordEmbeddingsSettings", "dim"),
    ("WordTokensSettings", "dim"),
    ("CoAttentionSettings", "num_layers"),
}


def others_than(value: Any, annotation: Any) -> list[Any]:
    """One more valid value of a setting that is a number, numbers or a name; nothing for other settings."""
    if annotation is bool or get_origin(annotation) is Literal or isinstance(value, BaseModel | dict):
        return []
    if any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in get_args(annotation)):
        return []
    if isinstance(value, tuple):
        return [(3,)] if not value else [tuple(number / 2 for number in value)]
    if value == WORD_VECTORS:
        return [None]
    if "float" in str(annotation):
        return [value / 2 if value else 0.25]
    return [value // 2] if isinstance(value, int) else [f"{value}.pt"]


@pytest.mark.parametrize("gating", [True, False])
def test_gating_is_on_both_sides_or_on_neither(gating: bool) -> None:
    model = DualEncoderSettings(text=WordEmbeddingsSettings(), gating=gating)
    config = built_retriever(Recipe.model_validate(section_of("model", DualEncoderSettings, model.model_dump()))).config
    assert config["audio"]["gating"] == config["text"]["gating"] == gating


def what_is_built(recipe: Recipe) -> str:
    assert recipe.loss is not None and recipe.optimizer is not None
    optimizer = build.build_optimizer_settings(recipe.optimizer)
    encoder = [(each.name, build.encoder_arguments(each), what_learns(each)) for each in recipe.all_encoders]
    if isinstance(recipe.loss, CrossEntropySettings):
        assert isinstance(recipe.model, CaptionerPart)
        captions = ["rain", "rain and wind"]  # so that a least count of words can be felt
        captioner = build.build_captioner(recipe.model, frame_dim=FRAME_DIM, captions=captions, seed=1)
        return repr((captioner.config, captioner, recipe.loss.label_smoothing, optimizer, encoder))
    model = built_retriever(recipe)
    return repr((model.config, model, build.build_loss(recipe.loss), optimizer, encoder))


def what_learns(encoder: EncoderSettings) -> Any:
    """The audio network as `atrkit train` makes it, but with few channels, and the length of its crops."""
    if finetuning_of(encoder) is None:
        return None
    audio = TrainablePanns("cnn10", Cnn((1, 1, 1, 1), num_halvings=4), **finetuned.network_arguments(encoder))
    return audio.config, repr(audio), finetuned.crop_rows_of(encoder)


def built_retriever(recipe: Recipe, captions: Sequence[str] = ("rain",)) -> Retriever:
    assert isinstance(recipe.model, RETRIEVERS)
    return build_retriever(
        recipe.model,
        frame_dims=[FRAME_DIM] * len(recipe.all_encoders),
        captions=captions,
        seed=1,
        auxiliary=recipe.auxiliary_captions,
        say=lambda _: None,
    )


def test_a_ridge_embeds_with_the_sentence_encoder_that_is_named() -> None:
    settings = RidgeSettings(sentence_encoder="somewhere")
    assert fit_ridge(settings, toy_data()).text.config()["model"] == "somewhere"


# --- the shipped recipes

TRAINED: set[str] = set()


def _with_batch_of_data(training: TrainingSettings) -> TrainingSettings:
    return training.model_copy(update={"batch_size": min(training.batch_size, CLIPS)})


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_loaded_built_and_trained_one_epoch(name: str, run_folder: Path) -> None:
    path = shipped_recipe_folder() / f"{name}.yaml"
    shipped = load_recipe(path)
    has_vectors = getattr(getattr(shipped.model, "text", None), "vectors", None) is not None
    overrides = ["training.epochs=1"] * (shipped.training is not None)
    recipe = load_recipe(path, [*overrides, *[f"model.text.vectors={WORD_VECTORS}"] * has_vectors])
    assert_encoder_can_be_loaded(recipe)
    # the same model on another dataset, or with paraphrases, is the same on toy data: each is trained once; so is one
    # whose batches are larger than the data
    on_toy_data = recipe.model_copy(update={"training": recipe.training and _with_batch_of_data(recipe.training)})
    learned = on_toy_data.model_dump_json(exclude={"source", "target", "seeds", "data", "encoder", "retrieval"})
    if learned not in TRAINED:
        assert_trains(recipe, run_folder)
        TRAINED.add(learned)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_says_where_its_settings_come_from_and_survives_being_written(
    name: str, tmp_path: Path
) -> None:
    recipe = load_recipe(shipped_recipe_folder() / f"{name}.yaml")
    assert len(recipe.source.split()) > 5
    (tmp_path / "again.yaml").write_text(dump_recipe(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_the_fixed_names_are_there() -> None:
    assert {"own_recordings", "synthetic/retrieval"} <= set(SHIPPED)


# --- what building and training means


def assert_encoder_can_be_loaded(recipe: Recipe) -> None:
    for settings_of_encoder in recipe.all_encoders:
        name = settings_of_encoder.name
        assert name in ENCODER_NAMES
        checkpoint, settings = build.encoder_arguments(settings_of_encoder)
        assert set(settings) <= {*ENCODERS[name].settings, *COMMON_SETTINGS}
        if name == "logmel":  # the others need weights; tests/encoders loads them
            encoder = load_encoder(name, checkpoint, **settings)
            assert settings.items() <= encoder.settings.items()


def toy_data(seed: int = 0, recipe: Recipe | None = None) -> TrainingData:
    """Clips and captions, with as many encoders as a recipe has, and generated captions where it wants them."""
    rng = np.random.default_rng(seed)

    def frames() -> Ragged:
        return Ragged.from_sequences([rng.standard_normal((rng.integers(1, 5), FRAME_DIM)) for _ in range(CLIPS)])

    def captions() -> list[str]:
        return [f"a {rng.choice(WORDS)} then {rng.choice(WORDS)}" for _ in range(CLIPS)]

    first, own = frames(), tuple((caption,) for caption in captions())
    more = tuple(frames() for _ in recipe.all_encoders[1:]) if recipe else ()
    wants = recipe.auxiliary_captions if recipe else None
    generated = tuple(captions()) if wants else None
    ids = tuple(f"clip{n}" for n in range(CLIPS))
    return TrainingData(first, ids, own, more, generated, shows_auxiliary=bool(wants and wants.augmentation))


def assert_trains(recipe: Recipe, folder: Path) -> None:
    """The model is built as `atrkit train` builds it, learns from toy data, and opens again with the same output."""
    data = toy_data()
    match recipe.model:
        case RidgeSettings():
            ridge = fit_ridge(recipe.model, data)
            ridge.save_pretrained(folder)
            opened_CD = RidgeRetriever.from_pretrained(folder).embed_captions(data.all_captions)
            np.testing.assert_array_equal(opened_CD, ridge.embed_captions(data.all_captions))
        case DualEncoderSettings() | ExpertsSettings() | HciSettings() | CoAttentionSettings():
            data = toy_data(recipe=recipe)
            model = train_one_epoch(recipe, recipe.model, data, folder)
            scores_AC = score_all_pairs(model, clip_inputs(model, data), data.all_captions)
            assert scores_AC.shape == (CLIPS, CLIPS) and np.isfinite(scores_AC).all()
            if not is_toy_text_network(recipe.model):
                opened = open_retriever(folder)
                again_AC = score_all_pairs(opened, clip_inputs(opened, data), data.all_captions)
                np.testing.assert_array_equal(again_AC, scores_AC)
        case TransformerCaptionerSettings() | GruCaptionerSettings():
            captioner = train_captioner_one_epoch(recipe, recipe.model, data, folder)
            opened = Captioner.from_pretrained(folder)
            loss_AC = caption_cross_entropy(captioner, data.frames, data.all_captions)
            np.testing.assert_array_equal(caption_cross_entropy(opened, data.frames, data.all_captions), loss_AC)
            assert len(write_captions(opened, data.frames, **decoding_arguments(recipe))) == CLIPS
        case _:
            assert_never(recipe.model)


def fit_ridge(settings: RidgeSettings, data: TrainingData) -> RidgeRetriever:
    rng = np.random.default_rng(1)
    text = build.build_ridge_text(settings, data.all_captions, LABELS)
    return RidgeRetriever.fit(
        rng.standard_normal((CLIPS, FRAME_DIM)),
        data.captions,
        text,
        ridge_lambda=settings.ridge_lambda,
        tag_probs_AK=rng.random((CLIPS, len(LABELS))) if settings.label_prior else None,
        labels=LABELS if settings.label_prior else (),
    )


def train_captioner_one_epoch(
    recipe: Recipe, settings: CaptionerSettings, data: TrainingData, folder: Path
) -> Captioner:
    assert isinstance(recipe.loss, CrossEntropySettings) and recipe.optimizer is not None
    assert recipe.training is not None and recipe.training.keep_best in ("val_loss", "fense", "last")
    augment = recipe.augment or AugmentSettings()
    model = build.build_captioner(settings, frame_dim=FRAME_DIM, captions=data.all_captions, seed=1)
    before = {name: value.clone() for name, value in model.named_parameters()}
    result = train_captioner(
        model,
        data,
        toy_data(seed=1),
        label_smoothing=recipe.loss.label_smoothing,
        mixup_alpha=augment.mixup_alpha,
        feature_stripes=augment.feature_stripes,
        stripe_width=augment.stripe_width,
        epochs=recipe.training.epochs,
        batch_size=recipe.training.batch_size,
        optimizer=build.build_optimizer_settings(recipe.optimizer),
        run_folder=folder,
        caption_choice=recipe.data.caption_choice,
        keep_best=recipe.training.keep_best,
        fense=lambda candidates, references: float(len(candidates)),
        write_captions=lambda model, frames: [caption.text for caption in write_captions(model, frames, max_tokens=3)],
        bucket_batches=recipe.training.bucket_batches,
        clip_grad_norm=recipe.training.clip_grad_norm,
    )
    assert result.epochs_run == 1 and np.isfinite(result.metrics[0]["train_loss"])
    moved = {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"projection", "decoder"}
    return model


def is_toy_text_network(settings: RetrieverSettings) -> bool:
    """Whether the text side is the toy, which has no files to be opened from; tests/models opens real ones."""
    return settings.text.name == "transformers"


def train_one_epoch(recipe: Recipe, settings: RetrieverSettings, data: TrainingData, folder: Path) -> Retriever:
    assert recipe.loss is not None and recipe.optimizer is not None and recipe.training is not None
    assert not isinstance(recipe.loss, CrossEntropySettings) and recipe.training.keep_best != "fense"
    model = built_retriever(recipe, data.all_captions)
    before = {name: value.clone() for name, value in model.named_parameters() if value.requires_grad}
    result = train_retriever(
        model,
        build.build_loss(recipe.loss),
        data,
        toy_data(seed=1, recipe=recipe),
        epochs=recipe.training.epochs,
        batch_size=recipe.training.batch_size,
        optimizer=build.build_optimizer_settings(recipe.optimizer),
        run_folder=folder,
        caption_choice=recipe.data.caption_choice,
        keep_best=recipe.training.keep_best,
        clip_grad_norm=recipe.training.clip_grad_norm,
        accumulate_batches=recipe.training.accumulate_batches,
        precision=recipe.training.precision,
        validate_every=recipe.training.validate_every,
    )
    assert result.epochs_run == 1 and np.isfinite(result.metrics[0]["train_loss"])
    still = [name for name, value in model.named_parameters() if name in before and torch.equal(value, before[name])]
    assert len(still) < len(before) / 2, still
    return model
