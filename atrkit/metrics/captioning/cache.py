"""Where jars and models of caption metrics lie."""

import os
from pathlib import Path

CACHE_VARIABLE = "AAC_METRICS_CACHE_PATH"
_OWN_VARIABLE = "ATRKIT_CACHE"


def metrics_cache() -> Path:
    """The folder that holds `aac-metrics/`: `$AAC_METRICS_CACHE_PATH`, else `$ATRKIT_CACHE`, else `~/.cache/atrkit`.

    aac-metrics reads the first of these variables, too: what one of the two programs has fetched, the other one uses.
    Without it aac-metrics looks in `~/.cache`, where this program never writes.

    Returns:
        An absolute path, because Java programs are started in other folders.
    """
    named = os.environ.get(CACHE_VARIABLE) or os.environ.get(_OWN_VARIABLE)
    return Path(os.path.expandvars(named)).expanduser().absolute() if named else Path.home() / ".cache" / "atrkit"
