"""Files of paraphrases, read as they are written."""

from pathlib import Path

import pytest

from atrkit.datasets.paraphrases import Paraphrase, paraphrases_as_csv, read_paraphrases
from atrkit.errors import UsageError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "paraphrases.csv"
    path.write_text(text)
    return path


def test_a_file_with_and_without_clips_and_with_other_columns(tmp_path):
    with_clips = written(tmp_path, 'note,clip,paraphrase,caption\nx,a.wav,"Rain, softly",Rain falls\n,,b,c\n')
    assert read_paraphrases(with_clips) == [Paraphrase("Rain falls", "Rain, softly", "a.wav"), Paraphrase("c", "b")]
    assert read_paraphrases(written(tmp_path, "caption,paraphrase\nc,b\n")) == [Paraphrase("c", "b")]


def test_what_is_written_is_read(tmp_path):
    rows = [Paraphrase('a "dog", barks\ntwice', "ö", "clip 1"), Paraphrase("b", "c")]
    path = tmp_path / "p.csv"
    path.write_bytes(paraphrases_as_csv(rows))
    assert read_paraphrases(path) == rows


def test_a_table_without_the_columns_names_file_line_and_the_format(tmp_path):
    path = written(tmp_path, "text,paraphrase\na,b\n")
    with pytest.raises(UsageError, match=r"paraphrases.csv:1: there is no column 'caption'; .* caption,paraphrase"):
        read_paraphrases(path)
    with pytest.raises(UsageError, match=r"paraphrases.csv:2: column 'paraphrase' is missing"):
        read_paraphrases(written(tmp_path, "caption,paraphrase\na\n"))
