"""A model that is saved to a folder and opened again with the same outputs, to the bit."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError
from safetensors import torch as safetensors_torch
from torch import nn

from atrkit.errors import IntegrityError
from atrkit.models.folder import WEIGHTS_NAME, find_model_folder, read_model_folder, write_model_folder


class SavedModel(nn.Module, ABC):
    """A model that is saved to a folder: config.json makes it, model.safetensors fills it, every byte is checked.

    A subclass says its `kind`, gives `arguments` (JSON values that make it again, without `kind`), and overrides
    `_from_config`.

    Attributes:
        kind: name of the model in config.json.
        arguments: JSON values that make the model again.
        audio_encoder: of a model whose frames come from an encoder that was trained with it: that encoder's name, and
            the sha256 of its weights beside the model; None where the encoder stayed as it was published.
    """

    kind: str
    arguments: dict[str, Any]
    audio_encoder: dict[str, str] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """JSON values that make the model again; what config.json holds."""
        encoder = {} if self.audio_encoder is None else {"audio_encoder": self.audio_encoder}
        return {"model": self.kind, **encoder, **self.arguments}

    def extra_files(self) -> dict[str, bytes]:
        """What must be saved beside weights and configuration: path below the folder to content."""
        return {}

    def save_pretrained(self, folder: str | os.PathLike[str], *, more_files: Mapping[str, bytes] | None = None) -> None:
        """Write config.json, model.safetensors, further files where there are some, and model.sha256.

        Args:
            folder: made when it is missing.
            more_files: what else belongs to the model: path below the folder to content.

        Raises:
            ResourceError: the folder cannot be written.
        """
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        files = {WEIGHTS_NAME: safetensors_torch.save(weights), **self.extra_files(), **(more_files or {})}
        write_model_folder(Path(folder), self.config, files)

    @classmethod
    def from_pretrained(cls, folder_or_hub_id: str | os.PathLike[str]) -> Self:
        """Open a saved model, in evaluation mode; its outputs are those of the model that was saved, to the bit.

        Args:
            folder_or_hub_id: a run folder, or the id of a model on the Hugging Face hub.

        Raises:
            MissingPrerequisiteError: there is no model in the folder.
            IntegrityError: a file of it is damaged, or the folder holds another kind of model.
            NetworkError: the hub id is not in the cache, and the hub cannot be asked.
        """
        folder = find_model_folder(folder_or_hub_id)
        config, files = read_model_folder(folder)
        wanted, kind, encoder = cls.kind, config.pop("model", None), config.pop("audio_encoder", None)
        if kind != wanted:
            raise IntegrityError(f"{folder} holds a model of kind {kind!r}, not a {wanted.replace('_', ' ')}")
        try:
            model = cls._from_config(config, folder)
            model.load_state_dict(safetensors_torch.load(files[WEIGHTS_NAME]))
            model.audio_encoder = encoder
        except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise IntegrityError(
                f"{folder} was saved by another version of atrkit ({reason}): train the model again"
            ) from error
        return model.eval()

    @classmethod
    @abstractmethod
    def _from_config(cls, config: dict[str, Any], folder: Path) -> Self:
        """Make the model from `arguments` as they were saved; weights are loaded afterwards."""
