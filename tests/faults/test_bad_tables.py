"""FAULTS.md row 10: a bad table of captions is refused with file, line and the fix, and nothing is made."""

import pytest

HEADER = "file_name,caption_1,caption_2\n"
GOOD = HEADER + "00.wav,a tone,a sound\n"

BAD_TABLES = {
    "UTF-16": (GOOD.encode("utf-16"), 1, "iconv -f UTF-16"),
    "latin-1": (GOOD.encode() + "01.wav,ein Gerät,x\n".encode("latin-1"), 3, "iconv -f ISO-8859-1"),
    "NUL": (GOOD + "01.wav,a\0b,x\n", 3, "NUL"),
    "semicolons": (GOOD.replace(",", ";"), 1, "--delimiter ';'"),
    "short row": (GOOD + "01.wav,x\n", 3, "caption_2"),
    "long row": (GOOD + "01.wav,x,y,z\n", 3, "column 4"),
    "unclosed quote": (GOOD + '01.wav,x,"y\n', 3, "never closed"),
    "duplicate name": (GOOD + "00.wav,x,y\n", 3, "'00.wav'"),
    "parent folder": (GOOD + "../00.wav,x,y\n", 3, "'../00.wav'"),
    "absolute path": (GOOD + "/etc/passwd,x,y\n", 3, "'/etc/passwd'"),
    "no caption": (GOOD + "01.wav,, \n", 3, "caption"),
    "no column of captions": (HEADER.replace("caption", "text") + "00.wav,x,y\n", 1, "caption"),
    "empty file": ("", 1, "empty"),
}


@pytest.fixture
def import_table(prepared, atrkit_in, tmp_path):
    """Import a table whose audio is that of `prepared`; gives the one-line message."""

    def run(content, code=2):
        table = tmp_path / "captions.csv"
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
        command = atrkit_in(tmp_path / "workspace")
        words = ("import", table, "--audio-dir", prepared / "sounds", "--name", "mine")
        return command.error(*words, code=code) if code else command(*words)

    return run


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_and_nothing_is_made(import_table, tmp_path, case):
    content, line, words = BAD_TABLES[case]
    message = import_table(content)
    assert f"{tmp_path / 'captions.csv'}:{line}: " in message
    assert words in message
    assert not [path for path in (tmp_path / "workspace").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_each_fault_has_its_own_message(import_table, tmp_path):
    messages = [import_table(content).partition("captions.csv:")[2] for content, _, _ in BAD_TABLES.values()]
    assert len(set(messages)) == len(BAD_TABLES)


def test_a_byte_order_mark_is_no_fault(import_table):
    assert "mine" in import_table(GOOD.encode("utf-8-sig"), code=0).stdout


def test_one_empty_caption_of_several_is_left_out_and_said(import_table):
    assert "1 blank captions left out" in import_table(GOOD + "01.wav,,y\n", code=0).stdout


def test_a_table_that_is_refused_leaves_the_dataset_of_that_name_alone(import_table, tmp_path):
    import_table(GOOD, code=0)
    folder = tmp_path / "workspace" / "data" / "mine"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    import_table(BAD_TABLES["unclosed quote"][0])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
