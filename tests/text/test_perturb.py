"""Perturbed captions: the paper's own example, every word of its table 4, and an oracle by regular expression."""

import csv
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atrkit.datasets.synthetic.captions import (
    OVERLAP_RELATIONS,
    SEQUENCE_RELATIONS,
    Phrase,
    relate_overlap,
    relate_sequence,
)
from atrkit.errors import UsageError
from atrkit.text.normalise import normalise_caption
from atrkit.text.perturb import PERTURBATION_SETS, perturb, perturbations_of

CLOTHO = Path(__file__).resolve().parents[3] / "shared" / "data" / "csv" / "clotho" / "clotho_captions_evaluation.csv"

SEQUENCE = ["followed by", "and then", "then", "before", "after"]
SUPERPOSITION = ["as", "while"]

# paper 004, table 4: the set's words, and what they are replaced by
TABLE_4 = {
    ("replace", "before_after"): {"before": ["after"], "after": ["before"]},
    ("replace", "seq2sup"): dict.fromkeys(SEQUENCE, SUPERPOSITION),
    ("replace", "sup2seq"): dict.fromkeys(SUPERPOSITION, SEQUENCE),
    ("invert", "before_after"): ["before", "after"],
    ("invert", "seq"): SEQUENCE,
    ("invert", "sup"): SUPERPOSITION,
}
REPLACE_SETS = [set_name for kind, set_name in TABLE_4 if kind == "replace"]
INVERT_SETS = [set_name for kind, set_name in TABLE_4 if kind == "invert"]


def replaced(caption, set_name, seed=0):
    return perturb(caption, set_name, "replace", np.random.default_rng(seed))


def inverted(caption, set_name):
    return perturb(caption, set_name, "invert", np.random.default_rng(0))


def possible(caption, kind, set_name):
    """Every perturbed form that the paper's words allow, by one search in the text."""
    words = TABLE_4[kind, set_name]
    longest_first = "|".join(sorted(words, key=len, reverse=True))
    found = re.search(rf"(?<!\S)({longest_first})(?!\S)", caption)
    if found is None:
        return set()
    before, after = caption[: found.start()].strip(), caption[found.end() :].strip()
    if kind == "invert":
        return {f"{after} {found[1]} {before}"} - {caption} if before and after else set()
    return {" ".join(filter(None, [before, choice, after])) for choice in words[found[1]]}


captions = st.lists(
    st.sampled_from(["as", "while", "and", "then", "before", "after", "followed", "by", "rain", "a", "fast"]),
    max_size=9,
).map(" ".join)


def test_the_papers_own_example():
    caption = "a man speaks then a dog barks"
    assert replaced(caption, "seq2sup") in ("a man speaks as a dog barks", "a man speaks while a dog barks")
    assert inverted(caption, "seq") == "a dog barks then a man speaks"


def test_the_tests_are_those_of_table_5_in_its_order():
    assert PERTURBATION_SETS == (
        ("replace", "before_after"),
        ("replace", "seq2sup"),
        ("replace", "sup2seq"),
        ("invert", "before_after"),
        ("invert", "seq"),
        ("invert", "sup"),
    )


@pytest.mark.parametrize("set_name", REPLACE_SETS)
def test_every_word_gets_each_of_its_replacements_about_equally_often(set_name):
    generator = np.random.default_rng(0)
    for word, choices in TABLE_4["replace", set_name].items():
        drawn = Counter(perturb(f"x {word} y", set_name, "replace", generator) for _ in range(200))
        assert set(drawn) == {f"x {choice} y" for choice in choices}
        assert min(drawn.values()) > 200 / len(choices) / 2


@pytest.mark.parametrize("relation", SEQUENCE_RELATIONS)
def test_synthetic_sequences_turn_around(relation):
    caption = relate_sequence(relation, [Phrase("a dog barks", "a dog barking"), Phrase("rain falls", "rain falling")])
    first, second = caption.split(f" {relation} ")
    assert inverted(caption, "seq") == f"{second} {relation} {first}"
    assert replaced(caption, "seq2sup") in {f"{first} {word} {second}" for word in OVERLAP_RELATIONS}


@pytest.mark.parametrize("relation", OVERLAP_RELATIONS)
def test_synthetic_overlaps_turn_around(relation):
    caption = relate_overlap(relation, False, [Phrase("a dog barks", ""), Phrase("rain falls", "")])
    assert inverted(caption, "sup") == f"rain falls {relation} a dog barks"
    assert replaced(caption, "sup2seq") in {f"a dog barks {word} rain falls" for word in SEQUENCE_RELATIONS}


def test_and_then_is_one_word():
    assert inverted("rain falls and then a bell rings", "seq") == "a bell rings and then rain falls"
    assert "and" not in replaced("rain falls and then a bell rings", "seq2sup").split()


def test_only_whole_words_match():
    assert replaced("rain falls fast on a wasp afterwards, thence beforehand", "seq2sup") is None
    assert inverted("gas leaks meanwhile in a house", "sup") is None


def test_the_first_of_several_words_is_the_one():
    caption = "a bell rings before rain falls after a dog barks"
    assert replaced(caption, "before_after") == "a bell rings after rain falls after a dog barks"
    assert inverted(caption, "before_after") == "rain falls after a dog barks before a bell rings"


@pytest.mark.parametrize("caption", ["while rain falls a dog barks", "a dog barks while", "while", "", "a dog barks"])
def test_without_two_sides_there_is_nothing_to_swap(caption):
    assert inverted(caption, "sup") is None


@pytest.mark.parametrize("caption", ["a click then a click", "a click then a click then a click"])
def test_a_caption_that_reads_the_same_after_swapping_has_nothing_to_tell_apart(caption):
    assert inverted(caption, "seq") is None
    assert replaced(caption, "seq2sup") is not None


def test_a_word_at_the_edge_can_be_replaced():
    assert replaced("after rain falls a dog barks", "before_after") == "before rain falls a dog barks"


def test_captions_are_normalised_first():
    assert inverted("  A Dog barks; THEN, rain falls! ", "seq") == "rain falls then a dog barks"
    perturbations, _ = perturbations_of(["Rain, AFTER a dog's bark."])
    assert {each.original for each in perturbations} == {"rain after a dogs bark"}


@pytest.mark.parametrize(("kind", "set_name"), [("replace", "seq"), ("invert", "seq2sup"), ("invert", "bat")])
def test_a_set_of_another_kind_is_refused_with_the_choices(kind, set_name):
    choices = ", ".join(REPLACE_SETS if kind == "replace" else INVERT_SETS)
    with pytest.raises(UsageError, match=f"no set '{set_name}' of the kind {kind}: choose {choices}"):
        perturb("rain", set_name, kind, np.random.default_rng(0))


@settings(max_examples=200, deadline=None)
@given(captions)
@example("as as while")
@example("followed then by rain")
@example("and and then then")
@example("rain as rain as rain")
def test_every_perturbation_is_one_that_a_search_in_the_text_finds(caption):
    made = {(each.kind, each.set_name): each for each in perturbations_of([caption])[0]}
    for kind, set_name in PERTURBATION_SETS:
        expected = possible(caption, kind, set_name)
        assert ((kind, set_name) in made) == bool(expected)
        if expected:
            each = made[kind, set_name]
            assert each.perturbed in expected
            assert each.perturbed == normalise_caption(each.perturbed) != each.original == caption


def test_real_captions_are_perturbed_as_a_search_in_the_text_says():
    if not CLOTHO.is_file():
        pytest.skip(f"needs ../shared: {CLOTHO} is not there")
    with CLOTHO.open(encoding="utf-8", newline="") as file:
        texts = [normalise_caption(row[f"caption_{n}"]) for row in csv.DictReader(file) for n in range(1, 6)]
    expected = {(*test, index) for test in TABLE_4 for index, text in enumerate(texts) if possible(text, *test)}
    perturbations, _ = perturbations_of(texts)
    assert {(each.kind, each.set_name, each.index) for each in perturbations} == expected
    assert all(each.perturbed in possible(each.original, each.kind, each.set_name) for each in perturbations)


@settings(max_examples=50, deadline=None)
@given(st.lists(captions, max_size=6))
def test_every_caption_is_perturbed_or_counted_once_with_the_reason(given_captions):
    perturbations, counts = perturbations_of(given_captions)
    assert [(each.kind, each.set_name) for each in counts] == list(PERTURBATION_SETS)
    assert perturbations == sorted(
        perturbations, key=lambda each: (PERTURBATION_SETS.index((each.kind, each.set_name)), each.index)
    )
    for each in counts:
        made = [p for p in perturbations if (p.kind, p.set_name) == (each.kind, each.set_name)]
        assert len(made) == each.perturbed
        assert each.perturbed + each.without_word + each.nothing_to_swap + each.unchanged == len(given_captions)


def test_counts_by_reason():
    given_captions = [
        "rain falls then a dog barks",
        "rain falls then a dog barks and then a bell rings",
        "then a dog barks",
        "a click followed by a click",
        "rain falls",
    ]
    replace_counts, invert_counts = (perturbations_of(given_captions)[1][position] for position in (1, 4))
    assert asdict(replace_counts) == {
        "kind": "replace",
        "set_name": "seq2sup",
        "perturbed": 4,
        "several_words": 1,
        "without_word": 1,
        "nothing_to_swap": 0,
        "unchanged": 0,
    }
    assert asdict(invert_counts) == {
        "kind": "invert",
        "set_name": "seq",
        "perturbed": 2,
        "several_words": 1,
        "without_word": 1,
        "nothing_to_swap": 1,
        "unchanged": 1,
    }


def test_several_words_are_counted_only_where_one_was_taken():
    """Of these, "and then" is one word, and the second caption is left out of invert."""
    captions_given = ["rain falls and then a dog barks", "then rain falls after a dog barks"]
    counts = {(each.kind, each.set_name): each for each in perturbations_of(captions_given)[1]}
    assert (counts["replace", "seq2sup"].perturbed, counts["replace", "seq2sup"].several_words) == (2, 1)
    assert (counts["invert", "seq"].perturbed, counts["invert", "seq"].several_words) == (1, 0)


def test_a_draw_does_not_depend_on_the_other_captions():
    given_captions = [f"sound {number} while rain falls" for number in range(40)]
    together = {each.original: each.perturbed for each in perturbations_of(given_captions, seed=3)[0]}
    backwards = {each.original: each.perturbed for each in perturbations_of(given_captions[::-1], seed=3)[0]}
    alone = {c: next(p.perturbed for p in perturbations_of([c], seed=3)[0] if p.kind == "invert") for c in together}
    assert together == backwards == alone


def test_another_seed_draws_other_words_for_replace_and_changes_nothing_else():
    given_captions = [f"sound {number} while rain falls" for number in range(40)]
    first, again, other = (perturbations_of(given_captions, seed=seed)[0] for seed in (1, 1, 2))
    assert first == again
    differing = {(a.kind, a.set_name) for a, b in zip(first, other, strict=True) if a != b}
    assert differing == {("replace", "sup2seq")}


def test_the_same_caption_of_two_clips_is_perturbed_alike():
    first, second = (each for each in perturbations_of(["rain while wind blows"] * 2)[0] if each.set_name == "sup2seq")
    assert (first.index, second.index) == (0, 1)
    assert first.perturbed == second.perturbed
