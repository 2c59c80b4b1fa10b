"""Captions read as English: rules written a second time for every phrase there can be, and sentences that were read."""

from itertools import chain, combinations, product

import numpy as np
import pytest

from atrkit.datasets.synthetic.captions import (
    SEQUENCE_RELATIONS,
    WORDINGS,
    Phrase,
    draw_overlap_relations,
    draw_slots,
    phrase_of,
    relate_overlap,
    relate_sequence,
)
from atrkit.datasets.synthetic.events import KINDS, Event, axes_of, draw_event
from atrkit.datasets.synthetic.layouts import SyntheticSizes, draw_plan

PLURALS = {"footsteps", "shoes"}
WITHOUT_ARTICLE = PLURALS | {"rain", "drizzle", "water", "wind", "someone"}
AFTER_VERB = {
    "once",
    "several",
    "times",
    "quickly",
    "slowly",
    "loudly",
    "faintly",
    "and",
    "at",
    "a",
    "high",
    "low",
    "pitch",
}
SENSIBLE_ADJECTIVES = [
    [word for word in words if word] for words in product(("", "loud", "faint"), ("", "high", "low"))
]
RELATION_WORDS = {"before", "after", "then", "followed", "by", "as", "while"}

READ_BY_A_PERSON = [
    ("rain", 0, 0, {}, "rain falls", "rain falling"),
    ("rain", 0, 0, {"loudness": "faint"}, "faint rain falls", "faint rain falling"),
    ("dog", 0, 0, {"count": "several"}, "a dog barks several times", "a dog barking several times"),
    (
        "dog",
        1,
        0,
        {"loudness": "loud", "count": "once", "pitch": "low"},
        "a hound barks loudly once at a low pitch",
        "a hound barking loudly once at a low pitch",
    ),
    ("beep", 0, 0, {"pitch": "high", "count": "once"}, "a high beep sounds once", "a high beep sounding once"),
    ("footsteps", 0, 0, {"speed": "fast"}, "footsteps scrape quickly", "footsteps scraping quickly"),
    ("siren", 1, 0, {"speed": "slow"}, "an alarm wails slowly", "an alarm wailing slowly"),
    ("siren", 1, 0, {"loudness": "loud"}, "a loud alarm wails", "a loud alarm wailing"),
    ("engine", 0, 0, {"pitch": "high"}, "an engine hums at a high pitch", "an engine humming at a high pitch"),
    (
        "knock",
        0,
        0,
        {"speed": "slow", "loudness": "faint"},
        "someone knocks slowly and faintly",
        "someone knocking slowly and faintly",
    ),
    ("buzzer", 0, 1, {"loudness": "loud", "pitch": "low"}, "a loud low buzzer buzzes", "a loud low buzzer buzzing"),
    ("phone", 1, 0, {"count": "once"}, "a telephone rings once", "a telephone ringing once"),
]


@pytest.mark.parametrize(("kind", "noun", "verb", "mentioned", "clause", "gerund"), READ_BY_A_PERSON)
def test_phrases_that_a_person_has_read(kind, noun, verb, mentioned, clause, gerund):
    wording = WORDINGS[kind]
    phrase = phrase_of(Event(kind), wording.nouns[noun], wording.verbs[verb], mentioned)
    assert phrase == Phrase(clause, gerund)


def every_phrase():
    for kind in KINDS:
        named = [[(axis, value) for value in values] for axis, values in named_values(kind).items()]
        for axes in chain.from_iterable(combinations(named, size) for size in range(len(named) + 1)):
            for mentioned in product(*axes):
                for noun, verb in product(WORDINGS[kind].nouns, WORDINGS[kind].verbs):
                    yield noun.text, verb, dict(mentioned), phrase_of(Event(kind), noun, verb, dict(mentioned))


def named_values(kind):
    words = {
        "pitch": ("high", "low"),
        "speed": ("fast", "slow"),
        "count": ("once", "several"),
        "loudness": ("loud", "faint"),
    }
    return {axis: words[axis] for axis in axes_of(kind)}


def test_article_adjectives_noun_verb_adverbs_in_that_order():
    for noun, verb, _, phrase in every_phrase():
        words = phrase.clause.split()
        before, after = words[: words.index(noun)], words[words.index(noun) + 1 :]
        assert after[0] == (verb.plain if noun in PLURALS else verb.singular)
        assert set(after[1:]) <= AFTER_VERB
        article = {"a", "an"} & set(before)
        if noun in WITHOUT_ARTICLE:
            assert not article
        else:
            follower = [*before, noun][1]
            assert before.pop(0) == ("an" if follower[0] in "aeiou" else "a")
        assert before in SENSIBLE_ADJECTIVES


def test_the_gerund_differs_from_the_clause_in_the_verb_alone():
    for _, verb, _, phrase in every_phrase():
        changed = [
            pair for pair in zip(phrase.clause.split(), phrase.gerund.split(), strict=True) if pair[0] != pair[1]
        ]
        assert len(changed) == 1
        assert changed[0][1] == verb.gerund and verb.gerund.endswith("ing")


def test_every_mentioned_property_is_said_and_no_other():
    said = {
        "high": {"high"}, "low": {"low"}, "fast": {"quickly"}, "slow": {"slowly"}, "once": {"once"},
        "several": {"several"}, "loud": {"loud", "loudly"}, "faint": {"faint", "faintly"},
    }  # fmt: skip
    for _, _, mentioned, phrase in every_phrase():
        words = set(phrase.clause.split())
        assert {value for value, forms in said.items() if forms & words} == set(mentioned.values())


def test_different_descriptions_are_different_phrases():
    phrases = [phrase.clause for *_, phrase in every_phrase()]
    assert len(set(phrases)) == len(phrases)


def test_relation_words_occur_in_no_phrase():
    assert not RELATION_WORDS & {word for *_, phrase in every_phrase() for word in phrase.clause.split()}


def test_sequences_of_two_and_three_read_in_the_order_of_sounding():
    dog, rain = Phrase("a dog barks", "a dog barking"), Phrase("rain falls", "rain falling")
    bell = Phrase("a bell rings", "a bell ringing")
    two = {relation: relate_sequence(relation, [dog, rain]) for relation in SEQUENCE_RELATIONS}
    assert two == {
        "before": "a dog barks before rain falls",
        "after": "rain falls after a dog barks",
        "then": "a dog barks then rain falls",
        "followed by": "a dog barks followed by rain falling",
        "and then": "a dog barks and then rain falls",
    }
    three = {relation: relate_sequence(relation, [dog, rain, bell]) for relation in SEQUENCE_RELATIONS}
    assert three == {
        "before": "a dog barks before rain falls and then a bell rings",
        "after": "rain falls after a dog barks, and then a bell rings",
        "then": "a dog barks then rain falls then a bell rings",
        "followed by": "a dog barks followed by rain falling and then a bell ringing",
        "and then": "a dog barks and then rain falls and then a bell rings",
    }


def test_overlaps_use_as_and_while_in_either_order():
    dog, rain = Phrase("a dog barks", ""), Phrase("rain falls", "")
    texts = [relate_overlap(*drawn, [dog, rain]) for drawn in draw_overlap_relations(np.random.default_rng(0))]
    assert set(texts) == {
        "a dog barks as rain falls",
        "a dog barks while rain falls",
        "rain falls as a dog barks",
        "rain falls while a dog barks",
    }
    assert len(texts) == 5


def test_mentions_fall_from_everything_to_nothing():
    rng = np.random.default_rng(0)
    counts, named = np.zeros(5), 0
    for _ in range(300):
        event = draw_event("bell", rng)
        counts += [len(slot.mentioned[0]) for slot in draw_slots([event], rng)]
        named += len(event.named)
    shares = counts / named
    assert shares[0] == 1 and shares[4] == 0
    assert np.abs(shares[1:4] - 0.6).max() < 0.06


def test_four_wordings_come_before_one_returns():
    slots = draw_slots([Event("rain", {"loudness": "unnamed"})], np.random.default_rng(1))
    assert len({slot.phrases[0].clause for slot in slots[:4]}) == 4


def test_the_vocabulary_is_about_105_words():
    clips = draw_plan(SyntheticSizes(), seed=0).clips
    words = {word for clip in clips for text in clip.captions for word in text.replace(",", "").split()}
    assert 95 <= len(words) <= 120
