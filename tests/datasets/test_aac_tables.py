"""The adapter against the package itself, which runs in one child process: importing it here would cost every test."""

import importlib.machinery
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from atrkit.datasets import aac_tables
from atrkit.datasets.aac_tables import audiocaps_captions, clotho_subset
from atrkit.datasets.audiocaps.tables import read_audiocaps
from atrkit.datasets.clotho.layout import VERSIONS, ClothoFolder, subsets_of
from atrkit.datasets.clotho.tables import read_clotho
from atrkit.errors import MissingPrerequisiteError

CSV = Path(__file__).resolve().parents[3] / "shared" / "data" / "csv"
OFFICIAL, AUDIOCAPS = CSV / "clotho", CSV / "audiocaps"
needs_official = pytest.mark.skipif(not (OFFICIAL.is_dir() and AUDIOCAPS.is_dir()), reason="../shared is not here")
SUBSETS = subsets_of("v2.1")

CHILD = """
import json, sys
from typing import NamedTuple
import torchaudio

try:
    import aac_datasets
    why_not = None
except Exception as error:
    why_not = repr(error)
    for name in [name for name in sys.modules if name.startswith("aac_datasets")]:
        del sys.modules[name]

    class AudioMetaData(NamedTuple):
        sample_rate: int
        num_frames: int
        num_channels: int
        bits_per_sample: int
        encoding: str

    torchaudio.AudioMetaData = AudioMetaData

from aac_datasets.datasets.functional import audiocaps, clotho

def audiocaps_clips(subset):
    # removed audio is kept: none of it is here
    said, _ = audiocaps.load_audiocaps_dataset(root, subset, exclude_removed_audio=False, version="v1")
    return {key: said[key] for key in ("audiocaps_ids", "youtube_id", "start_time", "captions")}

root, has_tables = sys.argv[1], sys.argv[2] == "tables"
print(json.dumps({
    "why_not": why_not,
    "clotho_links": clotho._CLOTHO_LINKS,
    "clotho_folders": clotho._CLOTHO_AUDIO_DNAMES,
    "clotho_places": {
        subset: [
            clotho._get_audio_subset_dpath(root, "v2.1", subset),
            clotho._get_csv_dpath(root, "v2.1"),
            clotho._get_archives_dpath(root, "v2.1"),
        ]
        for subset in ("dev", "val", "eval")
    },
    "audiocaps_links": audiocaps._AUDIOCAPS_LINKS,
    "clotho": has_tables
    and {subset: clotho.load_clotho_dataset(root, subset, version="v2.1") for subset in ("dev", "val", "eval")},
    "audiocaps": has_tables and {subset: audiocaps_clips(subset) for subset in ("train", "val", "test")},
}))
"""


@dataclass(frozen=True)
class Upstream:
    """What aac-datasets itself says, and the folder it was asked about."""

    root: Path
    said: dict[str, Any]


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Upstream:
    root = tmp_path_factory.mktemp("aac")
    has_tables = OFFICIAL.is_dir() and AUDIOCAPS.is_dir()
    if has_tables:
        for subset in SUBSETS:
            lay_out_clotho(ClothoFolder(root, "v2.1"), subset)
        lay_out_audiocaps(root / "AUDIOCAPS")
    command = [sys.executable, "-X", "utf8", "-c", CHILD, str(root), "tables" if has_tables else "none"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return Upstream(root, json.loads(done.stdout.splitlines()[-1]))


def lay_out_clotho(folder: ClothoFolder, subset: str) -> None:
    """The official tables, and an empty file for each clip: aac-datasets counts files and looks no closer."""
    folder.audio_folder(subset).mkdir(parents=True)
    for path in (folder.captions_path(subset), folder.metadata_path(subset)):
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(OFFICIAL / path.name)
    for row in read_clotho(folder.captions_path(subset)).rows:
        (folder.audio_folder(subset) / row.file_name).touch()


def lay_out_audiocaps(folder: Path) -> None:
    (folder / "csv_files_v1").mkdir(parents=True)
    for subset in ("train", "val", "test"):
        (folder / "csv_files_v1" / f"{subset}.csv").symlink_to(AUDIOCAPS / f"{subset}.csv")
        audio = folder / "audio_32000Hz" / subset
        audio.mkdir(parents=True)
        (audio / "any.flac").touch()  # the package takes one file of any name for a prepared folder


def test_links_names_and_md5s_of_clotho(upstream):
    links = upstream.said["clotho_links"]
    assert tuple(links) == VERSIONS
    for version in VERSIONS:
        for subset in subsets_of(version):
            ours = clotho_subset(version, subset)
            assert ours.folder == upstream.said["clotho_folders"][subset]
            theirs = links[version][subset]
            pairs = {"audio_archive": ours.archive, "captions": ours.captions, "metadata": ours.metadata}
            assert {
                kind: {"fname": file.name, "url": file.url, "hash_value": file.md5} for kind, file in pairs.items()
            } == theirs
    with pytest.raises(KeyError):
        clotho_subset("v1", "val")


def test_links_of_audiocaps(upstream):
    for version in ("v1", "v2"):
        for subset in ("train", "val", "test"):
            file = audiocaps_captions(version, subset)
            theirs = upstream.said["audiocaps_links"][version][subset]["captions"]
            assert (file.name, file.url, file.md5) == (theirs["fname"], theirs["url"], None)


def test_our_folder_is_one_that_aac_datasets_finds(upstream):
    folder = ClothoFolder(upstream.root, "v2.1")
    for subset, places in upstream.said["clotho_places"].items():
        ours = folder.audio_folder(subset), folder.captions_path(subset).parent, folder.archive_path(subset).parent
        assert list(map(str, ours)) == places


@needs_official
@pytest.mark.parametrize("subset", SUBSETS)
def test_we_read_clothos_tables_as_aac_datasets_does(upstream, subset):
    theirs = upstream.said["clotho"][subset]
    folder = ClothoFolder(upstream.root, "v2.1")
    rows = read_clotho(folder.captions_path(subset), folder.metadata_path(subset)).rows
    assert [row.file_name for row in rows] == theirs["fname"]
    assert [list(row.captions) for row in rows] == theirs["captions"]
    metadata = [row.metadata for row in rows]
    assert [m["keywords"] for m in metadata] == theirs["keywords"]
    assert [m["manufacturer"] for m in metadata] == theirs["manufacturer"]
    assert [m["licence"] for m in metadata] == theirs["license"]
    assert [m["link"] or "NA" for m in metadata] == theirs["sound_link"]
    assert [str(m["freesound_id"] or "Not found") for m in metadata] == theirs["sound_id"]
    assert [str(m["start_end_samples"] or "") for m in metadata] == theirs["start_end_samples"]


@needs_official
@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_we_read_audiocaps_tables_as_aac_datasets_does(upstream, subset):
    theirs = upstream.said["audiocaps"][subset]
    clips = read_audiocaps(AUDIOCAPS / f"{subset}.csv")
    assert [clip.youtube_id for clip in clips] == theirs["youtube_id"]
    assert [clip.start_s for clip in clips] == theirs["start_time"]
    assert [[int(caption_id) for caption_id, _ in clip.captions] for clip in clips] == theirs["audiocaps_ids"]
    assert [[text for _, text in clip.captions] for clip in clips] == theirs["captions"]


def test_the_package_still_cannot_be_imported_beside_this_torchaudio(upstream):
    assert upstream.said["why_not"] is not None, (
        "aac-datasets can be imported without torchaudio.AudioMetaData being put in place: aac_tables.py may be "
        "simplified, if the import has also become light"
    )


def test_a_table_that_upstream_has_renamed():
    with pytest.raises(
        MissingPrerequisiteError, match=r"clotho.py has no table _NEW_LINKS that can be read; install the release"
    ):
        aac_tables._table("clotho", "_NEW_LINKS")


def test_a_table_that_upstream_computes(tmp_path, monkeypatch):
    """A table is read, never run."""
    module = tmp_path / "datasets" / "functional" / "clotho.py"
    module.parent.mkdir(parents=True)
    module.write_text("_COMPUTED_LINKS: dict = dict(open('/etc/passwd'))\n")
    spec = importlib.machinery.ModuleSpec("aac_datasets", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(aac_tables.importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(MissingPrerequisiteError, match=r"clotho.py has no table _COMPUTED_LINKS that can be read"):
        aac_tables._table("clotho", "_COMPUTED_LINKS")


def test_a_machine_without_the_package(monkeypatch):
    monkeypatch.setattr(aac_tables.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPrerequisiteError, match=r"aac-datasets is not installed; run: pip install"):
        aac_tables._table("clotho", "_TABLE_THAT_NO_OTHER_TEST_ASKED_FOR")
