"""A captioner: frozen frames, projected, and a decoder that says what is heard, word by word."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atrkit.errors import IntegrityError, UsageError
from atrkit.models.caption_decoder import CaptionDecoder
from atrkit.models.gru_decoder import GruDecoder
from atrkit.models.positions import sinusoidal_positions
from atrkit.models.ragged import Ragged
from atrkit.models.saved_model import SavedModel
from atrkit.models.standardisation import mean_and_std
from atrkit.models.transformer_decoder import TransformerDecoder
from atrkit.text.vocabulary import BOS_ID, EOS_ID, CaptionVocabulary

AudioPositions = Literal["none", "sinusoidal"]


class Captioner(SavedModel):
    """Frames of a frozen encoder, a projection, and a decoder with a vocabulary of whole words.

    It writes captions (`atrkit.models.decoding`), and the cross-entropy of a caption that it is given says how well
    that caption suits a clip (`atrkit.scoring.caption_cross_entropy`). A saved one is a folder that can be moved.

    Args:
        frame_dim: width of a frame, F.
        words: of a `CaptionVocabulary`.
        decoder: over these words.
        projection_dropout: before and after the projection.
        audio_positions: "sinusoidal" adds positions to the projected frames, which tells the decoder when things
            were heard; "none" leaves that to the encoder, as the paper does.
        standardise: frames are centred and scaled by mean and deviation of the training frames first (our choice; for
            features such as log-mel in dB, whose scale is not made for a network).

    Source: paper 004, section 2.1 (dropout 0.5, dense, ReLU, dropout 0.5); positions and standardisation are ours.

    Example:
        >>> words = CaptionVocabulary.from_captions(["rain falls", "a dog barks"]).words
        >>> model = Captioner(8, words, TransformerDecoder(len(words), dim=16, num_layers=2, ff_dim=32)).eval()
        >>> tokens_BL, _ = model.tokenise(["Rain falls."]).gather(torch.tensor([0]))
        >>> model(torch.zeros(1, 3, 8), torch.tensor([3]), tokens_BL[:, :-1]).shape  # <bos> rain falls
        torch.Size([1, 3, 9])
    """

    kind = "captioner"
    frame_mean_F: Tensor
    frame_std_F: Tensor

    def __init__(
        self,
        frame_dim: int,
        words: Sequence[str],
        decoder: CaptionDecoder,
        *,
        projection_dropout: float = 0.5,
        audio_positions: AudioPositions = "none",
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary = CaptionVocabulary(tuple(words))
        self.frame_dim = frame_dim
        self.audio_positions = audio_positions
        self.is_standardising = standardise
        self.arguments: dict[str, Any] = {
            "frame_dim": frame_dim,
            "projection_dropout": projection_dropout,
            "audio_positions": audio_positions,
            "standardise": standardise,
        }
        self.register_buffer("frame_mean_F", torch.zeros(frame_dim))
        self.register_buffer("frame_std_F", torch.ones(frame_dim))
        self.projection = nn.Sequential(
            nn.Dropout(projection_dropout),
            nn.Linear(frame_dim, decoder.dim),
            nn.ReLU(),
            nn.Dropout(projection_dropout),
        )
        self.decoder = decoder

    @property
    def config(self) -> dict[str, Any]:
        """JSON values that make the model again; what config.json holds."""
        return {**super().config, "decoder": self.decoder.arguments, "words": list(self.vocabulary.words)}

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.frame_mean_F.device

    def fit_standardisation(self, frames_NF: Tensor) -> int:
        """Take mean and deviation from all training frames, where the model standardises at all.

        Returns:
            How many features are constant; those are centred and not scaled.

        Raises:
            UsageError: frames of another width than the model's.
            DivergedError: a feature is NaN or infinite.
        """
        self._require_frame_dim(frames_NF)
        if not self.is_standardising:
            return 0
        mean_F, std_F, constant = mean_and_std(frames_NF)
        self.frame_mean_F.copy_(mean_F)
        self.frame_std_F.copy_(std_F)
        return constant

    def standardise(self, frames_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """Frames as the projection takes them; padding becomes zero."""
        self._require_frame_dim(frames_BTF)
        is_padding_BT = torch.arange(frames_BTF.shape[1], device=lengths_B.device) >= lengths_B[:, None]
        return ((frames_BTF - self.frame_mean_F) / self.frame_std_F).masked_fill(is_padding_BT[..., None], 0.0)

    def project(self, standardised_BTF: Tensor) -> Tensor:
        """Memory (B, T, D) of the decoder; what it holds at padding means nothing."""
        memory_BTD = self.projection(standardised_BTF)
        if self.audio_positions == "sinusoidal":
            memory_BTD = memory_BTD + sinusoidal_positions(memory_BTD.shape[1], self.decoder.dim, memory_BTD.device)
        return memory_BTD  # type: ignore[no-any-return]

    def memory(self, frames_BTF: Tensor, lengths_B: Tensor) -> Tensor:
        """From raw padded frames to the decoder's memory, (B, T, D)."""
        return self.project(self.standardise(frames_BTF, lengths_B))

    def forward(self, frames_BTF: Tensor, frame_lengths_B: Tensor, tokens_BL: Tensor) -> Tensor:
        """Logits of the next word at every position.

        Args:
            frames_BTF: raw frames, padded with anything finite.
            frame_lengths_B: frames of each clip, 1 or more.
            tokens_BL: `<bos>` and the words so far.

        Returns:
            (B, L, V).
        """
        memory_BTD = self.memory(frames_BTF, frame_lengths_B)
        return self.decoder(self.decoder.embed_words(tokens_BL), memory_BTD, frame_lengths_B)  # type: ignore[no-any-return]

    def tokenise(self, captions: Sequence[str]) -> Ragged:
        """Captions, normalised first, as ids: `<bos>`, words, `<eos>`.

        Of a gathered batch, all but the last column is what the decoder reads, all but the first what it should say;
        padding is `<pad>`, 0.

        Raises:
            UsageError: a caption without words.
        """
        ids = [self.vocabulary.encode(caption) for caption in captions]
        if empty := [caption for caption, words in zip(captions, ids, strict=True) if not words]:
            raise UsageError(f"a caption has no word: {empty[0]!r} ({len(empty)} such)")
        return Ragged.from_sequences([[BOS_ID, *words, EOS_ID] for words in ids])

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words that are read as `<unk>`, each by its number of occurrences."""
        return self.vocabulary.unknown_words(captions)

    @classmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> "Captioner":
        words, decoder = config.pop("words"), config.pop("decoder")
        return cls(words=words, decoder=_decoder(decoder, len(words)), **config)

    def _require_frame_dim(self, frames: Tensor) -> None:
        if frames.shape[-1] != self.frame_dim:
            raise UsageError(
                f"frames are {frames.shape[-1]} wide, the model takes {self.frame_dim}: "
                "use the encoder that the model was trained with"
            )


def _decoder(arguments: dict[str, Any], vocab_size: int) -> CaptionDecoder:
    remaining = dict(arguments)
    match remaining.pop("name"):
        case "transformer":
            return TransformerDecoder(vocab_size, **remaining)
        case "gru":
            return GruDecoder(vocab_size, **remaining)
        case unknown:
            raise IntegrityError(f"a decoder of unknown kind {unknown!r}: update atrkit")
