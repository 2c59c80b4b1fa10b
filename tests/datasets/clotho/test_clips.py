import unicodedata

from atrkit.datasets.clotho.clips import find_clips
from atrkit.datasets.clotho.tables import ClothoRow


def rows(*names):
    return [ClothoRow(name, ("a sound",), None) for name in names]


def test_what_is_there_missing_and_extra(tmp_path):
    for name in (" b&amp;c #1.wav", "100%.wav", "own.wav", ".DS_Store"):
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    clips = find_clips(rows("100%.wav", "gone.wav", " b&amp;c #1.wav", "folder.wav"), tmp_path)
    assert list(clips.paths.items()) == [
        ("100%.wav", tmp_path / "100%.wav"),
        (" b&amp;c #1.wav", tmp_path / " b&amp;c #1.wav"),
    ]
    assert clips.missing == ("gone.wav", "folder.wav")
    assert clips.extra == ("own.wav",)
    assert clips.respelled == {}


def test_a_name_in_another_unicode_form_is_the_same_name(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "Café.wav") for form in ("NFC", "NFD"))
    (tmp_path / decomposed).touch()
    clips = find_clips(rows(composed), tmp_path)
    assert clips.paths == {composed: tmp_path / decomposed}
    assert clips.respelled == {composed: decomposed}
    assert (clips.missing, clips.extra) == ((), ())


def test_other_spellings_are_other_files(tmp_path):
    for name in ("Rain.wav", "wind.wav "):
        (tmp_path / name).touch()
    clips = find_clips(rows("rain.wav", "wind.wav"), tmp_path)
    assert clips.missing == ("rain.wav", "wind.wav") and clips.extra == ("Rain.wav", "wind.wav ")


def test_a_file_whose_name_is_not_utf_8_is_listed_as_text(tmp_path):
    (tmp_path / "Av\udce9.wav").touch()
    assert find_clips(rows("Avé.wav"), tmp_path).extra == ("Av�.wav",)


def test_a_folder_that_is_not_there(tmp_path):
    clips = find_clips(rows("a.wav", "b.wav"), tmp_path / "validation")
    assert clips.missing == ("a.wav", "b.wav") and clips.paths == {}
