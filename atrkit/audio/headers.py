"""What a file's first and last bytes say, where the decoder stays silent.

libsndfile shortens a cut file without a word and calls an error page "Format not recognised". These functions find
out how much a header promises and why a file is no audio, so that a listing of problems says something a person can
act on.
"""

import struct
from pathlib import Path
from typing import BinaryIO

# what programs write for "length unknown" into a header they cannot go back to: ffmpeg, SoX, arecord, GStreamer
_STREAMED_SIZES = frozenset({0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000, 0x7FFFFFFF})
_MAX_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_SNIFF_BYTES = 4096
_OGG_END_OF_STREAM = 0x04


def promised_duration_s(path: Path) -> float | None:
    """How long a RIFF, RF64 or MP3 header says the file is, when the file is too short for it.

    The decoder counts the samples that are there; these headers also say how many bytes there should be. FLAC and
    the rest tell the decoder itself.

    Returns:
        The promised length in seconds, or None when the file is complete, of another kind, or was streamed
        (a size of 0 or 0xFFFFFFFF is no promise).
    """
    with path.open("rb") as file:
        file_bytes = path.stat().st_size
        magic = file.read(12)
        if magic[:4] in (b"RIFF", b"RF64") and magic[8:] == b"WAVE":
            return _promise_of_wave(file, file_bytes)
        if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
            return _promise_of_aiff(file, file_bytes)
        return _promise_of_mp3(file, file_bytes)


def _promise_of_wave(file: BinaryIO, file_bytes: int) -> float | None:
    bytes_per_s, long_size = 0, 0
    while len(header := file.read(8)) == 8:
        name, size = header[:4], int.from_bytes(header[4:], "little")
        if name == b"data":
            size = long_size or size
            is_short = size not in _STREAMED_SIZES and size > file_bytes - file.tell()
            return size / bytes_per_s if is_short and bytes_per_s else None
        start = file.tell()
        if name == b"fmt ":
            bytes_per_s = int.from_bytes(file.read(12)[8:12], "little")
        elif name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:16], "little")
        file.seek(start + size + size % 2)
    return None


def _promise_of_aiff(file: BinaryIO, file_bytes: int) -> float | None:
    promised_s = 0.0
    while len(header := file.read(8)) == 8:
        name, size = header[:4], int.from_bytes(header[4:], "big")
        start = file.tell()
        if name == b"COMM" and len(common := file.read(18)) == 18:
            frames, exponent, mantissa = struct.unpack(">2xI2xHQ", common)
            sample_rate_hz = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63)  # an 80-bit IEEE float
            promised_s = frames / sample_rate_hz if sample_rate_hz else 0.0
        if name == b"SSND" and size > file_bytes - start:
            return promised_s or None
        file.seek(start + size + size % 2)
    return None


def _promise_of_mp3(file: BinaryIO, file_bytes: int) -> float | None:
    """Xing's tag in the first MPEG frame holds the number of frames and of bytes of the whole file."""
    file.seek(0)
    start = 0
    if (id3 := file.read(10))[:3] == b"ID3" and len(id3) == 10:
        start = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(id3[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(192)
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # 11 sync bits, layer III
        return None
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    if at < 0 or int.from_bytes(frame[at + 4 : at + 8], "big") & 3 != 3:  # neither frames nor bytes are there
        return None
    mpeg_frames, mpeg_bytes = struct.unpack(">II", frame[at + 8 : at + 16])
    is_mpeg_1 = frame[1] & 0x18 == 0x18
    rate_index = frame[2] >> 2 & 3
    if rate_index == 3 or mpeg_bytes <= file_bytes - start:
        return None
    half = {0x18: 1, 0x10: 2, 0x00: 4}.get(frame[1] & 0x18, 1)
    sample_rate_hz = (44100, 48000, 32000)[rate_index] / half
    return float(mpeg_frames * (1152 if is_mpeg_1 else 576) / sample_rate_hz)


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
