"""`atrkit recipes`: the recipes that come with atrkit, and the published figures that they aim at."""

import os.path
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from atrkit.errors import UsageError
from atrkit.recipe.find import find_recipe, shipped_recipe_folder, shipped_recipe_names

# five times as fast where libyaml is there; both read the same of what is shown here
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class FoundRecipes:
    """What a name means.

    Args:
        records: one per recipe.
        text: the file, comments and all, where one recipe is meant; None: a list is.
    """

    records: list[dict[str, Any]]
    text: str | None = None


def find_recipes(wanted: str | None) -> FoundRecipes:
    """All recipes, or the one that is called so, or those whose names begin with `wanted`, or at least hold it.

    Raises:
        UsageError: there is none; lists those there are, the most alike first; or a file that is no recipe.
    """
    folder = shipped_recipe_folder()
    names = shipped_recipe_names(folder)
    if wanted is None:
        return FoundRecipes([recipe_record(name, folder / f"{name}.yaml") for name in names])
    is_file = os.path.isfile(wanted)  # noqa: PTH113 - unlike Path.is_file, False also for what no path can be
    if is_file or wanted.removesuffix(".yaml") in names:
        return _shown(wanted, folder)
    part = wanted.removeprefix("./").removeprefix("recipes/").removesuffix(".yaml").lower()
    holding = [name for name in names if name.lower().startswith(part)]
    holding = holding or [name for name in names if part in name.lower()]
    if not part or not holding:
        return _shown(wanted, folder)
    if len(holding) == 1:
        return _shown(holding[0], folder)
    return FoundRecipes([recipe_record(name, folder / f"{name}.yaml") for name in holding])


def recipe_record(name: str, path: Path) -> dict[str, Any]:
    """What a recipe says of itself, without checking it: a list of dozens is to come at once.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        raw = yaml.load(path.read_bytes(), _Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"cannot read the recipe {path}: {' '.join(str(error).split())}") from error
    sections = raw if isinstance(raw, dict) else {}
    data, model, target = (_mapping(sections.get(key)) for key in ("data", "model", "target"))
    encoders = sections.get("encoders") or [sections.get("encoder")]
    return {
        "name": name,
        "path": str(path),
        "dataset": data.get("dataset"),
        "model": model.get("name"),
        "encoders": [_encoder_name(encoder) for encoder in encoders if encoder],
        "seeds": sections.get("seeds") or [1],
        "source": sections.get("source"),
        "target": target or None,
    }


def _shown(name: str, folder: Path) -> FoundRecipes:
    path = find_recipe(name, [folder])
    own = path.relative_to(folder).with_suffix("").as_posix() if path.is_relative_to(folder) else str(path)
    from atrkit.recipe.load import load_recipe  # a list does without the schema

    load_recipe(path)  # whoever asks for one recipe wants to know that it is one
    record = recipe_record(own, path)
    text = path.read_text(encoding="utf-8", errors="replace")
    return FoundRecipes([{**record, "text": text}], text)


def _mapping(section: Any) -> dict[str, Any]:
    return section if isinstance(section, dict) else {}


def _encoder_name(encoder: Any) -> Any:
    return encoder.get("name") if isinstance(encoder, dict) else encoder
