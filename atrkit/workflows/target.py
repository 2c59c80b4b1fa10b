"""When the published row that a recipe aims at may stand beside what was measured, and how far apart they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from atrkit.recipe.overrides import parse_overrides
from atrkit.recipe.schema import Recipe
from atrkit.workflows.session import Session

# where files and runs lie on this computer: the recipe says which they are
_LEAVES_THE_TARGET = (
    ("encoder", "checkpoint"),
    ("model", "text", "vectors"),
    ("auxiliary_captions", "captions_from"),
    ("retrieval", "rerank", "run"),
)


def without_a_target_that_is_not_its_own(session: Session, recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """A recipe that was changed in what decides its figures does not aim at the paper's row any more."""
    moved = sorted({".".join(key) for key, _ in parse_overrides(overrides) if moves_the_target(key)})
    if recipe.target is None or not moved:
        return recipe
    session.say(f"{', '.join(moved)} changed: no published figures will stand beside the measured ones")
    return recipe.model_copy(update={"target": None})


def moves_the_target(key: Sequence[str]) -> bool:
    """Whether figures are others when this key is: everything, but the seed, and where things lie."""
    return tuple(key) not in _LEAVES_THE_TARGET and key[0] not in ("source", "target", "seeds")


_PUBLISHED_AS_THEY_ARE = ("MedR", "MnR")  # ranks; everything else is published in per cent


def target_difference(
    results: Mapping[str, Any], target: Mapping[str, Any] | None
) -> dict[str, dict[str, dict[str, Any]]] | None:
    """How far measured figures are from the published ones.

    A paper has one number, of its own training and its own pool; whether it lies inside the interval of ours says
    whether drawing other clips could explain the distance.

    Args:
        results: directions with their figures; "ci" in them where intervals were computed.
        target: of the recipe, with "values" in per cent.

    Returns:
        Direction -> figure -> "published" and "difference" (measured - published), fractions, or ranks as they are,
        and "inside_ci", None without an interval or where it has no width. What is published of unscaled losses
        ("audio_to_text_raw") is compared with these, also where they are all there is; what is published of scaled
        columns, only with such. None without published figures.

    Example:
        >>> found = target_difference({"text_to_audio": {"R@1": 0.16, "ci": {"R@1": [0.15, 0.17]}}},
        ...                           {"values": {"text_to_audio": {"R@1": 15.5}}})
        >>> found["text_to_audio"]["R@1"]["inside_ci"], round(found["text_to_audio"]["R@1"]["difference"], 4)
        (True, 0.005)
    """
    values = (target or {}).get("values")
    if not values:
        return None
    differences = {}
    for direction, published in values.items():
        measured = _as_published(results, direction, values)
        if measured:
            differences[direction] = {
                name: _difference(name, figure, measured) for name, figure in published.items() if name in measured
            }
    return differences


def _as_published(results: Mapping[str, Any], direction: str, published: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The measured direction that a published one is to be compared with."""
    measured: Mapping[str, Any] | None
    if direction.endswith("_raw"):
        measured = results.get(direction, results.get(direction.removesuffix("_raw")))
    else:
        is_scaled = f"{direction}_raw" in results
        measured = results.get(direction) if is_scaled or f"{direction}_raw" not in published else None
    return measured


def _difference(name: str, published: float, measured: Mapping[str, Any]) -> dict[str, Any]:
    value = published if name in _PUBLISHED_AS_THEY_ARE else published / 100
    interval = measured.get("ci", {}).get(name)
    has_width = interval is not None and interval[0] < interval[1]
    return {
        "published": value,
        "difference": measured[name] - value,
        "inside_ci": bool(interval[0] <= value <= interval[1]) if has_width else None,
    }
