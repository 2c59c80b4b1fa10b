"""Paraphrases of the training captions of `synthetic`, by its own templates.

A language model writes them for real captions (paper 002); here the plan of the dataset is drawn again from its seed,
and every caption is said once more: other nouns and verbs of the same kinds, the same properties, and another word for
the same relation in time.
"""

from collections.abc import Iterator

import numpy as np

from atrkit.datasets.paraphrases import Paraphrase
from atrkit.datasets.synthetic.captions import (
    OVERLAP_RELATIONS,
    SEQUENCE_RELATIONS,
    WORDINGS,
    phrase_of,
    relate_overlap,
    relate_sequence,
)
from atrkit.datasets.synthetic.dataset import clip_id_of, tag_of
from atrkit.datasets.synthetic.layouts import ClipPlan, SyntheticSizes, draw_plan
from atrkit.errors import UsageError

PARAPHRASE_STREAM = 5  # first word of the generator's seed, beside those in layouts.py
_TRIES = 20


def template_paraphrases(sizes: SyntheticSizes, seed: int, *, per_caption: int = 1) -> list[Paraphrase]:
    """Other words for every caption of the dev clips; val and eval are left alone.

    Args:
        sizes: and seed: of the dataset, as its dataset.json states them.
        per_caption: paraphrases of each caption. No clip gets a text twice, nor one that is among its captions; a clip
            of one event without properties has few ways to be put into words, and gets fewer.

    Returns:
        In the order of clips and captions; the same for the same arguments.

    Raises:
        UsageError: fewer than one paraphrase per caption.
    """
    if per_caption < 1:
        raise UsageError(f"{per_caption} paraphrases per caption: ask for one or more")
    rng = np.random.default_rng([PARAPHRASE_STREAM, seed])
    tag = tag_of(sizes, seed)
    dev = [clip for clip in draw_plan(sizes, seed).clips if clip.split == "dev"]
    return [each for clip in dev for each in _of_clip(clip, clip_id_of(clip, tag), per_caption, rng)]


def _of_clip(clip: ClipPlan, clip_id: str, per_caption: int, rng: np.random.Generator) -> Iterator[Paraphrase]:
    said = set(clip.captions)
    for number, caption in enumerate(clip.captions):
        for _ in range(per_caption):
            drawn = (_said_again(clip, number, rng) for _ in range(_TRIES))
            text = next((text for text in drawn if text not in said), None)
            if text is not None:
                said.add(text)
                yield Paraphrase(caption, text, clip_id)


def _said_again(clip: ClipPlan, number: int, rng: np.random.Generator) -> str:
    phrases = []
    for event, mentioned in zip(clip.events, clip.mentioned[number], strict=True):
        wording = WORDINGS[event.kind]
        noun, verb = wording.nouns[rng.integers(2)], wording.verbs[rng.integers(2)]
        phrases.append(phrase_of(event, noun, verb, mentioned))
    if clip.layout == "one":
        return phrases[0].clause
    if clip.layout == "overlap":
        relation = OVERLAP_RELATIONS[rng.integers(len(OVERLAP_RELATIONS))]
        return relate_overlap(relation, bool(rng.integers(2)), phrases)
    return relate_sequence(SEQUENCE_RELATIONS[rng.integers(len(SEQUENCE_RELATIONS))], phrases)
