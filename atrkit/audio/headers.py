"""What a file's first and last bytes say, where the decoder stays silent.

libsndfile shortens a cut file without a word and calls an error page "Format not recognised". These functions find
out how much a header promises and why a file is no audio, so that a listing of problems says something a person can
act on.
"""

from pathlib import Path
from typing import BinaryIO, Literal

# what programs write for "length unknown" into a header they cannot go back to: ffmpeg, SoX, arecord, GStreamer
_STREAMED_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000, 0x7FFFFFFF})
_MAX_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_SNIFF_BYTES = 4096
_OGG_END_OF_STREAM = 0x04


def promised_ratio(path: Path) -> float | None:
    """How many times more audio data the header promises than there is, when the file was cut.

    The decoder counts what is there; the headers of RIFF, RF64, AIFF, 8SVX, AU, W64 and (with Xing's tag) MP3 also
    say how many bytes there should be. FLAC tells the decoder itself, Ogg has `ogg_breaks_off`, libsndfile refuses
    most cut CAF files; a cut VOC or NIST file goes unnoticed.

    Returns:
        A ratio over 1, or None when the file is complete, of another kind, or was streamed (a size of 0 or
        0xFFFFFFFF is no promise).
    """
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
        match head[:4]:
            case b"RIFF" | b"RF64":
                promise = _audio_chunk(file, "little", b"data")
            case b"FORM":
                promise = _audio_chunk(file, "big", b"BODY" if head[8:12] in (b"8SVX", b"16SV") else b"SSND")
            case b".snd":
                promise = (int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big"))
            case b"riff":  # W64
                promise = (0, int.from_bytes(head[16:24], "little"))
            case _:
                promise = _xing_promise(file)
    if promise is None:
        return None
    start, promised_bytes = promise
    present_bytes = file_bytes - start
    is_short = promised_bytes not in _STREAMED_SIZES and 0 < present_bytes < promised_bytes
    return promised_bytes / present_bytes if is_short else None


def _audio_chunk(file: BinaryIO, byte_order: Literal["little", "big"], wanted: bytes) -> tuple[int, int] | None:
    """Where the chunk with the samples starts, and how many bytes it should have."""
    file.seek(12)
    long_size = 0
    while len(header := file.read(8)) == 8:
        name, size, start = header[:4], int.from_bytes(header[4:], byte_order), file.tell()
        if name == wanted:
            return start, long_size or size
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        file.seek(start + size + size % 2)
    return None


def _xing_promise(file: BinaryIO) -> tuple[int, int] | None:
    """Where MPEG audio starts, and its bytes according to the tag that LAME puts into the first frame."""
    file.seek(0)
    start, id3 = 0, file.read(10)
    if id3[:3] == b"ID3" and len(id3) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(id3[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(192)
    is_mpeg = len(frame) > 4 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2  # 11 sync bits, layer III
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if not is_mpeg or at < 0 or int.from_bytes(frame[at + 4 : at + 8], "big") & 3 != 3:
        return None  # flags 1 and 2: the numbers of frames and of bytes follow
    return start, int.from_bytes(frame[at + 12 : at + 16], "big")


def ogg_breaks_off(path: Path) -> bool:
    """Whether an Ogg file ends without the page that closes its stream, as a cut download does."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        file_bytes = path.stat().st_size
        file.seek(max(0, file_bytes - 2 * _MAX_OGG_PAGE_BYTES))
        tail = file.read()
    at = tail.rfind(b"OggS\0")
    page = tail[at:]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return True
    page_bytes = 27 + page[26] + sum(page[27 : 27 + page[26]])
    return len(page) < page_bytes or not page[5] & _OGG_END_OF_STREAM


def why_no_audio(path: Path) -> str | None:
    """The plain reason why this is no audio file, in one line, or None when it must be asked of the decoder."""
    if path.is_dir():
        return "a folder, not a file"
    if not path.is_file():
        return "not a regular file" if path.exists() else "there is no such file"
    with path.open("rb") as file:
        head = file.read(_SNIFF_BYTES)
    if not head:
        return "the file is empty (0 bytes)"
    if head[:4] in (b"RIFF", b"RF64") and _wave_sample_rate_hz(head) == 0:
        return "the header says 0 Hz"
    if _is_text(head):
        is_html = any(mark in head[:512].lower() for mark in (b"<html", b"<!doctype html", b"<head"))
        return "a web page (HTML), not audio: download it again" if is_html else "text, not audio"
    return None


def _wave_sample_rate_hz(head: bytes) -> int | None:
    at = head.find(b"fmt ")
    return int.from_bytes(head[at + 12 : at + 16], "little") if 0 <= at <= len(head) - 16 else None


def _is_text(head: bytes) -> bool:
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r" for byte in head)
    if controls:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4 and len(head) == _SNIFF_BYTES  # a character cut by the sniffing itself
    return True
