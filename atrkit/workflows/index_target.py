"""Which index is meant: of which folders or dataset, under which name, with which model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atrkit.datasets.folder_files import printable
from atrkit.datasets.manifest import Dataset
from atrkit.errors import IntegrityError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.search.index_files import INDEX_NAME, find_index, index_names, read_about
from atrkit.workflows.query_model import (
    WHERE_MODELS_COME_FROM,
    QueryModel,
    open_clap_model,
    open_query_model,
    open_run_model,
    refuse_other_model,
)
from atrkit.workflows.session import Session

_LONGEST_NAME = 60  # characters, of a name that nobody chose


@dataclass(frozen=True)
class IndexOptions:
    """What the user asked for.

    Args:
        folders: to be searched for sounds; none, and no dataset: those of an index that is there.
        dataset: of the workspace, in place of folders.
        split: of the dataset; None: all of it.
        run: whose model embeds; None, and no model: that of the index, or the newest run that can.
        model: a CLAP model as it is: folder or hub id.
        name: of the index; None: after what it is of.
        strict: anything that is skipped, repaired or padded is an error.
        overwrite: make everything anew.
        captions: tables of captions for files in folders; none: those that were named before.
    """

    folders: Sequence[Path] = field(default=())
    dataset: str | None = None
    split: str | None = None
    run: str | None = None
    model: str | None = None
    name: str | None = None
    strict: bool = False
    overwrite: bool = False
    captions: Sequence[Path] = field(default=())

    def __post_init__(self) -> None:
        """Refuse what cannot go together."""
        if self.folders and self.dataset is not None:
            raise UsageError("an index is of folders, or of a dataset: leave one of them out")
        if self.split is not None and self.dataset is None:
            raise UsageError("--split is of a dataset: name it with --dataset")
        if self.captions and self.dataset is not None:
            raise UsageError("--captions is for files in folders: a dataset has its own")
        if self.run is not None and self.model is not None:
            raise UsageError("--run and --model both say which model embeds: leave one of them out")


def find_target(session: Session, options: IndexOptions) -> tuple[Path, dict[str, Any] | None]:
    """The folder of the index, and what it is to be of; None: what it is of already.

    Raises:
        UsageError: a folder is not there or lies in another one, or a name is none; nothing is named, and no index is
            there.
    """
    name = options.name
    if name is not None and (not name or Path(name).name != name or name.startswith(".")):
        raise UsageError(f"--name {options.name!r}: a name is one word that can be a folder's")
    if options.dataset is not None:
        dataset = session.workspace.load_dataset(options.dataset)
        if options.split is not None:
            dataset.split(options.split)
        source: dict[str, Any] = {"dataset": dataset.name, "split": options.split}
        usual = dataset.name if options.split is None else f"{dataset.name}-{options.split}"
    elif options.folders:
        folders = _folders(options.folders)
        source, usual = {"folders": [str(folder) for folder in folders]}, _name_of(folders)
    else:
        return _there(session, options), None
    if options.name is None:
        session.say(f"index: {usual} (--name gives it another name)")
    return session.workspace.index_root / (options.name or usual), source


def _there(session: Session, options: IndexOptions) -> Path:
    if options.name is not None and (session.workspace.index_root / options.name / INDEX_NAME).is_file():
        return session.workspace.index_root / options.name
    root = session.workspace.index_root
    if not index_names(root) and not session.workspace.finished_runs():
        raise MissingPrerequisiteError(
            f"no index in {root}; make one: atrkit index FOLDER_OF_SOUNDS; it needs a model: {WHERE_MODELS_COME_FROM}"
        )
    folder = find_index(root, options.name)
    session.say(f"index: {folder.name} (the newest one)")
    return folder


def _folders(named: Sequence[Path]) -> list[Path]:
    folders = []
    for path in named:
        if not _is_folder(path):
            what = "is a file, and an index is of folders" if path.exists() else "is not there"
            raise UsageError(f"{path} {what}: name folders of sound files")
        folder = path.resolve()
        if printable(str(folder)) != str(folder):
            raise UsageError(f"{printable(str(folder))}: its name is not UTF-8: rename it")
        folders.append(folder)
    for at, folder in enumerate(folders):
        for other in folders[:at] + folders[at + 1 :]:
            if folder.is_relative_to(other):
                raise UsageError(f"{folder} is named twice or lies in {other}: name one of them")
    return folders


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise ResourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _name_of(folders: Sequence[Path]) -> str:
    names = [re.sub(r"[^\w-]+", "_", folder.name).strip("_") or "sounds" for folder in folders]
    return "-".join(names)[:_LONGEST_NAME]


def read_existing(folder: Path, options: IndexOptions) -> dict[str, Any] | None:
    """What index.json says; None where there is none, or a damaged one is to be replaced.

    Raises:
        IntegrityError: it is damaged.
    """
    if not (folder / INDEX_NAME).is_file():
        return None
    try:
        return read_about(folder)
    except IntegrityError:
        if not options.overwrite:
            raise
        return None


def choose_source(
    session: Session,
    folder: Path,
    asked: dict[str, Any] | None,
    about: Mapping[str, Any] | None,
    options: IndexOptions,
) -> dict[str, Any]:
    """What the index is of: what is asked for, where that is what it was of, or other folders of an index by its name.

    Raises:
        UsageError: a damaged index is to be replaced, and nobody says of what.
        IntegrityError: the index there is of something else.
    """
    if about is None or options.overwrite:
        source = asked if about is None else asked or dict(about["source"])
        if source is None:
            raise UsageError(f"{folder / INDEX_NAME} is damaged and says no more of what it was: name folders as well")
        return source
    old: dict[str, Any] = dict(about["source"])
    if asked is None or asked == old:
        return old
    if "folders" in old and "folders" in asked:
        added = asked["folders"][len(old["folders"]) :]
        if asked["folders"] == [*old["folders"], *added]:
            session.say(f"added to the index: {', '.join(added)}")
            return asked
        if options.name is not None or set(asked["folders"]) & set(old["folders"]):
            change = f"it was of {source_in_words(old)}, and is now of {source_in_words(asked)}"
            session.say(f"the folders of the index change: {change}; what is known is taken over")
            return asked
        raise other_source(folder.name, old, asked, f"if its folder was moved, name it: --name {folder.name}; if not, ")
    raise other_source(folder.name, old, asked)


def other_source(name: str, old: Mapping[str, Any], asked: Mapping[str, Any], hint: str = "") -> IntegrityError:
    """An index of that name is there, and of something else."""
    return IntegrityError(
        f"index {name!r} is of {source_in_words(old)}, and this is {source_in_words(asked)}: {hint}give this one "
        "another --name, or replace the old one with --overwrite"
    )


def source_in_words(source: Mapping[str, Any]) -> str:
    """What an index is of, for messages."""
    if "folders" in source:
        return ", ".join(source["folders"])
    return f"dataset {source['dataset']}" + (f"/{source['split']}" if source["split"] else "")


def choose_model(session: Session, about: Mapping[str, Any] | None, options: IndexOptions) -> QueryModel:
    """The model that is asked for, or that of the index, or the newest run that can embed.

    Raises:
        IntegrityError: it is another one than that of the index.
        MissingPrerequisiteError: there is none; says how to get one.
        UsageError: it cannot embed texts and sounds apart.
    """
    if options.run is not None or options.model is not None:
        model = _named_model(session, options)
    elif about is not None and options.overwrite:
        recorded = about["model"]
        model = (
            open_run_model(session, recorded["run"])
            if "run" in recorded
            else open_clap_model(session, recorded["clap"])
        )
    elif about is not None:
        return open_query_model(session, about)
    else:
        return open_run_model(session, None)
    if about is not None and not options.overwrite:
        refuse_other_model(about, model)
    return model


def _named_model(session: Session, options: IndexOptions) -> QueryModel:
    if options.model is not None:
        from atrkit.workflows.zero_shot import refuse_a_run

        refuse_a_run(session, options.model)
        return open_clap_model(session, options.model)
    return open_run_model(session, options.run)


def sources_dataset(session: Session, source: Mapping[str, Any]) -> Dataset:
    """The dataset that an index is of.

    Raises:
        MissingPrerequisiteError: it is not there any more; says the command that makes it.
    """
    return session.workspace.load_dataset(source["dataset"])


def require_roots(name: str, roots: Sequence[str]) -> None:
    """A disk that is not mounted is no list of deleted files.

    Raises:
        MissingPrerequisiteError: a folder of the index is not there at all.
    """
    for root in roots:
        if not _is_folder(Path(root)):
            raise MissingPrerequisiteError(
                f"{root} is not there, and index {name!r} is of it: mount its disk or bring the folder back; if it was "
                f"moved, or is gone for good, name the folders as they are now: atrkit index FOLDERS --name {name}"
            )
