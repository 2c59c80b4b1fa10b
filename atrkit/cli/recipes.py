"""`atrkit recipes`: what can be trained by name, and what it is to reproduce."""

from typing import Annotated

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def recipes(
    terminal: Terminal,
    show: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A recipe, to be shown whole; or part of names, to list."),
    ] = None,
) -> None:
    """List the recipes that come with atrkit, with paper, table, row and published figures; or show one of them."""
    from atrkit.reports.recipe_table import recipe_table, recipe_text
    from atrkit.workflows.recipes import find_recipes

    found = find_recipes(show)
    if found.text is None:
        terminal.show(recipe_table(found.records), found.records)
        return
    (record,) = found.records
    terminal.say(f"recipe: {record['path']}")
    terminal.show(recipe_text(record), record)
