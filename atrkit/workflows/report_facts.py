"""What was run, in lines for a page: from the records of a run, so that they are the same whenever the page is made."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError
from atrkit.reports.counting import counted
from atrkit.reports.page.content import Fact
from atrkit.reports.recall_notes import target_note
from atrkit.workflows.evaluate import Evaluated
from atrkit.workflows.run_folder import ENVIRONMENT_NAME, LOG_NAME, RECIPE_NAME
from atrkit.workflows.trained_run import TrainedRun
from atrkit.workflows.workspace import read_record

_LOG_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d):\d\d UTC  (.*)")


def facts_of(evaluated: Evaluated, result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Recipe, data, pool, seed, model, versions, command and date of a run that was evaluated.

    Args:
        evaluated: the run and its split.
        result: the JSON object of its evaluation.
    """
    trained = evaluated.trained
    return (
        Fact("Source, and departures from it", trained.recipe.source),
        *(Fact("Aim", note) for note in target_note(result.get("target"))),
        *_training_facts(trained),
        *_evaluation_facts(evaluated.dataset, result),
        *_environment_facts(trained),
    )


def recipe_text(trained: TrainedRun) -> str:
    """The recipe as it ran, overrides included."""
    return (trained.folder / RECIPE_NAME).read_text(encoding="utf-8")


def _training_facts(trained: TrainedRun) -> Iterator[Fact]:
    recipe, finished = trained.recipe, trained.finished
    size = f", {finished['parameters']:,} parameters" if "parameters" in finished else ""
    yield Fact("Model", f"{recipe.model.name}{size}")
    yield Fact("Audio encoders", ", ".join(encoder.name for encoder in recipe.all_encoders))
    nouns = {"train_clips": "clip", "train_captions": "caption"}
    amounts = ", ".join(counted(finished[key], noun) for key, noun in nouns.items() if key in finished)
    place = _place(finished["dataset"], finished["train_split"])
    yield Fact("Trained on", f"{place}: {amounts}" if amounts else place)
    if finished.get("epochs"):
        best = finished.get("best_epoch")
        kept = f"; epoch {best} kept, by {finished['keep_best']}" if best else ""
        yield Fact("Training", f"{counted(finished['epochs'], 'epoch')}{kept}")
    if trained.inputs.get("seed") is not None:
        yield Fact("Seed", str(trained.inputs["seed"]))


def _evaluation_facts(dataset: Dataset, result: Mapping[str, Any]) -> Iterator[Fact]:
    to_audio = result["text_to_audio"]
    size = f"{counted(to_audio['candidates'], 'clip')}, {counted(to_audio['queries'], 'caption')}"
    yield Fact("Evaluated on", f"{_place(result['dataset'], result['split'])}: {size}")
    scaling = result["column_scaling"]
    scaled = "" if scaling == "none" else f", columns scaled by {scaling} for audio to text"
    reranked = f", the best {result['rerank']['k']:,} of {result['rerank']['run']} only" if "rerank" in result else ""
    yield Fact("Scores", f"{result['scoring']}{scaled}{reranked}, {result['precision']}")
    licence = dataset.about.get("licence")
    if isinstance(licence, str):
        yield Fact("Licence of the data", licence)
    yield Fact("Pool id", result["pool_id"], is_code=True)


def _environment_facts(trained: TrainedRun) -> Iterator[Fact]:
    try:
        environment = read_record(trained.folder / ENVIRONMENT_NAME, ("atrkit", "python"))
    except IntegrityError:
        yield Fact("Versions", f"not known: {ENVIRONMENT_NAME} is missing or damaged")
    else:
        packages = environment.get("packages", {})
        versions = [f"atrkit {environment['atrkit']}", f"Python {environment['python']}"]
        versions += [f"{name} {version}" for name, version in packages.items()]
        yield Fact("Versions", ", ".join(versions))
        if "platform" in environment:
            yield Fact("Machine", f"{environment['platform']}, {counted(environment.get('cpus') or 0, 'CPU')}")
    if date := date_of(trained):
        yield Fact("Trained until", date)
    if command := _command(trained):
        yield Fact("Command", command, is_code=True)


def date_of(trained: TrainedRun) -> str:
    """When the training ended, as its log says; "" where there is no log."""
    path = trained.folder / LOG_NAME
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    found = [match for line in lines if (match := _LOG_LINE.fullmatch(line))]
    ended = [match for match in found if match[2] == "finished"] or found
    return f"{ended[-1][1]} UTC" if ended else ""


def _command(trained: TrainedRun) -> str:
    path = trained.folder / ENVIRONMENT_NAME
    try:
        words = read_record(path, ("command",))["command"]
    except IntegrityError:
        return ""
    return shlex.join(["atrkit", *map(str, words[1:])])  # the first one is where atrkit lay


def _place(dataset: str, split: str) -> str:
    return f"{dataset}/{split}"
