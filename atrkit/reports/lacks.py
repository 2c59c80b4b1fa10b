"""What is missing, each thing once, with everything that does not work without it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text


def lacks_view(lacking: Iterable[tuple[str, Mapping[str, Any]]]) -> list[RenderableType]:
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
        parts.append(_indented(f"fix: {fix}"))
    return parts


def brief_lacks_view(lacking: Sequence[tuple[str, Mapping[str, Any]]]) -> list[RenderableType]:
    """The commands that bring everything that is missing; places and addresses are left to others.

    Args:
        lacking: as `lacks_view` takes it; "need", "steps" and "fetch_mb" say in short what is missing. What has no
            "need" is not merely missing, and is shown as `lacks_view` does.
    """
    missing = {lack["need"]: lack for _, lack in lacking if lack.get("need")}
    java = missing.pop("java", None)
    parts: list[RenderableType] = []
    if missing:
        steps = dict.fromkeys(step for lack in missing.values() for step in lack["steps"])
        fetch_mb = sum(lack["fetch_mb"] for lack in missing.values())
        size = f"{fetch_mb / 1000:.1f} GB" if fetch_mb >= 1000 else f"{fetch_mb} MB"
        network = f" (needs a network, about {size})" if fetch_mb else ""
        parts.append(_indented(f"run: {'; '.join(steps)}{network}"))
    if java is not None:
        parts.append(_indented(f"{java['what']}: {java['fix']}"))
    if parts:
        parts.append(_indented("atrkit doctor says what each one lacks"))
    return [*parts, *lacks_view((name, lack) for name, lack in lacking if not lack.get("need"))]


def _indented(line: str) -> Padding:
    return Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False)
