"""Where Clotho's files lie: in our own folder, and in the copies that people have.

Our own folder is laid out as aac-datasets lays it out, so that either finds what the other has downloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atrkit.datasets.aac_tables import clotho_subset

VERSIONS = ("v1", "v2", "v2.1")
SUBSETS = ("dev", "val", "eval")
_ARCHIVES = "archives"
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


def version_of_table(md5: str) -> str | None:
    """Say which published table has these bytes: a table of another version has the same file name.

    Args:
        md5: of a table of captions or metadata, in hexadecimal.

    Returns:
        Kind, subset and versions; None when it is no published table.

    >>> version_of_table("dd568352389f413d832add5cf604529f")
    'the captions of dev, version v1'
    >>> version_of_table("1b16b9e57cf7bdb7f13a13802aeb57e2")
    'the captions of eval, versions v1, v2 and v2.1'
    """
    found: dict[str, list[str]] = {}
    for version in VERSIONS:
        for subset in subsets_of(version):
            files = clotho_subset(version, subset)
            for kind, file in (("captions", files.captions), ("metadata", files.metadata)):
                if file.md5 == md5:
                    found.setdefault(f"the {kind} of {subset}", []).append(version)
    for table, versions in found.items():
        if len(versions) == 1:
            return f"{table}, version {versions[0]}"
        return f"{table}, versions {', '.join(versions[:-1])} and {versions[-1]}"
    return None


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
        return self.folder / _ARCHIVES / clotho_subset(self.version, subset).archive.name

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
        archive_paths: subset -> its archive, as it was downloaded.
    """

    folder: Path
    version: str
    audio_folders: Mapping[str, Path]
    captions_paths: Mapping[str, Path]
    metadata_paths: Mapping[str, Path]
    archive_paths: Mapping[str, Path]

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets whose audio is there, unpacked or in its archive, in the publisher's order."""
        there = self.audio_folders.keys() | self.archive_paths.keys()
        return tuple(subset for subset in subsets_of(self.version) if subset in there)

    def audio_folder(self, subset: str) -> Path | None:
        """The folder with the audio of a subset, if it is there."""
        return self.audio_folders.get(subset)

    def captions_path(self, subset: str) -> Path | None:
        """The table of captions of a subset, if it is there."""
        return self.captions_paths.get(subset)

    def metadata_path(self, subset: str) -> Path | None:
        """The table of metadata of a subset, if it is there."""
        return self.metadata_paths.get(subset)

    def archive_path(self, subset: str) -> Path | None:
        """The archive with the audio of a subset, if it is there; its md5 is for the caller to check."""
        return self.archive_paths.get(subset)


def find_copy(folder: Path, version: str) -> ClothoCopy | None:
    """Recognise a copy of Clotho that somebody has already.

    Three layouts are known: aac-datasets' root, its `CLOTHO_v2.1` folder itself, and a folder with `development`,
    `validation` and `evaluation` as people unpack the archives by hand (also as `clotho_audio_development`, with or
    without a `development` in it), the tables beside them. The archives may lie in any of these, or in its `archives`,
    unpacked or not. Whether it is complete, and of this version, is for the tables and the files to say.

    Args:
        folder: what `--from` or `AAC_DATASETS_ROOT` names.
        version: that is wanted.

    Returns:
        What is there; None when the folder has neither audio nor archive of any subset, or is another version's
        by its name.
    """
    of_version = _look_into(folder / f"CLOTHO_{version}", version)
    if of_version is not None:
        return of_version
    if folder.resolve().name in {f"CLOTHO_{other}" for other in VERSIONS if other != version}:
        return None
    return _look_into(folder, version)


def _look_into(folder: Path, version: str) -> ClothoCopy | None:
    audio, captions, metadata, archives = {}, {}, {}, {}
    for subset in subsets_of(version):
        files = clotho_subset(version, subset)
        by_hand = f"clotho_audio_{files.folder}"
        audio_names = (files.folder, f"{by_hand}/{files.folder}", by_hand)
        audio[subset] = _first_folder_with_files([folder / _AUDIO, folder], audio_names)
        captions[subset] = _first_file([folder / _CSV, folder, folder / _AUDIO], files.captions.name)
        metadata[subset] = _first_file([folder / _CSV, folder, folder / _AUDIO], files.metadata.name)
        archives[subset] = _first_file([folder / _ARCHIVES, folder], files.archive.name)
    if not any((*audio.values(), *archives.values())):
        return None
    return ClothoCopy(folder, version, _found(audio), _found(captions), _found(metadata), _found(archives))


def _first_folder_with_files(places: list[Path], names: tuple[str, ...]) -> Path | None:
    candidates = (place / name for place in places for name in names)
    return next(
        (path for path in candidates if path.is_dir() and any(entry.is_file() for entry in path.iterdir())), None
    )


def _first_file(places: list[Path], name: str) -> Path | None:
    return next((place / name for place in places if (place / name).is_file()), None)


def _found(paths: Mapping[str, Path | None]) -> dict[str, Path]:
    return {subset: path for subset, path in paths.items() if path is not None}
