"""Counts in sentences."""


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun, in the number that it asks for.

    >>> counted(1, "clip"), counted(1200, "clip"), counted(0, "query", "queries")
    ('1 clip', '1,200 clips', '0 queries')
    """
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
