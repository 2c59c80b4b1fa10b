"""FAULTS.md row 15: a recipe that attacks its reader is refused with its line, at once."""

import time
from itertools import pairwise

import pytest

from atrkit.errors import UsageError
from atrkit.recipe.load import load_recipe

BOMB = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise("abcdefghi"))

ATTACKS = {
    "alias bomb": (BOMB, 1, "anchor '&a'"),
    "python tag": ("source: ours\nmodel: !!python/object/apply:os.system [touch owned]\n", 2, "tag"),
    "local tag": ("source: !include secrets.yaml\n", 1, "tag"),
    "duplicate key": ("source: ours\nseeds: [1]\nsource: theirs\n", 3, "occurs twice (first on line 1)"),
    "5,000 deep lists": ("source: ours\nmodel: " + "[" * 5000 + "]" * 5000 + "\n", 2, "nested deeper than 20"),
    "5,000 deep mappings": ("source: ours\nmodel: " + "{a: " * 5000 + "1" + "}" * 5000 + "\n", 2, "nested deeper than"),
    "300 deep blocks": ("\n".join(" " * depth + "a:" for depth in range(300)) + " 1\n", 22, "nested deeper than 20"),
    "5,000 dashes": ("- " * 5000 + "1\n", 1, "nested deeper than 20"),
    "two documents": ("source: ours\n---\nsource: theirs\n", 2, "a second document"),
    "100 kB": ("source: ours\n" + "#" * 200_000, 1, "larger than 100 kB"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_with_its_line(tiny, attack):
    content, line, words = ATTACKS[attack]
    (tiny.workspace / "recipe.yaml").write_text(content)
    message = tiny.error("train", tiny.workspace / "recipe.yaml", code=2)
    assert f"recipe.yaml:{line}: " in message and words in message
    assert len(message) < 500
    assert not (tiny.workspace / "runs").exists()


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_takes_less_than_a_tenth_of_a_second(tmp_path, attack):
    path = tmp_path / "recipe.yaml"
    path.write_text(ATTACKS[attack][0])
    seconds = []
    for _ in range(3):  # the fastest of three, so that a busy machine does not fail it
        start = time.perf_counter()
        with pytest.raises(UsageError):
            load_recipe(path)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1, seconds
