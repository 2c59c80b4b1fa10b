import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrkit.text.normalise import normalise_caption, words_of


@pytest.mark.parametrize(
    ("written", "normalised"),
    [
        ("A Dog Barks.", "a dog barks"),
        ("rain,wind;hail", "rain wind hail"),
        ("a high-pitched—shrill tone", "a high pitched shrill tone"),
        ("the dog's bowl, the dogs’ bowls, it doesn't", "the dogs bowl the dogs bowls it doesnt"),
        ('"quoted" (bracketed) [words]', "quoted bracketed words"),
        ("\tmany \n\r kinds\u00a0of\u3000space ", "many kinds of space"),
        ("rock & roll at 50% + 3 °C", "rock roll at 50 3 c"),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("Cafe\u0301 ÄÖÜ", "café äöü"),
        ("a \x00 b", "a b"),
        ("...!?", ""),
        ("", ""),
    ],
)
def test_normalised_form(written: str, normalised: str) -> None:
    assert normalise_caption(written) == normalised


@given(st.text())
def test_applying_it_twice_changes_nothing(text: str) -> None:
    once = normalise_caption(text)
    assert normalise_caption(once) == once


def test_every_single_character_is_stable() -> None:
    for code in range(sys.maxunicode + 1):
        once = normalise_caption(chr(code))
        assert normalise_caption(once) == once, hex(code)


def test_composed_and_decomposed_text_are_the_same_words() -> None:
    for code in range(sys.maxunicode + 1):
        written = f"a{chr(code)}b"
        for form in ("NFC", "NFD"):
            other = unicodedata.normalize(form, written)
            if other != written:
                assert normalise_caption(other) == normalise_caption(written), hex(code)


@given(st.text())
def test_result_has_no_punctuation_no_capitals_and_single_spaces(text: str) -> None:
    once = normalise_caption(text)
    assert once == once.strip() and "  " not in once
    assert not any(unicodedata.category(character).startswith(("P", "S")) for character in once)
    assert once == once.lower()


@given(st.text(alphabet=st.characters(categories=["L"])), st.text(alphabet=st.characters(categories=["L"])))
def test_a_hyphen_separates_as_a_space_does(left: str, right: str) -> None:
    assert normalise_caption(f"{left}-{right}") == normalise_caption(f"{left} {right}")


def test_words_of_splits_at_the_spaces_of_the_normalised_caption() -> None:
    assert words_of("A dog's bark -- then RAIN") == ["a", "dogs", "bark", "then", "rain"]
    assert words_of("?!") == []
