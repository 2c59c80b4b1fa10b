"""What people see of `atrkit search`: whole names, room for captions, nothing that turns the terminal."""

import io

from rich.console import Console

from atrkit.reports.search_results import search_table


def test_long_names_many_windows_and_long_recordings_still_leave_room_for_the_caption():
    caption = "rain falls on a tin roof while somebody speaks far away"
    name = "recordings of the summer in a very long folder name/rain on the tin roof of an old barn in the north.wav"
    result = {"start_s": 7261.0, "end_s": 7271.0, "score": -11.5, "caption": caption, "windows": 321, "copies": []}
    results = [{**result, "path": f"/srv/{number}/{name}", "is_there": number > 0} for number in range(100)]
    record = {"query": "rain", "like": ["a.wav"], "not": ["people"], "results": results, "rerank": None}
    shown = io.StringIO()
    Console(file=shown, width=80).print(search_table([record]))
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "rain, like a.wav, not: people" and lines[1] == "files in /srv"
    row = next(line for line in lines if line.startswith("100 "))
    assert "-11.500" in row and "2:01:01 +320" in row
    for word in caption.split():
        assert sum(line.count(word) for line in lines) >= 100
    assert sum("(no longer there)" in line for line in lines) == 1


def test_nothing_of_a_name_is_left_out_and_nothing_in_it_turns_the_terminal():
    names = [f"rain on the tin roof of an old barn, take {take}, by the river in the north.wav" for take in (1, 2)]
    names += ["song\u202egnp.wav", "clear\x1b[2Jed.wav", "日本の古い納屋のトタン屋根に降る雨の音の長い録音.wav"]
    result = {"start_s": 1.0, "end_s": 2.0, "score": 0.5, "caption": None, "windows": 1, "copies": [], "is_there": True}
    results = [{**result, "path": f"/srv/sounds/{name}"} for name in names]
    record = {"query": "rain " * 400, "like": [], "not": [], "results": results, "rerank": None}
    shown = io.StringIO()
    Console(file=shown, width=80).print(search_table([record]))
    text = shown.getvalue()
    assert not {"\u202e", "\x1b", "…"} & set(text.partition("files in")[2])
    file_column = "".join(line[11:].removesuffix("0:01") for line in text.splitlines()).replace(" ", "")
    for name in names[:2]:
        assert name.replace(" ", "") in file_column
    assert "\\u202e" in text and "\\x1b" in text
    assert text.count("rain ") < 40 and len(text.splitlines()[0]) <= 80
    shown = io.StringIO()
    Console(file=shown, width=200).print(search_table([record]))
    assert all(name in shown.getvalue() for name in names[:2])  # where there is room, a name can be copied
