"""`--word-vectors FILE`: a shortcut for `--set model.text.vectors=FILE`, where that means anything."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atrkit.errors import UsageError
from atrkit.recipe.overrides import apply_overrides, parse_overrides
from atrkit.recipe.yaml_reader import parse_yaml

_WITH_VECTORS = "word_embeddings"  # the `name` of every text side that is made of word vectors


def word_vectors_override(recipe: Path, overrides: Sequence[str], word_vectors: Path | None) -> list[str]:
    """The override that the option stands for; none without the option.

    The recipe is not checked here: one that is whole only with the file must not be refused before it has it.

    Args:
        recipe: its file.
        overrides: what else the user set, which comes first.
        word_vectors: the file, or None.

    Raises:
        UsageError: the recipe's text side has no word vectors.
    """
    if word_vectors is None:
        return []
    raw = parse_yaml(recipe.read_bytes(), str(recipe)).value
    model = _section(apply_overrides(raw, parse_overrides(overrides)) if isinstance(raw, dict) else {}, "model")
    text = _section(model, "text")
    if text.get("name") != _WITH_VECTORS:
        side = f"has the text side {text['name']!r}" if "name" in text else "has no text side of its own"
        raise UsageError(
            f"--word-vectors: model {model.get('name')!r} of {recipe} {side}, and word vectors are of "
            f"{_WITH_VECTORS!r}: leave the option out, or take a recipe with model.text.name {_WITH_VECTORS}"
        )
    return [f"model.text.vectors={json.dumps(str(word_vectors), ensure_ascii=False)}"]


def _section(raw: dict[str, Any], key: str) -> dict[str, Any]:
    section = raw.get(key)
    return section if isinstance(section, dict) else {}
