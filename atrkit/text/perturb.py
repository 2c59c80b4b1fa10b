"""Perturbed captions: the same events in another relation, for tests of whether a scorer hears how events relate.

A scorer that only hears which events there are cannot tell "a dog barks then rain falls" from "a dog barks as rain
falls", nor from "rain falls then a dog barks". Six tests of paper 004: *replace* puts another relation word in the
place of one (sets `before_after`, `seq2sup`, `sup2seq`), *invert* swaps what stands on its two sides (sets
`before_after`, `seq`, `sup`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, assert_never

import numpy as np

from atrkit.errors import UsageError
from atrkit.text.normalise import words_of

Kind = Literal["replace", "invert"]
LeftOut = Literal["without_word", "nothing_to_swap", "unchanged"]

# No phrase begins with another one, so the leftmost match is also the longest: "and then" is found before its "then".
SEQUENCE_WORDS = ("followed by", "and then", "then", "before", "after")
SUPERPOSITION_WORDS = ("as", "while")

# For each set: what stands for each of its words.
REPLACEMENTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "before_after": {"before": ("after",), "after": ("before",)},
    "seq2sup": dict.fromkeys(SEQUENCE_WORDS, SUPERPOSITION_WORDS),
    "sup2seq": dict.fromkeys(SUPERPOSITION_WORDS, SEQUENCE_WORDS),
}
# For each set: the words between the propositions that are swapped.
INVERSIONS: Mapping[str, tuple[str, ...]] = {
    "before_after": ("before", "after"),
    "seq": SEQUENCE_WORDS,
    "sup": SUPERPOSITION_WORDS,
}
# Kind and set of every test, in the order of paper 004's table 5.
PERTURBATION_SETS: tuple[tuple[Kind, str], ...] = (
    *(("replace", name) for name in REPLACEMENTS),
    *(("invert", name) for name in INVERSIONS),
)


@dataclass(frozen=True)
class Perturbation:
    """One caption and its perturbed form.

    Args:
        kind: "replace" or "invert".
        set_name: "before_after", "seq2sup" or "sup2seq" of replace; "before_after", "seq" or "sup" of invert.
        index: which of the captions given it is.
        original: the caption, normalised.
        perturbed: the same with another relation; never equal to `original`.
    """

    kind: Kind
    set_name: str
    index: int
    original: str
    perturbed: str


@dataclass(frozen=True)
class PerturbationCounts:
    """What became of the captions in one test.

    Args:
        kind: "replace" or "invert".
        set_name: the set.
        perturbed: captions that were perturbed.
        several_words: those among them with more than one word of the set; the first one was taken.
        without_word: left out, for having no word of the set.
        nothing_to_swap: left out, for the caption begins or ends with the word (invert).
        unchanged: left out, for swapping gives the same caption, as in "a click then a click" (invert).
    """

    kind: Kind
    set_name: str
    perturbed: int
    several_words: int
    without_word: int
    nothing_to_swap: int
    unchanged: int


def perturb(caption: str, set_name: str, kind: Kind, generator: np.random.Generator) -> str | None:
    """Perturb a caption at the first word of a set.

    Words match whole ("as" is not in "fast"), and "and then" is one word. The words are all that is looked at: "as"
    also matches in "as well as".

    Args:
        caption: is normalised first.
        set_name: of this kind, see `PERTURBATION_SETS`.
        kind: "replace" the word by one of the other relation, or "invert" what stands on its two sides.
        generator: draws where a word has several replacements; invert draws nothing.

    Returns:
        The perturbed caption, or None when there is none: no word of the set, nothing on one of its sides to swap, or
        the same caption after swapping.

    Raises:
        UsageError: the kind has no such set.

    Source: paper 004, section 5 and table 4. That only the first match counts, and that several replacements are
    equally likely, is our choice; the paper does not say.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> perturb("A man speaks, then a dog barks.", "seq2sup", "replace", generator)
        'a man speaks while a dog barks'
        >>> perturb("A man speaks, then a dog barks.", "seq", "invert", generator)
        'a dog barks then a man speaks'
        >>> perturb("A dog barks.", "seq", "invert", generator) is None
        True
    """
    return _attempt(words_of(caption), set_name, kind, lambda count: int(generator.integers(count))).perturbed


def perturbations_of(captions: Sequence[str], *, seed: int = 0) -> tuple[list[Perturbation], list[PerturbationCounts]]:
    """Perturb every caption in each of the six tests.

    The word that is put in is drawn from the seed, the set and the caption's own text: it stays the same whatever
    other captions there are, and in whatever order.

    Args:
        captions: are normalised first; the same caption may come several times.
        seed: of the draws.

    Returns:
        Perturbations, test by test in the order of `PERTURBATION_SETS` and there in the order of the captions; and
        for each test the counts of what was perturbed and what was left out, and why.

    Source: paper 004, section 5, tables 4 and 5.

    Example:
        >>> perturbations, counts = perturbations_of(["rain falls before a dog barks", "a bell rings"])
        >>> [(each.kind, each.set_name) for each in perturbations]
        [('replace', 'before_after'), ('replace', 'seq2sup'), ('invert', 'before_after'), ('invert', 'seq')]
        >>> perturbations[0].perturbed
        'rain falls after a dog barks'
        >>> counts[0].perturbed, counts[0].without_word
        (1, 1)
    """
    words_of_captions = [words_of(caption) for caption in captions]
    perturbations: list[Perturbation] = []
    counts: list[PerturbationCounts] = []
    for kind, set_name in PERTURBATION_SETS:
        attempts = []
        for index, words in enumerate(words_of_captions):
            original = " ".join(words)
            attempt = _attempt(words, set_name, kind, partial(_draw_for, seed, set_name, original))
            attempts.append(attempt)
            if attempt.perturbed is not None:
                perturbations.append(Perturbation(kind, set_name, index, original, attempt.perturbed))
        counts.append(_counts_of(kind, set_name, attempts))
    return perturbations, counts


@dataclass(frozen=True)
class _Span:
    """Where a word of a set stands: words start to stop - 1 of the caption."""

    start: int
    stop: int


@dataclass(frozen=True)
class _Attempt:
    """A perturbed caption, or why there is none; and how many words of the set the caption has."""

    perturbed: str | None
    left_out: LeftOut | None
    matches: int


def _attempt(words: list[str], set_name: str, kind: Kind, draw_below: Callable[[int], int]) -> _Attempt:
    spans = _find(words, _words_of_set(kind, set_name))
    if not spans:
        return _Attempt(None, "without_word", 0)
    before, match, after = words[: spans[0].start], words[spans[0].start : spans[0].stop], words[spans[0].stop :]
    match kind:
        case "replace":
            choices = REPLACEMENTS[set_name][" ".join(match)]
            perturbed = [*before, choices[draw_below(len(choices))], *after]
        case "invert":
            if not before or not after:
                return _Attempt(None, "nothing_to_swap", len(spans))
            perturbed = [*after, *match, *before]
            if perturbed == words:
                return _Attempt(None, "unchanged", len(spans))
        case _:
            assert_never(kind)
    return _Attempt(" ".join(perturbed), None, len(spans))


def _words_of_set(kind: Kind, set_name: str) -> Sequence[str]:
    match kind:
        case "replace":
            sets: Mapping[str, Sequence[str]] = {name: tuple(choices) for name, choices in REPLACEMENTS.items()}
        case "invert":
            sets = INVERSIONS
        case _:
            assert_never(kind)
    if set_name not in sets:
        raise UsageError(f"no set {set_name!r} of the kind {kind}: choose {', '.join(sets)}")
    return sets[set_name]


def _find(words: Sequence[str], phrases: Sequence[str]) -> list[_Span]:
    """Every match from left to right; matches do not overlap."""
    split_phrases = [phrase.split() for phrase in phrases]
    spans: list[_Span] = []
    start = 0
    while start < len(words):
        length = next((len(phrase) for phrase in split_phrases if words[start : start + len(phrase)] == phrase), 0)
        if length:
            spans.append(_Span(start, start + length))
        start += length or 1
    return spans


def _draw_for(seed: int, set_name: str, caption: str, count: int) -> int:
    """A number below `count` that depends on nothing but the seed, the set and the caption."""
    digest = hashlib.sha256(f"{seed}\n{set_name}\n{caption}".encode()).digest()
    return int(np.random.default_rng(int.from_bytes(digest)).integers(count))


def _counts_of(kind: Kind, set_name: str, attempts: Sequence[_Attempt]) -> PerturbationCounts:
    done = [attempt for attempt in attempts if attempt.perturbed is not None]
    reasons: list[LeftOut | None] = [attempt.left_out for attempt in attempts]
    return PerturbationCounts(
        kind=kind,
        set_name=set_name,
        perturbed=len(done),
        several_words=sum(attempt.matches > 1 for attempt in done),
        without_word=reasons.count("without_word"),
        nothing_to_swap=reasons.count("nothing_to_swap"),
        unchanged=reasons.count("unchanged"),
    )
