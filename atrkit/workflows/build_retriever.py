"""From a recipe's settings to a retrieval model that is trained by steps, with weights drawn from a seed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, assert_never

from atrkit.recipe.retrievers import (
    CoAttentionSettings,
    DualEncoderSettings,
    ExpertsSettings,
    HciSettings,
    RetrieverSettings,
)
from atrkit.recipe.schema import AuxiliaryCaptionsSettings
from atrkit.recipe.towers import (
    LstmPoolingSettings,
    MaxPoolingSettings,
    MeanPoolingSettings,
    PoolingSettings,
    TextTowerSettings,
    TokenSideSettings,
    TransformersSettings,
    TransformerTokensSettings,
    VladPoolingSettings,
    WordEmbeddingsSettings,
    WordTokensSettings,
)
from atrkit.workflows.word_vectors import WordsOf, start_from_vectors, vocabulary_of, word_dim

if TYPE_CHECKING:
    from atrkit.models.retriever import Retriever
    from atrkit.models.text_towers import TextTower
    from atrkit.models.token_towers import TokenTower

Say = Callable[[str], None]


def build_retriever(
    settings: RetrieverSettings,
    *,
    frame_dims: Sequence[int],
    captions: Sequence[str],
    seed: int,
    auxiliary: AuxiliaryCaptionsSettings | None = None,
    further_captions: Sequence[str] = (),
    say: Say,
) -> "Retriever":
    """A retrieval model with weights drawn from `seed`.

    Args:
        settings: of the recipe.
        frame_dims: width of each encoder's frames.
        captions: training captions, from which a vocabulary is made.
        seed: of the initial weights.
        auxiliary: what generated captions are used for.
        further_captions: not learned from; frozen word vectors are kept for their words too.
        say: told how many words have no word vector.

    Raises:
        MissingPrerequisiteError: word vectors or a text network are not there.
        IntegrityError: the file of word vectors is damaged.
        UsageError: it has none of the words.
    """
    from atrkit.models.dual_encoder import seeded_initialisation

    words = WordsOf(captions, further_captions)
    with seeded_initialisation(seed):
        match settings:
            case DualEncoderSettings():
                return _dual_encoder(settings, frame_dims, words, say)
            case ExpertsSettings():
                return _experts(settings, frame_dims, words, say)
            case HciSettings():
                return _hci(settings, frame_dims, words, auxiliary, say)
            case CoAttentionSettings():
                return _co_attention(settings, frame_dims, words, say)
            case _:
                assert_never(settings)


def _dual_encoder(settings: DualEncoderSettings, frame_dims: Sequence[int], words: WordsOf, say: Say) -> "Retriever":
    from atrkit.models.audio_tower import AudioTower
    from atrkit.models.dual_encoder import DualEncoder

    (frame_dim,) = frame_dims
    audio = AudioTower(
        frame_dim,
        settings.out_dim,
        hidden_dims=settings.audio.hidden_dims,
        dropout=settings.audio.dropout,
        **pooling_arguments(settings.audio.pooling),
        gating=settings.gating,
    )
    text = _text_tower(settings.text, words, out_dim=settings.out_dim, gating=settings.gating, say=say)
    return DualEncoder(audio, text)


def _experts(settings: ExpertsSettings, frame_dims: Sequence[int], words: WordsOf, say: Say) -> "Retriever":
    from atrkit.models.experts import ExpertsRetriever

    text = _text_tower(settings.text, words, out_dim=settings.expert_dim, gating=False, say=say)
    return ExpertsRetriever(
        frame_dims,
        text,
        collaborative=settings.name == "collaborative_experts",
        expert_dim=settings.expert_dim,
        **pooling_arguments(settings.audio_pooling),
    )


def _hci(
    settings: HciSettings,
    frame_dims: Sequence[int],
    words: WordsOf,
    auxiliary: AuxiliaryCaptionsSettings | None,
    say: Say,
) -> "Retriever":
    from atrkit.models.interaction import HciRetriever

    (frame_dim,) = frame_dims
    return HciRetriever(
        frame_dim,
        _token_tower(settings.text, words, say),
        dim=settings.dim,
        hidden_dims=settings.audio.hidden_dims,
        dropout=settings.audio.dropout,
        text_hidden_dims=settings.text_hidden_dims,
        frame_word_weight=settings.frame_word_weight,
        segment_phrase_weight=settings.segment_phrase_weight,
        segments=settings.segments,
        clip=settings.clip,
        sentence=settings.sentence,
        caption_interaction=bool(auxiliary and auxiliary.interaction),
        caption_matching=bool(auxiliary and auxiliary.matching),
        num_heads=auxiliary.num_heads if auxiliary else 8,
    )


def _co_attention(settings: CoAttentionSettings, frame_dims: Sequence[int], words: WordsOf, say: Say) -> "Retriever":
    from atrkit.models.co_attention_retriever import CoAttentionRetriever

    (frame_dim,) = frame_dims
    return CoAttentionRetriever(
        frame_dim,
        _token_tower(settings.text, words, say),
        mode=settings.mode,
        num_layers=settings.num_layers,
        dim=settings.dim,
        num_heads=settings.num_heads,
        ff_dim=settings.d_ff,
        dropout=settings.dropout,
        hidden_dims=settings.audio.hidden_dims,
        frame_dropout=settings.audio.dropout,
    )


def _text_tower(text: TextTowerSettings, words: WordsOf, *, out_dim: int, gating: bool, say: Say) -> "TextTower":
    from atrkit.models.text_towers import TransformerTower, WordTower

    match text:
        case WordEmbeddingsSettings():
            tower = WordTower(
                vocabulary_of(text, words),
                out_dim,
                word_dim=word_dim(text),
                dropout=text.dropout,
                **pooling_arguments(text.pooling),
                gating=gating,
                trainable=text.trainable,
            )
            start_from_vectors(tower.embedding, text, words, say)
            return tower
        case TransformersSettings():
            return TransformerTower.open(
                text.model,
                pooling=text.pooling,
                max_tokens=text.max_tokens,
                out_dim=out_dim,
                frozen=not text.tune,
                gating=gating,
            )
        case _:
            assert_never(text)


def _token_tower(text: TokenSideSettings, words: WordsOf, say: Say) -> "TokenTower":
    from atrkit.models.token_towers import TransformerTokens, WordTokens

    match text:
        case WordTokensSettings():
            tower = WordTokens(
                vocabulary_of(text, words),
                dim=word_dim(text),
                dropout=text.dropout,
                context=text.context,
                trainable=text.trainable,
            )
            start_from_vectors(tower.embedding, text, words, say)
            return tower
        case TransformerTokensSettings():
            return TransformerTokens.open(text.model, max_tokens=text.max_tokens, frozen=not text.tune)
        case _:
            assert_never(text)


def pooling_arguments(pooling: PoolingSettings) -> dict[str, Any]:
    """Pooling as the towers take it."""
    match pooling:
        case MeanPoolingSettings():
            return {"pooling": "mean"}
        case MaxPoolingSettings():
            return {"pooling": "max"}
        case LstmPoolingSettings():
            return {"pooling": f"lstm_{pooling.output}", "pooling_dim": pooling.hidden_dim}
        case VladPoolingSettings():
            name = f"{pooling.name}_normalised" if pooling.normalise else pooling.name
            return {"pooling": name, "clusters": pooling.clusters}
        case _:
            assert_never(pooling)
