"""What an installed atrkit has with it: the shipped recipes and the encoders' class names."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from atrkit.recipe.find import shipped_recipe_names

ROOT = Path(__file__).resolve().parents[2]
RECIPES = shipped_recipe_names(ROOT / "recipes")
LIST_RECIPES = (
    "import atrkit.recipe.find as f, pathlib; folder = f.shipped_recipe_folder(); "
    "print(pathlib.Path(f.__file__).parents[1] in folder.parents, *f.shipped_recipe_names(folder))"
)


def names_from(site: Path) -> list[str]:
    """Whether an atrkit in `site` reads its own recipes, and their names; seen from a folder that is no checkout."""
    command = [sys.executable, "-c", LIST_RECIPES]
    done = subprocess.run(command, cwd=site, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_build_puts_the_recipes_into_the_package() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["atrkit"]
    assert wheel["force-include"] == {"recipes": "atrkit/recipes"}


def test_an_installed_package_finds_the_recipes_in_itself(tmp_path: Path) -> None:
    """The layout of the wheel, as the test above says, without building one."""
    shutil.copytree(ROOT / "atrkit", tmp_path / "atrkit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "recipes", tmp_path / "atrkit" / "recipes")
    assert names_from(tmp_path) == ["True", *RECIPES]


def test_the_wheel_holds_recipes_and_data_files(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: the build's settings are read instead, by the test above")
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "atrkit").rglob("*.py")}
    assert sources <= held
    assert {f"atrkit/recipes/{name}.yaml" for name in RECIPES} | {"atrkit/encoders/audioset_labels.txt"} <= held
    page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "atrkit/reports/page/templates").iterdir()}
    assert len(page) == 4 and page <= held
    assert not [name for name in held if name.startswith(("tests/", ".", "recipes/"))]
    assert names_from(tmp_path / "site") == ["True", *RECIPES]
