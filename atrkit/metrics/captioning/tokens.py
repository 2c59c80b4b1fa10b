"""Captions as every metric sees them: one tokenisation for candidates and references, and its name."""

import importlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from atrkit.metrics.captioning.catalogue import PREPARE, Lack
from atrkit.metrics.captioning.java import Java
from atrkit.metrics.captioning.library import java_accepted, quiet
from atrkit.text.normalise import normalise_caption

TokenizerName = Literal["ptb", "whitespace"]


@dataclass(frozen=True)
class Tokenised:
    """Captions whose words are separated by single spaces.

    Args:
        candidates: one for each clip; may be empty.
        references: of each clip, one or more, none of them empty.
        tokenizer: "ptb", what published figures are made with, or "whitespace".
        reason: why it is not "ptb"; None where it is.
        dropped_references: that had no word.
    """

    candidates: list[str]
    references: list[list[str]]
    tokenizer: TokenizerName
    reason: Lack | None
    dropped_references: int


def tokenise(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    java: Java | None,
    cache: Path,
    lack: Lack | None,
) -> Tokenised:
    """Split with the PTB tokenizer, which published figures are made with, or at spaces where it cannot run.

    The plain way makes captions lower case and removes punctuation (`normalise_caption`), then splits at spaces. The
    two differ in words with an apostrophe or a hyphen: "dog's" is "dog 's" to PTB and "dogs" here.

    Args:
        candidates: one for each clip.
        references: of each clip.
        java: to run the PTB tokenizer with; None: it cannot run.
        cache: `metrics_cache()`.
        lack: why the PTB tokenizer cannot run; None: it can.
    """
    sizes = [len(captions) for captions in references]
    flat = [" ".join(caption.split()) for caption in (*candidates, *(text for texts in references for text in texts))]
    name: TokenizerName = "whitespace"
    if java is not None and lack is None:
        try:
            flat, name = _ptb(flat, java, cache), "ptb"
        except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
            lack = Lack(f"the PTB tokenizer failed: {first_line(error)}", f"{PREPARE} puts a damaged jar right")
    if name == "whitespace":
        flat = [normalise_caption(caption) for caption in flat]
    rest = iter(flat[len(candidates) :])
    grouped = [[text for text in (next(rest) for _ in range(size)) if text] for size in sizes]
    dropped = sum(sizes) - sum(map(len, grouped))
    return Tokenised(flat[: len(candidates)], grouped, name, lack if name == "whitespace" else None, dropped)


def _ptb(captions: list[str], java: Java, cache: Path) -> list[str]:
    """Tokenise in one start of Java; captions without a word are not shown to it, which counts lines."""
    tokenization: Any = importlib.import_module("aac_metrics.utils.tokenization")
    filled = [caption for caption in captions if caption]
    with java_accepted(java), quiet(), tempfile.TemporaryDirectory(prefix="atrkit-ptb-") as folder:
        words: Callable[..., list[list[str]]] = tokenization.ptb_tokenize_batch
        tokenised = iter(words(filled, cache_path=str(cache), java_path=java.path, tmp_path=folder))
    return [" ".join(next(tokenised)) if caption else "" for caption in captions]


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
