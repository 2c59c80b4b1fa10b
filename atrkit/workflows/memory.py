"""How much memory there is to take, so that what does not fit stays on the disk."""

import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")
_MEMINFO = Path("/proc/meminfo")


def fits_in_memory(size_bytes: int) -> bool:
    """Whether so much more may be held in memory: at most half of what is available, because work needs some, too."""
    return size_bytes <= available_memory_bytes() // 2


def available_memory_bytes() -> int:
    """What can be taken without swapping: of the machine, or of the share that a job or a container was given."""
    return min(_available_on_machine(), _available_in_group())


def _available_on_machine() -> int:
    if _MEMINFO.is_file():
        for line in _MEMINFO.read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == "MemAvailable":
                return int(amount.removesuffix("kB")) * 1024
    # elsewhere the system says only how much there is in all
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _available_in_group() -> int:
    """What the control group of this process has left; as good as endless where there is none or no limit."""
    endless = 1 << 62
    try:
        path = (_OWN_GROUP.read_text().splitlines() or [""])[-1].partition("::")[2]
        group = _GROUPS / path.lstrip("/")
        limit = (group / "memory.max").read_text().strip()
        return endless if limit == "max" else int(limit) - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return endless
