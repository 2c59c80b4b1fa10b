"""The commented `recipe.yaml` that `atrkit init` writes: settings of a shipped recipe, the user's data."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from pydantic import BaseModel, ValidationError

from atrkit.errors import UsageError
from atrkit.recipe.find import shipped_recipe_folder
from atrkit.recipe.load import load_recipe, to_yaml
from atrkit.recipe.problems import mistakes_in
from atrkit.recipe.schema import Recipe

SMALL_COLLECTION_CLIPS = 1_000
TRAIN_SPLIT_NAMES = ("dev", "development", "train")
VAL_SPLIT_NAMES = ("val", "validation")
TEST_SPLIT_NAMES = ("eval", "evaluation", "test")
_VALUE_WIDTH = 36
_TEXT_WIDTH = 106


def render_starter_recipe(
    dataset: str,
    encoder: str | Mapping[str, Any],
    clips_of_split: Mapping[str, int],
    file_name: str = "recipe.yaml",
) -> str:
    """A recipe for the dataset and embeddings at hand, every key explained.

    Below a thousand training clips the closed-form ridge is the better model, above it the dual encoder; each with
    the settings of the recipe that comes with atrkit. A split is named where the dataset has one of a usual name.

    Args:
        dataset: its name.
        encoder: its name, or the recipe's encoder section: {"name": "mn04", "checkpoint": "/weights/mn04.pt"}.
        clips_of_split: captioned clips by split.
        file_name: what the comment on top calls the file.

    Returns:
        YAML text that `load_recipe` reads.

    Raises:
        UsageError: no such encoder, or settings that it does not have.
    """
    splits = _splits(clips_of_split)
    train_clips = clips_of_split.get(splits["train"] or "", sum(clips_of_split.values()))
    is_small = train_clips < SMALL_COLLECTION_CLIPS
    shipped_name = "own_recordings" if is_small else "synthetic/retrieval"
    shipped = load_recipe(shipped_recipe_folder() / f"{shipped_name}.yaml")
    section = {"name": encoder} if isinstance(encoder, str) else encoder
    recipe = _with_sections(shipped, {"dataset": dataset, **splits}, section)
    model = "ridge (closed form)" if is_small else "dual encoder"
    head = [
        f"# {model} for dataset {dataset}, {train_clips:,} training clips; settings of recipes/{shipped_name}.yaml.",
        f"# Train: atrkit train {file_name}    One setting changed: atrkit train {file_name} --set place.key=value",
    ]
    return "\n".join([*head, *_commented(recipe, 0)]) + "\n"


def _splits(clips_of_split: Mapping[str, int]) -> dict[str, str | None]:
    def first_of(names: Sequence[str]) -> str | None:
        return next((name for name in names if clips_of_split.get(name)), None)

    return {"train": first_of(TRAIN_SPLIT_NAMES), "val": first_of(VAL_SPLIT_NAMES), "test": first_of(TEST_SPLIT_NAMES)}


def _with_sections(shipped: Recipe, data: Mapping[str, Any], encoder: Mapping[str, Any]) -> Recipe:
    sections = {name: getattr(shipped, name) for name in Recipe.model_fields}
    raw = {**sections, "data": dict(data), "encoder": dict(encoder)}
    if shipped.training and not data["val"]:
        raw["training"] = {**shipped.training.model_dump(), "keep_best": "last"}
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        mistakes = "; ".join(f"{mistake.dotted}: {mistake.finding}" for mistake in mistakes_in(raw, error))
        raise UsageError(f"no recipe for these settings: {mistakes}") from None


def _commented(part: BaseModel, depth: int) -> list[str]:
    """Lines of one mapping: sections one below the other, every key with its description."""
    lines: list[str] = []
    for key, field in type(part).model_fields.items():
        value = getattr(part, key)
        start = "  " * depth + key
        comment = f"  # {field.description}" if field.description else ""
        if depth == 0 and value is None:
            continue
        if isinstance(value, BaseModel) and set(type(value).model_fields) - {"name"}:
            lines += [f"{start}:{comment}", *_commented(value, depth + 1)]
        elif isinstance(value, str) and len(value) > _TEXT_WIDTH and value == " ".join(value.split()):
            folded = wrap(value, _TEXT_WIDTH, break_long_words=False, break_on_hyphens=False)
            lines += [f"{start}: >-{comment}", *("  " * (depth + 1) + line for line in folded)]
        else:
            lines.append(f"{f'{start}: {_on_one_line(value)}':<{_VALUE_WIDTH}}{comment}".rstrip())
    return lines


def _on_one_line(value: Any) -> str:
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = to_yaml(list(plain) if isinstance(plain, tuple) else plain, width=10**6)
    return text.removesuffix("...\n").strip()
