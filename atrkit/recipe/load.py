"""Recipes in and out of YAML: every mistake is named at once, and what ran is written down whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from atrkit.errors import UsageError
from atrkit.recipe.overrides import Override, apply_overrides, parse_overrides
from atrkit.recipe.problems import Mistake, mistakes_in
from atrkit.recipe.schema import Recipe
from atrkit.recipe.yaml_reader import FLOAT, MAX_BYTES, Document, Place, parse_yaml, shown

_LINE_LENGTH = 110


def load_recipe(source: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and check all of it.

    Args:
        source: a file (Path), or YAML text (str).
        overrides: what followed each `--set`, for example "optimizer.lr=1e-3".

    Raises:
        UsageError: the file cannot be read, is not a recipe, or has mistakes; all of them are in the message, each
            with its line (or its `--set`), its place and a hint (exit code 2).

    Example:
        >>> load_recipe("{source: ours, encoder: {name: logmel}, model: {name: ridge}}").encoder.pool_time_s
        0.32
    """
    file_name = str(source) if isinstance(source, Path) else "recipe"
    data = _read(source) if isinstance(source, Path) else source
    document = parse_yaml(data, file_name)
    if not isinstance(document.value, dict):
        found = "it is empty" if document.value is None else f"found {shown(document.value)}"
        raise UsageError(f"{file_name}:1: a recipe is a mapping with source, encoder and model; {found}")
    parsed = parse_overrides(overrides)
    raw = apply_overrides(document.value, parsed)
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise _all_mistakes(file_name, mistakes_in(raw, error), document, parsed) from None


def dump_recipe(recipe: Recipe) -> str:
    """YAML that loads to an equal recipe, every default written out: the record of what ran.

    Example:
        >>> recipe = load_recipe("{source: ours, encoder: {name: logmel}, model: {name: ridge}}")
        >>> load_recipe(dump_recipe(recipe)) == recipe
        True
    """
    sections = {key: value for key, value in recipe.model_dump(mode="json").items() if value is not None}
    return to_yaml(sections, _LINE_LENGTH)


def to_yaml(value: Any, width: int) -> str:
    """YAML that `parse_yaml` reads back to the same value; innermost lists and mappings on one line."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=width)


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or our reader would take for something other than text; never writes an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML folds U+0085, U+2028 and U+2029 like line ends and so loses them, except between double quotes
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read the recipe {path}: {error.strerror or error}") from None


def _all_mistakes(
    file_name: str, mistakes: Sequence[Mistake], document: Document, overrides: Sequence[Override]
) -> UsageError:
    in_order = sorted(mistakes, key=lambda mistake: _line_number(mistake, document) or 0)
    lines = [_line(mistake, document, overrides) for mistake in in_order]
    if len(lines) == 1:
        return UsageError(f"{file_name}: {lines[0]}")
    return UsageError("\n  ".join([f"{file_name}: {len(lines)} mistakes", *lines]))


def _line(mistake: Mistake, document: Document, overrides: Sequence[Override]) -> str:
    option = _option_that_wrote(mistake.place, document, overrides)
    if option:
        place = "" if option == mistake.dotted else f"{mistake.dotted}: "
        return f"--set {option}: {place}{mistake.finding}"
    line = _line_number(mistake, document)
    return f"{f'line {line}: ' if line else ''}{mistake.dotted}: {mistake.finding}"


def _line_number(mistake: Mistake, document: Document) -> int | None:
    """Where the mistake stands, or the section that lacks something."""
    return next((document.lines[outer] for outer in _outwards(mistake.place) if outer in document.lines), None)


def _option_that_wrote(place: Place, document: Document, overrides: Sequence[Override]) -> str | None:
    """The option whose value is, holds or (for what the file does not have) made the mapping at `place`."""
    for override_place, _ in reversed(overrides):
        made_here = place not in document.lines and override_place[: len(place)] == place
        if place[: len(override_place)] == override_place or made_here:
            return ".".join(override_place)
    return None


def _outwards(place: Place) -> list[Place]:
    return [place[:length] for length in range(len(place), 0, -1)]
