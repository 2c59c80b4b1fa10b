"""Hierarchical cross-modal interaction: frames and words, segments and phrases, clip and sentence (paper 001)."""

import copy
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrkit.errors import UsageError
from atrkit.models.attention_pooling import AttentionPooling
from atrkit.models.auxiliary_captions import AudioCaptionInteraction
from atrkit.models.cosines import cosines
from atrkit.models.frame_side import FrameSide
from atrkit.models.interaction_vectors import CaptionVectors, ClipVectors
from atrkit.models.max_similarity import cross_interaction, cross_interaction_of_pairs
from atrkit.models.pooling import MaxPooling, MeanPooling
from atrkit.models.ragged import Ragged
from atrkit.models.retriever import ClipBatch, Padded, Retriever, SimilarityTerm, evaluating
from atrkit.models.text_encoders import SentenceEncoder
from atrkit.models.text_towers import TEXT_FOLDER
from atrkit.models.token_towers import Tokens, TokenTower, TransformerTokens, WordTokens, restore_token_tower

_CAPTIONS_AT_ONCE = 1024


class HciRetriever(Retriever):
    """Compares a clip and a caption at three levels; the loss is a weighted sum over them.

    With both weights 0 it is the paper's baseline: one vector per clip, one per caption, a cosine. What a weight of 0
    leaves out is not built. Generated captions can enter in two ways: frames meet the caption of their clip before
    anything is compared, and its similarity with the query is a term of its own.

    Generated captions are read by the text side itself where it is made of word embeddings. A pretrained text network
    reads them as it was opened, before it is tuned, and its [CLS] is projected apart: a tuned one is therefore kept
    twice, frozen and tuned.

    Args:
        frame_dim: width of a frame, F.
        text: words and sentence of a caption.
        dim: width of the common space, D.
        hidden_dims: layers of the MLP on every frame.
        dropout: probability, in that MLP.
        text_hidden_dims: layers of the MLP on every word and sentence, each followed by ReLU.
        frame_word_weight: alpha of eq. 9; 0 leaves the term out.
        segment_phrase_weight: beta of eq. 9; 0 leaves the term out.
        segments: N_s of a clip, and N_p of a caption.
        clip: vector of a clip: "frames", max + mean of its frames, or aggregated from its "segments".
        sentence: vector of a caption: "cls", the text side's own, or "aggregated" from its phrases.
        caption_interaction: frames meet the generated caption (section 3.2.3).
        caption_matching: the generated caption is compared with the query (section 3.2.4).
        num_heads: attention heads of the interaction; divides dim.

    Raises:
        UsageError: unknown `clip` or `sentence`, or a weight below 0.

    Source: paper 001, section 3.1 (eq. 3 to 9) and 3.2. Our choice: max + mean as the clip's vector (PANNs' own, and
    Mei et al. 2022's), one projection for words and [CLS], the frame MLP, standardisation, and the score of a pair,
    of which the paper says nothing: the weighted mean of the similarities whose losses are summed in training.

    Example:
        >>> from atrkit.models.token_towers import WordTokens
        >>> from atrkit.text.vocabulary import Vocabulary
        >>> text = WordTokens(Vocabulary.from_captions(["rain falls", "a dog barks"]).words)
        >>> model = HciRetriever(frame_dim=8, text=text, dim=16, segments=2)
        >>> clips = ClipBatch((Padded(torch.zeros(2, 5, 8), torch.tensor([5, 3])),))
        >>> texts = Padded(*model.prepare_captions(["rain", "a dog"]).gather(torch.arange(2)))
        >>> [(term.name, term.weight) for term in model.similarity_terms(clips, texts)]
        [('clip_sentence', 1.0), ('frame_word', 0.5), ('segment_phrase', 0.1)]
    """

    kind = "hci"

    def __init__(
        self,
        frame_dim: int,
        text: TokenTower,
        *,
        dim: int = 1024,
        hidden_dims: Sequence[int] = (),
        dropout: float = 0.0,
        text_hidden_dims: Sequence[int] = (),
        frame_word_weight: float = 0.5,
        segment_phrase_weight: float = 0.1,
        segments: int = 10,
        clip: Literal["frames", "segments"] = "frames",
        sentence: Literal["cls", "aggregated"] = "cls",
        caption_interaction: bool = False,
        caption_matching: bool = False,
        num_heads: int = 8,
    ) -> None:
        super().__init__()
        if clip not in ("frames", "segments") or sentence not in ("cls", "aggregated"):
            raise UsageError(f"clip is {clip!r}: frames or segments; sentence is {sentence!r}: cls or aggregated")
        if frame_word_weight < 0 or segment_phrase_weight < 0:
            raise UsageError(f"weights are {frame_word_weight} and {segment_phrase_weight}, and must be 0 or more")
        self.arguments = {
            "frame_dim": frame_dim,
            "text": text.arguments,
            "dim": dim,
            "hidden_dims": list(hidden_dims),
            "dropout": dropout,
            "text_hidden_dims": list(text_hidden_dims),
            "frame_word_weight": frame_word_weight,
            "segment_phrase_weight": segment_phrase_weight,
            "segments": segments,
            "clip": clip,
            "sentence": sentence,
            "caption_interaction": caption_interaction,
            "caption_matching": caption_matching,
            "num_heads": num_heads,
        }
        self.dim = dim
        self.frame_word_weight = frame_word_weight
        self.segment_phrase_weight = segment_phrase_weight
        self.frame_side = FrameSide(frame_dim, dim, hidden_dims=hidden_dims, dropout=dropout)
        self.text = text
        self.text_projection = _projection(text.token_dim, text_hidden_dims, dim)
        self.segments = AttentionPooling(dim, segments) if segment_phrase_weight or clip == "segments" else None
        self.phrases = AttentionPooling(dim, segments) if segment_phrase_weight or sentence == "aggregated" else None
        self.clip_of_segments = AttentionPooling(dim, 1) if clip == "segments" else None
        self.sentence_of_phrases = AttentionPooling(dim, 1) if sentence == "aggregated" else None
        self.max, self.mean = MaxPooling(dim), MeanPooling(dim)
        self.caption_matching = caption_matching
        self.interaction = AudioCaptionInteraction(dim, num_heads) if caption_interaction else None
        self.reads_generated = caption_interaction or caption_matching
        is_network = self.reads_generated and isinstance(text, TransformerTokens)
        self.caption_network = _as_opened(text) if is_network else None
        self.caption_projection = _projection(text.token_dim, text_hidden_dims, dim) if is_network else None

    # --- what is prepared once

    def fit_standardisation(self, frames: Sequence[Ragged]) -> int:
        """As `FrameSide.fit_standardisation`, of the one encoder's frames."""
        (only,) = frames
        return self.frame_side.fit_standardisation(only.values)

    def prepare_captions(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """As the text side prepares them."""
        with evaluating(self):
            return self.text.prepare(captions, batch_size=batch_size)

    def prepare_auxiliary(self, captions: Sequence[str], *, batch_size: int = 64) -> Ragged:
        """Word ids of generated captions, or one [CLS] vector each where a pretrained network reads them.

        Raises:
            UsageError: the model has no use for generated captions, or one of them has no words.
        """
        if not self.reads_generated:
            return super().prepare_auxiliary(captions, batch_size=batch_size)
        if self.caption_projection is None:
            return self.prepare_captions(captions, batch_size=batch_size)
        network = self.caption_network or self.text
        with evaluating(self):
            sentences = [
                _first_rows(network.prepare(captions[start : start + _CAPTIONS_AT_ONCE], batch_size=batch_size))
                for start in range(0, len(captions), _CAPTIONS_AT_ONCE)
            ]
        return Ragged(torch.cat(sentences), torch.arange(len(captions) + 1))

    def count_unknown_words(self, captions: Sequence[str]) -> Counter[str]:
        """Count the words of captions that the text side does not know, each by its occurrences."""
        return self.text.unknown_words(captions)

    def count_cut_captions(self, captions: Sequence[str]) -> int:
        """Count the captions whose end the text side does not read, because they are too long for it."""
        return self.text.count_cut(captions)

    # --- clips and captions apart

    def clip_vectors(self, clips: ClipBatch) -> ClipVectors:
        """Everything of clips that captions are compared with.

        Raises:
            UsageError: frames of another width, or no generated captions where the model reads them.
        """
        ((frames_BTF, lengths_B),) = clips.frames
        caption_BD = self._generated(clips.captions) if self.reads_generated else None
        frames_BTD = self.frame_side(frames_BTF)
        if self.interaction is not None:
            frames_BTD = self.interaction(frames_BTD, lengths_B, caption_BD)
        segments_BSD = None if self.segments is None else self.segments(frames_BTD, lengths_B)
        if self.clip_of_segments is None or segments_BSD is None:
            clip_BD = self.max(frames_BTD, lengths_B) + self.mean(frames_BTD, lengths_B)
        else:
            clip_BD = _as_one(self.clip_of_segments, segments_BSD)
        return ClipVectors(
            F.normalize(clip_BD, dim=-1),
            lengths_B,
            F.normalize(frames_BTD, dim=-1) if self.frame_word_weight else None,
            F.normalize(segments_BSD, dim=-1) if self.segment_phrase_weight and segments_BSD is not None else None,
            F.normalize(caption_BD, dim=-1) if self.caption_matching and caption_BD is not None else None,
        )

    def caption_vectors(self, texts: Padded) -> CaptionVectors:
        """Everything of captions that clips are compared with."""
        tokens = self.text(*texts)
        needs_words = self.frame_word_weight or self.phrases is not None
        words_BLD = self.text_projection(tokens.words_BLF) if needs_words else None
        phrases_BPD = None
        if self.phrases is not None and words_BLD is not None:
            phrases_BPD = self.phrases(words_BLD, tokens.lengths_B)
        return CaptionVectors(
            F.normalize(self._sentence(tokens, phrases_BPD), dim=-1),
            tokens.lengths_B,
            F.normalize(words_BLD, dim=-1) if self.frame_word_weight and words_BLD is not None else None,
            F.normalize(phrases_BPD, dim=-1) if self.segment_phrase_weight and phrases_BPD is not None else None,
        )

    # --- and together

    def similarity_terms(self, clips: ClipBatch, texts: Padded) -> tuple[SimilarityTerm, ...]:
        """Similarities of every clip with every caption: clip_sentence, frame_word, segment_phrase, text_caption."""
        a, c = self.clip_vectors(clips), self.caption_vectors(texts)
        terms = [SimilarityTerm("clip_sentence", 1.0, cosines(a.clip_BD, c.sentence_BD))]
        if a.frames_BTD is not None and c.words_BLD is not None:
            similarity_BB = cross_interaction(a.frames_BTD, a.lengths_B, c.words_BLD, c.lengths_B)
            terms.append(SimilarityTerm("frame_word", self.frame_word_weight, similarity_BB))
        if a.segments_BSD is not None and c.phrases_BPD is not None:
            similarity_BB = cross_interaction(
                a.segments_BSD, _all_of(a.segments_BSD), c.phrases_BPD, _all_of(c.phrases_BPD)
            )
            terms.append(SimilarityTerm("segment_phrase", self.segment_phrase_weight, similarity_BB))
        if a.caption_BD is not None:
            terms.append(SimilarityTerm("text_caption", 1.0, cosines(a.caption_BD, c.sentence_BD)))
        return tuple(terms)

    def pair_scores(self, clips: ClipVectors, captions: CaptionVectors) -> Tensor:
        """Score of clip b with caption b, (B,): the mean of the terms, weighted as their losses are."""
        a, c = clips, captions
        total_B = (a.clip_BD * c.sentence_BD).sum(dim=1)
        if a.frames_BTD is not None and c.words_BLD is not None:
            similarity_B = cross_interaction_of_pairs(a.frames_BTD, a.lengths_B, c.words_BLD, c.lengths_B)
            total_B = total_B + self.frame_word_weight * similarity_B
        if a.segments_BSD is not None and c.phrases_BPD is not None:
            similarity_B = cross_interaction_of_pairs(
                a.segments_BSD, _all_of(a.segments_BSD), c.phrases_BPD, _all_of(c.phrases_BPD)
            )
            total_B = total_B + self.segment_phrase_weight * similarity_B
        if a.caption_BD is not None:
            total_B = total_B + (a.caption_BD * c.sentence_BD).sum(dim=1)
        return total_B / self.total_weight

    @property
    def words_stand_alone(self) -> bool:
        """Whether a word has the same vector in every caption, so that each need be compared only once."""
        return isinstance(self.text, WordTokens) and self.text.gru is None

    @property
    def total_weight(self) -> float:
        """Sum of the weights of all terms; a score is divided by it and lies in [-1, 1]."""
        return 1.0 + self.frame_word_weight + self.segment_phrase_weight + float(self.caption_matching)

    # --- saved

    def extra_files(self) -> dict[str, bytes]:
        """Configuration and tokenizer of a text network."""
        return {f"{TEXT_FOLDER}/{name}": content for name, content in self.text.files().items()}

    @classmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> "HciRetriever":
        return cls(**{**config, "text": restore_token_tower(config["text"], folder)})

    # --- inside

    def _generated(self, captions: Padded | None) -> Tensor:
        """Vectors of generated captions, (B, D), not yet of norm 1."""
        if captions is None:
            raise UsageError(
                "the model reads generated captions, and there are none: make them with the captioner of its recipe"
            )
        if self.caption_projection is not None:
            return self.caption_projection(captions.values[:, 0])  # type: ignore[no-any-return]
        tokens = self.text(*captions)
        phrases_BPD = None
        if self.sentence_of_phrases is not None and self.phrases is not None:
            phrases_BPD = self.phrases(self.text_projection(tokens.words_BLF), tokens.lengths_B)
        return self._sentence(tokens, phrases_BPD)

    def _sentence(self, tokens: Tokens, phrases_BPD: Tensor | None) -> Tensor:
        if self.sentence_of_phrases is None or phrases_BPD is None:
            return self.text_projection(tokens.sentence_BF)  # type: ignore[no-any-return]
        return _as_one(self.sentence_of_phrases, phrases_BPD)


def _projection(in_dim: int, hidden_dims: Sequence[int], dim: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    width = in_dim
    for hidden_dim in hidden_dims:
        layers += [nn.Linear(width, hidden_dim), nn.ReLU()]
        width = hidden_dim
    return nn.Sequential(*layers, nn.Linear(width, dim))


def _as_opened(text: TokenTower) -> TransformerTokens | None:
    """A frozen copy of a network that is to be tuned; None where it stays as it is anyway."""
    if not isinstance(text, TransformerTokens) or text.frozen:
        return None
    encoder = text.encoder
    network = copy.deepcopy(encoder.network)
    frozen = SentenceEncoder(network, encoder.tokenizer, pooling="cls", max_tokens=encoder.max_tokens)
    return TransformerTokens(frozen, source=text.arguments["source"], frozen=True)


def _first_rows(hidden: Ragged) -> Tensor:
    return hidden.values[hidden.offsets[:-1]].float()


def _all_of(parts_BSD: Tensor) -> Tensor:
    """Lengths of sets that are all of the same size."""
    return torch.full((len(parts_BSD),), parts_BSD.shape[1], device=parts_BSD.device)


def _as_one(pooling: AttentionPooling, parts_BSD: Tensor) -> Tensor:
    pooled_B1D: Tensor = pooling(parts_BSD, _all_of(parts_BSD))
    return pooled_B1D[:, 0]
