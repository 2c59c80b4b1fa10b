"""What captions say: two nouns and two verbs for every kind, the words of its properties, and relation words.

Captions are plain English clauses: "a loud beep sounds once before rain falls". The relation words are those of
paper 004's table 4, so that its perturbations (replace, invert) apply to every caption of two events or three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from atrkit.datasets.synthetic.events import LOUDNESS, Event

CAPTIONS_PER_CLIP = 5
# How likely each property is mentioned in a clip's first caption, second, ...
MENTION_PROBABILITIES = (1.0, 0.6, 0.6, 0.6, 0.0)
SEQUENCE_RELATIONS = ("before", "after", "then", "followed by", "and then")
OVERLAP_RELATIONS = ("as", "while")

Layout = Literal["one", "sequence", "overlap", "three"]
Place = Literal["noun", "verb"]


@dataclass(frozen=True)
class Noun:
    """A subject: whether it takes an article, and whether its verb takes an -s."""

    text: str
    article: bool = True
    plural: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb in the three forms that captions use."""

    plain: str
    singular: str
    gerund: str


@dataclass(frozen=True)
class Wording:
    """How events of one kind are put into words.

    Args:
        nouns: two of them.
        verbs: two of them; both go with both nouns.
        loudness: "noun" when the thing can be called loud ("a loud beep"), else "verb" ("a dog barks loudly").
        pitch: "noun" when the noun names the sound ("a low bell"), else "verb" ("a dog barks at a low pitch").
    """

    nouns: tuple[Noun, Noun]
    verbs: tuple[Verb, Verb]
    loudness: Place = "noun"
    pitch: Place = "noun"


def _verb(plain: str, gerund: str, singular: str | None = None) -> Verb:
    return Verb(plain, singular or plain + "s", gerund)


_SOUND = _verb("sound", "sounding")
_RING = _verb("ring", "ringing")
_BUZZ = _verb("buzz", "buzzing", "buzzes")
_TRILL = _verb("trill", "trilling")
_SWEEP_NOUNS = (Noun("tone"), Noun("whistle"))

WORDINGS: Mapping[str, Wording] = {
    "beep": Wording((Noun("beep"), Noun("bleep")), (_SOUND, _verb("play", "playing"))),
    "rising_sweep": Wording(_SWEEP_NOUNS, (_verb("rise", "rising"), _verb("climb", "climbing"))),
    "falling_sweep": Wording(_SWEEP_NOUNS, (_verb("drop", "dropping"), _verb("descend", "descending"))),
    "bell": Wording((Noun("bell"), Noun("gong")), (_RING, _verb("chime", "chiming"))),
    "knock": Wording(
        (Noun("someone", article=False), Noun("person")),
        (_verb("knock", "knocking"), _verb("tap", "tapping")),
        loudness="verb",
    ),
    "clock": Wording(
        (Noun("clock"), Noun("watch")), (_verb("tick", "ticking"), _verb("click", "clicking")), loudness="verb"
    ),
    "siren": Wording((Noun("siren"), Noun("alarm")), (_verb("wail", "wailing"), _verb("whine", "whining"))),
    "engine": Wording(
        (Noun("engine"), Noun("motor")), (_verb("hum", "humming"), _verb("drone", "droning")), pitch="verb"
    ),
    "bird": Wording(
        (Noun("bird"), Noun("sparrow")), (_verb("sing", "singing"), _verb("tweet", "tweeting")), loudness="verb"
    ),
    "rain": Wording(
        (Noun("rain", article=False), Noun("drizzle", article=False)),
        (_verb("fall", "falling"), _verb("patter", "pattering")),
    ),
    "drips": Wording(
        (Noun("water", article=False), Noun("faucet")),
        (_verb("drip", "dripping"), _verb("dribble", "dribbling")),
        loudness="verb",
    ),
    "wind": Wording(
        (Noun("wind", article=False), Noun("breeze")), (_verb("blow", "blowing"), _verb("gust", "gusting"))
    ),
    "buzzer": Wording((Noun("buzzer"), Noun("horn")), (_SOUND, _BUZZ)),
    "dog": Wording(
        (Noun("dog"), Noun("hound")),
        (_verb("bark", "barking"), _verb("woof", "woofing")),
        loudness="verb",
        pitch="verb",
    ),
    "cricket": Wording((Noun("cricket"), Noun("insect")), (_verb("chirp", "chirping"), _TRILL), loudness="verb"),
    "phone": Wording((Noun("phone"), Noun("telephone")), (_RING, _TRILL), pitch="verb"),
    "footsteps": Wording(
        (Noun("footsteps", article=False, plural=True), Noun("shoes", article=False, plural=True)),
        (_verb("scrape", "scraping"), _verb("shuffle", "shuffling")),
    ),
}

_ADVERBS = {"loud": "loudly", "faint": "faintly", "fast": "quickly", "slow": "slowly"}
_COUNTS = {"once": "once", "several": "several times"}


@dataclass(frozen=True)
class Phrase:
    """One event in words, as a clause ("a dog barks once") and as a noun phrase ("a dog barking once")."""

    clause: str
    gerund: str


def phrase_of(event: Event, noun: Noun, verb: Verb, mentioned: Mapping[str, str]) -> Phrase:
    """Put an event into words.

    Args:
        event: what is described.
        noun: one of its kind's nouns.
        verb: one of its kind's verbs.
        mentioned: the properties that are to be said, axis to value.

    Example:
        >>> from atrkit.datasets.synthetic.events import Event
        >>> phrase_of(Event("engine"), Noun("engine"), _verb("hum", "humming"), {"loudness": "faint", "pitch": "low"})
        Phrase(clause='a faint engine hums at a low pitch', gerund='a faint engine humming at a low pitch')
    """
    wording = WORDINGS[event.kind]
    adjectives = [
        mentioned[axis]
        for axis, place in ((LOUDNESS, wording.loudness), ("pitch", wording.pitch))
        if axis in mentioned and place == "noun"
    ]
    words = [*adjectives, noun.text]
    if noun.article:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    subject = " ".join(words)
    tail = _after_verb(wording, mentioned)
    finite = verb.plain if noun.plural else verb.singular
    return Phrase(" ".join([subject, finite, *tail]), " ".join([subject, verb.gerund, *tail]))


def _after_verb(wording: Wording, mentioned: Mapping[str, str]) -> list[str]:
    adverbs = [_ADVERBS[mentioned["speed"]]] if "speed" in mentioned else []
    if LOUDNESS in mentioned and wording.loudness == "verb":
        adverbs.append(_ADVERBS[mentioned[LOUDNESS]])
    tail = [" and ".join(adverbs)] if adverbs else []
    if "count" in mentioned:
        tail.append(_COUNTS[mentioned["count"]])
    if "pitch" in mentioned and wording.pitch == "verb":
        tail.append(f"at a {mentioned['pitch']} pitch")
    return tail


@dataclass(frozen=True)
class Slot:
    """What one of a clip's five captions says of each event, before anything relates them."""

    phrases: tuple[Phrase, ...]
    mentioned: tuple[Mapping[str, str], ...]


def draw_slots(events: Sequence[Event], rng: np.random.Generator) -> tuple[Slot, ...]:
    """Draw nouns, verbs and mentioned properties for five captions.

    An event's four pairs of noun and verb are all used before one returns, so that captions differ.
    """
    wordings = [_draw_words(event, rng) for event in events]
    slots = []
    for number, probability in enumerate(MENTION_PROBABILITIES):
        mentioned = tuple(
            {axis: value for axis, value in event.named.items() if rng.random() < probability} for event in events
        )
        phrases = tuple(
            phrase_of(event, *words[number], said)
            for event, words, said in zip(events, wordings, mentioned, strict=True)
        )
        slots.append(Slot(phrases, mentioned))
    return tuple(slots)


def _draw_words(event: Event, rng: np.random.Generator) -> list[tuple[Noun, Verb]]:
    wording = WORDINGS[event.kind]
    pairs = list(product(wording.nouns, wording.verbs))
    order = [*rng.permutation(len(pairs)), rng.integers(len(pairs))]
    return [pairs[position] for position in order]


def draw_sequence_relations(rng: np.random.Generator) -> tuple[str, ...]:
    """The five sequence relations in random order: which one comes with most detail is chance."""
    return tuple(SEQUENCE_RELATIONS[position] for position in rng.permutation(len(SEQUENCE_RELATIONS)))


def draw_overlap_relations(rng: np.random.Generator) -> tuple[tuple[str, bool], ...]:
    """Five times "as" or "while" and whether the phrases are swapped: all four, then one of them again."""
    choices = list(product(OVERLAP_RELATIONS, (False, True)))
    return tuple(choices[position] for position in [*rng.permutation(4), rng.integers(4)])


def relate_sequence(relation: str, phrases: Sequence[Phrase]) -> str:
    """Two events or three, one after the other; `phrases` are in the order in which they sound.

    Example:
        >>> dog, rain = Phrase("a dog barks", "a dog barking"), Phrase("rain falls", "rain falling")
        >>> relate_sequence("after", [dog, rain])
        'rain falls after a dog barks'
        >>> relate_sequence("followed by", [dog, rain])
        'a dog barks followed by rain falling'
    """
    first, second, *others = phrases
    match relation:
        case "after":
            text, joint, rest = f"{second.clause} after {first.clause}", ", and then ", "clause"
        case "followed by":
            text, joint, rest = f"{first.clause} followed by {second.gerund}", " and then ", "gerund"
        case "then":
            text, joint, rest = f"{first.clause} then {second.clause}", " then ", "clause"
        case _:
            text, joint, rest = f"{first.clause} {relation} {second.clause}", " and then ", "clause"
    return text + "".join(joint + getattr(other, rest) for other in others)


def relate_overlap(relation: str, swapped: bool, phrases: Sequence[Phrase]) -> str:
    """Two events at the same time.

    Example:
        >>> dog, rain = Phrase("a dog barks", "a dog barking"), Phrase("rain falls", "rain falling")
        >>> relate_overlap("while", True, [dog, rain])
        'rain falls while a dog barks'
    """
    first, second = reversed(phrases) if swapped else phrases
    return f"{first.clause} {relation} {second.clause}"
