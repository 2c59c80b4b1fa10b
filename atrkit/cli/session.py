"""What all commands share: the common options, one-line errors with exit codes, signals."""

import functools
import inspect
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from atrkit.errors import (
    EXIT_DONE_WITH_PROBLEMS,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    AtrkitError,
    TerminatedError,
)

if TYPE_CHECKING:
    from rich.console import Console

    from atrkit.workflows.session import Advance, Session

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace", envvar="ATRKIT_WORKSPACE", help="Folder with data/, embeddings/, runs/ (default: here)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, for machines.")]
PlainOption = Annotated[bool, typer.Option("--plain", help="No colours, no drawing characters, no live progress.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

COMMON_OPTIONS = {
    "workspace": (WorkspaceOption, None),
    "as_json": (JsonOption, False),
    "plain": (PlainOption, False),
    "debug": (DebugOption, False),
}


class Terminal:
    """One command at one terminal: where results and remarks go.

    Args:
        workspace: the folder named by the user, or None for the current one.
        as_json: results are one JSON object.
        plain: no colours, no live progress.
    """

    def __init__(self, workspace: Path | None, *, as_json: bool, plain: bool) -> None:
        self.workspace = workspace or Path()
        self.as_json = as_json
        self.plain = plain

    @functools.cached_property
    def session(self) -> "Session":
        """The surroundings that workflows are given."""
        from atrkit.workflows.session import Session
        from atrkit.workflows.workspace import Workspace

        return Session(Workspace(self.workspace), say=self.say, open_progress=self.open_progress)

    def say(self, line: str) -> None:
        """A remark, on stderr."""
        self._stderr.print(line, markup=False, highlight=False, soft_wrap=True)

    def open_progress(
        self, description: str, total: int, unit: str, done: int = 0
    ) -> "AbstractContextManager[Advance]":
        """A progress display, on stderr."""
        from atrkit.reports.progress import open_progress

        return open_progress(description, total, unit, done=done, plain=self.plain, console=self._stderr)

    @functools.cached_property
    def _stderr(self) -> "Console":
        """One for all, so that a remark takes its place above a bar that is being drawn."""
        from atrkit.reports.console import make_stderr

        return make_stderr(plain=self.plain)

    def show(self, renderable: Any, record: Any) -> None:
        """The result, on stdout: for people, or with --json for machines."""
        if self.as_json:
            import json

            sys.stdout.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        else:
            from atrkit.reports.console import make_stdout

            make_stdout(plain=self.plain).print(renderable, soft_wrap=isinstance(renderable, str), highlight=False)

    def finish(self, problems: int, where: Path) -> None:
        """Leave with exit code 7 when something was skipped or altered.

        Raises:
            typer.Exit: with code 7.
        """
        if problems:
            from atrkit.reports.counting import counted

            self.say(f"{counted(problems, 'problem is', 'problems are')} listed in {where}")
            raise typer.Exit(EXIT_DONE_WITH_PROBLEMS)


def with_terminal(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options and turn every error into one line and an exit code.

    The command's first parameter is a `Terminal`; in its place the user sees --workspace, --json, --plain, --debug.
    """
    signature = inspect.signature(command)
    own = list(signature.parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in COMMON_OPTIONS.items()
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        options = {name: values.pop(name) for name in COMMON_OPTIONS}
        try:
            with _signals_unwind():
                command(Terminal(options["workspace"], as_json=options["as_json"], plain=options["plain"]), **values)
        except (typer.Exit, typer.Abort):
            raise
        except BaseException as error:
            leave(error, debug=options["debug"])

    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    wrapper.__signature__ = signature.replace(parameters=[*keyword_only, *common])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in [*keyword_only, *common]}
    return wrapper


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM unwind the command; a second one ends the process at once."""

    def unwind(signum: int, frame: Any) -> NoReturn:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt if signum == signal.SIGINT else TerminatedError

    heeded = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, unwind) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending_at_once_when_interrupted() -> Iterator[None]:
    """End the process as soon as an interrupted command has unwound.

    Python would wait for threads that still encode, minutes for a long recording. Files are whole at any instant, so
    that there is nothing to wait for.
    """
    try:
        yield
    except SystemExit as leaving:
        # daemons too: a thread pool's are waited for whatever they are
        is_busy = threading.active_count() > 1
        if is_busy and leaving.code in (EXIT_INTERRUPTED, EXIT_TERMINATED):
            _free_named_semaphores()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(leaving.code)
        raise


def _free_named_semaphores() -> None:
    """Do what multiprocessing does at the end of Python; else its tracker frees them, and complains on the screen."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._run_finalizers(0)


@contextmanager
def usage_errors_in_one_line(make_command: Callable[[], Any]) -> Iterator[None]:
    """Say what is wrong with the words of a command, and where its help is (exit code 2).

    Args:
        make_command: the whole program, which knows what an option is followed by; asked where a value is missing.
    """
    try:
        yield
    except Exception as error:
        message = getattr(error, "format_message", None)  # click's, which typer may carry inside itself
        if message is None:
            raise
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "atrkit"
        if type(error).__name__ != "NoArgsIsHelpError":  # whose message is the help, which typer has printed
            said = " ".join(message().split())
            if (values := _values_of(getattr(error, "option_name", None), make_command)) is not None:
                said = f"{said.rstrip('.')}: {values}"
            sys.stderr.write(f"atrkit: {said} (see {command} --help)\n")
        raise SystemExit(getattr(error, "exit_code", 2)) from None


def _values_of(option: str | None, make_command: Callable[[], Any]) -> str | None:
    """What an option that takes several values is followed by, by the names that its help has for them."""
    if option is None:
        return None
    known = [each for command in make_command().commands.values() for each in command.params if option in each.opts]
    return next((each.metavar for each in known if each.nargs > 1), None)


def leave(error: BaseException, *, debug: bool) -> NoReturn:
    """Print one line for an error and leave with its exit code.

    Raises:
        typer.Exit: always.
    """
    if debug:
        traceback.print_exc()
    code, line = _describe(error)
    sys.stderr.write(f"atrkit: {line}\n")
    raise typer.Exit(code)


def _describe(error: BaseException) -> tuple[int, str]:
    match error:
        case AtrkitError():
            return error.exit_code, str(error)  # one line; a recipe's mistakes have one each
        case TerminatedError():
            return EXIT_TERMINATED, "terminated; nothing is half written, run the same command again"
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED, "interrupted; nothing is half written, run the same command again"
        case MemoryError():
            return 4, "out of memory; use a machine with more, or a smaller dataset"
        case BrokenPipeError():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1, "the reader of this command's output went away"
        case OSError(filename=None):
            return 4, error.strerror or str(error)
        case OSError():
            from atrkit.files import as_resource_error

            return 4, str(as_resource_error(error, Path(error.filename)))
        case _:
            reason = f"{type(error).__name__}: {error}".split("\n")[0]
            return 1, f"this is a bug in atrkit, please report it with the output of --debug: {reason}"
