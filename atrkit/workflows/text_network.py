"""Which state of a pretrained text network a run reads captions with: a name on the hub has several in its life."""

from hashlib import sha256
from pathlib import Path

from atrkit.errors import MissingPrerequisiteError, NetworkError
from atrkit.files import sha256_of_file
from atrkit.recipe.models import RidgeSettings
from atrkit.recipe.retrievers import RETRIEVERS
from atrkit.recipe.schema import Recipe
from atrkit.recipe.towers import TransformersSettings, TransformerTokensSettings

_CONFIG_NAME = "config.json"


def text_network_input(recipe: Recipe) -> dict[str, str]:
    """What a run records of its text network, so that it does not go on with another; empty for runs without.

    Returns:
        "text_network_sha256" of a folder's configuration and weights, or "text_network_commit" of what the hub has.

    Raises:
        MissingPrerequisiteError: the folder is not there.
        NetworkError: the hub id is not in the cache, and the hub cannot be asked.
    """
    source = _source(recipe)
    if source is None:
        return {}
    folder = Path(source).expanduser()
    if folder.is_dir():
        files = sorted(path for path in folder.glob("*") if path.name == _CONFIG_NAME or path.suffix == ".safetensors")
        digests = [f"{path.name} {sha256_of_file(path)}" for path in files]
        return {"text_network_sha256": sha256("\n".join(digests).encode()).hexdigest()}
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise MissingPrerequisiteError(f"the text encoder {source} is not there: give a folder or a hub id")
    return {"text_network_commit": _commit(source)}


def _source(recipe: Recipe) -> str | None:
    if isinstance(recipe.model, RidgeSettings):
        return recipe.model.sentence_encoder
    text = recipe.model.text if isinstance(recipe.model, RETRIEVERS) else None
    return text.model if isinstance(text, TransformersSettings | TransformerTokensSettings) else None


def _commit(hub_id: str) -> str:
    """The commit that transformers will read: the newest, or the one in the cache where the hub cannot be asked."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(hub_id, _CONFIG_NAME)).parent.name  # the hub's cache names the folder so
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise NetworkError(
            f"the text encoder {hub_id!r} is no folder, and as a hub id it is neither in the local cache nor to be "
            f"had ({reason}): check the name, go online, or give a folder"
        ) from error
