import pytest

from atrkit.datasets.clotho.layout import VERSIONS, ClothoFolder, clip_id, find_copy, subsets_of


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_our_own_folder_is_laid_out_like_that_of_aac_datasets(tmp_path):
    own = ClothoFolder(tmp_path, "v2.1")
    below = {
        kind: str(path.relative_to(tmp_path))
        for kind, path in {
            "archive": own.archive_path("dev"),
            "audio": own.audio_folder("val"),
            "captions": own.captions_path("eval"),
            "metadata": own.metadata_path("dev"),
        }.items()
    }
    assert below == {
        "archive": "CLOTHO_v2.1/archives/clotho_audio_development.7z",
        "audio": "CLOTHO_v2.1/clotho_audio_files/validation",
        "captions": "CLOTHO_v2.1/clotho_csv_files/clotho_captions_evaluation.csv",
        "metadata": "CLOTHO_v2.1/clotho_csv_files/clotho_metadata_development.csv",
    }


def test_versions_and_their_subsets():
    assert {version: subsets_of(version) for version in VERSIONS} == {
        "v1": ("dev", "eval"),
        "v2": ("dev", "val", "eval"),
        "v2.1": ("dev", "val", "eval"),
    }


def test_clips_of_one_name_in_two_subsets_have_two_ids():
    name = "City Ambience w_ Car Passing_1-2.wav"
    assert clip_id("v2.1", "dev", name) == f"development/{name}" != clip_id("v2.1", "val", name)


AAC = "clotho_audio_files/development/a.wav", "clotho_csv_files/clotho_captions_development.csv"


@pytest.mark.parametrize(
    ("files", "named", "audio", "captions"),
    [
        pytest.param([f"CLOTHO_v2.1/{name}" for name in AAC], "", *AAC, id="the root of aac-datasets"),
        pytest.param([f"CLOTHO_v2.1/{name}" for name in AAC], "CLOTHO_v2.1", *AAC, id="its folder of the version"),
        pytest.param(
            ["development/a.wav", "clotho_captions_development.csv"],
            "",
            "development/a.wav",
            "clotho_captions_development.csv",
            id="unpacked by hand",
        ),
        pytest.param(
            ["clotho_audio_development/a.wav", "clotho_csv_files/clotho_captions_development.csv"],
            "",
            "clotho_audio_development/a.wav",
            "clotho_csv_files/clotho_captions_development.csv",
            id="unpacked to the archive's name",
        ),
        pytest.param(
            ["clotho_audio_development/development/a.wav", "clotho_audio_development/notes.txt"],
            "",
            "clotho_audio_development/development/a.wav",
            None,
            id="unpacked into the archive's name",
        ),
    ],
)
def test_copies_that_are_recognised(tmp_path, files, named, audio, captions):
    touch(tmp_path, *files)
    copy = find_copy(tmp_path / named, "v2.1")
    assert copy.subsets == ("dev",) and copy.audio_folder("val") is None
    assert copy.audio_folder("dev") == (copy.folder / audio).parent
    assert copy.captions_path("dev") == (copy.folder / captions if captions else None)
    assert copy.metadata_path("dev") is None


def test_all_subsets_of_a_copy_with_their_tables(tmp_path):
    for subset in ("development", "validation", "evaluation"):
        touch(tmp_path, f"{subset}/a.wav", f"clotho_captions_{subset}.csv", f"clotho_metadata_{subset}.csv")
    copy = find_copy(tmp_path, "v2.1")
    assert copy.subsets == ("dev", "val", "eval")
    assert copy.metadata_path("val") == tmp_path / "clotho_metadata_validation.csv"
    assert find_copy(tmp_path, "v1").subsets == ("dev", "eval")


def test_folders_that_hold_no_clotho(tmp_path):
    assert find_copy(tmp_path, "v2.1") is None
    assert find_copy(tmp_path / "nowhere", "v2.1") is None
    touch(tmp_path, "clotho_csv_files/clotho_captions_development.csv")
    assert find_copy(tmp_path, "v2.1") is None
    (tmp_path / "development").mkdir()
    assert find_copy(tmp_path, "v2.1") is None


def test_a_copy_of_another_version_is_none_of_this_one(tmp_path):
    touch(tmp_path, *(f"CLOTHO_v1/{name}" for name in AAC))
    assert find_copy(tmp_path, "v1") is not None
    assert find_copy(tmp_path / "CLOTHO_v1", "v1") is not None
    assert find_copy(tmp_path, "v2.1") is None
    assert find_copy(tmp_path / "CLOTHO_v1", "v2.1") is None
