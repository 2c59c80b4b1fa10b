"""Fetch one file over HTTP so that nothing received is lost, and nothing wrong is kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atrkit.files import as_resource_error, single_writer
from atrkit.network.attempts import Attempts
from atrkit.network.failures import AttemptFailed
from atrkit.network.mirror import mirrored
from atrkit.network.part_file import PartFile, set_aside
from atrkit.network.proof import Proof
from atrkit.network.settings import TransferSettings
from atrkit.network.wording import Wording

DEFAULT_SETTINGS = TransferSettings()


@dataclass(frozen=True)
class Fetched:
    """A file that is there.

    Args:
        path: where it is.
        transferred_bytes: received in this call, thrown away ones too.
        kept_bytes: of the file that were there before.
    """

    path: Path
    transferred_bytes: int
    kept_bytes: int


def fetch(
    url: str,
    path: Path,
    *,
    what: str,
    md5: str | None = None,
    sha256: str | None = None,
    size_bytes: int | None = None,
    place_hint: str | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
    settings: TransferSettings | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Bring `url` to `path`, going on from whatever an earlier call left behind.

    A file of some gigabytes rarely comes in one piece. It grows as `<name>.part` beside its place; a cut, a stall or a
    kill loses at most one chunk; and the rest is asked for with Range, under a condition (If-Range) that keeps two
    versions from being mixed. It gets its name once it is whole and its checksum is right.

    Args:
        url: http or https; `$ATRKIT_MIRROR` takes the place of its server.
        path: where the file goes; its folder is made. When it is there and its checksum, or without one its mere
            presence, says that it is right, nothing is requested.
        what: a few words for messages: "the weights of encoder mn04".
        md5: hex digest of the published file.
        sha256: hex digest of the published file.
        size_bytes: exact length of the published file.
        place_hint: what to do with a file fetched elsewhere, as in "give it with --checkpoint FILE"; None: put it at
            `path`.
        on_progress: called with the bytes that are there and the total (None: unknown), first with what an earlier
            call left; the first number goes back to 0 when the transfer must start again.
        on_remark: called with a line when a transfer starts again from 0 or waits before another attempt.
        settings: timeouts and retries; None: `DEFAULT_SETTINGS` of this module.
        sleep: waits some seconds.

    Returns:
        The file, and what was transferred.

    Raises:
        NetworkError: no network (at once), or the server refused or brought nothing new in several attempts; what was
            received is kept (exit code 6).
        IntegrityError: the file is not the published one and was set aside as `<name>.rejected` (exit code 5).
        ResourceError: the disk is full or cannot be written (exit code 4).
        MissingPrerequisiteError: another process fetches it (exit code 3).
        UsageError: `$ATRKIT_MIRROR` is no address (exit code 2).
    """
    proof = Proof(md5, sha256, size_bytes)
    part = PartFile(path)
    if path.is_file():
        return _accept(part, proof, Wording(what, url, path, place_hint))
    wording = Wording(what, mirrored(url), path, place_hint)
    with single_writer(path):
        attempts = Attempts(
            part,
            proof,
            wording,
            on_progress=on_progress or _ignore,
            on_remark=on_remark or _ignore,
            settings=settings or DEFAULT_SETTINGS,
            sleep=sleep,
        )
        try:
            attempts.run()
        except AttemptFailed as failure:
            raise wording.network_error(str(failure), part.size_bytes, attempts.total_bytes) from failure
        _finish(part, proof, wording)
    return Fetched(path, attempts.received_bytes, attempts.kept_bytes)


def _accept(part: PartFile, proof: Proof, wording: Wording) -> Fetched:
    """Take the file that is there, or set it aside."""
    path = part.path
    try:
        if difference := proof.difference(path):
            raise wording.not_the_published_file(difference, set_aside(path, path))
        size_bytes = path.stat().st_size
    except OSError as error:
        raise as_resource_error(error, path) from error
    part.forget_sidecar()
    return Fetched(path, transferred_bytes=0, kept_bytes=size_bytes)


def _finish(part: PartFile, proof: Proof, wording: Wording) -> None:
    """Prove the part and give it its name."""
    try:
        difference = proof.difference(part.part_path)
    except OSError as error:
        raise as_resource_error(error, part.part_path) from error
    if difference:
        raise wording.not_the_published_file(difference, part.set_aside())
    part.finish()


def _ignore(*_: object) -> None:
    """Nobody listens."""
