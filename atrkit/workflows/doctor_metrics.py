"""`atrkit doctor`: Java, jars and models of caption metrics, and which metrics run with them."""

from collections.abc import Iterable
from pathlib import Path

from atrkit.metrics.captioning.catalogue import CAPTION_METRICS, NEEDS, Lack
from atrkit.metrics.captioning.java import INSTALL_JAVA
from atrkit.metrics.captioning.tools import MetricTools
from atrkit.workflows.doctor_check import Check


def metric_checks(tools: MetricTools) -> list[Check]:
    """What is there, then what it is for."""
    return [*_metric_files(tools), *_metrics(tools)]


def _metric_files(tools: MetricTools) -> list[Check]:
    java = tools.java
    checks = [
        Check("java", "missing", java.what, java.way_out, run=INSTALL_JAVA)
        if isinstance(java, Lack)
        else Check("java", "ok", f"{java.version} ({java.path})")
    ]
    for name, need in NEEDS.items():
        lack = tools.lack_of(name)
        here = Check(f"{name} files", "ok", f"{need.what} in {tools.cache / need.folder}", brief=need.what)
        lacks_all = len(tools.missing_files(name)) == len(need.files)
        folder = tools.cache / need.folder
        checks.append(here if lack is None else _missing_files(f"{name} files", lack, lacks_all, folder))
    return checks


def _missing_files(name: str, lack: Lack, lacks_all: bool, folder: Path) -> Check:
    size = f", about {lack.fetch_mb} MB" if lack.fetch_mb else ""
    brief = f"not there{size}" if lacks_all else lack.what.removeprefix(f"{folder} ")
    return Check(name, "missing", lack.what, lack.way_out, brief=brief, run=lack.fix)


def _metrics(tools: MetricTools) -> list[Check]:
    """Short, because what is missing has a line of its own above."""
    checks = [_tokenizer(tools)]
    for metric in CAPTION_METRICS:
        lacks = tools.lacks(metric)
        needs = _names_of(lacks)
        fix = "; ".join(dict.fromkeys(lack.fix for lack in lacks))
        detail = f"does not run without {' and '.join(needs)}" if needs else "runs"
        checks.append(Check(f"metric {metric}", "missing" if needs else "ok", detail, fix or None, needs=needs))
    return checks


def _tokenizer(tools: MetricTools) -> Check:
    ptb = tools.lack_of_ptb
    if ptb is None:
        return Check("tokenizer", "ok", "captions are split by the PTB tokenizer, as for published figures")
    files = tools.lack_of("ptb")
    needs = _names_of([lack for lack in (ptb, files) if lack is not None])
    return Check(
        "tokenizer", "missing", "captions are split at spaces, without java or ptb files", ptb.fix, needs=needs
    )


def _names_of(lacks: Iterable[Lack]) -> list[str]:
    """Names of the checks of these, each once."""
    return list(dict.fromkeys("java" if lack.need == "java" else f"{lack.need} files" for lack in lacks))
