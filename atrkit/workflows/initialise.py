"""`atrkit init`: a commented recipe.yaml that fits the dataset and the embeddings at hand."""

from pathlib import Path
from typing import Any

from atrkit.errors import UsageError
from atrkit.files import write_atomic
from atrkit.recipe.starter import render_starter_recipe
from atrkit.store.embeddings import load_header
from atrkit.workflows.extract_command import extraction_settings
from atrkit.workflows.session import Session

DEFAULT_RECIPE = "recipe.yaml"


def write_starter_recipe(session: Session, path: Path, *, overwrite: bool, dataset_name: str | None = None) -> Path:
    """Write the recipe and say what it was made for.

    Raises:
        MissingPrerequisiteError: there is no dataset yet; says how to make one.
        UsageError: the file is there and may not be replaced, or the dataset has no captions.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already: --overwrite replaces it, --out NAME.yaml writes another")
    dataset = session.workspace.load_dataset(dataset_name)
    encoder = _encoder_at_hand(session, dataset.name)
    captioned = {split: sum(bool(clip.captions) for clip in dataset.split(split)) for split in dataset.splits}
    if not any(captioned.values()):
        raise UsageError(
            f"dataset {dataset.name!r} has no captions to learn from; import it again with its table of captions: "
            f"atrkit import CAPTIONS.csv --audio-dir DIR --name {dataset.name}"
        )
    text = render_starter_recipe(dataset.name, encoder, captioned, path.name)
    write_atomic(path, text.encode())
    session.say(f"wrote {path} for dataset {dataset.name} and encoder {encoder['name']} (atrkit init)")
    return path


def _encoder_at_hand(session: Session, dataset_name: str) -> dict[str, Any]:
    """The recipe's encoder section for the newest embeddings; logmel, which needs no weights, where there are none."""
    # samples are no embeddings: they are there for networks that are trained
    names = [name for name in session.workspace.encoder_names(dataset_name) if name != "waveform"]
    if not names:
        return {"name": "logmel"}
    header = load_header(session.workspace.embeddings_path(dataset_name, names[0]))
    settings = header.provenance["settings"]
    section = {"name": names[0], **extraction_settings(names[0], settings)}
    section.pop("precision", None)  # not a recipe's to say: embeddings of any are taken
    if not header.notes.get("weights_are_published", True):
        section["checkpoint"] = header.notes["checkpoint"]
    return section
