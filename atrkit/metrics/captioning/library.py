"""The one place that opens aac-metrics, and what it takes to run it beside today's Java."""

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from atrkit.metrics.captioning.java import Java

_NO_LIMIT = 999
_JAVA_OPTIONS = "JDK_JAVA_OPTIONS"
_JAVA_THAT_LOCKS_THEM = 16
# what fst-2.47 of SPICE reaches into by reflection
_PACKAGES = ("lang", "math", "util", "util.concurrent", "text", "net", "io", "nio")
_OPENED = (
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _PACKAGES),
    "--add-opens=java.sql/java.sql=ALL-UNNAMED",
)


def aac_metrics_version() -> str:
    """Of the installed package, which is not imported."""
    return version("aac-metrics")


def import_aac_metrics() -> Any:
    """Import aac-metrics with what is called here; the first time in a process it takes about ten seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("aac_metrics.utils.tokenization")
        importlib.import_module("aac_metrics.utils.checks")
        return importlib.import_module("aac_metrics.functional")


@contextlib.contextmanager
def java_accepted(java: Java) -> Iterator[None]:
    """Let aac-metrics run this Java, whatever its age.

    aac-metrics 0.5.4 refuses Java above 13, although the PTB tokenizer and METEOR run with 17, and fails on Java 8,
    whose version ("1.8.0_382") it cannot read. SPICE reaches into Java's own classes, which Java forbids from 16 on
    unless it is told otherwise; Java itself reads that from the environment.

    Args:
        java: that will be used.
    """
    checks: Any = importlib.import_module("aac_metrics.utils.checks")
    ceiling, read_version = checks.MAX_JAVA_MAJOR_VERSION, checks._get_java_version
    options = os.environ.get(_JAVA_OPTIONS)
    checks.MAX_JAVA_MAJOR_VERSION = _NO_LIMIT
    checks._get_java_version = lambda _: str(java.major)
    if java.major >= _JAVA_THAT_LOCKS_THEM:
        os.environ[_JAVA_OPTIONS] = " ".join(filter(None, (options, *_OPENED)))
    try:
        yield
    finally:
        checks.MAX_JAVA_MAJOR_VERSION, checks._get_java_version = ceiling, read_version
        if options is None:
            os.environ.pop(_JAVA_OPTIONS, None)
        else:
            os.environ[_JAVA_OPTIONS] = options


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep pages of logging off the screen: what fails comes back as an error, and is said in one line."""
    loggers = [logging.getLogger(name) for name in ("aac_metrics", "sentence_transformers", "transformers")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
