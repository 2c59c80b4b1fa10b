"""The `atrkit` command: Typer only. A command is one sentence that calls a workflow."""
