"""YAML as recipes use it: plain mappings, lists and scalars, each with the line it stands on.

Full YAML can build Python objects (tags), grow 332 bytes into gigabytes (aliases), overflow the stack (nesting) and
keep the last of two equal keys without a word. A recipe needs none of that, so all of it is refused with its line.
Scalars follow YAML 1.2's core schema: `5e-4` is a number (PyYAML's own rules make it text), `no` is text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from atrkit.errors import UsageError

MAX_BYTES = 100_000
MAX_DEPTH = 20
_LONGEST_NUMBER = 40
_LONGEST_SHOWN = 60

Place = tuple[str | int, ...]

INT = re.compile(r"[-+]?[0-9]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NAMED_SCALARS: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN"), float("nan")),
}


@dataclass
class Document:
    """A parsed file.

    Args:
        value: dicts (keys are text), tuples and scalars.
        lines: 1-based line of every value, by its place: ("optimizer", "lr") or ("seeds", 0).
    """

    value: Any
    lines: dict[Place, int] = field(default_factory=dict)


def parse_yaml(data: str | bytes, file_name: str) -> Document:
    """Parse one YAML document, refusing what no recipe needs.

    Args:
        data: the text, or the file's bytes (UTF-8, with or without a byte order mark).
        file_name: how messages call it.

    Raises:
        UsageError: not UTF-8, over 100 kB, not YAML, or with an alias, anchor, tag, duplicate key, second document or
            nesting deeper than 20; the message has file and line.

    Example:
        >>> parse_yaml("optimizer: {lr: 5e-4, decay: no}", "recipe.yaml").value
        {'optimizer': {'lr': 0.0005, 'decay': 'no'}}
    """
    text = _decode(data, file_name)
    builder = _Builder(_events(text, file_name), file_name)
    return builder.document()


def parse_plain_scalar(text: str) -> bool | int | float | str | None:
    """Type of an unquoted scalar by YAML 1.2's core schema.

    >>> [parse_plain_scalar(text) for text in ("5e-4", "12", "true", "null", "2026-01-31", "on")]
    [0.0005, 12, True, None, '2026-01-31', 'on']
    """
    if text in _NAMED_SCALARS:
        return _NAMED_SCALARS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if INT.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text):
        return float(text)
    return text


def shown(value: object) -> str:
    """A value for an error message: on one line, and short."""
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _decode(data: str | bytes, file_name: str) -> str:
    if len(data) > MAX_BYTES:
        raise UsageError(f"{file_name}:1: larger than {MAX_BYTES // 1000} kB: is this a recipe?")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"{file_name}:{line}: not UTF-8 (byte 0x{data[error.start]:02x}): save the file as UTF-8"
        ) from None


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML looks ahead through a whole line of `[[[[`, in quadratic time: stop where the nesting is too deep."""

    def fetch_flow_collection_start(self, token_class: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token_class)


_TOO_DEEP = f"nested deeper than {MAX_DEPTH}: a recipe needs 4"


def _events(text: str, file_name: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_BoundedLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = " ".join((error.problem or error.context or "not YAML").split())
        raise UsageError(f"{file_name}:{line}: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{file_name}:{line}: character U+{error.character:04X} is not allowed: remove it") from None
    except (ValueError, OverflowError) as error:
        # PyYAML lets numbers in escapes and directives through to chr() and int()
        raise UsageError(f"{file_name}:1: not YAML ({shown(str(error))})") from None


class _Builder:
    """Values from parser events; never more than MAX_DEPTH calls deep."""

    def __init__(self, events: Iterator[yaml.Event], file_name: str) -> None:
        self._events = events
        self._file_name = file_name
        self._lines: dict[Place, int] = {}

    def document(self) -> Document:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Document(None, {(): 1})
        value = self._value(next(self._events), ())
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._error(after, "a second document begins here ('---'): one file, one recipe")
        return Document(value, self._lines)

    def _value(self, event: yaml.Event, place: Place) -> Any:
        self._refuse_extras(event)
        self._lines[place] = _line_of(event)
        if len(place) > MAX_DEPTH:
            raise self._error(event, _TOO_DEEP)
        match event:
            case yaml.ScalarEvent():
                return self._scalar(event)
            case yaml.SequenceStartEvent():
                return self._sequence(place)
            case _:
                return self._mapping(place)

    def _refuse_extras(self, event: yaml.Event) -> None:
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            raise self._error(event, f"alias {shown(f'*{anchor}')}: write the value out")
        if anchor:
            raise self._error(event, f"anchor {shown(f'&{anchor}')}: write values out where they are used")
        if tag:
            raise self._error(event, f"tag {shown(tag)}: recipes hold plain values only")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        text: str = event.value
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise self._error(event, "an escape that is no character (\\0 or half of a surrogate pair): remove it")
        return parse_plain_scalar(text) if event.style is None else text

    def _sequence(self, place: Place) -> tuple[Any, ...]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*place, len(items))))
        return tuple(items)

    def _mapping(self, place: Place) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._refuse_extras(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be text, not a list or mapping")
            self._scalar(event)
            key: str = event.value
            key_line = _line_of(event)
            if key in mapping:
                first_line = self._lines[(*place, key)]
                raise self._error(event, f"key {shown(key)} occurs twice (first on line {first_line}): keep one")
            mapping[key] = self._value(next(self._events), (*place, key))
            self._lines[(*place, key)] = key_line
        return mapping

    def _error(self, event: yaml.Event, problem: str) -> UsageError:
        return UsageError(f"{self._file_name}:{_line_of(event)}: {problem}")


def _line_of(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
