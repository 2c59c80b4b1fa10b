"""`atrkit eval --metric caption`: captions of a split by the run's captioner, against those by people."""

from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import AtrkitError, MissingPrerequisiteError
from atrkit.files import single_writer, write_atomic, write_json_atomic
from atrkit.text.normalise import normalise_caption
from atrkit.workflows.caption import captions_as_csv, captions_of_split
from atrkit.workflows.caption_metrics import evaluate_captions
from atrkit.workflows.caption_runs import chosen_decoding
from atrkit.workflows.evaluate import Evaluated, EvaluateOptions
from atrkit.workflows.session import Session
from atrkit.workflows.trained_run import TrainedRun

RESULTS_NAME = "caption_results.json"
CAPTIONS_NAME = "captions.csv"


def evaluate_written_captions(session: Session, evaluated: Evaluated, options: EvaluateOptions) -> dict[str, Any]:
    """Write a caption for every clip of the split, and score them; both are kept in the run's folder.

    Raises:
        MissingPrerequisiteError: no clip has both an embedding and a caption by people.
    """
    trained = evaluated.trained
    references = _references(evaluated.dataset, evaluated.split)
    written = captions_of_split(
        session,
        trained,
        evaluated.dataset,
        evaluated.split,
        decoding=options.decoding,
        may_extract=options.may_extract,
    )
    candidates = {clip_id: caption.text for clip_id, caption in written.items() if clip_id in references}
    if not candidates:
        raise MissingPrerequisiteError(
            f"no clip of {evaluated.dataset.name}/{evaluated.split} has both an embedding and a caption to compare with"
        )
    left_out = len(written) - len(candidates)
    if left_out:
        session.say(f"{left_out} clips have no caption by people to compare with: left out")
    result = {
        "metric": "caption",
        **evaluated.about,
        "decoding": chosen_decoding(trained.recipe, options.decoding),
        **evaluate_captions(
            session,
            candidates,
            {clip_id: references[clip_id] for clip_id in candidates},
            baseline_captions=_training_captions(session, trained),
        ),
        "target": evaluated.target,
        **evaluated.trained_on(),
    }
    with single_writer(evaluated.folder / RESULTS_NAME):
        (evaluated.folder / RESULTS_NAME).unlink(missing_ok=True)  # not beside captions that are others
        records = [{"clip": clip_id, "caption": each.text, "score": each.score} for clip_id, each in written.items()]
        write_atomic(evaluated.folder / CAPTIONS_NAME, captions_as_csv(records, "clip"))
        write_json_atomic(evaluated.folder / RESULTS_NAME, result)
    session.say(f"captions: {evaluated.folder / CAPTIONS_NAME}")
    return result


def _references(dataset: Dataset, split: str) -> dict[str, list[str]]:
    """Captions with a word in them, of each clip that has any."""
    worded = {
        clip.id: [caption.text for caption in clip.captions if normalise_caption(caption.text)]
        for clip in dataset.split(split)
    }
    return {clip_id: captions for clip_id, captions in worded.items() if captions}


def _training_captions(session: Session, trained: TrainedRun) -> list[str] | None:
    """What the most frequent caption is taken from; the training data need not lie here any more."""
    try:
        dataset = session.workspace.load_dataset(trained.finished["dataset"])
        clips = dataset.split(trained.finished["train_split"])
    except AtrkitError as error:
        session.say(f"no baseline of the most frequent caption: {error}")
        return None
    return [caption.text for clip in clips for caption in clip.captions if normalise_caption(caption.text)] or None
