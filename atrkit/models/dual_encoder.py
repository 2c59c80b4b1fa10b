"""A dual encoder: clips and captions in one space, where the cosine says how well they fit."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from atrkit.errors import UsageError
from atrkit.models.audio_tower import AudioTower
from atrkit.models.cosines import cosines
from atrkit.models.distinct import distinct_sequences
from atrkit.models.embedding_batches import EmbeddingArray, embed_in_batches
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, Padded, Retriever, SimilarityTerm, evaluating
from atrkit.models.text_towers import TEXT_FOLDER, TextTower, restore_text_tower


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Draw the initial weights of models made inside from `seed`, and leave torch's generator as it was.

    >>> with seeded_initialisation(1):
    ...     first = nn.Linear(2, 2).weight
    >>> with seeded_initialisation(1):
    ...     again = nn.Linear(2, 2).weight
    >>> torch.equal(first, again)
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class DualEncoder(Retriever):
    """An audio tower and a text tower that end in one space.

    Clips and captions are embedded apart, so a collection is embedded once and each query costs one matrix product.
    A saved model is a folder that can be moved: it holds the vocabulary, or the tokenizer and configuration of its
    text network, besides all weights.

    Args:
        audio: embeds frames.
        text: embeds captions; `WordTower` or `TransformerTower`.

    Raises:
        UsageError: the towers end in spaces of different width.

    Source: paper 003, figure 1; paper 001, section 2.

    Example:
        >>> import numpy as np
        >>> from atrkit.models.text_towers import WordTower
        >>> from atrkit.text.vocabulary import Vocabulary
        >>> words = Vocabulary.from_captions(["rain falls", "a dog barks"]).words
        >>> with seeded_initialisation(1):
        ...     model = DualEncoder(AudioTower(frame_dim=8, out_dim=16), WordTower(words, out_dim=16))
        >>> model.embed_clips([np.zeros((3, 8), np.float32)]).shape, model.embed_captions(["Rain."]).shape
        ((1, 16), (1, 16))
    """

    kind = "dual_encoder"

    def __init__(self, audio: AudioTower, text: TextTower) -> None:
        super().__init__()
        if audio.out_dim != text.out_dim:
            raise UsageError(f"the audio tower ends in {audio.out_dim} dimensions, the text tower in {text.out_dim}")
        self.audio = audio
        self.text = text
        self.arguments = {"audio": audio.arguments, "text": text.arguments}

    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """As `AudioTower.fit_standardisation`, of the one encoder's frames."""
        (only,) = frames
        return self.audio.fit_standardisation(only.values)

    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the text tower prepares them."""
        return self.text.prepare(captions, batch_size=batch_size)

    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """The cosine of every clip with every caption."""
        audio_emb_BD, text_emb_BD = self(*clips.frames[0], *texts)
        return (SimilarityTerm("cosine", 1.0, cosines(audio_emb_BD, text_emb_BD)),)

    def forward(
        self, frames_BTF: Tensor, frame_lengths_B: Tensor, texts: Tensor, text_lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Embed a padded batch of pairs for training.

        Args:
            frames_BTF: raw frames.
            frame_lengths_B: frames of each clip.
            texts: what `text.prepare` gave, gathered and padded.
            text_lengths_B: its lengths.

        Returns:
            audio_emb_BD and text_emb_BD, rows of norm 1.
        """
        return self.audio(frames_BTF, frame_lengths_B), self.text(texts, text_lengths_B)

    def embed_clips(
        self,
        clips: Sequence[npt.ArrayLike] | Ragged,
        *,
        batch_size: int = 64,
        ids: Sequence[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> EmbeddingArray:
        """Embed clips from their frame embeddings.

        Args:
            clips: (T, F) arrays of any lengths of at least one frame, or the same as `Ragged`.
            batch_size: clips embedded at once; changes speed and memory, not the result (to 1e-6).
            ids: names of the clips, for error messages; None: their positions.
            on_progress: called with the number of clips done, after every batch.

        Returns:
            (A, D) float32, rows of norm 1, in the order of `clips`.

        Raises:
            UsageError: a clip without frames, or frames of another width than the model's.
            DivergedError: an embedding is not finite; names the clip.
        """
        ragged = clips if isinstance(clips, Ragged) else Ragged.from_sequences(clips)
        return self._embed(self.audio, ragged, "clip", batch_size, ids, on_progress)

    def embed_captions(
        self,
        captions: Sequence[str] | Ragged,
        *,
        batch_size: int = 64,
        ids: Sequence[str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> EmbeddingArray:
        """Embed captions, which are normalised first; equal ones get the same bits.

        Args:
            captions: as written, or what `text.prepare` made of them.
            batch_size: captions embedded at once; changes speed and memory, not the result (to 1e-6).
            ids: names of the captions, for error messages; None: their positions.
            on_progress: called with the number of captions done, after every batch.

        Returns:
            (C, D) float32, rows of norm 1, in the order of `captions`.

        Raises:
            UsageError: a caption without words, or too long for the text network.
            DivergedError: an embedding is not finite; names the caption.
        """
        if not isinstance(captions, Ragged):
            with evaluating(self):
                captions = self.text.prepare(captions, batch_size=batch_size)
        return self._embed(self.text, captions, "caption", batch_size, ids, on_progress)

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of captions that the text tower does not know, each by its occurrences."""
        return self.text.unknown_words(captions)

    def count_cut_captions(self, captions: Sequence[str]) -> int:
        """Count the captions whose end the text tower does not read, because they are too long for it."""
        return self.text.count_cut(captions)

    def extra_files(self) -> dict[str, bytes]:
        """Configuration and tokenizer of a text network."""
        return {f"{TEXT_FOLDER}/{name}": content for name, content in self.text.files().items()}

    @classmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> "DualEncoder":
        return cls(AudioTower(**config["audio"]), restore_text_tower(config["text"], folder))

    def _embed(
        self,
        tower: nn.Module,
        inputs: Ragged,
        kind: str,
        batch_size: int,
        ids: Sequence[str] | None,
        on_progress: Callable[[int], None] | None,
    ) -> EmbeddingArray:
        device = self.audio.frame_mean_F.device

        def embed(index_B: Tensor) -> Tensor:
            padded, lengths_B = inputs.gather(index_B)
            return tower(padded.to(device), lengths_B.to(device))  # type: ignore[no-any-return]

        with evaluating(self):
            return embed_in_batches(
                embed,
                inputs.lengths_A,
                self.audio.out_dim,
                kind=kind,
                batch_size=batch_size,
                ids=ids,
                on_progress=on_progress,
                distinct=distinct_sequences(inputs) if kind == "caption" else None,
            )
