"""The two networks of FENSE, read from folders on this machine and from nowhere else."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.files import sha256_of_file
from atrkit.metrics.captioning.catalogue import FLUENCY_CHECKPOINT, NEEDS, PREPARE
from atrkit.metrics.captioning.library import import_aac_metrics, quiet
from atrkit.metrics.captioning.tokens import first_line

_PUBLISHED_SHA256 = NEEDS["fluency"].files[0].sha256


def load_sbert(folder: Path, device: str | None = None) -> Any:
    """A `SentenceTransformer`; nothing is asked of a hub.

    Args:
        folder: as sentence-transformers saves one, with modules.json.
        device: "cpu", "cuda", ...; None: CUDA where it is there.

    Raises:
        MissingPrerequisiteError: the folder holds no sentence encoder.
        IntegrityError: it cannot be read.
    """
    if not (folder / "modules.json").is_file():
        raise MissingPrerequisiteError(f"the folder {folder} holds no sentence encoder: modules.json is missing")
    with _loading(folder):
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(str(folder), device=device or _best_device(), local_files_only=True)


def load_fluency_detector(folder: Path, device: str | None = None) -> tuple[Any, Any]:
    """The fluency detector and its tokenizer.

    aac-metrics' own loader unpickles the checkpoint as the environment says, and downloads a BERT only to overwrite
    all of its weights. Here the checkpoint is read as tensors and plain values (`weights_only`), and the network is
    made from a configuration file.

    Args:
        folder: with one checkpoint (*.ckpt), and BERT's config.json and tokenizer files.
        device: "cpu", "cuda", ...; None: CUDA where it is there.

    Returns:
        What aac-metrics takes as `echecker` and `echecker_tokenizer`.

    Raises:
        MissingPrerequisiteError: the folder holds no detector.
        IntegrityError: the checkpoint is not the published one, although it has its name, or cannot be read.
    """
    checkpoint = _checkpoint_in(folder)
    with _loading(checkpoint):
        import torch
        from torch import nn
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        import_aac_metrics()
        from aac_metrics.functional.fer import BERTFlatClassifier

        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        detector = BERTFlatClassifier.__new__(BERTFlatClassifier)  # its __init__ asks a hub
        nn.Module.__init__(detector)
        detector.model_type, detector.num_classes = str(state["model_type"]), int(state["num_classes"])
        detector.encoder = AutoModel.from_config(config, dtype=torch.float32)
        detector.dropout = nn.Dropout(config.hidden_dropout_prob)
        detector.clf = nn.Linear(config.hidden_size, detector.num_classes)
        weights = dict(state["state_dict"])
        weights.pop("encoder.embeddings.position_ids", None)  # a constant that transformers saved until 4.31
        detector.load_state_dict(weights)
        return detector.eval().requires_grad_(False).to(device or _best_device()), tokenizer


def _checkpoint_in(folder: Path) -> Path:
    checkpoints = sorted(folder.glob("*.ckpt"))
    if len(checkpoints) != 1 or not (folder / "config.json").is_file():
        lacking = "one checkpoint (*.ckpt)" if len(checkpoints) != 1 else "config.json"
        raise MissingPrerequisiteError(f"the folder {folder} holds no fluency detector: {lacking} is missing")
    checkpoint = checkpoints[0]
    if checkpoint.name == FLUENCY_CHECKPOINT and (found := sha256_of_file(checkpoint)) != _PUBLISHED_SHA256:
        raise IntegrityError(
            f"{checkpoint} is not the published file (sha256 {_PUBLISHED_SHA256} expected, {found} found): "
            f"fetch it again with {PREPARE}"
        )
    return checkpoint


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@contextlib.contextmanager
def _loading(place: Path) -> Iterator[None]:
    """Offline, without chatter, with torch's random numbers left as they were, and with errors in one line."""
    import torch
    from transformers.utils import logging

    had_bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with offline(), quiet(), torch.random.fork_rng(devices=[]):
            yield
    except (ImportError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged file can make the readers fail in any way
        raise IntegrityError(f"{place} cannot be read: {first_line(error)}; fetch it again with {PREPARE}") from error
    finally:
        if had_bars:
            logging.enable_progress_bar()


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Forbid the hub's client to ask the hub for anything."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
