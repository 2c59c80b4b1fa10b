"""What is missing, each thing once, with everything that does not work without it."""

from collections.abc import Iterable, Mapping

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text


def lacks_view(lacking: Iterable[tuple[str, Mapping[str, str]]]) -> list[RenderableType]:
    """Lines for people.

    Args:
        lacking: (name of something, {"what": is missing, "fix": mends it}); names of one lack are put together.

    Returns:
        For each lack what does not work and why, and the fix below; empty when nothing is missing.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for name, lack in lacking:
        names.setdefault((lack["what"], lack["fix"]), []).append(name)
    parts: list[RenderableType] = []
    for (what, fix), lacked_by in names.items():
        parts.append(Text(f"{', '.join(lacked_by)}: {what}", overflow="fold"))
        parts.append(Padding(Text(f"fix: {fix}", overflow="fold"), (0, 0, 0, 2), expand=False))
    return parts
