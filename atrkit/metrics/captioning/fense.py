"""FENSE for the validation of a training: models are loaded once, and references are embedded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atrkit.errors import AtrkitError, UsageError
from atrkit.metrics.captioning.catalogue import PREPARE
from atrkit.metrics.captioning.compute import ANY_CUDA, fluency_errors, penalised
from atrkit.metrics.captioning.library import import_aac_metrics, quiet
from atrkit.metrics.captioning.similarity import SentenceSimilarity
from atrkit.metrics.captioning.tools import MetricTools
from atrkit.text.normalise import normalise_caption


@dataclass(frozen=True)
class CannotScore:
    """Why FENSE cannot be computed on this machine.

    Args:
        reason: what is missing.
        fix: the command that mends it.
    """

    reason: str
    fix: str


class FenseScorer:
    """The mean FENSE of captions; call it with candidates and the references of each.

    Captions are brought to one form (`normalise_caption`), not split by the PTB tokenizer, which would start Java in
    every epoch: the value chooses an epoch, and is not for a table.

    Args:
        similarity: of captions to their references.
        detector: aac-metrics' fluency detector.
        tokenizer: of the detector.
        device: where the detector runs.
    """

    def __init__(self, similarity: SentenceSimilarity, detector: Any, tokenizer: Any, device: str) -> None:
        self._similarity = similarity
        self._detector = detector
        self._tokenizer = tokenizer
        self._device = device

    def __call__(self, candidates: list[str], references: list[Sequence[str]]) -> float:
        """FENSE of these captions, higher is better.

        Args:
            candidates: one for each clip.
            references: of each clip, one or more.

        Raises:
            UsageError: no clip, or numbers that do not fit.
        """
        if not candidates or len(candidates) != len(references) or not all(references):
            raise UsageError("FENSE needs one caption or more, and one reference or more for each of them")
        texts = [normalise_caption(caption) for caption in candidates]
        grouped = [[normalise_caption(caption) for caption in captions] for captions in references]
        with quiet():
            errors_A = fluency_errors(texts, self._detector, self._tokenizer, self._device)
        return float(penalised(self._similarity(texts, grouped), errors_A).mean())


def fense_scorer(
    *,
    sbert_model: "str | Path | Any | None" = None,
    echecker: "str | Path | Any | None" = None,
    echecker_tokenizer: Any = None,
    device: str | None = None,
) -> FenseScorer | CannotScore:
    """Load the models of FENSE once, for the validation of a training.

    torch's random numbers are left as they were, and no hub is asked.

    Args:
        sbert_model: a folder of a sentence encoder, or a loaded `SentenceTransformer`; None: the one in the cache.
        echecker: a folder with a fluency detector's checkpoint, config.json and tokenizer, or a loaded detector;
            None: the one in the cache.
        echecker_tokenizer: of a loaded detector.
        device: for both; None: CUDA where it is there.

    Returns:
        Something to call with candidates and references, or the reason why there is none.

    Raises:
        UsageError: a loaded detector without its tokenizer.
    """
    tools = MetricTools(
        sbert_model=sbert_model, echecker=echecker, echecker_tokenizer=echecker_tokenizer, device=device
    )
    if lacks := tools.lacks("fense"):
        return CannotScore("; ".join(lack.what for lack in lacks), "; ".join(dict.fromkeys(lack.fix for lack in lacks)))
    import_aac_metrics()
    try:
        return FenseScorer(tools.similarity, *tools.fluency, device or ANY_CUDA)
    except AtrkitError as error:
        return CannotScore(str(error), PREPARE)
