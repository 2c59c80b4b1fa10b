"""Files of word vectors as they are published: word2vec's two formats and GloVe's, plain or packed with gzip.

They hold millions of words and some gigabytes, of which a data set needs a few thousand: rows are streamed, and their
numbers are left as they lie until somebody wants them.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError, ResourceError

VectorFormat = Literal["word2vec binary", "word2vec text", "text without a header"]

_CHUNK_BYTES = 1 << 20
_LONGEST_WORD_BYTES = 1 << 12
_LONGEST_LINE_BYTES = 1 << 20
_GREATEST_WIDTH = 1 << 16
_NUMBER_BYTES = frozenset(b"0123456789+-.eE naifNAIF\t\r")  # decimal numbers, NaN and infinity
_KNOWN = "word2vec's text or binary format, or GloVe's"


class VectorRow(NamedTuple):
    """One word of a file: its line (or its number, in a binary file), the word, and its numbers as they lie there."""

    number: int
    word: bytes
    raw: bytes


@dataclass(frozen=True)
class VectorFile:
    """A file of word vectors whose format has been recognised; made by `recognise`.

    Args:
        path: of the file.
        format: how it is written.
        width: numbers of each word, F.
        words: how many there are by the header; None without one.
    """

    path: Path
    format: VectorFormat
    width: int
    words: int | None = None

    def rows(self) -> Iterator[VectorRow]:
        """Every word in the order of the file, read piece by piece.

        Raises:
            IntegrityError: the file is cut off, goes on after its end, or has a row of another width; says where.
        """
        with _opened(self.path) as file:
            if self.words is not None:
                file.readline(_LONGEST_LINE_BYTES)
            yield from self._binary_rows(file) if self.format == "word2vec binary" else self._text_rows(file)

    def numbers(self, row: VectorRow) -> npt.NDArray[np.float32]:
        """The numbers of a row, (F,) float32.

        Raises:
            IntegrityError: they are no numbers, or not finite; names the word.
        """
        if self.format == "word2vec binary":
            vector_F = np.frombuffer(row.raw, dtype="<f4").astype(np.float32)
        else:
            try:
                with np.errstate(over="ignore"):  # to infinity, which is refused below
                    vector_F = np.array([float(number) for number in row.raw.split()]).astype(np.float32)
            except ValueError:
                raise self._damage(row.number, f"what stands after {_shown(row.word)} are no numbers") from None
        if not np.isfinite(vector_F).all():
            raise self._damage(row.number, f"the vector of {_shown(row.word)} holds NaN or infinity")
        return vector_F

    def place(self, number: int) -> str:
        """A row, as messages say it."""
        return f"{self.path}, {'word' if self.format == 'word2vec binary' else 'line'} {number:,}"

    def _damage(self, number: int, what: str) -> IntegrityError:
        return IntegrityError(f"{self.place(number)}: {what}: the file is damaged, get it again")

    def _binary_rows(self, file: BinaryIO) -> Iterator[VectorRow]:
        assert self.words is not None
        buffer, start = b"", 0
        for number in range(1, self.words + 1):
            while (space := buffer.find(b" ", start)) < 0 or len(buffer) < space + 1 + 4 * self.width:
                if space < 0 and len(buffer) - start > _LONGEST_WORD_BYTES:
                    raise self._damage(number, "no word stands here")
                more = file.read(_CHUNK_BYTES)
                if not more:
                    raise self._damage(number, f"the file ends here, before the last of its {self.words:,} words")
                buffer, start = buffer[start:] + more, 0
            end = space + 1 + 4 * self.width
            yield VectorRow(number, buffer[start:space].lstrip(b"\n"), buffer[space + 1 : end])
            start = end
        if (buffer[start:] + file.read(1)).strip():
            raise self._damage(self.words, "the file goes on after its last word")

    def _text_rows(self, file: BinaryIO) -> Iterator[VectorRow]:
        number, rows = 0 if self.words is None else 1, 0
        while line := file.readline(_LONGEST_LINE_BYTES):
            number += 1
            if len(line) == _LONGEST_LINE_BYTES:
                raise self._damage(number, "the line does not end")
            stripped = line.rstrip()
            if stripped:
                rows += 1
                yield VectorRow(number, *self._word_and_numbers(number, stripped))
        if self.words is not None and rows != self.words:
            raise self._damage(number, f"the file ends after {rows:,} words, and its header says {self.words:,}")

    def _word_and_numbers(self, number: int, line: bytes) -> tuple[bytes, bytes]:
        """Split a line; some words of published files have spaces in them, which must not be numbers."""
        word, _, rest = line.partition(b" ")
        if rest.count(b" ") == self.width - 1:
            return word, rest
        columns = line.split()
        more = len(columns) - 1 - self.width
        if more < 0 or any(_is_number(column) for column in columns[1 : 1 + more]):
            expected = f"{self.width} in the {'first line' if self.words is None else 'header'}"
            raise self._damage(number, f"{len(columns) - 1} numbers after {_shown(columns[0])}, and {expected}")
        return b" ".join(columns[: 1 + more]), b" ".join(columns[1 + more :])


def recognise(path: Path) -> VectorFile:
    """Find out how a file of word vectors is written, by its first bytes; its name plays no part.

    A first line of two whole numbers is word2vec's header. (A file without a header whose vectors have one number, and
    whose first word is a number, would be mistaken; nobody publishes such vectors.)

    Raises:
        IntegrityError: it is no file of word vectors.
        ResourceError: it cannot be read.
    """
    with _opened(path) as file:
        first = file.readline(_LONGEST_LINE_BYTES)
        sample = file.read(_CHUNK_BYTES)
    columns = first.split()
    if len(columns) == 2 and all(column.isdigit() for column in columns) and first.endswith(b"\n"):
        words, width = (int(column) for column in columns)
        if not (0 < width <= _GREATEST_WIDTH and words > 0):
            raise IntegrityError(
                f"{path}: a header of {words} words with {width} numbers each: no file of word vectors"
            )
        return VectorFile(path, "word2vec text" if _is_text(sample, width) else "word2vec binary", width, words)
    if first.startswith(b"PK\x03\x04"):
        raise IntegrityError(f"{path} is a zip archive: unpack it, and name the file with the vectors")
    if len(columns) < 2 or not all(_is_number(column) for column in columns[1:]):
        raise IntegrityError(f"{path} is no file of word vectors: it must be in {_KNOWN} (.gz works too)")
    return VectorFile(path, "text without a header", len(columns) - 1)


def _is_text(sample: bytes, width: int) -> bool:
    """Whether decimal numbers stand after the first word, and not the bytes of floats."""
    numbers = sample.partition(b" ")[2].partition(b"\n")[0]
    return _NUMBER_BYTES.issuperset(numbers) and len(numbers.split()) >= min(width, 2)


def _is_number(column: bytes) -> bool:
    try:
        float(column)
    except ValueError:
        return False
    return True


def _shown(word: bytes) -> str:
    return repr(word[:40].decode(errors="replace"))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file's content, unpacked where it is packed."""
    try:
        with path.open("rb") as packed:
            is_packed = packed.read(2) == b"\x1f\x8b"
            packed.seek(0)
            if not is_packed:
                yield packed
                return
            with gzip.open(packed) as file:
                yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise IntegrityError(f"{path} cannot be unpacked ({error}): it is damaged, get it again") from None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror or error}") from error
