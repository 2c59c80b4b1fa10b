"""`atrkit serve`: a page to search one's own sounds."""

import sys
from typing import Annotated, Any

import typer

from atrkit.cli.session import Terminal, with_terminal


@with_terminal
def serve(
    terminal: Terminal,
    index: Annotated[str | None, typer.Option(metavar="NAME", help="Which index (default: the newest).")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port (0: any that is free).")] = 8765,
    host: Annotated[
        str,
        typer.Option(
            help="Address or name to listen at; any but this computer itself needs --token, and is not encrypted "
            "(HTTP): where others may listen in, use ssh -L."
        ),
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(envvar="ATRKIT_TOKEN", help="Whoever wants in must show this; 16 letters or more."),
    ] = None,
) -> None:
    """Open a page to search an index of atrkit index, by words or by a sound, and to listen; Ctrl-C ends it.

    By default only this computer is answered. The page loads nothing from
    elsewhere, and no file is given out that is not in the index.
    """
    from atrkit.workflows.serve import ServeOptions
    from atrkit.workflows.serve import serve as run_serve

    def tell(urls: list[str], record: dict[str, Any]) -> None:
        with_token = "" if token is None else "?token=YOUR_TOKEN"
        terminal.show(f"search at {' or '.join(url + with_token for url in urls)} (Ctrl-C ends it)", record)
        sys.stdout.flush()

    run_serve(terminal.session, ServeOptions(index, port, host, token), tell)
