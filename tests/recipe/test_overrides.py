import pytest

from atrkit.errors import UsageError
from atrkit.recipe.overrides import apply_overrides, parse_overrides


@pytest.mark.parametrize(
    ("option", "place", "value"),
    [
        ("optimizer.lr=1e-3", ("optimizer", "lr"), 0.001),
        ("seeds=[1, 2, 3]", ("seeds",), (1, 2, 3)),
        ("model={name: ridge, label_prior: false}", ("model",), {"name": "ridge", "label_prior": False}),
        ("model.sentence_encoder=/models/mini lm", ("model", "sentence_encoder"), "/models/mini lm"),
        ("source=ours: a # b", ("source",), "ours: a # b"),
        ("source=*x &y !z", ("source",), "*x &y !z"),
        ("data.train='1'", ("data", "train"), "1"),
        ("data.val=null", ("data", "val"), None),
        ("data.val=", ("data", "val"), None),
        ("target.row=a=b", ("target", "row"), "a=b"),
        (" seeds = [1] ", ("seeds",), (1,)),
    ],
)
def test_place_and_value(option, place, value):
    assert parse_overrides([option]) == [(place, value)]


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("optimizer.lr", "write it as place=value"),
        ("=3", "write it as place=value"),
        ("optimizer..lr=3", "write it as place=value"),
        ("seeds=[1, 2", "--set seeds:1: expected ',' or ']'"),
        ("seeds=[*a]", "--set seeds:1: alias"),
        ("seeds=[!!int 3]", "--set seeds:1: tag"),
        ("model={name: ridge, name: ridge}", "--set model:1: key 'name' occurs twice"),
        ("source=two\nlines", "--set source: the value holds a line break"),
        ("x=" + "[" * 5000, "--set x:1: nested deeper than 20"),
    ],
)
def test_mistakes_name_the_option(option, words):
    with pytest.raises(UsageError) as caught:
        parse_overrides([option])
    assert words in str(caught.value)


def test_missing_mappings_are_made_and_the_recipe_is_left_alone():
    raw = {"model": {"name": "ridge"}, "loss": None}
    merged = apply_overrides(raw, parse_overrides(["model.a.b=1", "loss.name=nt_xent", "data.train=dev"]))
    assert merged == {
        "model": {"name": "ridge", "a": {"b": 1}},
        "loss": {"name": "nt_xent"},
        "data": {"train": "dev"},
    }
    assert raw == {"model": {"name": "ridge"}, "loss": None}


def test_the_last_of_two_counts():
    assert apply_overrides({}, parse_overrides(["a.b=1", "a={b: 2}", "a.c=3"])) == {"a": {"b": 2, "c": 3}}


def test_a_value_on_the_way_is_an_error():
    with pytest.raises(UsageError, match=r"--set seeds\.0: seeds is \[1, 2\], which has no keys; set seeds as a whole"):
        apply_overrides({"seeds": (1, 2)}, parse_overrides(["seeds.0=3"]))
