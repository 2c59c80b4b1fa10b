"""`--set optimizer.lr=1e-3`: settings given on the command line, on top of a recipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrkit.errors import UsageError
from atrkit.recipe.yaml_reader import parse_plain_scalar, parse_yaml, shown

Override = tuple[tuple[str, ...], Any]


def parse_overrides(options: Sequence[str]) -> list[Override]:
    """Read `place=value` options.

    A value that begins with a quote, `[` or `{` is read as YAML; any other is one scalar as it stands, so that paths
    and sentences with `: ` or ` #` in them arrive whole. Nothing after `=` means null.

    Args:
        options: what followed each `--set`.

    Returns:
        Pairs of place and value, in the order given; the last of two for one place counts.

    Raises:
        UsageError: no `=`, an empty key, or a value that is not YAML; the message names the option.

    Example:
        >>> parse_overrides(["optimizer.lr=1e-3", "seeds=[1, 2]"])
        [(('optimizer', 'lr'), 0.001), (('seeds',), (1, 2))]
    """
    return [_parse(option) for option in options]


def apply_overrides(raw: Mapping[str, Any], overrides: Sequence[Override]) -> dict[str, Any]:
    """A copy of `raw` with the overrides in it; mappings on the way that are missing are made.

    Another `name` makes a part another kind, to which the old kind's settings mean nothing: they go, and those of the
    new kind start from their defaults.

    Raises:
        UsageError: a key on the way holds a value and not a mapping.

    Example:
        >>> lstm = {"pooling": {"name": "lstm", "hidden_dim": 256}}
        >>> apply_overrides(lstm, parse_overrides(["pooling.name=mean"]))
        {'pooling': {'name': 'mean'}}
    """
    merged = dict(raw)
    for place, value in overrides:
        merged = _with_value(merged, place, value, place)
    return merged


def _parse(option: str) -> Override:
    dotted, equals, text = option.partition("=")
    place = tuple(key.strip() for key in dotted.split("."))
    if not equals or not all(place):
        raise UsageError(f"--set {shown(option)}: write it as place=value, for example optimizer.lr=1e-3")
    return place, _parse_value(text.strip(), f"--set {dotted.strip()}")


def _parse_value(text: str, option: str) -> Any:
    if text.startswith(("[", "{", '"', "'")):
        return parse_yaml(text, option).value
    if not text.isprintable():
        raise UsageError(f"{option}: the value holds a line break or another control character: remove it")
    return parse_plain_scalar(text)


def _with_value(mapping: dict[str, Any], place: Sequence[str], value: Any, whole: Sequence[str]) -> dict[str, Any]:
    key, *rest = place
    if not rest:
        is_other_kind = key == "name" and mapping.get("name", value) != value
        return {"name": value} if is_other_kind else {**mapping, key: value}
    inner = mapping.get(key)
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        outer = ".".join(whole[: len(whole) - len(rest)])
        raise UsageError(
            f"--set {'.'.join(whole)}: {outer} is {shown(inner)}, which has no keys; set {outer} as a whole"
        )
    return {**mapping, key: _with_value(inner, rest, value, whole)}
