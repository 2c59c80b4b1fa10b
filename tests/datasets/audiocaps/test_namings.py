import os
import time
from pathlib import Path

import pytest

from atrkit.datasets.audiocaps.namings import NamedStretch, SoundFolder, index_folder, match_clips, named_stretch
from atrkit.datasets.audiocaps.tables import AudioCapsClip

RAIN = AudioCapsClip("Y-rain_1_30", "30", (("90001", "Rain"), ("90002", "Rain on a roof")))
BELL = AudioCapsClip("bell_______", "0", (("90003", "A bell"),))
CLIPS = [RAIN, BELL]


def match(*names: str, unreadable: tuple[str, ...] = (), clips=CLIPS):
    return match_clips(SoundFolder(Path("/have"), tuple(sorted(names)), unreadable), clips)


@pytest.mark.parametrize(
    "stem",
    [
        "Y-rain_1_30",
        "YY-rain_1_30",
        "Y-rain_1_30_30",
        "YY-rain_1_30_30",
        "Y-rain_1_30_30000",
        "Y-rain_1_30_30000_40000",
        "Y-rain_1_30_30_40",
        "Y-rain_1_30_30-40",
        "Y-rain_1_30_30.000_40.000",
        "YY-rain_1_30_30.000_40.000",
        "Y-rain_1_30_30_38",
        "Y-rain_1_30_000030",
        "90001",
        "90002",
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV", ".mp3", ".ogg"])
def test_every_common_naming_is_read(stem, suffix):
    found = match(f"some/folder/{stem}{suffix}")
    assert found.paths == {"Y-rain_1_30_30": Path(f"/have/some/folder/{stem}{suffix}")}
    assert (found.others, found.contradicting, found.unmatched) == ((), {}, 0)


@pytest.mark.parametrize("stem", ["bell________0", "Ybell________0", "bell________000000", "bell________0_10000"])
def test_a_start_of_zero_is_the_same_in_every_unit(stem):
    assert list(match(f"{stem}.wav").paths) == ["bell________0"]


@pytest.mark.parametrize("stem", ["bell________10", "bell________10000_20000", "bell________0_30", "bell________0_0"])
def test_another_stretch_of_the_video_is_not_used_but_listed(stem):
    found = match(f"{stem}.wav")
    assert found.paths == {}
    assert found.unmatched == 0
    [(path, why)] = found.contradicting.items()
    assert path == Path(f"/have/{stem}.wav")
    assert why.endswith("the clip begins at 0 s")


@pytest.mark.parametrize(
    "stem", ["thunder", "bell______", "Xbell_______", "bell_______x", "bell________", "bell_______ 0", "90009", "", "Y"]
)
def test_a_file_of_no_clip_is_counted(stem):
    found = match(f"{stem}.wav")
    assert (found.paths, found.contradicting, found.unmatched) == ({}, {}, 1)


def test_of_several_files_the_choice_does_not_depend_on_their_order():
    names = [
        "audio_32000Hz/test/bell________0.flac",
        "audio_44100Hz/test/bell________0.flac",
        "audio_original/test/bell________0.flac",
        "a/bell________0.mp3",
        "a/Ybell_______.wav",
    ]
    while names:
        found = match(*names)
        best = {
            5: "audio_original/test/bell________0.flac",
            4: "a/bell________0.mp3",
            3: "audio_44100Hz/test/bell________0.flac",
            2: "audio_32000Hz/test/bell________0.flac",
            1: "a/Ybell_______.wav",
        }[len(names)]
        assert found.paths == {"bell________0": Path("/have") / best}
        assert len(found.others) == len(names) - 1
        assert found == match(*reversed(names))
        names.remove(best)


def test_a_video_with_several_clips_needs_a_start_in_the_name():
    clips = [BELL, AudioCapsClip("bell_______", "10", ())]
    assert list(match("bell________10.wav", clips=clips).paths) == ["bell________10"]
    found = match("bell_______.wav", clips=clips)
    assert found.paths == {}
    assert list(found.contradicting.values()) == ["the name fits 2 clips: it must say the start"]


def test_a_file_that_must_be_converted_is_named_unless_there_is_another():
    found = match("Y-rain_1_30.wav", unreadable=("Y-rain_1_30.m4a", "bell_______.webm", "other.mp4"))
    assert list(found.paths) == ["Y-rain_1_30_30"]
    assert found.unreadable == (Path("/have/bell_______.webm"),)


def test_clips_with_hostile_ids_match_nothing():
    found = match("--exec rm x_30.wav", clips=[AudioCapsClip("--exec rm x", "30", ())])
    assert (found.paths, found.unmatched) == ({}, 1)
    found = match("aaaaaaaaaaa_30.wav", "90004.wav", clips=[AudioCapsClip("aaaaaaaaaaa", "../x", (("90004", "Rain"),))])
    assert (found.paths, found.contradicting, found.unmatched) == ({}, {}, 2)


def test_paths_are_in_the_order_of_the_clips():
    assert list(match("bell_______.wav", "Y-rain_1_30.wav").paths) == ["Y-rain_1_30_30", "bell________0"]
    assert next(iter(match("bell_______.wav", "Y-rain_1_30.wav", clips=[BELL, RAIN]).paths)) == "bell________0"


def test_a_folder_is_listed_with_links_loops_and_oddities(tmp_path: Path):
    have, elsewhere = tmp_path / "have", tmp_path / "elsewhere"
    for name in (
        "a/b/deep.wav",
        "top.FLAC",
        "video.webm",
        "notes.txt",
        "._top.wav",
        ".cache/x.wav",
        "a/._b.wav",
        "no_suffix",
    ):
        path = have / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (have / "folder.wav").mkdir()
    (elsewhere / "sub").mkdir(parents=True)
    (elsewhere / "sub" / "linked.wav").touch()
    (have / "link").symlink_to(elsewhere)
    (have / "again").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(have)
    (have / "self.wav").symlink_to("self.wav")
    (have / "gone.wav").symlink_to("nowhere.wav")
    (have / os.fsdecode(b"\xff.wav")).touch()

    listing = index_folder(have)

    assert [name for name in listing.sounds if "linked" not in name] == ["a/b/deep.wav", "top.FLAC", "\udcff.wav"]
    assert sum("linked.wav" in name for name in listing.sounds) == 1
    assert listing.unreadable == ("video.webm",)
    assert listing.hidden == 3
    assert listing.unlistable == ()


def test_a_folder_that_is_not_there_is_said_to_be_unlistable(tmp_path: Path):
    assert index_folder(tmp_path / "no").unlistable == (".",)


def test_fifty_thousand_files_are_matched_in_two_seconds():
    clips = [AudioCapsClip(f"Y{number:010d}", str(number % 600), ((str(number), "x"),)) for number in range(50_000)]
    names = tuple(f"train/Y{clip.id}.wav" for clip in clips)
    start = time.process_time()
    found = match_clips(SoundFolder(Path("/have"), names), clips)
    assert len(found.paths) == 50_000
    assert time.process_time() - start < 2


def test_a_name_is_read_in_one_way_only():
    assert named_stretch("Yabcdefghij_5").youtube_id == "Yabcdefghij"
    assert named_stretch("Yabcdefghij").youtube_id == "Yabcdefghij"
    assert named_stretch("YYabcdefghij").youtube_id == "Yabcdefghij"
    assert named_stretch("Yabcdefghi__5").youtube_id == "Yabcdefghi_"
    assert named_stretch("Yabcdefgh__5").youtube_id == "abcdefgh__5"
    assert named_stretch("Yabcdefg__5") == NamedStretch("Yabcdefg__5", None, None)
    assert named_stretch("abcdefgh__5_") is None
