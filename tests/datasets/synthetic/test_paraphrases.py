"""Template paraphrases: the same events, the same properties, the same order in time, in other words."""

import re
from itertools import pairwise

import pytest

from atrkit.datasets.synthetic.captions import WORDINGS
from atrkit.datasets.synthetic.layouts import SyntheticSizes, draw_plan
from atrkit.datasets.synthetic.paraphrases import template_paraphrases
from atrkit.errors import UsageError

SIZES = SyntheticSizes(60, 12, 12)
# kinds of which a noun or verb is shared are one here: what a caption says cannot tell them apart by that word alone
KINDS_OF_WORD: dict[str, set[str]] = {}
for kind, wording in WORDINGS.items():
    for noun in wording.nouns:
        for verb in wording.verbs:
            for form in (verb.plain, verb.singular, verb.gerund):
                KINDS_OF_WORD.setdefault(f"{noun.text} {form}", set()).add(kind)
ARTICLES = {"a", "an"}
NAMES = {word for said in KINDS_OF_WORD for word in said.split()}


def meaning(caption: str) -> tuple:
    """Events in the order in which they sound, each with its kind and properties; overlapping ones as a set."""
    for joint, swaps in ((" while ", None), (" as ", None), (" after ", True)):
        if joint in caption:
            first, second = caption.split(joint, 1)
            second, *later = re.split(r", and then | and then ", second)
            if swaps is None:
                return ("together", frozenset([event(first), event(second)]))
            return ("in turn", event(second), event(first), *map(event, later))
    parts = re.split(r" followed by | before |,? and then | then ", caption)
    return ("in turn", *map(event, parts))


def event(phrase: str) -> tuple:
    words = [word for word in phrase.split() if word not in ARTICLES]
    (kinds,) = [KINDS_OF_WORD[f"{a} {b}"] for a, b in pairwise(words) if f"{a} {b}" in KINDS_OF_WORD]
    return (frozenset(kinds), frozenset(word for word in words if word not in NAMES))


def test_a_paraphrase_says_the_same_in_words_that_its_clip_has_not_heard():
    clips = {f"seed3-60-12-12/{clip.audio_name}": clip for clip in draw_plan(SIZES, 3).clips if clip.split == "dev"}
    rows = template_paraphrases(SIZES, 3, per_caption=2)
    assert 0.9 * 2 * 5 * len(clips) < len(rows) <= 2 * 5 * len(clips)
    for row in rows:
        assert row.caption in clips[row.clip_id].captions
        assert row.text not in clips[row.clip_id].captions
        assert meaning(row.text) == meaning(row.caption), (row.caption, row.text)
    assert len({(row.clip_id, row.text) for row in rows}) == len(rows)


def test_the_seed_decides():
    assert template_paraphrases(SIZES, 3) == template_paraphrases(SIZES, 3)
    assert [row.text for row in template_paraphrases(SIZES, 3)] != [row.text for row in template_paraphrases(SIZES, 4)]
    with pytest.raises(UsageError, match="0 paraphrases per caption"):
        template_paraphrases(SIZES, 3, per_caption=0)
