"""The study's order of work, without any training."""

import pytest

from tests.study import runs
from tests.study.runs import Sizes, run_all
from tests.study.systems import System

NEEDED = System("captioner", "synthetic/captioner")
NEEDING = System("captions", "synthetic/auxiliary_captions", needs="captioner")


@pytest.fixture
def sizes(tmp_path) -> Sizes:
    (tmp_path / "embeddings/synthetic").mkdir(parents=True)
    (tmp_path / "embeddings/synthetic/logmel.h5").touch()
    return Sizes(tmp_path, clips=1, val_clips=1, eval_clips=1, seeds=(1, 2), epochs=None)


def fake_commands(monkeypatch, *, failing: str = "") -> list[tuple[str, int]]:
    """Commands that make the files of a finished run, and what was trained, in order."""
    trained: list[tuple[str, int]] = []

    def command(sizes: Sizes, *words: object) -> None:
        if words[0] != "train":
            return
        name = str(words[words.index("--name") + 1]).removeprefix("study/")
        seed = int(str(words[words.index("--seed") + 1]))
        if name == failing:
            raise SystemExit(f"{name} failed")
        folder = sizes.run_folder(name, seed)
        folder.mkdir(parents=True)
        for file in ("results.json", "finished.json"):
            (folder / file).touch()
        trained.append((name, seed))

    monkeypatch.setattr(runs, "_atrkit", command)
    monkeypatch.setattr(runs, "LOOK_EVERY_S", 0.001)
    return trained


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_run_is_made_once_and_later_only_what_is_missing(monkeypatch, sizes, jobs):
    trained = fake_commands(monkeypatch)
    run_all([NEEDED, NEEDING], sizes, [1], jobs=jobs)
    assert trained == [("captioner", 1), ("captions", 1)]
    run_all([NEEDED, NEEDING], sizes, [1, 2], jobs=jobs)
    assert sorted(trained[2:]) == [("captioner", 2), ("captions", 2)]


def test_where_a_training_fails_nobody_waits_for_it(monkeypatch, sizes):
    trained = fake_commands(monkeypatch, failing="captioner")
    with pytest.raises(SystemExit, match="captioner failed"):
        run_all([NEEDED, NEEDING], sizes, [1], jobs=2)
    assert trained == []
