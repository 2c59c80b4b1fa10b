"""The one line that a user reads when a transfer does not succeed."""

from dataclasses import dataclass
from pathlib import Path

from atrkit.errors import IntegrityError, NetworkError
from atrkit.network.mirror import MIRROR_VARIABLE


@dataclass(frozen=True)
class Wording:
    """What is fetched, from where, to where.

    Args:
        what: a few words for the file.
        url: asked for.
        path: where it goes.
        place_hint: what to do with a file that was fetched elsewhere; None: put it at `path`.
    """

    what: str
    url: str
    path: Path
    place_hint: str | None

    @property
    def by_hand(self) -> str:
        """The way out without us."""
        return f"fetch it elsewhere and {self.place_hint or f'put it at {self.path}'}"

    def network_error(self, reason: str, kept_bytes: int, total_bytes: int | None) -> NetworkError:
        """The network did not bring the file."""
        size = f" ({in_megabytes(total_bytes)})" if total_bytes is not None else ""
        received = in_megabytes(kept_bytes) if kept_bytes else "nothing yet"
        return NetworkError(
            f"cannot download {self.what}{size} from {self.url}: {reason}; what was received ({received}) is kept, "
            f"and the same command goes on from there; or {self.by_hand}, "
            f"or let {MIRROR_VARIABLE} name a server that has it under the same path"
        )

    def not_the_published_file(self, difference: str, aside: Path) -> IntegrityError:
        """A file is there, and it is another one."""
        return IntegrityError(
            f"{self.path.name} is not the published file ({difference}); it was set aside as {aside}: "
            f"run the same command again to fetch it anew from {self.url}, or {self.by_hand}"
        )

    def not_offered(self, difference: str) -> IntegrityError:
        """The server has another file; nothing of it was taken."""
        return IntegrityError(
            f"{self.url} is not the published {self.path.name} ({difference}); nothing of it was taken: "
            f"try again later, or {self.by_hand}"
        )


def in_megabytes(count_bytes: int) -> str:
    """A length for people.

    >>> in_megabytes(4_512_345_678), in_megabytes(1_280_000), in_megabytes(900)
    ('4,512 MB', '1.3 MB', '0.9 kB')
    """
    if count_bytes < 1e5:
        return f"{count_bytes / 1e3:.1f} kB"
    return f"{count_bytes / 1e6:.1f} MB" if count_bytes < 1e8 else f"{count_bytes / 1e6:,.0f} MB"
