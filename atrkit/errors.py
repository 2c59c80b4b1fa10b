"""Every way atrkit stops on purpose, each with its exit code.

A user sees one line, `what is wrong: the way out`, and never a traceback (`--debug` shows it). Exit codes are
stable: 0 done; 1 a bug in atrkit; 2 usage or configuration; 3 a prerequisite is missing; 4 disk, memory or
permission; 5 integrity or refused; 6 network; 7 done, with items skipped or repaired and listed; 8 diverged (NaN);
130 and 143 interrupted, with a checkpoint.
"""

EXIT_DONE_WITH_PROBLEMS = 7
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class AtrkitError(Exception):
    """Something the user can act on. The message names the thing and the way out, in one line."""

    exit_code = 1


class UsageError(AtrkitError):
    """A wrong option, recipe or table of captions (exit code 2)."""

    exit_code = 2


class MissingPrerequisiteError(AtrkitError):
    """Something must be made first; the message says the command that makes it (exit code 3)."""

    exit_code = 3


class ResourceError(AtrkitError):
    """Disk, memory or permission (exit code 4)."""

    exit_code = 4


class IntegrityError(AtrkitError):
    """A file is not what it should be, or what was asked would mix things that must not mix (exit code 5)."""

    exit_code = 5


class NetworkError(AtrkitError):
    """The network is needed and did not answer as it should (exit code 6)."""

    exit_code = 6


class DivergedError(AtrkitError):
    """NaN or infinity in features, loss or scores (exit code 8)."""

    exit_code = 8


class TerminatedError(BaseException):
    """SIGTERM, raised in the main thread so that it unwinds like Ctrl-C (exit code 143)."""
