"""Open a saved retrieval model of whatever kind: its config.json says which class it is."""

import os

from atrkit.errors import IntegrityError
from atrkit.models.co_attention_retriever import CoAttentionRetriever
from atrkit.models.dual_encoder import DualEncoder
from atrkit.models.experts import ExpertsRetriever
from atrkit.models.folder import find_model_folder, read_model_kind
from atrkit.models.interaction import HciRetriever
from atrkit.models.retriever import Retriever


def open_retriever(folder_or_hub_id: str | os.PathLike[str]) -> Retriever:
    """Open a saved retrieval model that was trained by steps, in evaluation mode.

    Args:
        folder_or_hub_id: a run folder, or the id of a model on the Hugging Face hub.

    Raises:
        MissingPrerequisiteError: there is no model in the folder.
        IntegrityError: a file of it is damaged, or it is of another kind.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
    """
    folder = find_model_folder(folder_or_hub_id)
    match read_model_kind(folder):
        case "dual_encoder":
            return DualEncoder.from_pretrained(folder)
        case "experts":
            return ExpertsRetriever.from_pretrained(folder)
        case "co_attention":
            return CoAttentionRetriever.from_pretrained(folder)
        case "hci":
            return HciRetriever.from_pretrained(folder)
        case kind:
            raise IntegrityError(
                f"{folder} holds a model of kind {kind!r}, not one that is trained by steps to retrieve"
            )
