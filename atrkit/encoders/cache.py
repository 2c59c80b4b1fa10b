"""Where downloaded weights are kept."""

import os
from pathlib import Path

CACHE_VARIABLE = "ATRKIT_CACHE"


def cache_folder() -> Path:
    """`$ATRKIT_CACHE/checkpoints`, else `~/.cache/atrkit/checkpoints`."""
    root = os.environ.get(CACHE_VARIABLE)
    return (Path(root) if root else Path.home() / ".cache" / "atrkit") / "checkpoints"
