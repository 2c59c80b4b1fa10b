"""When the published row that a recipe aims at may stand beside what was measured."""

from collections.abc import Sequence

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
