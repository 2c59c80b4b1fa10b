"""Where Clotho's files lie: in our own folder, and in the copies that people have.

Our own folder is laid out as aac-datasets lays it out, so that either finds what the other has downloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.aac_tables import clotho_subset

VERSIONS = ("v1", "v2", "v2.1")
SUBSETS = ("dev", "val", "eval")
_AUDIO = "clotho_audio_files"
_CSV = "clotho_csv_files"


def subsets_of(version: str) -> tuple[str, ...]:
    """The subsets with captions that a version has.

    >>> subsets_of("v1"), subsets_of("v2.1")
    (('dev', 'eval'), ('dev', 'val', 'eval'))
    """
    return tuple(subset for subset in SUBSETS if (version, subset) != ("v1", "val"))


def clip_id(version: str, subset: str, file_name: str) -> str:
    """A clip's id: four file names occur in two subsets of v2.1, so the subset's folder is part of it.

    >>> clip_id("v2.1", "eval", "Santa Motor.wav")
    'evaluation/Santa Motor.wav'
    """
    return f"{clotho_subset(version, subset).folder}/{file_name}"


@dataclass(frozen=True)
class ClothoFolder:
    """Our own copy of one version, in aac-datasets' layout; nothing of it needs to be there yet.

    Args:
        root: the folder that holds `CLOTHO_v2.1`, or the like for other versions.
        version: "v1", "v2" or "v2.1".
    """

    root: Path
    version: str

    @property
    def folder(self) -> Path:
        """The version's own folder."""
        return self.root / f"CLOTHO_{self.version}"

    def archive_path(self, subset: str) -> Path:
        """The archive with the audio of a subset."""
        return self.folder / "archives" / clotho_subset(self.version, subset).archive.name

    def audio_folder(self, subset: str) -> Path:
        """The folder with the audio of a subset."""
        return self.folder / _AUDIO / clotho_subset(self.version, subset).folder

    def captions_path(self, subset: str) -> Path:
        """The table of captions of a subset."""
        return self.folder / _CSV / clotho_subset(self.version, subset).captions.name

    def metadata_path(self, subset: str) -> Path:
        """The table of metadata of a subset."""
        return self.folder / _CSV / clotho_subset(self.version, subset).metadata.name


@dataclass(frozen=True)
class ClothoCopy:
    """A copy that was there already: only what it has, wherever it has it. Nothing in it is ever written.

    Args:
        folder: where it was found.
        version: the version it was taken for.
        audio_folders: subset -> the folder with its audio files.
        captions_paths: subset -> its table of captions.
        metadata_paths: subset -> its table of metadata.
    """

    folder: Path
    version: str
    audio_folders: Mapping[str, Path]
    captions_paths: Mapping[str, Path]
    metadata_paths: Mapping[str, Path]

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets whose audio is there."""
        return tuple(self.audio_folders)

    def audio_folder(self, subset: str) -> Path | None:
        """The folder with the audio of a subset, if it is there."""
        return self.audio_folders.get(subset)

    def captions_path(self, subset: str) -> Path | None:
        """The table of captions of a subset, if it is there."""
        return self.captions_paths.get(subset)

    def metadata_path(self, subset: str) -> Path | None:
        """The table of metadata of a subset, if it is there."""
        return self.metadata_paths.get(subset)


def find_copy(folder: Path, version: str) -> ClothoCopy | None:
    """Recognise a copy of Clotho that somebody has already.

    Three layouts are known: aac-datasets' root, its `CLOTHO_v2.1` folder itself, and a folder with `development`,
    `validation` and `evaluation` as people unpack the archives by hand (also as `clotho_audio_development`, with or
    without a `development` in it), the tables beside them. Whether it is complete, and of this version, is for the
    tables and the files to say.

    Args:
        folder: what `--from` or `AAC_DATASETS_ROOT` names.
        version: that is wanted.

    Returns:
        What is there; None when the folder has the audio of no subset, or is another version's by its name.
    """
    of_version = folder / f"CLOTHO_{version}"
    if of_version.is_dir():
        return _look_into(of_version, version)
    if folder.resolve().name in {f"CLOTHO_{other}" for other in VERSIONS if other != version}:
        return None
    return _look_into(folder, version)


def _look_into(folder: Path, version: str) -> ClothoCopy | None:
    audio, captions, metadata = {}, {}, {}
    for subset in subsets_of(version):
        files = clotho_subset(version, subset)
        by_hand = f"clotho_audio_{files.folder}"
        audio_names = (files.folder, f"{by_hand}/{files.folder}", by_hand)
        audio[subset] = _first_folder_with_files([folder / _AUDIO, folder], audio_names)
        captions[subset] = _first_file([folder / _CSV, folder, folder / _AUDIO], files.captions.name)
        metadata[subset] = _first_file([folder / _CSV, folder, folder / _AUDIO], files.metadata.name)
    if not any(audio.values()):
        return None
    return ClothoCopy(folder, version, _found(audio), _found(captions), _found(metadata))


def _first_folder_with_files(places: list[Path], names: tuple[str, ...]) -> Path | None:
    candidates = (place / name for place in places for name in names)
    return next(
        (path for path in candidates if path.is_dir() and any(entry.is_file() for entry in path.iterdir())), None
    )


def _first_file(places: list[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _found(paths: Mapping[str, Path | None]) -> dict[str, Path]:
    return {subset: path for subset, path in paths.items() if path is not None}
