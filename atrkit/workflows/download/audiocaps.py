"""`atrkit download audiocaps`: from YouTube or from a folder of files to a dataset that says what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from atrkit.workflows.download.steps import AudioOptions


@dataclass(frozen=True)
class AudioCapsOptions:
    """What the user asked for.

    Args:
        version: "v1" or "v2".
        subsets: of train, val, test; None means all.
        source: a folder of files to use where they lie, and nothing else; None looks at $AAC_DATASETS_ROOT and
            downloads the rest.
        pool: a published test pool, or a file of ids; None takes the whole test set.
        fetch: False takes what is on disk already.
        streams: clips that are downloaded at once.
        cookies: a file for yt-dlp.
        retry_missing: ask again for clips that were gone for good.
        name: of the dataset.
        audio: what becomes of the recordings.
    """

    version: str = "v1"
    subsets: Sequence[str] | None = None
    source: Path | None = None
    pool: str | None = None
    fetch: bool = True
    streams: int = 4
    cookies: Path | None = None
    retry_missing: bool = False
    name: str = "audiocaps"
    audio: AudioOptions = field(default_factory=AudioOptions)
