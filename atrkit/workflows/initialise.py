"""`atrkit init`: a commented recipe.yaml that fits the dataset and the embeddings at hand."""

from pathlib import Path

from atrkit.errors import UsageError
from atrkit.files import write_atomic
from atrkit.recipe.starter import render_starter_recipe
from atrkit.workflows.session import Session

DEFAULT_RECIPE = "recipe.yaml"


def write_starter_recipe(session: Session, path: Path, *, overwrite: bool, dataset_name: str | None = None) -> Path:
    """Write the recipe and say what it was made for.

    Raises:
        MissingPrerequisiteError: there is no dataset yet; says how to make one.
        UsageError: the file is there and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already: --overwrite replaces it, --out NAME.yaml writes another")
    dataset = session.workspace.load_dataset(dataset_name)
    encoders = session.workspace.encoder_names(dataset.name)
    encoder = encoders[0] if encoders else "logmel"
    captioned = {split: sum(bool(clip.captions) for clip in dataset.split(split)) for split in dataset.splits}
    text = render_starter_recipe(dataset=dataset.name, encoder=encoder, clips_of_split=captioned)
    write_atomic(path, text.encode())
    session.say(f"wrote {path} for dataset {dataset.name} and encoder {encoder} (atrkit init)")
    return path
