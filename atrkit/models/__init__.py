"""Models on top of frozen embeddings: those that map clips and captions into one space, and captioners."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrkit.models.audio_tower import AudioTower
    from atrkit.models.captioner import Captioner
    from atrkit.models.co_attention import CoAttention
    from atrkit.models.co_attention_retriever import CoAttentionRetriever
    from atrkit.models.decoding import WrittenCaption, write_captions
    from atrkit.models.dual_encoder import DualEncoder, seeded_initialisation
    from atrkit.models.experts import ExpertsRetriever
    from atrkit.models.gru_decoder import GruDecoder
    from atrkit.models.interaction import HciRetriever
    from atrkit.models.ragged import Ragged
    from atrkit.models.ridge_retriever import RidgeRetriever
    from atrkit.models.text_towers import TransformerTower, WordTower
    from atrkit.models.transformer_decoder import TransformerDecoder
    from atrkit.models.vlad import NetRVLAD, NetVLAD

__all__ = [
    "AudioTower",
    "Captioner",
    "CoAttention",
    "CoAttentionRetriever",
    "DualEncoder",
    "ExpertsRetriever",
    "GruDecoder",
    "HciRetriever",
    "NetRVLAD",
    "NetVLAD",
    "Ragged",
    "RidgeRetriever",
    "TransformerDecoder",
    "TransformerTower",
    "WordTower",
    "WrittenCaption",
    "seeded_initialisation",
    "write_captions",
]

_MODULE_OF_NAME = {
    "AudioTower": "audio_tower",
    "Captioner": "captioner",
    "CoAttention": "co_attention",
    "CoAttentionRetriever": "co_attention_retriever",
    "DualEncoder": "dual_encoder",
    "ExpertsRetriever": "experts",
    "GruDecoder": "gru_decoder",
    "HciRetriever": "interaction",
    "NetRVLAD": "vlad",
    "NetVLAD": "vlad",
    "Ragged": "ragged",
    "RidgeRetriever": "ridge_retriever",
    "TransformerDecoder": "transformer_decoder",
    "TransformerTower": "text_towers",
    "WordTower": "text_towers",
    "WrittenCaption": "decoding",
    "seeded_initialisation": "dual_encoder",
    "write_captions": "decoding",
}


def __getattr__(name: str) -> Any:
    """Import torch only when someone asks for a model."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module 'atrkit.models' has no attribute {name!r}")
    return getattr(import_module(f"atrkit.models.{_MODULE_OF_NAME[name]}"), name)
