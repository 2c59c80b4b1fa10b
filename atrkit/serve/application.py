"""The addresses that are answered, and how."""

import asyncio
import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from atrkit.errors import AtrkitError, MissingPrerequisiteError, ResourceError, UsageError
from atrkit.serve.guard import LARGEST_UPLOAD_BYTES, App, Guard, Rules, too_large
from atrkit.serve.interface import INSTALL_COMMAND, Searches, ServedFile, Wanted
from atrkit.serve.peaks import LONGEST_S, Peaks
from atrkit.serve.questions import wanted_of, window_of
from atrkit.serve.ranges import UnsatisfiableRangeError
from atrkit.serve.sound_files import GoneError
from atrkit.serve.uploads import UploadTooLargeError, keep_beginning, receive, room_for_upload

if TYPE_CHECKING:
    from fastapi import FastAPI, Response

Result = TypeVar("Result")

_PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/theme.js": ("theme.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/address.js": ("address.js", "text/javascript; charset=utf-8"),
    "/files.js": ("files.js", "text/javascript; charset=utf-8"),
    "/hit.js": ("hit.js", "text/javascript; charset=utf-8"),
    "/parts.js": ("parts.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_MOST_UPLOADS = 4  # at once: each takes a core for seconds and 300 MB of disk
_LONGEST_UPLOAD_S = 180.0
_READS = ["GET", "HEAD"]
_NOT_KEPT = {"cache-control": "no-store"}


def build_application(searches: Searches, rules: Rules, say: Callable[[str], None]) -> App:
    """The server as an ASGI application.

    Args:
        searches: what answers.
        rules: whom.
        say: takes a line for the person at the terminal.

    Raises:
        MissingPrerequisiteError: FastAPI is not installed; says the command.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingPrerequisiteError(f"atrkit serve needs FastAPI and uvicorn: {INSTALL_COMMAND}") from error
    # its own pages of documentation load scripts from elsewhere
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _answer_errors(app, say)
    _serve_page(app)
    _serve_searches(app, searches)
    _serve_sounds(app, searches)
    return Guard(app, rules, say)


def _answer_errors(app: "FastAPI", say: Callable[[str], None]) -> None:
    from fastapi import Request, Response
    from starlette.exceptions import HTTPException

    async def wrong(request: Request, error: Exception) -> Response:
        match error:
            case GoneError():
                return _error(404, str(error))
            case UsageError():
                return _error(400, str(error))
            case UploadTooLargeError():
                refusal = too_large()
                return _error(refusal.status, refusal.message, {"connection": "close"})
            case UnsatisfiableRangeError():
                return _error(416, "there is no such part", {"content-range": f"bytes */{error.size_bytes}"})
            case HTTPException():
                return _error(error.status_code, "there is nothing here")
            case _:  # its message may hold paths, which are for the person at the terminal
                say(str(error))
                what = "the disk" if isinstance(error, ResourceError) else "the index or its model"
                return _error(500, f"{what} cannot be used: the terminal of atrkit serve says why")

    async def pass_on(request: Request, error: Exception) -> Response:
        raise error  # a bug: the guard says so, where Starlette would answer "Internal Server Error"

    for kind in (AtrkitError, UploadTooLargeError, UnsatisfiableRangeError, HTTPException):
        app.add_exception_handler(kind, wrong)
    app.add_exception_handler(Exception, pass_on)


def _serve_page(app: "FastAPI") -> None:
    from fastapi import Request, Response

    def add(path: str, name: str, media_type: str) -> None:
        data = resources.files("atrkit.serve").joinpath("page", name).read_bytes()
        headers = {"etag": f'"{hashlib.sha256(data).hexdigest()[:16]}"', "cache-control": "no-cache"}

        async def give(request: Request) -> Response:
            if request.headers.get("if-none-match") == headers["etag"]:
                return Response(status_code=304, headers=headers)
            return Response(data, media_type=media_type, headers=headers)

        app.add_api_route(path, give, methods=_READS, response_model=None)

    for path, (name, media_type) in _PAGE.items():
        add(path, name, media_type)


def _serve_searches(app: "FastAPI", searches: Searches) -> None:
    from fastapi import Request, Response
    from fastapi.responses import JSONResponse
    from starlette.requests import ClientDisconnect

    free = threading.BoundedSemaphore(_MOST_UPLOADS)

    @app.api_route("/api/about", methods=_READS, response_model=None)
    async def about(request: Request) -> Response:
        return JSONResponse(await _in_thread(searches.about), headers=_NOT_KEPT)

    @app.api_route("/api/search", methods=_READS, response_model=None)
    async def search(request: Request) -> Response:
        wanted = wanted_of(request.query_params)
        return JSONResponse(await _in_thread(partial(searches.find, wanted)), headers=_NOT_KEPT)

    @app.post("/api/search-by-sound", response_model=None)
    async def search_by_sound(request: Request) -> Response:
        wanted = wanted_of(request.query_params, has_sound=True)
        if not free.acquire(blocking=False):
            return _error(503, "others search by sounds just now: try again in a moment", {"retry-after": "5"})
        try:
            with room_for_upload() as folder:
                sent, kept = folder / "sent", folder / "sound.wav"
                async with asyncio.timeout(_LONGEST_UPLOAD_S):
                    await receive(request.stream(), sent, LARGEST_UPLOAD_BYTES)
                found = await _in_thread(partial(_find_by_sound, searches, wanted, sent, kept))
        except TimeoutError:
            return _error(408, "the sound took too long to arrive", {"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            free.release()
        return JSONResponse(found, headers=_NOT_KEPT)


def _serve_sounds(app: "FastAPI", searches: Searches) -> None:
    from fastapi import Request, Response
    from fastapi.responses import JSONResponse

    from atrkit.serve.sound_answer import sound_answer

    drawn = Peaks()

    def file_of(file_id: str) -> ServedFile:
        file = searches.file(file_id)
        if file is None:
            raise GoneError("the index holds no such file")
        return file

    @app.api_route("/api/audio/{file_id}", methods=_READS, response_model=None)
    async def audio(file_id: str, request: Request) -> Response:
        return await _in_thread(lambda: sound_answer(file_of(file_id), request))

    @app.api_route("/api/peaks/{file_id}", methods=_READS, response_model=None)
    async def peaks(file_id: str, request: Request) -> Response:
        start_s, end_s = window_of(request.query_params, LONGEST_S)
        found = await _in_thread(lambda: drawn.of(file_of(file_id), start_s, end_s))
        return JSONResponse({"start_s": start_s, "end_s": end_s, "peaks": found}, headers=_NOT_KEPT)


def _find_by_sound(searches: Searches, wanted: Wanted, sent: Path, kept: Path) -> dict[str, Any]:
    is_cut = keep_beginning(sent, kept)
    try:
        found = searches.find(replace(wanted, sound=kept))
    except UsageError as error:  # says of which file, and that is one of ours
        raise UsageError(str(error).replace(str(kept), "this sound")) from error
    if is_cut:
        found["notes"] = [*found["notes"], "only the first two minutes of the sound are searched by"]
    return found


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> "Response":
    from fastapi.responses import JSONResponse

    return JSONResponse({"error": message}, status, {**_NOT_KEPT, **(headers or {})})


async def _in_thread(function: Callable[[], Result]) -> Result:
    """Let others be answered meanwhile."""
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(function)
