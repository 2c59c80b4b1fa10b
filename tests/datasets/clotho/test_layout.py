import pytest

from atrkit.datasets.clotho.layout import VERSIONS, ClothoFolder, clip_id, find_copy, subsets_of, version_of_table


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


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (".", ""),
        ("archives", ""),
        ("archives", "archives"),
        ("CLOTHO_v2.1/archives", ""),
        ("CLOTHO_v2.1/archives", "CLOTHO_v2.1"),
    ],
)
def test_archives_that_nobody_has_unpacked_are_a_copy(tmp_path, place, named):
    touch(tmp_path, f"{place}/clotho_audio_evaluation.7z", f"{place}/clotho_audio_development.7z")
    copy = find_copy(tmp_path / named, "v2.1")
    assert copy.subsets == ("dev", "eval")
    assert copy.archive_path("eval") == tmp_path / place / "clotho_audio_evaluation.7z"
    assert copy.archive_path("val") is None and copy.audio_folder("dev") is None


def test_one_subset_unpacked_and_another_still_in_its_archive(tmp_path):
    touch(tmp_path, "evaluation/a.wav", "clotho_audio_validation.7z", "clotho_audio_evaluation.7z")
    copy = find_copy(tmp_path, "v2.1")
    assert copy.subsets == ("val", "eval") == tuple(copy.archive_paths) and tuple(copy.audio_folders) == ("eval",)
    assert find_copy(tmp_path, "v1").subsets == ("eval",)


def test_an_empty_folder_of_the_version_hides_nothing(tmp_path):
    (tmp_path / "CLOTHO_v2.1").mkdir()
    touch(tmp_path, "clotho_audio_validation.7z")
    assert find_copy(tmp_path, "v2.1").subsets == ("val",)


def test_a_table_is_recognised_by_its_md5():
    assert version_of_table("dd568352389f413d832add5cf604529f") == "the captions of dev, version v1"
    assert version_of_table("2e010427c56b1ce6008b0f03f41048ce") == "the metadata of val, version v2.1"
    assert version_of_table("1b16b9e57cf7bdb7f13a13802aeb57e2") == "the captions of eval, versions v1, v2 and v2.1"
    assert version_of_table("0" * 32) is None
