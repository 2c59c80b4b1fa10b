"""`atrkit doctor`: what is installed, found and missing."""

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def doctor(terminal: Terminal) -> None:
    """Show what is installed, found and missing on this machine, each with the command that mends it.

    Exit code 5 where something must be mended, else 0: optional things that are missing are no error.
    """
    from atrkit.errors import IntegrityError
    from atrkit.reports.doctor_table import doctor_view
    from atrkit.workflows.doctor import examine

    record = examine(terminal.session)
    terminal.show(doctor_view(record), record)
    if any(check["state"] == "wrong" for check in record["checks"]):
        raise typer.Exit(IntegrityError.exit_code)
