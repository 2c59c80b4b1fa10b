"""`atrkit doctor`: what is installed, found and missing."""

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def doctor(terminal: Terminal) -> None:
    """Show what is installed, found and missing on this machine, each with the command that mends it.

    Optional things that are missing are no error.
    """
    from atrkit.reports.doctor_table import doctor_view
    from atrkit.workflows.doctor import examine

    record = examine(terminal.session)
    terminal.show(doctor_view(record), record)
