"""`atrkit doctor`: what is installed, found and missing on this machine, each with the fix."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from atrkit import __version__
from atrkit.metrics.captioning.tools import MetricTools
from atrkit.workflows.doctor_check import Check, GroupName
from atrkit.workflows.doctor_data import data_checks
from atrkit.workflows.doctor_encoders import encoder_checks
from atrkit.workflows.doctor_machine import machine_checks
from atrkit.workflows.doctor_metrics import metric_checks
from atrkit.workflows.doctor_programs import program_checks
from atrkit.workflows.doctor_runs import run_checks
from atrkit.workflows.session import Session


def examine(session: Session) -> dict[str, Any]:
    """Look at everything that atrkit uses; nothing heavy is imported and no network is asked.

    What cannot be looked at, because it is broken in a way that nobody thought of, is a line like the others.

    Args:
        session: knows the workspace.

    Returns:
        For JSON: "atrkit" (version) and "checks", each with name, state, detail, fix, brief, run, needs and group.
    """
    workspace, tools = session.workspace, MetricTools()
    groups: dict[GroupName, Callable[[], list[Check]]] = {
        "machine": lambda: machine_checks(workspace.root),
        "data": lambda: data_checks(workspace),
        "runs": lambda: run_checks(workspace),
        "encoders": encoder_checks,
        "programs": program_checks,
        "metrics": lambda: metric_checks(tools),
    }
    with ThreadPoolExecutor(len(groups)) as pool:  # Java and ffmpeg say their versions in the meantime
        found = list(pool.map(_looked_at, groups, groups.values()))
    return {"atrkit": __version__, "checks": [asdict(check) for checks in found for check in checks]}


def _looked_at(group: GroupName, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return [replace(check, group=group) for check in look()]
    except Exception as error:  # whatever it is: the other groups are worth a look
        detail = f"cannot be looked at: {type(error).__name__}: {error}"
        fix = "mend what the line names; where it names nothing of yours, report it as a bug of atrkit"
        return [Check(group, "wrong", detail, fix, group=group)]
