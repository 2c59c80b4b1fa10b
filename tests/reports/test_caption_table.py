"""The table of captions: 80 columns, names that can be read, and no folder that every file shares."""

import io

from rich.console import Console

from atrkit.reports.caption_table import caption_table

FOLDER = "/home/someone/recordings of the summer/field"


def shown(records, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(caption_table(records))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def record(path: str, caption: str = "a dog barks", key: str = "path") -> dict:
    return {key: path, "caption": caption, "score": -1.234}


def names(lines: list[str]) -> list[str]:
    """The cells of the first column."""
    header = next(number for number, line in enumerate(lines) if line.startswith(("file ", "clip ")))
    column = lines[header].index("caption")
    return [line[:column].strip() for line in lines[header + 2 :]]


def test_the_folder_that_all_files_share_is_said_once():
    lines = shown([record(f"{FOLDER}/rain.wav"), record(f"{FOLDER}/deep/dog.wav")])
    assert lines[0] == f"files in {FOLDER}"
    assert names(lines) == ["rain.wav", "deep/dog.wav"]
    assert lines[-1].split() == ["deep/dog.wav", "a", "dog", "barks", "-1.23"]


def test_one_file_is_shown_by_its_name():
    lines = shown([record(f"{FOLDER}/rain.wav")])
    assert lines[0] == f"files in {FOLDER}" and names(lines) == ["rain.wav"]


def test_without_a_common_folder_names_are_shown_as_given():
    absolute = ["/a/rain.wav", "/b/dog.wav"]
    for paths in (["rain.wav", "deep/dog.wav"], absolute, ["rain.wav", "/b/dog.wav"], ["../x/a.wav", "a.wav"]):
        assert names(shown([record(path) for path in paths])) == paths


def test_folders_are_compared_whole_not_by_letters():
    assert names(shown([record("/x/field1/a.wav"), record("/x/field2/a.wav")])) == ["field1/a.wav", "field2/a.wav"]


def test_long_paths_go_on_in_the_next_line_behind_a_slash():
    long = "a folder of many words/another folder of words/rain on a roof.wav"
    lines = shown([record(f"{FOLDER}/{long}"), record(f"{FOLDER}/dog.wav")])
    cells = names(lines)
    assert cells == ["a folder of many words/", "another folder of words/", "rain on a roof.wav", "dog.wav"]
    assert max(map(len, lines)) <= 80


def test_a_long_name_is_shortened_in_its_middle():
    name = "20260712_083015_" + "x" * 60 + "_take_2.wav"
    (cell,) = names(shown([record(name, key="clip")]))
    start, _, end = cell.partition("…")
    assert name.startswith(start) and name.endswith(end) and len(cell) <= 36
    assert start.startswith("20260712_") and end.endswith("_take_2.wav")


def test_a_name_is_no_markup():
    assert names(shown([record("[bold]a[/bold].wav", key="clip")])) == ["[bold]a[/bold].wav"]
