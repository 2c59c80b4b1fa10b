"""One thread, and a text network that stands for those of the transformers library, whose import takes seconds."""

import shutil
import tempfile
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from atrkit.models.text_encoders import SentenceEncoder

ROOM_BYTES = 8 * 10**9


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def any_precision() -> Iterator[None]:
    """accelerate keeps the first precision of a process; here every recipe has its own."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


class ToyNetwork(nn.Module):
    """Stands for a text network of the transformers library, whose import alone takes seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(hidden_size=4, save_pretrained=lambda folder: None)
        self.embedding = nn.Embedding(50, 4)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> types.SimpleNamespace:
        return types.SimpleNamespace(last_hidden_state=self.embedding(input_ids))


class ToyTokenizer:
    """A token per word, one before and one after them."""

    model_max_length, pad_token_id, unk_token_id = 64, 0, None

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[48, *(1 + len(word) for word in text.split()), 49] for text in texts]}

    def num_special_tokens_to_add(self) -> int:
        """[CLS] and [SEP]."""
        return 2

    def save_pretrained(self, folder: str) -> None:
        """There is nothing to keep."""


def toy_sentence_encoder(source: str, **arguments: Any) -> SentenceEncoder:
    return SentenceEncoder(ToyNetwork(), ToyTokenizer(), **arguments).eval()


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """Where a training may write: in memory where there is room, as models of the size of the papers' are gigabytes.

    Every checkpoint is forced to the disk before the training goes on; that it is, fault tests see.
    """
    in_memory = Path("/dev/shm")
    has_room = in_memory.is_dir() and shutil.disk_usage(in_memory).free > ROOM_BYTES
    folder = Path(tempfile.mkdtemp(dir=in_memory if has_room else tmp_path))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def toy_text_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever folder or hub id a recipe names, this is what is opened."""
    for module in ("text_towers", "token_towers", "text_encoders"):
        monkeypatch.setattr(f"atrkit.models.{module}.load_sentence_encoder", toy_sentence_encoder)


@pytest.fixture
def toy_word_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of word vectors in the current folder, three wide; "bell" has none."""
    (tmp_path / "vectors.txt").write_text("rain 0.1 0.2 0.3\ndog 1 0 -1\nwind -0.5 0.25 2\na 0 1 0\nthen 0 0 1\n")
    monkeypatch.chdir(tmp_path)
