"""The second stage of a search: a model that scores each pair by itself puts the best files in its own order.

A captioner or a model with cross attention cannot be asked about a hundred thousand files; of the few that a first
stage found, it hears each and says how well the text fits. A captioner's scores are its losses as they are: column
scaling compares captions of one clip, which matters for audio to text; among clips of one text, raw losses rank.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from atrkit.audio.read import UnusableAudioError, load_mono_window
from atrkit.errors import DivergedError, UsageError
from atrkit.processes import available_cores
from atrkit.reports.counting import counted
from atrkit.reports.printable import printable
from atrkit.search.results import Hit
from atrkit.store.clip_embeddings import Embeddings, offsets_of
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.captioned import CaptionedClips
from atrkit.workflows.encoder_as_trained import encoder_as_trained
from atrkit.workflows.extract_options import ExtractOptions
from atrkit.workflows.paired_scores import paired_scores
from atrkit.workflows.score_models import scoring_of
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun, open_run
from atrkit.workflows.window_encoder import EncodedWindows

if TYPE_CHECKING:
    from atrkit.encoders import Encoder
    from atrkit.workflows.search import Answer

Float32Array = npt.NDArray[np.float32]
_WINDOWS_AT_ONCE = 16


def open_second_stage(session: Session, named: str) -> TrainedRun:
    """The run of a second stage, before anything else is opened.

    Args:
        session: where to speak.
        named: folder or name of a run of any model with one encoder.

    Raises:
        UsageError: no such run, or it needs more of a sound than one encoder gives.
    """
    try:
        trained = open_run(session, named)
    except UsageError as error:
        raise UsageError(str(error).replace("--run ", "--rerank ", 1)) from error
    _refuse_what_cannot(trained)
    return trained


def reranked(session: Session, trained: TrainedRun, answers: "Sequence[Answer]") -> "list[Answer]":
    """Score the hits of each answer again, with its text.

    Args:
        session: where to speak, and to show progress.
        trained: the second stage.
        answers: with texts, and hits to score; what was pushed away or sounded alike only chose these.

    Returns:
        The same answers with their hits in the new order and with the new scores, and seconds in which everything is
        counted that the second stage did: of reading and encoding, which is done for all answers at once, each has
        the share of its windows. Files that cannot be read any more
        are left out, which is said.

    Raises:
        MissingPrerequisiteError: the weights of its encoder are not there.
        IntegrityError: they are not those of the run.
        DivergedError: a score is not finite; names the file.
    """
    encoder, options = encoder_as_trained(session, trained)
    started_s = time.perf_counter()
    hit_of_window = {hit.window: hit for answer in answers for hit in answer.hits}
    waves = _waves_of(session, list(hit_of_window.values()), encoder.sample_rate_hz)
    embeddings = _encoded(session, waves, encoder, options)
    encoding_s = time.perf_counter() - started_s
    place_of_window = {int(window): place for place, window in enumerate(embeddings.clip_ids)}
    score = paired_scores(trained.recipe, trained.folder, CaptionedClips((), embeddings))
    scoring = scoring_of(trained.recipe)
    pairs = sum(hit.window in place_of_window for answer in answers for hit in answer.hits)
    rescored = []
    for answer in answers:
        started_s = time.perf_counter()
        hits = [hit for hit in answer.hits if hit.window in place_of_window]
        places_N = np.array([place_of_window[hit.window] for hit in hits], np.int64)
        scores_N = score(places_N, [normalise_caption(answer.query or "")] * len(hits)) if hits else np.zeros(0)
        seconds = time.perf_counter() - started_s + encoding_s * len(hits) / max(1, pairs)
        record = {"run": trained.name, "scoring": scoring, "k": len(hits), "seconds": round(seconds, 3)}
        rescored.append(replace(answer, hits=_in_order(hits, scores_N), rerank=record))
    session.say(
        f"re-ranked by {trained.name} ({scoring}): {counted(len(place_of_window), 'window')} read and encoded in "
        f"{encoding_s:.1f} s, {counted(pairs, 'pair')} scored"
    )
    return rescored


def _refuse_what_cannot(trained: TrainedRun) -> None:
    recipe = trained.recipe
    auxiliary = recipe.auxiliary_captions
    why = None
    if len(recipe.all_encoders) > 1:
        why = "hears with several encoders"
    elif auxiliary is not None and (auxiliary.interaction or auxiliary.matching):
        why = "reads generated captions of the sounds"
    elif trained.tuned_encoder is not None:
        why = "has an encoder of its own"
    if why is not None:
        raise UsageError(f"--rerank {trained.name}: that run {why}; take one of a captioner, an hci or a co_attention")


def _waves_of(session: Session, hits: Sequence[Hit], sample_rate_hz: int) -> dict[int, Float32Array]:
    """The samples of each hit's window; of a long file no more is read than these."""
    waves: dict[int, Float32Array] = {}
    gone: dict[str, None] = {}

    def read(hit: Hit) -> Float32Array | None:
        try:
            return load_mono_window(Path(hit.path), sample_rate_hz, hit.start_s, hit.end_s)
        except (UnusableAudioError, OSError):
            return None

    with (
        session.open_progress("reading hits", len(hits), "windows") as advance,
        ThreadPoolExecutor(available_cores()) as pool,
    ):
        for hit, wave_N in zip(hits, pool.map(read, hits), strict=True):
            advance(1)
            if wave_N is not None and len(wave_N):
                waves[hit.window] = wave_N
            else:
                gone[hit.path] = None
    if gone:
        count = counted(len(gone), "file cannot be read any more and is", "files cannot be read any more and are")
        session.say(
            f"{count} left out of the second stage: {printable(next(iter(gone)))}{', ...' if len(gone) > 1 else ''}"
        )
    return waves


def _encoded(
    session: Session, waves: dict[int, Float32Array], encoder: "Encoder", options: ExtractOptions
) -> Embeddings:
    """What a store would hold of the windows."""
    numbers = list(waves)
    parts = []
    with session.open_progress(f"{encoder.name} of hits", len(numbers), "windows") as advance:
        for first in range(0, len(numbers), _WINDOWS_AT_ONCE):
            some = [waves[number] for number in numbers[first : first + _WINDOWS_AT_ONCE]]
            encoded = EncodedWindows.of(encoder.encode(some), encoder.labels, options.frame_dtype)
            if not encoded.is_finite_B.all():
                broken = numbers[first + int(np.flatnonzero(~encoded.is_finite_B)[0])]
                raise DivergedError(f"the {encoder.name} frames of window {broken} of the index are not finite")
            parts.append(encoded)
            advance(len(some))
    frames = [frames_TF for part in parts for frames_TF in part.frames]
    tag_probs = [part.tag_probs_BK for part in parts if part.tag_probs_BK is not None]
    return Embeddings(
        clip_ids=tuple(map(str, numbers)),
        audio_sha256=("",) * len(numbers),
        frames_NF=np.concatenate([np.zeros((0, encoder.frame_dim), np.float32), *frames]),
        offsets=offsets_of([len(frames_TF) for frames_TF in frames]),
        clip_emb_AD=np.concatenate(
            [np.zeros((0, encoder.clip_dim), np.float32), *(part.clip_emb_BD for part in parts)]
        ),
        tag_probs_AK=np.concatenate(tag_probs) if tag_probs else None,
        labels=(),
        provenance={},
    )


def _in_order(hits: Sequence[Hit], scores_N: npt.NDArray[np.floating]) -> list[Hit]:
    """By the new scores; equal ones stay as the first stage had them."""
    if len(broken_N := np.flatnonzero(~np.isfinite(scores_N))):
        raise DivergedError(f"the second stage has no finite score for {hits[int(broken_N[0])].path}")
    order_N = np.argsort(-scores_N, kind="stable")
    return [replace(hits[place], score=float(scores_N[place])) for place in order_N]
