"""How well a listener could do who hears only so much: ceilings of text-to-audio R@1 on eval.

An oracle here is a scorer that gives 1 to every clip that a caption may describe as far as it can tell, and 0 to the
rest. Its R@1 is the exact expectation over ties: 1 over the number of clips that it cannot tell apart. A model that
passes the ceiling of `kinds` must have heard more than which sounds occur.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atrkit.datasets.synthetic.layouts import ClipPlan

Said = Mapping[str, Mapping[str, str]]


def ceilings(clips: Sequence[ClipPlan]) -> dict[str, float]:
    """T2A R@1 in [0, 1] of four oracles, each of which knows more than the one before.

    Args:
        clips: the clips of one split; every caption is a query, every clip a candidate.

    Returns:
        `kinds`: which kinds of event occur; `properties`: also what the caption says of each; `overlap`: also whether
        events overlap or follow each other; `text`: everything, so that only captions which several clips share are
        lost. None of the first three knows the order of events.

    Raises:
        ValueError: no clips.
    """
    if not clips:
        raise ValueError("ceilings need at least one clip")
    kinds_AC = _matches(clips, _same_kinds)
    properties_AC = kinds_AC & _matches(clips, _properties_fit)
    overlap_AC = properties_AC & _matches(clips, _same_layout)
    return {
        "kinds": _recall_at_1(kinds_AC),
        "properties": _recall_at_1(properties_AC),
        "overlap": _recall_at_1(overlap_AC),
        "text": _recall_at_1(_shared_captions(clips)),
    }


def _matches(clips: Sequence[ClipPlan], fits: Callable[[ClipPlan, ClipPlan, Said], bool]) -> NDArray[np.bool_]:
    """Whether each clip could be what each caption describes, (A, C)."""
    queries = [(owner, _said_of(owner, number)) for owner in clips for number in range(len(owner.captions))]
    return np.array([[fits(clip, owner, said) for owner, said in queries] for clip in clips])


def _said_of(clip: ClipPlan, number: int) -> Said:
    return {event.kind: said for event, said in zip(clip.events, clip.mentioned[number], strict=True)}


def _same_kinds(clip: ClipPlan, owner: ClipPlan, said: Said) -> bool:
    return {event.kind for event in clip.events} == said.keys()


def _properties_fit(clip: ClipPlan, owner: ClipPlan, said: Said) -> bool:
    return all(said.get(event.kind, {}).items() <= event.properties.items() for event in clip.events)


def _same_layout(clip: ClipPlan, owner: ClipPlan, said: Said) -> bool:
    return clip.layout == owner.layout


def _shared_captions(clips: Sequence[ClipPlan]) -> NDArray[np.bool_]:
    texts_C = [text for owner in clips for text in owner.captions]
    texts_of_A = [set(clip.captions) for clip in clips]
    return np.array([[text in texts for text in texts_C] for texts in texts_of_A])


def _recall_at_1(fits_AC: NDArray[np.bool_]) -> float:
    """Every caption fits its own clip, so its chance to come first among those that fit is 1 over their number."""
    return float(np.mean(1 / fits_AC.sum(axis=0)))
