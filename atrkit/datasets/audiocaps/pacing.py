"""When to pause, and when to stop: telling one clip's trouble from everybody's."""

from dataclasses import dataclass

from atrkit.datasets.audiocaps.reasons import Kind, Reason
from atrkit.datasets.audiocaps.youtube import FetchedAudio

# our choice; YouTube forgets within an hour at most, says yt-dlp
PAUSES_S = (30.0, 60.0, 120.0, 300.0, 600.0)
FAILURES_WORTH_A_REMARK = 10
_FEWEST_OFFLINE = 2  # with one, a clip that never works would stop every run


@dataclass
class Pacing:
    """What the last answers say about YouTube rather than about a clip.

    One refusal is enough for a pause, because each further request makes it longer. A network that fails once is
    that clip's matter; it is everybody's when it fails for as many clips in a row as are asked for at once. Until
    YouTube has answered for the first time one clip is asked for, so that a machine without network knows it soon.

    Args:
        streams: clips that may be asked for at once.
        refusal: why everybody has to wait; None when nobody has.
        pauses: since YouTube last answered.
        failures_in_a_row: answers in a row that were of no use.
    """

    streams: int
    refusal: Reason | None = None
    pauses: int = 0
    failures_in_a_row: int = 0
    _offline_in_a_row: int = 0
    _was_answered: bool = False

    def note(self, answer: FetchedAudio | Reason) -> None:
        """Take in one answer."""
        kind = answer.kind if isinstance(answer, Reason) else None
        if isinstance(answer, Reason) and kind is Kind.LIMITED:
            self.refusal = answer
        elif isinstance(answer, Reason) and kind is Kind.OFFLINE:
            self._offline_in_a_row += 1
            if self._offline_in_a_row >= max(_FEWEST_OFFLINE, self.width):
                self.refusal = answer
        else:
            self._offline_in_a_row = self.pauses = 0
            self._was_answered = True
            self.failures_in_a_row = self.failures_in_a_row + 1 if kind is Kind.FAILED else 0

    @property
    def width(self) -> int:
        """How many clips to ask for at once."""
        return self.streams if self._was_answered else 1

    @property
    def is_hopeless(self) -> bool:
        """There was no network from the start, or every pause was in vain."""
        if self.refusal is None:
            return False
        is_offline_from_the_start = self.refusal.kind is Kind.OFFLINE and not self._was_answered
        return is_offline_from_the_start or self.pauses == len(PAUSES_S)

    def begin_pause(self) -> float:
        """Count a pause and say how long it is, in seconds."""
        pause_s = PAUSES_S[self.pauses]
        self.pauses += 1
        self.refusal = None
        self._offline_in_a_row = 0
        return pause_s
