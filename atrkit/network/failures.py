"""How an attempt to fetch can fail, for the loop that decides whether to try again. Never seen outside this package."""


class AttemptFailed(Exception):  # noqa: N818 - an event that the loop expects
    """One attempt did not bring the whole file; the message is the reason, in a few words."""


class Unreachable(AttemptFailed):
    """No connection was made at all: there is no network, or nobody listens."""


class Interrupted(AttemptFailed):
    """The server was there and may deliver next time.

    Args:
        reason: a few words.
        retry_after_s: how long the server asks to be left alone; None: it does not say.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Refused(AttemptFailed):
    """The server said no, or something that must not be trusted; asking again would not change it."""
