"""Tables that say whose caption is whose, and how names in other files are found in them."""

import pytest

from atrkit.errors import IntegrityError, UsageError
from atrkit.exchange.matching import place_captions
from atrkit.exchange.truth import Truth, read_truth_csv


def table(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    "text",
    [
        "file_name,caption_1,caption_2\na.wav,Rain.,\nb.wav,A dog.,Two dogs.\n",
        "file_name,caption\na.wav,Rain.\nb.wav,A dog.\nb.wav,Two dogs.\n",
        "file_name;caption_1;caption_2\na.wav;Rain.;\nb.wav;A dog.;Two dogs.\n",
        "audio\ttext\na.wav\tRain.\nb.wav\tA dog.\nb.wav\tTwo dogs.\n",
        "\ncaption|clip_id|caption_id\nRain.|a.wav|a.wav#1\nA dog.|b.wav|b.wav#1\nTwo dogs.|b.wav|b.wav#2\n",
        "caption,clip_id,caption_id\nRain.,a.wav,a.wav#1\nA dog.,b.wav,b.wav#1\nTwo dogs.,b.wav,b.wav#2\n",
    ],
)
def test_all_layouts_say_the_same(text, tmp_path):
    truth = read_truth_csv(table(tmp_path, text))
    assert truth.clip_of_caption == {"a.wav#1": "a.wav", "b.wav#1": "b.wav", "b.wav#2": "b.wav"}
    assert truth.texts == {"a.wav#1": "Rain.", "b.wav#1": "A dog.", "b.wav#2": "Two dogs."}
    assert truth.clip_ids == ("a.wav", "b.wav")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,caption\na,b\n", "no column names the clips"),
        ("name;caption\na;b\n", "no column names the clips (clip_id, clip, file_name"),
        ("file_name,words\na,b\n", "'words': rename one to caption"),
        ("file_name,caption_1\n/a,b\n", "write names relative to the audio folder"),
        ("file_name,caption_1\n../a,b\n", "remove the '..'"),
        ("caption_id,clip_id\nx,a\nx,b\n", ":3: column 'caption_id': 'x' is on line 2 too"),
        ("caption_id,clip_id\nx,\n", ":2: column 'clip_id' is empty"),
        ("file_name,caption_1\na,b\na,c\n", ":3: column 'file_name': 'a' is on line 2 too"),
    ],
)
def test_a_wrong_table_names_the_place(text, message, tmp_path):
    with pytest.raises(UsageError) as caught:
        read_truth_csv(table(tmp_path, text))
    assert message in str(caught.value) and "t.csv" in str(caught.value)
    assert "--" not in str(caught.value), "eval has no options for columns"


def test_another_delimiter_is_said(tmp_path):
    notes = [read_truth_csv(table(tmp_path, f"file_name{each}caption\na{each}b\n")).notes for each in ";,"]
    assert notes == [("columns are separated by ';'",), ()]


@pytest.fixture
def truth():
    texts = {"1": "Rain.", "2": "rain", "3": "rain", "a b": "A dog!"}
    return Truth("truth", dict.fromkeys(texts, "x/c d.wav"), ("x/c d.wav", "y/e.wav", "z/e.wav"), texts)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("1", ("1",)),
        ("rain", ("2", "3")),
        ("Rain.", ("1",)),
        ("RAIN", ("1", "2", "3")),
        ("a dog", ("a b",)),
        ("a%20b", ()),
        ("a cat", ()),
    ],
)
def test_captions_are_found_by_id_then_text_then_words(name, ids, truth):
    assert truth.captions_named(name).ids == ids


def test_only_formats_that_encode_blanks_are_decoded(truth):
    assert truth.captions_named("a%20b", is_encoded=True).ids == ("a b",)
    assert truth.clip_named("x/c%20d.wav").ids == ()
    assert truth.clip_named("x/c%20d.wav", is_encoded=True).ids == ("x/c d.wav",)


def test_all_names_of_a_file_are_decoded_or_none(truth):
    both = Truth("truth", {"50%25": "a", "50%": "a"}, ("a",))
    assert both.is_encoded(["50%25", "50%2525"], ["a"]) and not both.is_encoded(["50%25", "50%"], ["a"])
    assert truth.is_encoded(["a%20b", "unknown%20"], ["x/c%20d.wav"])
    assert not Truth("truth", {"a%20b": "a"}, ("a",)).is_encoded(["a%20b"], ["a"])


def test_a_file_name_that_two_clips_have_is_nobodys(truth):
    assert truth.clip_named("c d.wav").ids == ("x/c d.wav",)
    assert truth.clip_named("e.wav").ids == ()


def test_two_names_of_one_caption_are_refused(truth):
    with pytest.raises(IntegrityError, match="caption '1' is named in two ways"):
        place_captions("f", ["1", "RAIN"], truth)
