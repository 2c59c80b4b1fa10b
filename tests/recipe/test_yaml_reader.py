import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.errors import UsageError
from atrkit.recipe.yaml_reader import MAX_BYTES, parse_plain_scalar, parse_yaml


def refusal(data):
    started = time.perf_counter()
    with pytest.raises(UsageError) as caught:
        parse_yaml(data, "recipe.yaml")
    assert time.perf_counter() - started < 0.1
    assert caught.value.exit_code == 2
    return str(caught.value)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        pytest.param(BOMB, 1, "anchor '&a'", id="alias bomb"),
        pytest.param("x: 1\ny: *nowhere", 2, "alias '*nowhere'", id="alias"),
        pytest.param("x: 1\ny: !!python/object/apply:os.system [id]", 2, "python/object", id="python tag"),
        pytest.param("x: ! text", 1, "tag '!'", id="bare tag"),
        pytest.param("!!map {x: 1}", 1, "tag", id="tag on the top"),
        pytest.param("lr: 1\nx: 2\nlr: 3", 3, "'lr' occurs twice (first on line 1)", id="duplicate key"),
        pytest.param("x: {a: 1,\n  a: 2}", 2, "'a' occurs twice", id="duplicate key inside"),
        pytest.param("x: 1\n---\ny: 2", 2, "second document", id="two documents"),
        pytest.param("? [a, b]\n: c", 1, "key must be text", id="list as key"),
        pytest.param("a: b: c", 1, "mapping values are not allowed here", id="not YAML"),
        pytest.param("a:\n\t- b", 2, "cannot start any token", id="tab"),
        pytest.param("a: 1\nb: \x07", 2, "U+0007", id="control character"),
        pytest.param('a: "\\ud800"', 1, "no character", id="half a surrogate pair"),
        pytest.param('a: "\\0"', 1, "no character", id="NUL escape"),
        pytest.param('a: "\\UFFFFFFFF"', 1, "not YAML", id="escape beyond Unicode"),
        pytest.param("%YAML 1." + "9" * 5000 + "\n---\na", 1, "not YAML", id="endless version number"),
        pytest.param(b"a: 1\nb: caf\xe9", 2, "not UTF-8 (byte 0xe9)", id="latin-1"),
        pytest.param("a: 1\n".encode("utf-16"), 1, "not UTF-8", id="UTF-16"),
        pytest.param(b"#" * (MAX_BYTES + 1), 1, "larger than 100 kB", id="too large"),
    ],
)
def test_refuses_with_file_and_line(text, line, word):
    message = refusal(text)
    assert message.startswith(f"recipe.yaml:{line}: ")
    assert word in message
    assert "\n" not in message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_five_thousand_levels_are_refused_at_once(opening):
    assert "recipe.yaml:1:" in refusal(opening * 5000)


def test_deep_block_mappings_are_refused_at_the_line_that_is_too_deep():
    nested = "\n".join(" " * depth + "a:" for depth in range(400))
    assert refusal(nested).startswith("recipe.yaml:22: nested deeper than 20")


def test_twenty_levels_are_read():
    document = parse_yaml("[" * 20 + "]" * 20, "recipe.yaml")
    depth = 0
    value = document.value
    while value:
        (value,) = value
        depth += 1
    assert depth == 19


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-4", 0.0005),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("-0.1", -0.1),
        ("3.", 3.0),
        ("40", 40),
        ("+7", 7),
        ("null", None),
        ("~", None),
        ("True", True),
        ("false", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("2026-01-31", "2026-01-31"),
        ("e5", "e5"),
        (".", "."),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    read = parse_plain_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_quoted_numbers_stay_text():
    assert parse_yaml("paper: '004'\nrow: \"1e-3\"", "r").value == {"paper": "004", "row": "1e-3"}


def test_lines_are_those_of_the_keys():
    document = parse_yaml("# comment\na: 1\nb:\n  c: {d: 2,\n    e: [3,\n 4]}\n", "r")
    assert document.lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "c", "d"): 4,
        ("b", "c", "e"): 5,
        ("b", "c", "e", 0): 5,
        ("b", "c", "e", 1): 6,
    }


def test_a_byte_order_mark_is_harmless():
    assert parse_yaml(b"\xef\xbb\xbfa: 1", "r").value == {"a": 1}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_is_none(text):
    assert parse_yaml(text, "r").value is None


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("abc #:'\"-[]{}", max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abc:# ", min_size=1, max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(plain_values)
@settings(deadline=None)
def test_reads_what_pyyaml_writes(value):
    def listed(read):
        if isinstance(read, tuple):
            return [listed(item) for item in read]
        return {key: listed(item) for key, item in read.items()} if isinstance(read, dict) else read

    assert listed(parse_yaml(yaml.safe_dump(value), "r").value) == value


@given(st.text(max_size=200) | st.binary(max_size=200) | st.text("[]{}&*!?:-,#|>'\"%@` \n\tab0", max_size=60))
@settings(deadline=None)
def test_any_input_is_read_or_refused(data):
    try:
        parse_yaml(data, "r")
    except UsageError as error:
        assert str(error).startswith("r:")
        assert "\n" not in str(error)
