"""The sha256 of files for which none is published, as they were when they came."""

import json
from pathlib import Path

from atrkit.files import write_json_atomic


class KnownHashes:
    """Hashes by path, in one file; a damaged one is begun anew.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):
            known = {}
        self._known: dict[str, str] = known if isinstance(known, dict) else {}

    def of(self, name: str) -> str | None:
        """The hash of a file; None: it was never seen."""
        return self._known.get(name)

    def keep(self, name: str, sha256: str) -> None:
        """Remember the hash of a file."""
        if self._known.get(name) != sha256:
            self._known[name] = sha256
            write_json_atomic(self._path, self._known)
