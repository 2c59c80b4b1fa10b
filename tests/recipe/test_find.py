from pathlib import Path

import pytest

from atrkit.errors import UsageError
from atrkit.recipe import find
from atrkit.recipe.find import find_recipe, shipped_recipe_folder, shipped_recipe_names


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    for name in ("synthetic/retrieval", "synthetic/captioner", "own_recordings"):
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("source: x")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "synthetic/retrieval",
        "synthetic/retrieval.yaml",
        "recipes/synthetic/retrieval.yaml",
        "./recipes/synthetic/retrieval",
    ],
)
def test_by_name_in_every_spelling(shipped, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert find_recipe(name, [shipped]) == shipped / "synthetic/retrieval.yaml"


def test_a_file_of_the_users_wins(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own_recordings").write_text("source: mine")
    assert find_recipe("own_recordings", [shipped]) == Path("own_recordings")


def test_earlier_folders_win(shipped, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "own_recordings.yaml").write_text("source: y")
    assert find_recipe("own_recordings", [other, shipped]) == other / "own_recordings.yaml"


def test_what_is_not_there_lists_what_is_most_alike_first(shipped):
    with pytest.raises(UsageError) as caught:
        find_recipe("synthetic/retreival", [shipped])
    assert "'synthetic/retreival' is no file here, and no recipe's name" in str(caught.value)
    assert "with atrkit: synthetic/retrieval, synthetic/captioner, own_recordings (or" in str(caught.value)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname/x", "synthetic/../../secret", "", ".", "x" * 5000, "\0"])
def test_a_name_never_leads_out_of_the_folder(shipped, name):
    (shipped.parent / "secret.yaml").write_text("source: z")
    with pytest.raises(UsageError, match="those that come with atrkit"):
        find_recipe(name, [shipped])


def test_shipped_recipes_are_in_the_checkout():
    assert {"synthetic/retrieval", "own_recordings"} <= set(shipped_recipe_names(shipped_recipe_folder()))


def test_recipes_inside_the_installed_package_come_first(tmp_path, monkeypatch):
    (tmp_path / "atrkit" / "recipes").mkdir(parents=True)
    (tmp_path / "recipes").mkdir()
    monkeypatch.setattr(find, "__file__", str(tmp_path / "atrkit" / "recipe" / "find.py"))
    assert shipped_recipe_folder() == tmp_path / "atrkit" / "recipes"


def test_an_installation_without_recipes_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(find, "__file__", str(tmp_path / "atrkit" / "recipe" / "find.py"))
    with pytest.raises(UsageError, match="install atrkit again"):
        shipped_recipe_folder()
