"""Parts of a score matrix while it is being made: losses of a few clips with all captions."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from atrkit.errors import IntegrityError
from atrkit.store.differences import describe_difference, first_difference
from atrkit.store.hdf5_file import DamagedFileError, open_hdf5, write_hdf5
from atrkit.store.part_plan import PartPlan
from atrkit.store.plan_folder import PlanFolder

SCORE_PART_FORMAT = "atrkit score part 1"

Float32Array = npt.NDArray[np.float32]


class ScoreParts(PlanFolder):
    """Finished rows of a score matrix, beside the file they will become.

    A row holds the losses of one clip with all captions; how many captions there are is `captions` in the plan's
    provenance. Each part states the sha256 of its plan, so that no part of another one is ever taken.

    Args:
        final_path: the score file, `scores.h5`; parts lie in `scores.parts/`, those of `scores.bf16.h5` in
            `scores.bf16.parts/`.
        command: that makes the scores, but for the calibration.
        calibration_clips: that it makes, too, or None.
    """

    def __init__(self, final_path: Path, command: str, calibration_clips: int | None = None) -> None:
        self.plain_command = command
        whole = self._command(calibration_clips)
        super().__init__(final_path, "scores", whole, afresh=f"start afresh: {whole} --overwrite")

    def command_of(self, plan: PartPlan) -> str:
        """The command that makes the parts of a plan."""
        return self._command(_calibration_clips(plan.provenance) or None)

    def can_finish(self, plan: PartPlan) -> bool:
        """Whether the plan under way could be finished now: it is not this one, but for the calibration alone."""
        begun = self.plan()
        records = begun.provenance, plan.provenance
        if begun.part_clips != plan.part_clips or len({str(record.get("calibration")) for record in records}) == 1:
            return False
        audio_then = dict(zip(begun.clip_ids, begun.audio_sha256, strict=True))
        audio_now = dict(zip(plan.clip_ids, plan.audio_sha256, strict=True))
        is_same_audio = all(audio_then.get(name, audio) == audio for name, audio in audio_now.items())
        return is_same_audio and _without_calibration(records[0]) == _without_calibration(records[1])

    def way_out(self, plan: PartPlan, *, is_shard: bool = False) -> str:
        """What a user can do: finish what was begun where that is possible, or start afresh."""
        afresh = super().way_out(plan, is_shard=is_shard)
        try:
            begun = self.plan()
        except IntegrityError:
            return afresh
        if not self.can_finish(plan):
            return afresh
        is_more = _calibration_clips(plan.provenance) > _calibration_clips(begun.provenance)
        later = " (calibration can be added afterwards)" if is_more else ""
        shard = " --shard I/N" if is_shard else ""
        return f"finish what was begun: {self.command_of(begun)}{shard}{later}; or {afresh}"

    def _command(self, calibration_clips: int | None) -> str:
        return self.plain_command + (f" --calib-clips {calibration_clips}" if calibration_clips else "")

    def _describe(self, there: dict[str, Any], asked: dict[str, Any]) -> str | None:
        old, new = ({**plan, "provenance": _without_calibration(plan["provenance"])} for plan in (there, asked))
        if difference := first_difference(old["provenance"], new["provenance"]):
            return difference
        if there["provenance"].get("calibration") != asked["provenance"].get("calibration"):
            begun, wanted = (_calibration_clips(plan["provenance"]) for plan in (there, asked))
            if begun == wanted:
                return f"other {begun} calibration clips there"
            return f"{begun or 'no'} calibration clips there, {wanted or 'none'} now"
        return describe_difference(old, new)

    def save(self, part: int, plan: PartPlan, loss_RC: npt.ArrayLike) -> None:
        """Write one finished part.

        Args:
            part: its number.
            plan: it is a part of.
            loss_RC: (clips of the part, captions), lower is better; kept as float32.

        Raises:
            ResourceError: the disk is full or cannot be written; nothing is left behind.
        """
        losses = np.asarray(loss_RC, dtype=np.float32)
        if losses.shape != _shape_of(part, plan):
            raise ValueError(f"part {part} has losses of shape {losses.shape}, not {_shape_of(part, plan)}")

        def fill(file: h5py.File) -> None:
            file.attrs["format"] = SCORE_PART_FORMAT
            file.attrs["plan_sha256"] = plan.sha256
            file.attrs["part"] = part
            file.create_dataset("losses", data=losses, track_times=False)

        write_hdf5(self.part_path(part, len(plan.parts)), fill)

    def gather(self, plan: PartPlan) -> Float32Array:
        """Join the losses of all parts, after every byte of them was checked; the parts stay.

        Returns:
            (clips of the plan, captions).

        Raises:
            MissingPrerequisiteError: parts are missing.
            IntegrityError: a part is damaged, or of another plan; names it and the way out.
        """
        self.require_finished(plan)
        losses_NC = np.empty((len(plan.clip_ids), plan.provenance["captions"]), dtype=np.float32)
        for part, rows in enumerate(plan.parts):
            losses_NC[rows.start : rows.stop] = self.load(part, plan)
        return losses_NC

    def load(self, part: int, plan: PartPlan) -> Float32Array:
        """Read one finished part, (clips of the part, captions), after every byte of it was checked.

        Raises:
            IntegrityError: it is damaged, or of another plan; names it and the way out.
        """
        path = self.part_path(part, len(plan.parts))
        try:
            with open_hdf5(path) as sealed:
                stated: dict[str, Any] = dict(sealed.hdf5.attrs)
                losses: Float32Array = sealed.hdf5["losses"][()]
        except (DamagedFileError, KeyError) as error:
            raise IntegrityError(f"{path} is damaged: delete it and run the same command again") from error
        expected = {"format": SCORE_PART_FORMAT, "plan_sha256": plan.sha256, "part": part}
        if stated != expected or losses.shape != _shape_of(part, plan):
            raise IntegrityError(f"{path} is a part of another plan: delete it and run the same command again")
        return losses


def _calibration_clips(provenance: dict[str, Any]) -> int:
    return int((provenance.get("calibration") or {}).get("clips", 0))


def _without_calibration(provenance: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in provenance.items() if key != "calibration"}


def _shape_of(part: int, plan: PartPlan) -> tuple[int, int]:
    return len(plan.parts[part]), plan.provenance["captions"]
