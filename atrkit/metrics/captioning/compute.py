"""The parts that figures are made of: each is computed once, by aac-metrics, and fails alone."""

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atrkit.errors import AtrkitError
from atrkit.metrics.captioning.catalogue import PREPARE, Lack, NeedName
from atrkit.metrics.captioning.java import Java
from atrkit.metrics.captioning.library import import_aac_metrics, java_accepted, quiet
from atrkit.metrics.captioning.tokens import Tokenised, first_line
from atrkit.metrics.captioning.tools import MetricTools

_METEOR_FIX = "METEOR takes up to 2 GB of memory; the same command tries again"
_SPICE_FIX = (
    "SPICE takes up to 8 GB of memory and was made for Java 8 to 13, which $AAC_METRICS_JAVA_PATH may name; "
    "the same command tries again"
)
ANY_CUDA = "cuda_if_available"
FLUENCY_PENALTY = 0.9
FLUENCY_THRESHOLD = 0.9

# metrics that are put together from others
PARTS_OF: dict[str, tuple[str, ...]] = {
    "bleu_1": ("bleu",),
    "bleu_2": ("bleu",),
    "bleu_3": ("bleu",),
    "bleu_4": ("bleu",),
    "spider": ("cider_d", "spice"),
    "fense": ("sbert_sim", "fer"),
    "spider_fl": ("cider_d", "spice", "fer"),
    "vocabulary_size": (),
    "mean_words": (),
}


@dataclass(frozen=True)
class PartScores:
    """What one call of aac-metrics gave.

    Args:
        corpus: of all clips, which is not always the mean over clips; four values for BLEU.
        clips_A: one for each clip.
    """

    corpus: tuple[float, ...]
    clips_A: npt.NDArray[np.float64]


class Parts:
    """Scores of one set of captions, computed when they are first asked for.

    Args:
        captions: tokenised.
        tools: Java and models.
    """

    def __init__(self, captions: Tokenised, tools: MetricTools) -> None:
        self._captions = captions
        self._tools = tools
        self._known: dict[str, PartScores | Lack] = {}

    def scores(self, part: str) -> PartScores | Lack:
        """Scores of one part, or why it failed."""
        if part not in self._known:
            self._known[part] = self._compute(part)
        return self._known[part]

    def figure(self, name: str, scores: Sequence[PartScores]) -> float:
        """One metric from its parts, in the order of `PARTS_OF`."""
        match name, scores:
            case "vocabulary_size", _:
                return float(len({word for text in self._captions.candidates for word in text.split()}))
            case "mean_words", _:
                return float(np.mean([len(text.split()) for text in self._captions.candidates]))
            case "spider", [cider_d, spice]:
                return (cider_d.corpus[0] + spice.corpus[0]) / 2
            case "fense", [similarity, errors]:
                return float(penalised(similarity.clips_A, errors.clips_A).mean())
            case "spider_fl", [cider_d, spice, errors]:
                return float(penalised((cider_d.clips_A + spice.clips_A) / 2, errors.clips_A).mean())
            case _, [bleu] if name.startswith("bleu_"):
                return bleu.corpus[int(name[-1]) - 1]
            case _:
                return scores[0].corpus[0]

    def _compute(self, part: str) -> PartScores | Lack:
        match part:
            case "bleu":
                return self._call("bleu", "bleu_4", "bleu_1_to_4", n=4, return_1_to_n=True)
            case "meteor":
                return self._guarded("meteor", self._meteor, _METEOR_FIX)
            case "spice":
                return self._guarded("spice", self._spice, _SPICE_FIX)
            case "sbert_sim":
                return self._guarded("sbert", self._sbert_sim, PREPARE)
            case "fer":
                return self._guarded("fluency", self._fer, PREPARE)
            case _:
                return self._call(part, part)

    def _guarded(self, need: NeedName, compute: Callable[[], PartScores], fix: str) -> PartScores | Lack:
        """What runs outside of Python, or with files of others, may fail; the other metrics do not fail with it."""
        try:
            with quiet():
                return compute()
        except AtrkitError as error:
            return Lack(first_line(error), fix)
        except (OSError, ValueError, KeyError, RuntimeError, subprocess.SubprocessError) as error:
            if damaged := self._tools.damaged_files(need):
                return Lack(f"{self._tools.cache / damaged[0].path} is damaged, or another file", PREPARE)
            return Lack(f"it failed: {first_line(error)}", fix)

    def _call(self, function: str, name: str, corpus_name: str | None = None, **arguments: Any) -> PartScores:
        metric = getattr(import_aac_metrics(), function)
        captions = self._captions
        corpus, clips = metric(candidates=captions.candidates, mult_references=captions.references, **arguments)
        total = np.atleast_1d(np.asarray(corpus[corpus_name or name], dtype=np.float64))
        return PartScores(tuple(float(value) for value in total), np.asarray(clips[name].cpu(), dtype=np.float64))

    def _meteor(self) -> PartScores:
        java = self._java
        with java_accepted(java):
            return self._call("meteor", "meteor", java_path=java.path, cache_path=str(self._tools.cache))

    def _spice(self) -> PartScores:
        java = self._java
        self._tools.make_spice_folder()
        with java_accepted(java), tempfile.TemporaryDirectory(prefix="atrkit-spice-") as folder:
            places = {"java_path": java.path, "cache_path": str(self._tools.cache), "tmp_path": folder}
            try:
                return self._call("spice", "spice", **places)
            except subprocess.CalledProcessError as error:
                raise RuntimeError(_what_java_said(Path(folder)) or first_line(error)) from error

    def _sbert_sim(self) -> PartScores:
        clips_A = self._tools.similarity(self._captions.candidates, self._captions.references)
        return PartScores((float(clips_A.mean()),), clips_A)

    def _fer(self) -> PartScores:
        detector, tokenizer = self._tools.fluency
        clips_A = fluency_errors(self._captions.candidates, detector, tokenizer, self._tools.device or ANY_CUDA)
        return PartScores((float(clips_A.mean()),), clips_A)

    @property
    def _java(self) -> Java:
        java = self._tools.usable_java
        assert java is not None, "metrics that lack Java are not computed"
        return java


def penalised(scores_A: npt.NDArray[np.float64], errors_A: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores of which captions with an error of fluency keep a tenth.

    >>> penalised(np.array([0.5, 0.5]), np.array([0.0, 1.0])).round(6)
    array([0.5 , 0.05])

    Source: FENSE (Zhou et al. 2022), which takes 0.9.
    """
    return scores_A * (1.0 - FLUENCY_PENALTY * errors_A)


def fluency_errors(captions: list[str], detector: Any, tokenizer: Any, device: str) -> npt.NDArray[np.float64]:
    """Which captions have an error of fluency, as 0 or 1."""
    _, clips = import_aac_metrics().fer(
        captions,
        echecker=detector.to(_as_device(device)),
        echecker_tokenizer=tokenizer,
        error_threshold=FLUENCY_THRESHOLD,
        device=device,
    )
    return np.asarray(clips["fer"], dtype=np.float64)


def _as_device(device: str) -> str:
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if device == ANY_CUDA else device


def _what_java_said(folder: Path) -> str | None:
    """The first line of an exception in what SPICE wrote before it ended."""
    for path in sorted(folder.glob("spice_std*")):
        for line in path.read_text(errors="replace").splitlines():
            if "Exception" in line or "Error" in line:
                return line.strip()
    return None
