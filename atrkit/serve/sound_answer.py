"""The answer that a player gets: a sound, or the part of it that was asked for, while it is read from the disk."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from atrkit.serve.interface import ServedFile
from atrkit.serve.ranges import requested_range
from atrkit.serve.sound_files import Playable, open_playable


class _SoundResponse(StreamingResponse):
    """Sends a part of a sound, and closes its file also where the client goes away before the end."""

    def __init__(self, playable: Playable, start: int, stop: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(playable.chunks(start, stop), status, headers, playable.media_type)
        self._playable = playable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._playable.close()


def sound_answer(file: ServedFile, request: Request) -> Response:
    """The answer to a request for a sound.

    Args:
        file: that is asked for.
        request: with the headers `Range`, `If-Range` and `If-None-Match`.

    Raises:
        GoneError: the file is not what was indexed any more.
        UnsatisfiableRangeError: the part that is asked for begins behind the end.

    Source: RFC 9110, sections 13.1 and 14.
    """
    playable = open_playable(file)
    answer = None
    try:
        answer = _answer(playable, f'"{file.sha256}"', request)
    finally:
        if not isinstance(answer, _SoundResponse):
            playable.close()
    return answer


def _answer(playable: Playable, etag: str, request: Request) -> Response:
    headers = {"accept-ranges": "bytes", "etag": etag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    asked = request.headers.get("range")
    if request.headers.get("if-range", etag) != etag:
        asked = None  # what the browser has is of another state of the file
    part = requested_range(asked, playable.size_bytes)
    start, stop = part or (0, playable.size_bytes)
    headers["content-length"] = str(stop - start)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{playable.size_bytes}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=playable.media_type)
    return _SoundResponse(playable, start, stop, status, headers)
