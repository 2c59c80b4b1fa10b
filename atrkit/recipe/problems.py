"""What is wrong with a recipe, said so that the reader can put it right: place, finding, hint."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from atrkit.recipe.schema import Recipe
from atrkit.recipe.sections import misfits_of_sections
from atrkit.recipe.yaml_reader import Place, shown

_LONGEST_KEY = 40
_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "string": "text",
    "bool": "true or false",
    "tuple": "a list, for example [1, 2]",
    "dict": "a mapping, for example {key: value}",
    "model": "a mapping, for example {key: value}",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a recipe.

    Args:
        place: keys from the top of the file.
        finding: what is wrong and what would be right.
    """

    place: Place
    finding: str

    @property
    def dotted(self) -> str:
        """The place as `--set` takes it: optimizer.lr."""
        keys = (str(key) for key in self.place)
        return ".".join(key if key.isprintable() and len(key) <= _LONGEST_KEY else shown(key) for key in keys)


def mistakes_in(raw: Mapping[str, Any], error: ValidationError) -> list[Mistake]:
    """All mistakes of a recipe that did not validate.

    pydantic checks rules between sections only when each section is right by itself; they are checked here as well,
    so that a reader is told everything in one go.

    Args:
        raw: the recipe as it was read, before validation.
        error: what pydantic said.
    """
    between = [Mistake(place, text) for place, text in misfits_of_sections(raw)]
    judged = {mistake.place for mistake in between}  # by what this model takes, of which a section alone knows nothing
    within = [_mistake(raw, details) for details in error.errors(include_url=False) if details["loc"]]
    return [mistake for mistake in within if not judged & set(_places_above(mistake.place))] + between


def _places_above(place: Place) -> Iterator[Place]:
    """A place, and all places that it lies in."""
    return (place[:depth] for depth in range(1, len(place) + 1))


def did_you_mean(word: str, choices: Sequence[str]) -> str:
    """`; did you mean 'lr'?`, or else the choices there are.

    >>> did_you_mean("lrr", ["lr", "eps"]), did_you_mean("momentum", ["lr", "eps"])
    ("; did you mean 'lr'?", '; there are: lr, eps')
    """
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(choices)}"


def _mistake(raw: Mapping[str, Any], details: ErrorDetails) -> Mistake:
    place = _place(raw, details["loc"])
    if details["type"].startswith("union_tag") and not isinstance(_value_at(raw, place), str):
        place = (*place, "name")
    return Mistake(place, _finding(raw, place, details))


def _finding(raw: Mapping[str, Any], place: Place, details: ErrorDetails) -> str:
    kind, context, found = details["type"], details.get("ctx", {}), shown(details["input"])
    match kind:
        case "extra_forbidden":
            return "unknown key" + did_you_mean(str(place[-1]), _keys_at(raw, place[:-1]))
        case "missing" if isinstance(place[-1], int):
            return "the list is too short: a value is missing here"
        case "missing":
            return f"required, and missing{_description(raw, place)}"
        case "union_tag_not_found":
            return f"required, and missing; there are: {', '.join(_names_at(raw, place[:-1]))}"
        case "union_tag_invalid":
            named = place[:-1] if place[-1] == "name" else place
            return f"no {_called(named)} is called {shown(context['tag'])}" + did_you_mean(
                str(context["tag"]), _names_at(raw, named)
            )
        case "model_attributes_type":
            names = _names_at(raw, place)
            example = f"{{name: {details['input'] if details['input'] in names else names[0]}}}"
            return f"expected a mapping, for example {example}, found {found}"
        case "literal_error":
            return f"expected {context['expected']}, found {found}"
        case "too_long":
            return f"takes {context['max_length']} values, found {context['actual_length']}"
        case "string_too_short" | "string_pattern_mismatch":
            return "is empty" + _description(raw, place)
        case "value_error":
            return str(context["error"])
        case _ if kind in _BOUNDS:
            key, words = _BOUNDS[kind]
            return f"must be {words} {context[key]}, found {found}"
    wanted = _WANTED.get(kind.removesuffix("_type").removesuffix("_parsing"))
    if wanted is None:
        return f"{details['msg']}, found {found}"
    return f"expected {wanted}, found {found}{_quote_hint(kind, details['input'])}"


def _called(place: Place) -> str:
    """What the thing at a place is: one of `encoders` is an encoder."""
    *_, outer, last = (None, *place)
    return str(outer).removesuffix("s") if isinstance(last, int) else str(last)


def _quote_hint(kind: str, found: object) -> str:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return f" (for the text, write '{found}')" if kind == "string_type" and is_number else ""


def _place(raw: Any, location: tuple[int | str, ...]) -> Place:
    """Where in the file pydantic's location is: without the names of the kinds that it puts between the keys."""
    place: list[int | str] = []
    value = raw
    for key in location:
        if isinstance(value, Mapping) and key not in value and value.get("name") == key:
            continue
        place.append(key)
        value = _child(value, key)
    return tuple(place)


def _child(value: Any, key: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(str(key))
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _value_at(raw: Any, place: Place) -> Any:
    value = raw
    for key in place:
        value = _child(value, key)
    return value


def _keys_at(raw: Mapping[str, Any], place: Place) -> list[str]:
    part = _part_at(raw, place)
    return list(part.model_fields) if part else []


def _description(raw: Mapping[str, Any], place: Place) -> str:
    part = _part_at(raw, place[:-1])
    field = part.model_fields.get(str(place[-1])) if part else None
    return f" ({field.description})" if field and field.description else ""


def _part_at(raw: Any, place: Place) -> type[BaseModel] | None:
    """The class that describes the mapping at `place`, following `name:` through the unions."""
    kinds: list[type[BaseModel]] = [Recipe]
    value = raw
    for key in place:
        if isinstance(key, int):  # an item of a list: of the kinds that the list holds
            value = _child(value, key)
            continue
        part = _chosen(kinds, value)
        if part is None or key not in part.model_fields:
            return None
        kinds = _kinds(part.model_fields[key].annotation)
        value = _child(value, key)
    return _chosen(kinds, value)


def _chosen(kinds: Sequence[type[BaseModel]], value: Any) -> type[BaseModel] | None:
    if len(kinds) == 1:
        return kinds[0]
    name = value.get("name") if isinstance(value, Mapping) else None
    return next((kind for kind in kinds if name in _names_of(kind)), None)


def _names_at(raw: Any, place: Place) -> list[str]:
    """The names among which `name:` chooses at `place`."""
    field = place[:-1] if isinstance(place[-1], int) else place
    outer = _part_at(raw, field[:-1])
    kinds = _kinds(outer.model_fields[str(field[-1])].annotation) if outer else []
    return [name for kind in kinds for name in _names_of(kind)]


def _names_of(kind: type[BaseModel]) -> tuple[str, ...]:
    """What `name:` says where this kind is meant."""
    return get_args(kind.model_fields["name"].annotation)


def _kinds(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for argument in get_args(annotation) for kind in _kinds(argument)]
