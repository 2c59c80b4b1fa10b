"""Files of word vectors are written here from the descriptions of their formats, and read back."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from atrkit.errors import IntegrityError, ResourceError
from atrkit.text.vector_files import recognise
from atrkit.text.word_vectors import read_word_vectors

Vectors = npt.NDArray[np.float32]
WORDS = ["dog", "rain", "3", "été"]
VECTORS = np.array([[0.5, -1.25], [3e-8, 2], [1e30, 0], [-0.0, 7]], dtype=np.float32)


def lines(words: list[str], vectors: Vectors, end: str = "\n") -> bytes:
    rows = zip(words, vectors, strict=True)
    return "".join(" ".join([word, *map(repr, map(float, row))]) + end for word, row in rows).encode()


def header(words: list[str], vectors: Vectors) -> bytes:
    return b"%d %d\n" % (len(words), vectors.shape[1])


def binary(words: list[str], vectors: Vectors, after_each: bytes = b"") -> bytes:
    rows = zip(words, vectors, strict=True)
    return header(words, vectors) + b"".join(
        word.encode() + b" " + row.astype("<f4").tobytes() + after_each for word, row in rows
    )


# word2vec's own tool ends numbers with a space and binary rows with a line end; gensim does neither
WAYS: dict[str, Callable[[list[str], Vectors], bytes]] = {
    "word2vec text": lambda words, vectors: header(words, vectors) + lines(words, vectors),
    "word2vec text, spaces at the end": lambda words, vectors: header(words, vectors) + lines(words, vectors, " \n"),
    "word2vec text, Windows": lambda words, vectors: header(words, vectors) + lines(words, vectors, "\r\n"),
    "GloVe": lines,
    "GloVe, tabs": lambda words, vectors: lines(words, vectors).replace(b" ", b"\t"),
    "word2vec binary": binary,
    "word2vec binary, lines": lambda words, vectors: binary(words, vectors, b"\n"),
}


@pytest.fixture(params=[False, True], ids=["plain", "gz"])
def write(request, tmp_path):
    """Write bytes to a file whose name says nothing about its format, packed or not."""

    def write(data: bytes) -> Path:
        (tmp_path / "vectors").write_bytes(gzip.compress(data) if request.param else data)
        return tmp_path / "vectors"

    return write


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_format_gives_the_same_vectors(way, write) -> None:
    found = read_word_vectors(write(way(WORDS, VECTORS)), ["rain", "cat", "été", "dog", "3"])
    expected = VECTORS[[1, 1, 3, 0, 2]]
    expected[1] = np.nan
    np.testing.assert_array_equal(found.vectors_VF, expected)
    assert found.vectors_VF.dtype == np.float32
    assert (found.missing, found.words_in_file, found.file.width) == (("cat",), 4, 2)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_read_again(way, data, tmp_path_factory) -> None:
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(2, 5)))
    vectors = data.draw(
        arrays.arrays(np.float32, shape, elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
    )
    letters = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=5)
    words = data.draw(st.lists(letters, min_size=shape[0], max_size=shape[0], unique_by=str.lower))
    path = tmp_path_factory.mktemp("vectors") / "file"
    path.write_bytes(way(words, vectors))
    found = read_word_vectors(path, words)
    np.testing.assert_array_equal(found.vectors_VF, vectors)
    assert not found.missing


def test_the_format_is_recognised_by_the_content(write) -> None:
    formats = [recognise(write(way(WORDS, VECTORS))).format for way in WAYS.values()]
    assert formats == [*["word2vec text"] * 3, *["text without a header"] * 2, *["word2vec binary"] * 2]


def test_of_rows_that_repeat_a_word_the_first_counts(write) -> None:
    found = read_word_vectors(write(b"dog 1 1\ndog 2 2\nRain 3 3\nRAIN 4 4\n"), ["dog", "rain"])
    assert found.vectors_VF.tolist() == [[1, 1], [3, 3]] and found.repeated == 1


def test_a_word_with_other_capitals_is_taken_only_where_the_word_is_not_there_and_is_said(write) -> None:
    found = read_word_vectors(write(b"Dog 1 1\nTV 2 2\ndog 3 3\nCat 9 9\n"), ["dog", "tv", "rain"])
    np.testing.assert_array_equal(found.vectors_VF, [[3, 3], [2, 2], [np.nan, np.nan]])
    assert (found.other_case, found.missing) == ({"tv": "TV"}, ("rain",))


def test_words_with_spaces_as_in_published_files_are_no_damage(write) -> None:
    found = read_word_vectors(write(b"the 0 0\n. . . 1 2\nat name@domain.com 3 4\ndog 5 6\n"), ["dog"])
    assert found.vectors_VF.tolist() == [[5, 6]]


def test_a_few_words_that_are_not_utf8_are_counted_and_many_are_damage(write) -> None:
    good = b"".join(b"word%d 1 2\n" % number for number in range(200))
    found = read_word_vectors(write(good + b"caf\xc3 3 4\ndog 5 6\n"), ["dog"])
    assert found.not_utf8 == 1 and found.vectors_VF.tolist() == [[5, 6]]
    with pytest.raises(IntegrityError, match=r"vectors, line 2: the word is not UTF-8, as 1 of 2 in this file"):
        read_word_vectors(write("dog 1 2\nété 3 4\n".encode("latin-1")), ["dog"])


BINARY = binary(WORDS, VECTORS)
DAMAGED = {
    "text cut off between rows": (
        b"3 2\ndog 1 2\nrain 3 4\n",
        "line 3: the file ends after 2 words, and its header says 3",
    ),
    "text cut off in a row": (b"dog 1 2\nrain 3", r"line 2: 1 numbers after 'rain', and 2 in the first line"),
    "rows that the header does not have": (b"1 2\ndog 1 2\nrain 3 4\n", "ends after 2 words, and its header says 1"),
    "a number too many": (b"2 2\ndog 1 2\nrain 3 4 5\n", "line 3: 3 numbers after 'rain', and 2 in the header"),
    "a word that is no number": (b"2 2\nrain 0 1\ndog 1 x\n", "line 3: what stands after 'dog' are no numbers"),
    "NaN": (b"rain 1 2\ndog nan 2\n", "line 2: the vector of 'dog' holds NaN or infinity"),
    "more than float32 holds": (b"rain 1 2\ndog 1e39 2\n", "line 2: the vector of 'dog' holds NaN or infinity"),
    "NaN in binary": (binary(["rain", "dog"], VECTORS[:2] * [[1], [np.nan]]), "word 2: the vector of 'dog' holds NaN"),
    "binary cut off in numbers": (BINARY[:-3], "word 4: the file ends here, before the last of its 4 words"),
    "binary cut off between words": (BINARY[:-14], "word 4: the file ends here"),
    "binary with more at its end": (BINARY + b"\nmore", "word 4: the file goes on after its last word"),
    "binary without words": (b"2 2\n" + b"\0" * 9000, "word 1: no word stands here"),
    "a line without end": (b"dog 1 2\n" + b"r" * (1 << 20), "line 2: the line does not end"),
    "no vectors at all": (b"# A recipe\nseeds: [1]\n", "is no file of word vectors: it must be in word2vec's"),
    "nothing": (b"", "is no file of word vectors"),
    "a zip archive": (b"PK\x03\x04....", "is a zip archive: unpack it"),
    "a header of nothing": (b"0 300\n", "a header of 0 words with 300 numbers"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_said_in_one_line_with_its_place(data: bytes, message: str, write) -> None:
    with pytest.raises(IntegrityError, match=message) as refused:
        read_word_vectors(write(data), ["dog", "rain"])
    assert "\n" not in str(refused.value) and "vectors" in str(refused.value)


def test_a_packed_file_that_was_cut_off_is_damaged(tmp_path) -> None:
    path = tmp_path / "vectors.gz"
    path.write_bytes(gzip.compress(lines(WORDS, VECTORS))[:-12])
    with pytest.raises(IntegrityError, match=r"cannot be unpacked .*: it is damaged, get it again"):
        read_word_vectors(path, WORDS)


def test_a_folder_is_refused(tmp_path) -> None:
    with pytest.raises(ResourceError, match="cannot read"):
        read_word_vectors(tmp_path, WORDS)


@pytest.mark.parametrize("way", ["word2vec text", "word2vec binary"])
def test_the_file_is_not_held_in_memory(way, tmp_path) -> None:
    words = [f"w{number}" for number in range(5_000)]
    vectors = np.tile(np.float32(1 / 3), (len(words), 300))
    row = WAYS[way](["w"], vectors[:1]).partition(b"w ")[2]
    path = tmp_path / "vectors"
    path.write_bytes(header(words, vectors) + b"".join(b"%b %b" % (word.encode(), row) for word in words))
    tracemalloc.start()
    found = read_word_vectors(path, ["w4999", "dog"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.vectors_VF[0], vectors[0])
    assert peak < 4 << 20 < path.stat().st_size
