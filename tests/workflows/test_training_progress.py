"""A training that goes on shows what is done in all, not since it was started again."""

import io

import pytest
from rich.console import Console

from atrkit.reports.progress import open_progress
from atrkit.workflows.session import Session
from atrkit.workflows.training_progress import training_progress
from atrkit.workflows.workspace import Workspace


@pytest.fixture
def log(tmp_path):
    return Console(file=io.StringIO(), width=80)


@pytest.fixture
def session(tmp_path, log):
    def open_in_log(description, total, unit, done=0):
        return open_progress(description, total, unit, done=done, console=log, clock=lambda: 0.0)

    return Session(Workspace(tmp_path), say=print, open_progress=open_in_log)


@pytest.mark.parametrize("epochs_done", [0, 26, 50])
def test_it_counts_from_the_epochs_that_are_done(session, log, epochs_done):
    with training_progress(session, "clotho/seed-1", 50) as progress:
        progress.on_start(epochs_done)
        for epoch in range(epochs_done + 1, 51):
            progress.on_epoch({"epoch": epoch})
    assert log.file.getvalue() == "training clotho/seed-1: 50 of 50 epochs in 0:00\n"


def test_a_training_that_never_starts_shows_nothing(session, log):
    with pytest.raises(KeyboardInterrupt), training_progress(session, "clotho/seed-1", 50):
        raise KeyboardInterrupt
    assert log.file.getvalue() == ""
