"""`atrkit recipes`: what there is, and one of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from atrkit.cli.app import app
from atrkit.recipe.find import shipped_recipe_folder, shipped_recipe_names

FOLDER = shipped_recipe_folder()
NAMES = shipped_recipe_names(FOLDER)


def run(*words, code=0):
    result = CliRunner().invoke(app, ["recipes", *words])
    assert result.exit_code == code, (result.exit_code, result.stderr, result.exception)
    return result


def test_all_of_them_are_listed_with_what_they_aim_at():
    records = json.loads(run("--json").stdout)
    assert [record["name"] for record in records] == NAMES
    for record in records:
        raw = yaml.safe_load((FOLDER / f"{record['name']}.yaml").read_text())
        assert record["target"] == raw.get("target") and record["source"] == raw["source"]
        assert record["dataset"] == raw.get("data", {}).get("dataset") and record["model"] == raw["model"]["name"]
        encoders = raw.get("encoders") or [raw["encoder"]]
        assert record["encoders"] == [each if isinstance(each, str) else each["name"] for each in encoders]


def test_the_table_has_a_line_for_each_with_the_published_figures():
    lines = run("--plain").stdout.splitlines()
    for name in ("cnext_trans/clotho", "cnext_trans/audiocaps"):
        target = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["target"]["values"]
        figures = [target[d][k] for d in ("text_to_audio", "audio_to_text") for k in ("R@1", "R@10")]
        shown = [line.split() for line in lines if line.startswith(f"  {name.rpartition('/')[2]} ")]
        assert ["004,", "2", *map(str, figures)] in [[words[1], words[2], *words[-4:]] for words in shown if words[1:]]
    assert f"{len(NAMES)} recipes" in lines[-1] + lines[-2]


def test_a_folder_lists_what_lies_in_it_and_part_of_a_name_what_holds_it():
    def listed(*words):
        return [record["name"] for record in json.loads(run(*words, "--json").stdout)]

    assert listed("cnext_trans") == listed("recipes/cnext_trans/") == ["cnext_trans/audiocaps", "cnext_trans/clotho"]
    assert "synthetic/hci" in NAMES and listed("hci") == [name for name in NAMES if name.startswith("hci/")]
    assert listed("captioner_") == [name for name in NAMES if "captioner_" in name]


def test_one_is_shown_with_its_comments_and_its_target():
    shown = run("cnext_trans/clotho")
    text = (FOLDER / "cnext_trans/clotho.yaml").read_text()
    assert text in shown.stdout and text.startswith("# ")
    assert "cnext_trans/clotho aims at paper 004, table 2, row CL CNext-trans, published in %:\n" in shown.stdout
    assert "  text to audio: R@1 13.7, R@5 34.9, R@10 48\n" in shown.stdout
    assert "aims at no published row" in run("own_recordings").stdout
    for name in ("recipes/cnext_trans/clotho.yaml", "cnext_trans/clotho.yaml", "cnext_trans/clo"):
        assert text in run(name).stdout
    record = json.loads(run("cnext_trans/clotho", "--json").stdout)
    assert record["text"] == text and record["path"] == str(FOLDER / "cnext_trans/clotho.yaml")


def test_a_recipe_of_the_users_is_shown_too(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("# mine\nsource: ours\nencoder: {name: logmel}\nmodel: {name: ridge}\n")
    assert run(str(mine)).stdout.startswith("# mine\nsource: ours\n")
    mine.write_text("source: [")
    assert f"{mine}:1" in run(str(mine), code=2).stderr


@pytest.mark.parametrize("name", ["synthetic/retreival", "retreival", "", "../pyproject", "x" * 5000])
def test_an_unknown_name_suggests_near_ones(name):
    message = run(name, code=2).stderr
    assert (
        "no recipe's name; those that come with atrkit: " in message and "others that atrkit recipes lists" in message
    )
    if "retreival" in name:
        assert "those that come with atrkit: synthetic/retrieval, " in message


def test_nothing_heavy_is_imported_for_a_list():
    command = (
        "import sys; from typer.testing import CliRunner; from atrkit.cli.app import app; "
        "assert CliRunner().invoke(app, ['recipes']).exit_code == 0; "
        "print([name for name in ('torch', 'numpy', 'h5py', 'atrkit.recipe.schema') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True,
                          cwd=Path(__file__).parents[2])  # fmt: skip
    assert done.stdout == "[]\n"


def test_a_file_that_is_no_recipe_is_not_shown_as_one(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name,number\na,1\n")
    assert "a recipe is a mapping" in run(str(recipe), code=2).stderr
    recipe.write_text((FOLDER / "synthetic/hci.yaml").read_text().replace("epochs:", "epochz:"))
    assert "training.epochz: unknown key; did you mean 'epochs'?" in run(str(recipe), code=2).stderr
