"""Published weights: find them, fetch them, check them.

Without torch, which takes seconds to import: whoever has no network and no weights is told so at once. What is in a
file is read in `weights.py`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atrkit.encoders.cache import cache_folder
from atrkit.encoders.catalogue import ENCODERS, CheckpointSpec
from atrkit.errors import IntegrityError, MissingPrerequisiteError, UsageError
from atrkit.files import as_resource_error

_READ_BYTES = 1 << 20
_SHA256_DIGITS = 64


@dataclass(frozen=True)
class Checkpoint:
    """A weights file on this machine.

    Args:
        path: where it is.
        sha256: of its bytes.
        note: what a user should know: fetched just now, or not the published file; else None.
        is_published: it came from the official record, or its hash is the published one.
    """

    path: Path
    sha256: str
    note: str | None = None
    is_published: bool = False


def find_weights(
    name: str,
    file: Path | None,
    variant: str | None = None,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> Checkpoint:
    """The weights of an encoder by its name; for the rest see `find_checkpoint`.

    Args:
        name: of an encoder with published weights.
        file: a file to use instead.
        variant: which of the published weights; None: the encoder's default.
        on_progress: as in `find_checkpoint`.
        on_remark: as in `find_checkpoint`.

    Raises:
        UsageError: no such variant.
    """
    spec = ENCODERS[name]
    chosen = variant or spec.default_variant
    if chosen not in spec.checkpoints:
        raise UsageError(f"variant: {chosen!r} is none of {name}'s: {', '.join(spec.checkpoints)}")
    return find_checkpoint(spec.checkpoints[chosen], file, on_progress=on_progress, on_remark=on_remark)


def find_checkpoint(
    spec: CheckpointSpec,
    file: Path | None = None,
    *,
    on_progress: Callable[[int, int | None], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> Checkpoint:
    """The weights file: the one given, else the cached one, else the published one, downloaded.

    Args:
        spec: the published file.
        file: a file to use instead; any hash, but another one than the published is noted.
        on_progress: called with the bytes that are there and the total (None: unknown).
        on_remark: called with a line when a transfer starts again or waits.

    Returns:
        The file with its hash.

    Raises:
        MissingPrerequisiteError: `file` is not there.
        IntegrityError: the cached or downloaded file has another hash; it is set aside.
        NetworkError: the download failed; says what is needed and where to put it; what was received is kept.
        ResourceError: the cache cannot be written.
        UsageError: `$ATRKIT_MIRROR` is no address.
    """
    if file is not None:
        return _given_checkpoint(spec, file)
    path = cache_folder() / spec.file_name
    place = f"put it at {path}{_stated_hash(spec)}"
    # extract is named, as other commands that come here have no such option; they find what it made
    given = f"give it to atrkit extract --encoder {spec.name} {spec.option} FILE"
    way_out = f"{given}, or {place}" if spec.option else place
    is_there = path.is_file()  # then it is hashed below, once; what is fetched is proven before it gets its name
    whole_sha256 = spec.sha256 if _is_whole(spec.sha256) else None
    from atrkit.network import fetch  # takes a quarter of a second to import, and most commands have their weights

    fetched = fetch(
        spec.url,
        path,
        what=f"{spec.file_name}, the weights of encoder {spec.name}",
        sha256=None if is_there else whole_sha256,
        md5=None if is_there else spec.md5,
        size_bytes=spec.size_bytes,
        place_hint=way_out,
        on_progress=on_progress,
        on_remark=on_remark,
    )
    sha256 = whole_sha256 if whole_sha256 and not is_there else _prove(path, spec, way_out)
    news = f"downloaded {spec.file_name} ({spec.licence}) to {path.parent}" if fetched.transferred_bytes else None
    notes = [note for note in (news, _unproven(spec, path, sha256)) if note]
    return Checkpoint(path, sha256, "; ".join(notes) or None, is_published=True)


def _stated_hash(spec: CheckpointSpec) -> str:
    if spec.md5:
        return f" (md5 {spec.md5})"
    if spec.sha256:
        return f" (sha256 {spec.sha256})" if _is_whole(spec.sha256) else f" (its sha256 begins with {spec.sha256})"
    return ""


def _given_checkpoint(spec: CheckpointSpec, file: Path) -> Checkpoint:
    try:
        digests = _digests(file, spec)
    except OSError as error:
        raise MissingPrerequisiteError(
            f"checkpoint {file} cannot be read ({error.strerror}); give the path of {spec.file_name}, "
            f"or leave it out to download {spec.url}"
        ) from error
    sha256 = digests["sha256"]
    if _difference(spec, digests):
        return Checkpoint(file, sha256, f"{file} is not the published {spec.file_name}: its sha256 is {sha256}")
    unproven = _unproven(spec, file, sha256)
    return Checkpoint(file, sha256, unproven, is_published=unproven is None)


def _prove(path: Path, spec: CheckpointSpec, way_out: str) -> str:
    """The sha256 of a file in the cache; one that is not the published file is set aside."""
    try:
        digests = _digests(path, spec)
        if difference := _difference(spec, digests):
            aside = path.replace(path.with_name(path.name + ".rejected"))
            raise IntegrityError(
                f"{path.name} is not the published file ({difference}); it was set aside as {aside}: "
                f"run the same command again to fetch it anew from {spec.url}, or fetch it elsewhere and {way_out}"
            )
    except OSError as error:
        raise as_resource_error(error, path) from error
    return digests["sha256"]


def _digests(path: Path, spec: CheckpointSpec) -> dict[str, str]:
    """The sha256, and the md5 where nothing better is published, of a file that is read once."""
    names = ("sha256",) if spec.md5 is None or _is_whole(spec.sha256) else ("sha256", "md5")
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            for digest in hashes.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in hashes.items()}


def _difference(spec: CheckpointSpec, digests: dict[str, str]) -> str | None:
    """How a file differs from the published one, expected and found; None: not at all, as far as can be said."""
    stated = {"sha256": spec.sha256 or "", "md5": spec.md5 or ""}
    for name, found in digests.items():
        expected = stated[name]
        if not found.startswith(expected):
            dots = "..." if name == "sha256" and not _is_whole(expected) else ""
            return f"{name} {expected}{dots} expected, {found} found"
    return None


def _unproven(spec: CheckpointSpec, path: Path, sha256: str) -> str | None:
    if spec.sha256 or spec.md5:
        return None
    return f"no checksum of {spec.file_name} is published, so {path} is taken as it is: its sha256 is {sha256}"


def _is_whole(sha256: str | None) -> bool:
    return sha256 is not None and len(sha256) == _SHA256_DIGITS
