"""Available memory: of the machine, or of what a job was given, whichever is less."""

import pytest

from atrkit.workflows import memory

GB = 1 << 30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with 8 GB available, and the control group of this process."""
    (tmp_path / "meminfo").write_text(f"MemTotal: {16 << 20} kB\nMemAvailable:   {8 << 20} kB\nCached: 5 kB\n")
    (tmp_path / "cgroup").write_text("0::/job/7\n")
    group = tmp_path / "groups" / "job" / "7"
    group.mkdir(parents=True)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_OWN_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    return group


def test_without_a_limit_it_is_the_machines(machine):
    assert memory.available_memory_bytes() == 8 * GB
    (machine / "memory.max").write_text("max\n")
    assert memory.available_memory_bytes() == 8 * GB


def test_a_job_has_what_is_left_of_its_share(machine):
    (machine / "memory.max").write_text(f"{4 * GB}\n")
    (machine / "memory.current").write_text(f"{3 * GB}\n")
    assert memory.available_memory_bytes() == GB


def test_half_of_it_may_be_taken(machine):
    assert memory.fits_in_memory(4 * GB) and not memory.fits_in_memory(4 * GB + 1)


def test_a_system_without_these_files_has_some_memory(tmp_path, monkeypatch):
    for name in ("_MEMINFO", "_OWN_GROUP", "_GROUPS"):
        monkeypatch.setattr(memory, name, tmp_path / "none")
    assert memory.available_memory_bytes() > 0
