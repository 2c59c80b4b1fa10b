"""The text side of CLAP: captions into the space that its audio side shares, of any `ClapModel` of transformers."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from atrkit.errors import IntegrityError, MissingPrerequisiteError
from atrkit.models.distinct import distinct_sequences
from atrkit.models.embedding_batches import EmbeddingArray, embed_in_batches
from atrkit.models.padding import padding_mask_BT
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import evaluating

_COMPUTED = ("position_ids", "token_type_ids")  # buffers that follow from the configuration
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt")  # one of them is enough


class ClapTextEncoder(nn.Module):
    """Text tower, projection and tokenizer of a CLAP model, in evaluation mode.

    Args:
        config: content of the model's config.json.
        weights: entries of its text tower and projection, named as in the model.
        tokenizer_folder: where the tokenizer's files are. No code of the model's is run.

    Raises:
        MissingPrerequisiteError: there is no tokenizer.
        IntegrityError: configuration, weights and tokenizer do not belong together, or weights are not finite.

    Source: Wu et al., "Large-scale contrastive language-audio pretraining with feature fusion and keyword-to-caption
    augmentation", ICASSP 2023; `get_text_features` of transformers' ClapModel, with rows of norm 1.
    """

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, Tensor], tokenizer_folder: Path) -> None:
        super().__init__()
        self.tokenizer = _tokenizer(tokenizer_folder)
        self.network = _network(config, weights, tokenizer_folder)
        text: Any = self.network.config
        if len(self.tokenizer) > text.vocab_size:
            raise IntegrityError(
                f"{tokenizer_folder}: its tokenizer knows {len(self.tokenizer)} tokens, and its network "
                f"{text.vocab_size}: they are of different models"
            )
        self.out_dim: int = text.projection_dim
        self._pad_token_id: int = text.pad_token_id
        # positions are counted from the one after the padding's
        self.max_tokens = min(self.tokenizer.model_max_length, text.max_position_embeddings - text.pad_token_id - 1)
        self.eval()

    def count_cut(self, captions: Sequence[str]) -> int:
        """How many captions have more than `max_tokens` tokens: their end is not read."""
        return sum(len(ids) > self.max_tokens for ids in self.tokenizer(list(captions), verbose=False)["input_ids"])

    def embed(
        self,
        captions: Sequence[str],
        *,
        batch_size: int = 64,
        ids: Sequence[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> EmbeddingArray:
        """Embed captions as they are, with case and punctuation: CLAP learned from sentences.

        Args:
            captions: any texts.
            batch_size: captions embedded at once; changes speed and memory, not the result (to 1e-6).
            ids: names of the captions, for error messages; None: their positions.
            on_progress: called with the number of captions done, after every batch.

        Returns:
            (C, D) float32, rows of norm 1.

        Raises:
            DivergedError: an embedding is not finite; names the caption.
        """
        tokens = Ragged.from_sequences(
            self.tokenizer(list(captions), truncation=True, max_length=self.max_tokens)["input_ids"]
        )
        device = next(self.parameters()).device

        def embed(index_B: Tensor) -> Tensor:
            token_ids_BL, lengths_B = tokens.gather(index_B)
            is_padding_BL = padding_mask_BT(lengths_B, token_ids_BL.shape[1])
            output: Any = self.network(
                input_ids=token_ids_BL.masked_fill(is_padding_BL, self._pad_token_id).to(device),
                attention_mask=(~is_padding_BL).long().to(device),
            )
            return functional.normalize(output.text_embeds, dim=-1)

        with evaluating(self):
            return embed_in_batches(
                embed,
                tokens.lengths_A,
                self.out_dim,
                kind="caption",
                batch_size=batch_size,
                ids=ids,
                on_progress=on_progress,
                distinct=distinct_sequences(tokens),
            )


def _tokenizer(folder: Path) -> Any:
    # without its files transformers makes an empty tokenizer and says nothing
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        raise MissingPrerequisiteError(
            f"{folder} holds no tokenizer ({' or '.join(_VOCABULARIES)}): save it beside the model"
        )
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever damaged files make of it
        raise IntegrityError(f"{folder}: its tokenizer cannot be read ({_first_line(error)})") from error


def _network(config: Mapping[str, Any], weights: Mapping[str, Tensor], folder: Path) -> nn.Module:
    from transformers import ClapConfig, ClapTextModelWithProjection

    try:
        network: nn.Module = ClapTextModelWithProjection(ClapConfig.from_dict(dict(config)).text_config).float()
    except Exception as error:  # whatever a configuration can say wrong
        raise IntegrityError(f"{folder}: its config.json describes no CLAP network ({_first_line(error)})") from error
    own = {name: value for name, value in network.state_dict().items() if not name.endswith(_COMPUTED)}
    given = {name: value for name, value in weights.items() if not name.endswith(_COMPUTED)}
    differing = [
        name
        for name in sorted(own.keys() | given.keys())
        if name not in own or name not in given or own[name].shape != given[name].shape
    ]
    if differing:
        raise IntegrityError(
            f"{folder}: {len(differing)} weights of the text side are not those of its config.json, the first "
            f"{differing[0]!r}: fetch the model again"
        )
    if broken := [name for name, value in given.items() if not value.isfinite().all()]:
        raise IntegrityError(f"{folder}: weights are not finite, the first {broken[0]!r}: fetch the model again")
    network.load_state_dict(given, strict=False)
    return network


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
