import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrkit.datasets.captions_csv import CaptionRow, find_caption_columns, read_captions_csv, read_columns
from atrkit.datasets.csv_records import read_records
from atrkit.errors import UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data" / "csv").is_dir(), reason="../shared/data is not here")

HEADER = "file_name,caption_1,caption_2\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="captions.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def fault(path, **options):
    with pytest.raises(UsageError) as caught:
        read_captions_csv(path, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert str(path) in message
    assert "\n" not in message
    return message.replace(str(path), "captions.csv")


def test_clothos_layout(write):
    table = read_captions_csv(
        write(HEADER + 'a.wav,"A dog, barking.",A dog\r\nsub/b.wav,Rain falls,"He said ""hi"""\r\n')
    )
    assert table.rows == (
        CaptionRow("a.wav", ("A dog, barking.", "A dog"), None, 2),
        CaptionRow("sub/b.wav", ("Rain falls", 'He said "hi"'), None, 3),
    )
    assert table.caption_columns == ("caption_1", "caption_2")
    assert table.notes == ()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        pytest.param(
            (HEADER + "a.wav,x,y").encode("utf-16"),
            {},
            "captions.csv:1: the file is UTF-16, not UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW",
            id="UTF-16",
        ),
        pytest.param(
            (HEADER + "a.wav,x,y").encode("utf-16-le"),
            {},
            "captions.csv:1: byte 2 of the line: a NUL byte; the file is probably UTF-16",
            id="UTF-16 without byte order mark",
        ),
        pytest.param(
            HEADER.encode() + b"a.wav,x,y\nb.wav,a caf\xe9,z\n",
            {},
            "captions.csv:3: byte 12 of the line: byte 0xe9 is not UTF-8; if the file is Latin-1: iconv -f ISO-8859-1",
            id="latin-1",
        ),
        pytest.param(
            HEADER + "a.wav,a\0b,y\n",
            {},
            "captions.csv:2: byte 8 of the line: a NUL byte: the file is damaged; restore it, or remove the byte",
            id="NUL",
        ),
        pytest.param(
            HEADER.replace(",", ";") + "a.wav;x;y\n",
            {},
            "captions.csv:1: the column names are not separated by ',', but by ';': add --delimiter ';'",
            id="semicolons",
        ),
        pytest.param(
            '"file_name";"caption_1"\n"a.wav";"x"\n',
            {},
            "captions.csv:1: the column names are not separated by ',', but by ';': add --delimiter ';'",
            id="quoted semicolons",
        ),
        pytest.param(
            HEADER.replace(",", "\t") + "a.wav\tx\ty\n",
            {},
            "captions.csv:1: the column names are not separated by ',', but by tab: add --delimiter tab",
            id="tabs",
        ),
        pytest.param(
            HEADER + "a.wav,x,y\nb.wav,x\n",
            {},
            "captions.csv:3: column 'caption_2' is missing (2 columns where the header has 3): add it",
            id="short row",
        ),
        pytest.param(
            HEADER + "a.wav,A dog, barking,y\n",
            {},
            "captions.csv:2: column 4: 4 columns where the header has 3, from 'y' on: put text that",
            id="long row",
        ),
        pytest.param(
            HEADER + 'a.wav,x,"y\nb.wav,x,y\n',
            {},
            "captions.csv:2: column 3: the quote that opens here is never closed: close it after the text",
            id="unclosed quote",
        ),
        pytest.param(
            HEADER + 'a.wav,x,"y\nb.wav,"x",y\n',
            {},
            "captions.csv:2: column 3: the quote that opens here closes on line 3 before 'x\",y\\n'",
            id="unclosed quote that swallows the next row",
        ),
        pytest.param(
            HEADER + 'a.wav,"x,y\nb.wav,z,w"\n',
            {},
            "captions.csv:2: column 'caption_2' is missing (2 columns where the header has 3): add it; a caption "
            "that is not there is an empty cell (a cell of this row spans several lines: was a quote left open?)",
            id="quote closed a row too late",
        ),
        pytest.param(
            HEADER + 'a.wav,"He said "hi" to me",y\n',
            {},
            "captions.csv:2: column 2: the quote that opens here closes on line 2 before 'hi\" to me\",y\\n'",
            id="quote not doubled",
        ),
        pytest.param(
            HEADER + "a.wav,x,y\nb.wav,x,y\n./a.wav,x,y\n",
            {},
            "captions.csv:4: column 'file_name': 'a.wav' is on line 2 too: keep one row per file",
            id="duplicate name",
        ),
        pytest.param(
            HEADER + "../a.wav,x,y\n", {}, "captions.csv:2: column 'file_name': '../a.wav' leads out", id="dot dot"
        ),
        pytest.param(
            HEADER + "a/../../b.wav,x,y\n",
            {},
            "captions.csv:2: column 'file_name': 'a/../../b.wav' leads",
            id="dots inside",
        ),
        pytest.param(
            HEADER + "/etc/a.wav,x,y\n",
            {},
            "captions.csv:2: column 'file_name': '/etc/a.wav' is an absolute",
            id="absolute",
        ),
        pytest.param(
            HEADER + "C:\\a.wav,x,y\n",
            {},
            "captions.csv:2: column 'file_name': 'C:\\\\a.wav' has a backslash",
            id="Windows",
        ),
        pytest.param(
            HEADER + "C:/a.wav,x,y\n",
            {},
            "captions.csv:2: column 'file_name': 'C:/a.wav' is an absolute path",
            id="drive",
        ),
        pytest.param(
            HEADER + "..\\a.wav,x,y\n", {}, "'..\\\\a.wav' has a backslash: separate folders with /", id="backslash"
        ),
        pytest.param(
            HEADER + " ,x,y\n", {}, "captions.csv:2: column 'file_name': the file name is empty", id="empty name"
        ),
        pytest.param(HEADER + ".,x,y\n", {}, "captions.csv:2: column 'file_name': '.' is no file name", id="dot"),
        pytest.param(
            HEADER + "a.wav,x,y\nb.wav, ,...\n",
            {},
            "captions.csv:3: column 'caption_1': no caption says anything: write one, or remove the row",
            id="empty captions",
        ),
        pytest.param(
            "name,caption_1\na.wav,x\n",
            {},
            "captions.csv:1: there is no column 'file_name'; the columns are 'name', 'caption_1': name the right one "
            "with --file-column",
            id="no file column",
        ),
        pytest.param(
            "file_name,text\na.wav,x\n",
            {},
            "captions.csv:1: no column is called caption or caption_1; the columns are 'file_name', 'text': name the "
            "right one with --caption-column",
            id="no caption column",
        ),
        pytest.param(
            HEADER + "a.wav,x,y\n",
            {"caption_columns": ["text"]},
            "there is no column 'text'",
            id="named column missing",
        ),
        pytest.param(
            HEADER + "a.wav,x,y\n", {"split_column": "fold"}, "there is no column 'fold'", id="split column missing"
        ),
        pytest.param(
            "file_name,caption_1,caption_1\na.wav,x,y\n",
            {},
            "captions.csv:1: column 3 is called 'caption_1' like another: rename it",
            id="column twice",
        ),
        pytest.param("", {}, "captions.csv:1: the file is empty", id="empty file"),
        pytest.param("\n\n", {}, "captions.csv:1: the file is empty", id="blank lines only"),
        pytest.param(HEADER, {}, "captions.csv:1: only the column names are there: add one row per clip", id="no rows"),
        pytest.param(
            "file_name,caption,split\na.wav,x,\n",
            {"split_column": "split"},
            "captions.csv:2: column 'split': the split is empty",
            id="empty split",
        ),
        pytest.param(
            "file_name,caption,split\na.wav,x,../dev\n",
            {"split_column": "split"},
            "captions.csv:2: column 'split': '../dev' is no name for a split",
            id="split that is a path",
        ),
    ],
)
def test_every_fault_has_its_own_message_with_line_and_fix(write, content, options, message):
    assert message in fault(write(content), **options)


@pytest.mark.parametrize("delimiter", ["", ";;", '"', "\n"])
def test_a_delimiter_is_one_character(write, delimiter):
    with pytest.raises(UsageError, match="give one character, such as ';', or tab"):
        read_captions_csv(write(HEADER), delimiter=delimiter)


@pytest.mark.parametrize(("name", "character"), [("tab", "\t"), ("\\t", "\t"), (";", ";"), ("|", "|")])
def test_other_delimiters(write, name, character):
    path = write((HEADER + "a.wav,x,y\n").replace(",", character))
    assert read_captions_csv(path, delimiter=name).rows[0].captions == ("x", "y")


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_table_that_cannot_be_read_is_named(tmp_path, make):
    make(tmp_path / "captions.csv")
    assert fault(tmp_path / "captions.csv").startswith("cannot read the table captions.csv")


def test_a_byte_order_mark_is_skipped_and_noted(write):
    table = read_captions_csv(write(b"\xef\xbb\xbf" + HEADER.encode() + b"a.wav,x,y\n"))
    assert table.columns == ("file_name", "caption_1", "caption_2")
    assert table.notes == ("a byte order mark was skipped",)


def test_fewer_captions_are_noted_and_blank_lines_too(write):
    table = read_captions_csv(write(HEADER + "a.wav,,x\n\nb.wav,y,\nc.wav,z,w\n"))
    assert [row.captions for row in table.rows] == [("x",), ("y",), ("z", "w")]
    assert [row.line for row in table.rows] == [2, 4, 5]
    assert table.notes == (
        "1 blank lines were skipped",
        "2 blank captions left out (2 clips have fewer than 2)",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_through_cells_of_several_lines(write, end):
    content = HEADER + 'a.wav,"one\ntwo\nthree",y\nb.wav,x,y\n../c.wav,x,y\n'
    assert "captions.csv:6: " in fault(write(content.replace("\n", end)))


def test_captions_keep_their_blanks_and_names_too(write):
    row = read_captions_csv(write(HEADER + " a.wav , x ,y\n")).rows[0]
    assert row.file_name == " a.wav "
    assert row.captions == (" x ", "y")


def test_one_caption_per_row_is_gathered_when_its_column_is_named(write):
    path = write("youtube_id,caption\na,first\nb,other\na,second\n")
    table = read_captions_csv(path, file_column="youtube_id", caption_columns=["caption"])
    assert table.rows == (
        CaptionRow("a", ("first", "second"), None, 2),
        CaptionRow("b", ("other",), None, 3),
    )
    assert table.notes == ("3 rows gathered into 2 clips",)
    assert "--caption-column COLUMN" in fault(path, file_column="youtube_id")


def test_rows_of_one_clip_cannot_be_in_two_splits(write):
    path = write("file_name,caption,split\na,x,dev\na,y,eval\n")
    message = fault(path, caption_columns=["caption"], split_column="split")
    assert "captions.csv:3: column 'file_name': 'a' is in split 'eval' here and in 'dev' on line 2" in message


def test_splits_come_from_their_column(write):
    table = read_captions_csv(write("file_name,caption,fold\na,x,1\nb,y, dev \n"), split_column="fold")
    assert [row.split for row in table.rows] == ["1", "dev"]


def test_caption_columns_by_number():
    assert find_caption_columns(["caption_10", "caption_9", "caption", "caption_x"]) == ("caption_9", "caption_10")
    assert find_caption_columns(["captions"]) == ()


@needs_shared
@pytest.mark.parametrize(
    ("name", "clips"),
    [
        ("csv/clotho/clotho_captions_development.csv", 3839),
        ("csv/clotho/clotho_captions_validation.csv", 1045),
        ("csv/clotho/clotho_captions_evaluation.csv", 1045),
        ("clips/captions.csv", 76),
    ],
)
def test_official_tables_read_like_the_csv_module_reads_them(name, clips):
    path = SHARED / "data" / name
    table = read_captions_csv(path)
    with path.open(encoding="utf-8", newline="") as file:
        expected = [(row["file_name"], tuple(row[f"caption_{k}"] for k in range(1, 6))) for row in csv.DictReader(file)]
    assert [(row.file_name, row.captions) for row in table.rows] == expected
    assert len(table.rows) == clips
    assert table.notes == ()


@needs_shared
def test_audiocaps_five_captions_a_clip_are_gathered():
    table = read_captions_csv(
        SHARED / "data/csv/audiocaps/test.csv", file_column="youtube_id", caption_columns=["caption"]
    )
    assert len(table.rows) == 975
    assert {len(row.captions) for row in table.rows} == {5}


cells = st.text('ab ,;"\n\r\tü\u2028', max_size=6)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=2, max_size=5), st.sampled_from([",", ";", "\t"]))
@settings(deadline=None)
def test_records_are_those_of_the_csv_module(tmp_path_factory, rows, delimiter):
    rows[0] = ["first", *rows[0][1:2], "last"]
    rows[0][1] = f"middle{rows[0][1]}"
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path = tmp_path_factory.getbasetemp() / "records.csv"
    path.write_text(text.getvalue(), newline="", encoding="utf-8")
    records = read_records(path, delimiter)
    assert [list(record.fields) for record in (records.header, *records.rows)] == rows


@given(st.binary(max_size=120) | st.text('file_name,caption\n\r";a.\0/', max_size=80).map(str.encode))
@settings(deadline=None)
def test_any_bytes_are_a_table_or_a_usage_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(content)
    for read in (read_captions_csv, read_columns):
        try:
            read(path)
        except UsageError as error:
            assert str(path) in str(error)


def test_a_table_in_an_encoding_that_its_publisher_is_known_to_use(write):
    text = "file_name,keywords\nc.wav,café\n"
    for encoding in ("utf-8", "latin-1"):
        records = read_records(write(text.encode(encoding)), fallback_encoding="latin-1")
        assert records.rows[0].fields == ("c.wav", "café")
    with pytest.raises(UsageError, match="byte 0xe9 is not UTF-8"):
        read_records(write(b"\xef\xbb\xbf" + text.encode("latin-1")), fallback_encoding="latin-1")
