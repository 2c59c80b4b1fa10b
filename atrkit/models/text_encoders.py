"""Pretrained text networks of the transformers library: opened by folder or hub id, one vector per text."""

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError, UsageError
from atrkit.models.distinct import distinct_sequences
from atrkit.models.pooling import padding_mask_BT
from atrkit.models.ragged import Ragged

_NO_LIMIT = 1_000_000  # tokenizers that know no limit state 1e30


class SentenceEncoder(nn.Module):
    """A text network with its tokenizer: BERT, RoBERTa, MiniLM or any other encoder, pooled over tokens.

    The network is given token ids and the attention mask and nothing else, so that any encoder of transformers 4 and
    5 works. Open one with `load_sentence_encoder`; this constructor takes what that one loads.

    Args:
        network: the encoder.
        tokenizer: its tokenizer.
        pooling: "mean" over tokens (how sentence encoders are trained), or "cls", the first token.
        max_tokens: longer texts are cut here and counted by `count_cut`; None: where the network's own limit is.

    Raises:
        UsageError: unknown pooling.
    """

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Any,
        *,
        pooling: Literal["mean", "cls"] = "mean",
        max_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if pooling not in ("mean", "cls"):
            raise UsageError(f"no token pooling is called {pooling!r}: choose mean or cls")
        config: Any = network.config
        if getattr(network, "pooler", None) is not None:
            network.register_module("pooler", None)  # its tanh layer is not used, and often not in the weights
        self.network = network
        self.tokenizer = tokenizer
        self.pooling = pooling
        self.out_dim: int = config.hidden_size
        self.max_tokens = min(
            max_tokens or _NO_LIMIT,
            tokenizer.model_max_length,
            getattr(config, "max_position_embeddings", _NO_LIMIT),
        )

    def tokenise(self, texts: Sequence[str]) -> Ragged:
        """Token ids of each text, cut to `max_tokens` (the closing special token is kept)."""
        token_ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)["input_ids"]
        return Ragged.from_sequences(token_ids)

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts `tokenise` cuts."""
        return sum(len(ids) > self.max_tokens for ids in self.tokenizer(list(texts), verbose=False)["input_ids"])

    def forward(self, token_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """One vector per padded text: (B, L) ids and (B,) lengths to (B, out_dim), of any norm."""
        hidden_BLF = self.hidden(token_ids_BL, lengths_B)
        if self.pooling == "cls":
            return hidden_BLF[:, 0]
        padding_BL = padding_mask_BT(lengths_B, token_ids_BL.shape[1])
        return hidden_BLF.masked_fill(padding_BL[:, :, None], 0).sum(dim=1) / lengths_B[:, None]

    def hidden(self, token_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Hidden states of every token: (B, L) ids and (B,) lengths to (B, L, out_dim)."""
        padding_BL = padding_mask_BT(lengths_B, token_ids_BL.shape[1])
        hidden_BLF: Tensor = self.network(
            input_ids=token_ids_BL.masked_fill(padding_BL, self.tokenizer.pad_token_id or 0),
            attention_mask=(~padding_BL).long(),
        ).last_hidden_state
        return hidden_BLF

    def unknown_words(self, counts: Counter[str]) -> Counter[str]:
        """Of counted words those that the tokenizer replaces by its unknown token."""
        if self.tokenizer.unk_token_id is None or not counts:
            return Counter()
        ids_of_words = self.tokenizer(list(counts), add_special_tokens=False)["input_ids"]
        unknown = [word for word, ids in zip(counts, ids_of_words, strict=True) if self.tokenizer.unk_token_id in ids]
        return Counter({word: counts[word] for word in unknown})

    @torch.inference_mode()
    def pooled(self, texts: Sequence[str], *, batch_size: int = 64) -> Tensor:
        """One vector per text, (N, out_dim) on the CPU, of any norm; the network should be in evaluation mode.

        Equal texts go through the network once, and get the same bits.
        """
        device = next(self.network.parameters()).device
        all_tokens = self.tokenise(texts)
        first_U, place_N = (torch.from_numpy(index) for index in distinct_sequences(all_tokens))
        tokens = all_tokens.select(first_U)
        pooled_UF = torch.empty(len(tokens), self.out_dim)
        for index_B in tokens.lengths_A.argsort(stable=True).split(batch_size):
            token_ids_BL, lengths_B = tokens.gather(index_B)
            pooled_UF[index_B] = self(token_ids_BL.to(device), lengths_B.to(device)).float().cpu()
        return pooled_UF[place_N]

    def embed(self, texts: Sequence[str], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
        """Embed texts as they are.

        Returns:
            (N, out_dim) float32, rows of norm 1.
        """
        return functional.normalize(self.pooled(texts, batch_size=batch_size), dim=-1).numpy()

    def files(self) -> dict[str, bytes]:
        """Configuration of the network and files of the tokenizer, by name: all but the weights."""
        with tempfile.TemporaryDirectory() as folder:
            config: Any = self.network.config
            config.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
            paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    @classmethod
    def restore(cls, folder: Path, **arguments: Any) -> "SentenceEncoder":
        """Make the encoder from the files that `files` gave, with weights still to be loaded.

        Raises:
            IntegrityError: they cannot be read.
        """
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        try:
            with _quiet_transformers():
                tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
                config = AutoConfig.from_pretrained(folder, local_files_only=True)
                network = AutoModel.from_config(config, dtype=torch.float32)
        except (OSError, ValueError, KeyError) as error:
            raise IntegrityError(f"{folder} cannot be read: {_first_line(error)}; train the model again") from error
        return cls(network, tokenizer, **arguments).eval()


def load_sentence_encoder(
    source: str, *, pooling: Literal["mean", "cls"] = "mean", max_tokens: int | None = None
) -> SentenceEncoder:
    """Open a pretrained text network, in evaluation mode and float32.

    Only safetensors weights are read and no code of the model's is run: a pickle could do anything.

    Args:
        source: a folder that transformers saved, or a hub id such as "google-bert/bert-base-uncased".
        pooling: "mean" over tokens, or "cls".
        max_tokens: where longer texts are cut; None: at the network's own limit.

    Raises:
        MissingPrerequisiteError: the folder is not there, or holds no such network.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
    """
    folder = Path(source).expanduser()
    looks_like_path = source.startswith((".", "/", "~")) or source.count("/") > 1
    if looks_like_path and not folder.is_dir():
        raise MissingPrerequisiteError(f"the text encoder {source} is not there: give a folder or a hub id")
    from transformers import AutoModel, AutoTokenizer

    place = str(folder) if folder.is_dir() else source
    with _quiet_transformers(), _one_line_errors(source):
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        network = AutoModel.from_pretrained(place, trust_remote_code=False, use_safetensors=True, dtype=torch.float32)
    return SentenceEncoder(network, tokenizer, pooling=pooling, max_tokens=max_tokens).eval()


@contextlib.contextmanager
def _one_line_errors(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        if Path(source).expanduser().is_dir():
            raise MissingPrerequisiteError(
                f"the folder {source} holds no text encoder with safetensors weights: {_first_line(error)}"
            ) from error
        raise NetworkError(
            f"the text encoder {source!r} is no folder, and as a hub id it is neither in the local cache nor to be "
            f"had ({_first_line(error)}): check the name, go online, or give a folder"
        ) from error


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars and load reports: what matters comes back as an error."""
    from transformers.utils import logging

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
