"""`atrkit eval --metric perturbation`: the six perturbation tests of paper 004, for any scorer.

Every distinct pair of clip and caption is scored once, originals and perturbed captions in one call, so that equal
captions have equal scores.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from atrkit.files import write_atomic
from atrkit.metrics.perturbation import hits_of, perturbation_accuracies
from atrkit.score_matrix import IntArray
from atrkit.text.perturb import Perturbation, perturbations_of

PERTURBED_CAPTIONS_NAME = "perturbed_captions.csv"
COLUMNS = ("kind", "set", "clip", "caption_id", "original", "perturbed", "score_original", "score_perturbed", "hit")

FloatArray = npt.NDArray[np.floating]
PairedScores = Callable[[IntArray, Sequence[str]], npt.ArrayLike]


class CaptionsOfClips(Protocol):
    """Clips in the order that the scorer counts them, with their captions: `CaptionedClips` is one."""

    @property
    def captions(self) -> Sequence[Sequence[str]]:
        """For each clip its captions."""

    @property
    def caption_ids(self) -> Sequence[str]:
        """Ids of all captions, clip by clip."""

    @property
    def clip_of_caption(self) -> Sequence[str]:
        """Id of the clip of each of all captions."""


def perturbation_result(
    clips: CaptionsOfClips, paired_scores: PairedScores, *, seed: int, csv_path: Path, tie_tolerance: float = 0.0
) -> dict[str, Any]:
    """Perturb the captions, score originals and perturbed ones on their own clips, and count.

    Args:
        clips: A clips.
        paired_scores: takes (N,) positions of clips and N captions, gives (N,) scores, higher is better; called once,
            with no pair twice.
        seed: of the words that are put in, and of the intervals.
        tie_tolerance: scores that differ by no more are equal: a network that adds up the same words in another order
            differs in the last bits, and a bag of words must tie, not toss a coin.
        csv_path: where every perturbed caption is written, with both scores and the hit (1, 0.5 or 0).

    Returns:
        JSON: "seed", "captions", "clips", and "tests", one for each kind and set in the order of paper 004's table 5,
        with the fields of `PerturbationAccuracy` and `PerturbationCounts`.

    Raises:
        DivergedError: a score is NaN; names the caption, and nothing is written.
        ResourceError: the table cannot be written.

    Source: paper 004, section 5, tables 4 and 5; PROTOCOL.md, "Perturbation accuracy".
    """
    captions = [caption for of_clip in clips.captions for caption in of_clip]
    clip_index_C = np.repeat(np.arange(len(clips.captions)), [len(of_clip) for of_clip in clips.captions])
    perturbations, counts = perturbations_of(captions, seed=seed)
    original_N, perturbed_N = _scores(perturbations, clip_index_C, paired_scores)
    perturbed_N = np.where(np.abs(original_N - perturbed_N) <= tie_tolerance, original_N, perturbed_N)
    accuracies = perturbation_accuracies(
        perturbations,
        original_N,
        perturbed_N,
        caption_ids=clips.caption_ids,
        clip_of_caption=clips.clip_of_caption,
        generator=np.random.default_rng(seed),
    )
    _write_perturbed_captions(csv_path, perturbations, clips, original_N, perturbed_N)
    return {
        "seed": seed,
        "captions": len(captions),
        "clips": len(clips.captions),
        "tests": [
            {**asdict(accuracy), **_without(asdict(of_test), "perturbed")}
            for accuracy, of_test in zip(accuracies, counts, strict=True)
        ],
    }


def _scores(
    perturbations: Sequence[Perturbation], clip_index_C: IntArray, paired_scores: PairedScores
) -> tuple[FloatArray, FloatArray]:
    """Scores of the originals and of the perturbed captions, from one call for every distinct pair."""
    originals = [(int(clip_index_C[each.index]), each.original) for each in perturbations]
    perturbed = [(int(clip_index_C[each.index]), each.perturbed) for each in perturbations]
    place_of_pair = {pair: place for place, pair in enumerate(dict.fromkeys([*originals, *perturbed]))}
    if not place_of_pair:
        return np.empty(0), np.empty(0)
    clip_index_N = np.array([clip for clip, _ in place_of_pair], dtype=np.int64)
    scores_N = np.asarray(paired_scores(clip_index_N, [caption for _, caption in place_of_pair]))
    return (
        scores_N[[place_of_pair[pair] for pair in originals]],
        scores_N[[place_of_pair[pair] for pair in perturbed]],
    )


def _write_perturbed_captions(
    path: Path,
    perturbations: Sequence[Perturbation],
    clips: CaptionsOfClips,
    original_N: FloatArray,
    perturbed_N: FloatArray,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    scores = zip(original_N.tolist(), perturbed_N.tolist(), hits_of(original_N, perturbed_N).tolist(), strict=True)
    for each, (original, perturbed, hit) in zip(perturbations, scores, strict=True):
        about = (each.kind, each.set_name, clips.clip_of_caption[each.index], clips.caption_ids[each.index])
        writer.writerow((*about, each.original, each.perturbed, original, perturbed, f"{hit:g}"))
    write_atomic(path, text.getvalue().encode())


def _without(record: dict[str, Any], key: str) -> dict[str, Any]:
    """The record less one key: how many were perturbed is n."""
    return {name: value for name, value in record.items() if name != key}
