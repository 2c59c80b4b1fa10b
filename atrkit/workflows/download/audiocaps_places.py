"""Where the audio of an AudioCaps clip lies: as it was fetched, as somebody had it, or as a copy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from atrkit.datasets.audiocaps.fetch_clips import Outcome, clip_path
from atrkit.datasets.audiocaps.fetch_journal import FetchJournal
from atrkit.datasets.audiocaps.reasons import Reason
from atrkit.datasets.audiocaps.tables import AudioCapsClip
from atrkit.datasets.manifest import Caption
from atrkit.datasets.prepared_journal import Journal
from atrkit.workflows.download.finish import JOURNAL_NAME
from atrkit.workflows.download.recordings import CopyFolders, Recording

# clips have ten seconds; encoders and players round them up a little
LONGEST_CLIP_S = 11.0


@dataclass(frozen=True)
class AudioCapsPlaces:
    """Where to look for a clip, and where to put it.

    Args:
        folder: of the dataset.
        root: aac-datasets' folder in it.
        copies: where copies at other rates lie.
        found: files that somebody has already, by clip id.
    """

    folder: Path
    root: Path
    copies: CopyFolders
    found: Mapping[str, Path]

    @property
    def answers(self) -> Path:
        """What YouTube said of each clip."""
        return self.root / "fetched.jsonl"

    def known_reasons(self) -> dict[str, Reason]:
        """Without asking: why clips were missing when they were asked for last."""
        if not self.answers.is_file():
            return {}
        with FetchJournal(self.answers) as journal:
            return {clip_id: entry.reason for clip_id, entry in journal.entries.items() if entry.reason is not None}

    def originals(self, subset: str) -> Path:
        """Where clips are fetched to, at the rate that YouTube has."""
        return self.root / "audio_original" / subset

    def is_there(self, subset: str, clip: AudioCapsClip) -> bool:
        """Whether nothing needs to be fetched; a video may be gone, so that any copy is enough."""
        return self._original(subset, clip).is_file() or self.copies.best(_below(subset, clip)) is not None

    def recording(self, subset: str, clip: AudioCapsClip, lost: Outcome | None) -> Recording:
        """The clip as the dataset wants it."""
        original, copy = self._files(subset, clip)
        reason = lost.reason if lost is not None else None
        return Recording(
            clip_id=clip.id,
            split=subset,
            source=f"https://www.youtube.com/watch?v={clip.youtube_id}" if clip.fault is None else clip.youtube_id,
            original=original,
            copy=copy,
            captions=tuple(Caption(caption_id, text) for caption_id, text in clip.captions),
            metadata={"youtube_id": clip.youtube_id, "start_s": clip.start_s} if clip.fault is None else None,
            lost=None if lost is None else (reason.text if reason is not None else "not on disk"),
            lost_for_good=reason is not None and reason.permanent,
            longest_s=LONGEST_CLIP_S,
        )

    def _files(self, subset: str, clip: AudioCapsClip) -> tuple[Path, Path | None]:
        """The file to read, and the copy that is wanted of it."""
        original = self._original(subset, clip)
        if clip.fault is not None:
            return original, None
        copy = self.copies.wanted(_below(subset, clip))
        if original.is_file() or (copy is not None and self._is_ours(clip, copy)):
            return original, copy
        best = self.copies.best(_below(subset, clip))
        if best is None or best == copy:
            return best or original, None if best else copy  # aac-datasets wrote it: there is no other original
        return best, copy

    def _original(self, subset: str, clip: AudioCapsClip) -> Path:
        if clip.fault is not None:
            return self.originals(subset) / "no such clip"
        own = clip_path(self.originals(subset), clip)
        return own if own.is_file() else self.found.get(clip.id, own)

    @cached_property
    def _journal(self) -> Journal:
        return Journal.open(self.folder / JOURNAL_NAME)

    def _is_ours(self, clip: AudioCapsClip, copy: Path) -> bool:
        entry = self._journal.entries.get((clip.id, self.copies.sample_rate_hz or 0))
        return entry is not None and entry.has_copy_at(copy.absolute())


def _below(subset: str, clip: AudioCapsClip) -> str:
    """The clip's file below the folder of a rate, as aac-datasets has it."""
    return f"{subset}/{clip.id}.flac" if clip.fault is None else f"{subset}/no such clip"
