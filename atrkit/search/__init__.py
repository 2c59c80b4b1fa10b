"""Search in one's own sounds: the files of an index, windows of recordings, and what changed since the last time."""
