"""`atrkit download metrics`: the jars and models that caption metrics need, brought to their places."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from atrkit.errors import IntegrityError, MissingPrerequisiteError, NetworkError
from atrkit.files import as_resource_error, open_atomic, sha256_of_file, single_writer
from atrkit.metrics.captioning.catalogue import (
    CAPTION_METRICS,
    CORENLP_URL,
    CORENLP_ZIP,
    HUB_URL,
    INSTALL_PACKAGE,
    NEEDS,
    PACKAGE,
    PREPARE,
    Lack,
    Need,
    NeededFile,
    NeedName,
)
from atrkit.metrics.captioning.tools import MetricTools
from atrkit.network import fetch
from atrkit.workflows.byte_progress import byte_progress
from atrkit.workflows.download.metric_hashes import KnownHashes
from atrkit.workflows.download.zip_members import extract_members
from atrkit.workflows.session import Session

Part = Literal["meteor", "spice", "fense"]
NEEDS_OF_PART: dict[Part, tuple[NeedName, ...]] = {
    "meteor": ("ptb", "meteor"),
    "spice": ("ptb", "spice", "corenlp"),
    "fense": ("sbert", "fluency"),
}
_READ_BYTES = 1 << 20


def download_metrics(session: Session, parts: Sequence[Part] | None = None) -> dict[str, Any]:
    """Bring jars and models of caption metrics into the cache, each verified; what is there and right stays.

    Jars come from the installed package pycocoevalcap, which is found and not imported. Models come from the hub's and
    FENSE's own caches where they are there, else from the network.

    Args:
        session: told what is copied, fetched, mended and left.
        parts: "meteor", "spice", "fense"; None: all. The PTB tokenizer comes with the first two.

    Returns:
        For JSON: "cache", "files" (path, state "there", "copied", "fetched" or "mended", sha256) and "metrics" (name,
        whether it runs, and what it lacks).

    Raises:
        NetworkError: something must be fetched and cannot be; what, from where and to where was said (exit code 6).
        MissingPrerequisiteError: pycocoevalcap is not installed (exit code 3).
        IntegrityError: a file is not the published one (exit code 5).
        ResourceError: the cache cannot be written (exit code 4).
    """
    tools = MetricTools()
    chosen = dict.fromkeys(need for part in parts or NEEDS_OF_PART for need in NEEDS_OF_PART[part])
    with single_writer(tools.cache / "aac-metrics"):
        work = _Preparation(session, tools, tuple(chosen))
        work.take_what_is_here()
        work.fetch_the_rest()
    if isinstance(tools.java, Lack):
        session.say(f"METEOR, SPICE and the PTB tokenizer need Java: {tools.java.what}; {tools.java.way_out}")
    return {
        "cache": str(tools.cache),
        "files": work.files,
        "metrics": [
            {"name": name, "runs": not lacks, "lacks": [lack.record for lack in lacks]}
            for name in CAPTION_METRICS
            for lacks in [tools.lacks(name)]
        ],
    }


def find_package() -> Path | None:
    """The folder of pycocoevalcap, which is not imported; None: it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


class _Preparation:
    """One run of the command.

    Args:
        session: told what is done.
        tools: knows the cache.
        needs: what is to be brought.
    """

    def __init__(self, session: Session, tools: MetricTools, needs: Sequence[NeedName]) -> None:
        self.files: list[dict[str, str]] = []
        self._session = session
        self._cache = tools.cache
        self._needs = [NEEDS[name] for name in needs]
        self._hashes = KnownHashes(tools.cache / "aac-metrics" / "sha256.json")
        self._open: list[tuple[Need, NeededFile]] = []
        self._damaged: set[str] = set()

    def take_what_is_here(self) -> None:
        """Verify what is there, and copy what a package or another program's cache has."""
        package = find_package()
        for need in self._needs:
            for file in need.files:
                target = self._cache / file.path
                if self._is_right(file, target):
                    self._note(file, "there")
                elif (source := _source(file, package)) is not None and self._copy(file, source, target):
                    self._note(file, "mended" if file.path in self._damaged else "copied")
                else:
                    self._open.append((need, file))
            (self._cache / need.folder).mkdir(parents=True, exist_ok=True)

    def fetch_the_rest(self) -> None:
        """Fetch what no copy was found of."""
        in_package = [file for _, file in self._open if file.package_path is not None]
        failures: dict[str, NetworkError] = {}
        for need, file in self._open:
            server = urlsplit(file.url or "").hostname
            if server is None or server in failures:  # a server that does not answer is asked once
                continue
            try:
                self._bring_corenlp(need) if file.url == CORENLP_URL else self._fetch(need, file)
            except NetworkError as failure:
                failures[server] = failure
        if failures:
            self._say_what_is_left(in_package)
            raise next(iter(failures.values()))
        if in_package:
            others = f" and {len(in_package) - 1} others" if len(in_package) > 1 else ""
            why = "is not installed" if find_package() is None else "lacks them"
            raise MissingPrerequisiteError(
                f"{in_package[0].name}{others} must come from the package {PACKAGE}, which {why}; "
                f"run: {INSTALL_PACKAGE}==1.2, then again: {PREPARE}"
            )

    def _is_right(self, file: NeededFile, target: Path) -> bool:
        if not target.is_file():
            return False
        expected = file.sha256 or self._hashes.of(file.path)
        found = sha256_of_file(target)
        if expected is None and target.stat().st_size:
            self._session.say(f"no checksum of {file.name} is known, so {target} is taken as it is: sha256 {found}")
            self._hashes.keep(file.path, found)
            return True
        if found == expected:
            return True
        self._session.say(f"{target} is damaged, or another file (sha256 {found}): it is replaced")
        self._damaged.add(file.path)
        return False

    def _copy(self, file: NeededFile, source: Path, target: Path) -> bool:
        """Copy a file and verify what was read; False: the source is another file."""
        if file.sha256 is not None and (found := sha256_of_file(source)) != file.sha256:
            if file.package_path is None:
                return False
            raise IntegrityError(
                f"{source} is not the one of {PACKAGE} 1.2 (sha256 {found}); "
                f"run: {INSTALL_PACKAGE}==1.2 --force-reinstall, then again: {PREPARE}"
            )
        with open_atomic(target) as copy, source.open("rb") as original:
            while block := original.read(_READ_BYTES):
                copy.write(block)
        return True

    def _fetch(self, need: Need, file: NeededFile) -> None:
        assert file.url is not None
        target = self._cache / file.path
        if file.path in self._damaged:
            _set_aside(target)
        with byte_progress(self._session, f"downloading {file.name}") as on_progress:
            fetch(
                file.url,
                target,
                what=f"{file.name} of the {need.what}",
                sha256=file.sha256,
                on_progress=on_progress,
                on_remark=self._session.say,
            )
        self._note(file, "mended" if file.path in self._damaged else "fetched")

    def _bring_corenlp(self, need: Need) -> None:
        """Two jars of one archive, which is then deleted."""
        files = [file for _, file in self._open if file.url == CORENLP_URL]
        if all(file.path in {known["path"] for known in self.files} for file in files):
            return
        archive = self._cache / need.folder / f"{CORENLP_ZIP}.zip"
        with byte_progress(self._session, f"downloading {archive.name}") as on_progress:
            fetch(
                CORENLP_URL,
                archive,
                what=f"{archive.name}, the {need.what}",
                on_progress=on_progress,
                on_remark=self._session.say,
            )
        members = {f"{CORENLP_ZIP}/{file.name}": self._cache / file.path for file in files}
        extract_members(archive, members)
        for file in files:
            self._note(file, "mended" if file.path in self._damaged else "fetched")
        archive.unlink()

    def _note(self, file: NeededFile, state: str) -> None:
        target = self._cache / file.path
        sha256 = file.sha256 or self._hashes.of(file.path) if state == "there" else sha256_of_file(target)
        if state != "there" and file.sha256 is None:
            self._hashes.keep(file.path, sha256 or "")
        self.files.append({"path": file.path, "state": state, "sha256": sha256 or ""})

    def _say_what_is_left(self, in_package: Sequence[NeededFile]) -> None:
        """Everything that is still to be had, and where to put it, so that one trip is enough."""
        done = {known["path"] for known in self.files}
        say = self._session.say
        say("still to be had; fetch these elsewhere and put them there, then run the same command again:")
        if in_package:
            say(f"  {INSTALL_PACKAGE}  (jars of METEOR, SPICE and the PTB tokenizer)")
        left = [(need, file) for need, file in self._open if file.url is not None and file.path not in done]
        for line in dict.fromkeys(self._place(need, file, [other for _, other in left]) for need, file in left):
            say(f"  {line}")

    def _place(self, need: Need, file: NeededFile, left: Sequence[NeededFile]) -> str:
        """Where a file is published and where it goes; one line for all files of a model, as a shell expands it."""
        folder = self._cache / need.folder
        if file.url == CORENLP_URL:
            return f"{file.url}  ->  {folder / f'{CORENLP_ZIP}.zip'}"
        if file.hub_file is None:
            return f"{file.url}  (sha256 {file.sha256})  ->  {self._cache / file.path}"
        hub_id = file.hub_file[0]
        names = [other.hub_file[1] for other in left if other.hub_file is not None and other.hub_file[0] == hub_id]
        listed = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
        return f"{HUB_URL}/{hub_id}/resolve/main/{listed}  ->  {folder}/"


def _source(file: NeededFile, package: Path | None) -> Path | None:
    """Where another program keeps this file; None: nowhere."""
    places: list[Path] = []
    if file.package_path is not None:
        places = [package / file.package_path] if package is not None else []
    elif file.hub_file is not None:
        places = _in_hub_cache(*file.hub_file)
    elif file.name.endswith(".ckpt"):
        torch_home = _place("TORCH_HOME", _place("XDG_CACHE_HOME", Path.home() / ".cache") / "torch")
        places = [_place("FENSE_DATA", torch_home / "hub" / "fense_data") / file.name]
    return next((place for place in places if place.is_file()), None)


def _in_hub_cache(hub_id: str, name: str) -> list[Path]:
    """The file in the newest snapshot that the hub's client has fetched."""
    home = _place("HF_HOME", _place("XDG_CACHE_HOME", Path.home() / ".cache") / "huggingface")
    hub = _place("HF_HUB_CACHE", home / "hub")
    for known_as in (hub_id, hub_id.rpartition("/")[2]):
        model = hub / f"models--{known_as.replace('/', '--')}"
        if (model / "refs" / "main").is_file():
            return [model / "snapshots" / (model / "refs" / "main").read_text().strip() / name]
    return []


def _place(variable: str, default: Path) -> Path:
    named = os.environ.get(variable)
    return Path(named).expanduser() if named else default


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_name(path.name + ".rejected"))
    except OSError as error:
        raise as_resource_error(error, path) from error
