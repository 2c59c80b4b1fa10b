"""From a captioner and an embedding store to a score matrix."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from atrkit.errors import MissingPrerequisiteError, UsageError
from atrkit.models.captioner import Captioner
from atrkit.models.ragged import Ragged
from atrkit.score_matrix import ScoreMatrix
from atrkit.scoring.cross_entropy import CrossEntropyScorer
from atrkit.scoring.cross_entropy_products import Precision
from atrkit.store.clip_embeddings import Embeddings
from atrkit.store.embeddings import load_embeddings


def score_pairs(
    captioner: Captioner,
    store: Embeddings | str | os.PathLike[str],
    captions: Mapping[str, Sequence[str]],
    *,
    precision: Precision = "fp32",
    on_progress: Callable[[int], None] | None = None,
) -> ScoreMatrix:
    """Score every caption with every clip by a captioner's cross-entropy.

    Args:
        captioner: trained.
        store: embeddings, or the path of an embedding file, of the encoder that the captioner was trained with.
        captions: for each clip that is to be scored, its captions; a clip with none is scored, too, as a distractor.
        precision: of matrix products, "fp32", "fp16" or "bf16".
        on_progress: told the number of clips of each finished batch.

    Returns:
        Scores of clips in the order of `captions`; caption 1 of clip `a` has the id `a#1`. A score is minus the mean
        loss in nats per predicted token: higher is better.

    Raises:
        MissingPrerequisiteError: a clip has no embedding, or there is no such file.
        UsageError: no captions, one without words, a string in place of a list of captions.
        IntegrityError: the file is damaged.
        DivergedError: NaN or infinity in frames or losses; names the clips.

    Source: paper 004, section 3.2.
    """
    embeddings = store if isinstance(store, Embeddings) else load_embeddings(Path(store), mapped=True)
    if strings := [clip_id for clip_id, texts in captions.items() if isinstance(texts, str)]:
        raise UsageError(f"captions of clip {strings[0]!r} are one string: give a list of captions")
    index_A = _positions(embeddings, list(captions))
    written = [(clip_id, number, text) for clip_id, texts in captions.items() for number, text in enumerate(texts, 1)]
    scorer = CrossEntropyScorer(captioner, [text for _, _, text in written], precision=precision)
    frames = Ragged.from_rows(embeddings.frames_NF, embeddings.offsets)
    loss_AC = scorer.losses_of(frames, index_A, on_progress, clip_ids=embeddings.clip_ids)
    caption_ids = [f"{clip_id}#{number}" for clip_id, number, _ in written]
    return ScoreMatrix(-loss_AC, list(captions), caption_ids, [clip_id for clip_id, _, _ in written])


def _positions(embeddings: Embeddings, clip_ids: Sequence[str]) -> torch.Tensor:
    position_of = {clip_id: position for position, clip_id in enumerate(embeddings.clip_ids)}
    if missing := [clip_id for clip_id in clip_ids if clip_id not in position_of]:
        encoder = embeddings.provenance.get("encoder")
        raise MissingPrerequisiteError(
            f"{len(missing)} clips have no {encoder} embedding, the first {missing[0]!r}; "
            f"run: atrkit extract --encoder {encoder} --overwrite"
        )
    return torch.tensor([position_of[clip_id] for clip_id in clip_ids], dtype=torch.int64)
