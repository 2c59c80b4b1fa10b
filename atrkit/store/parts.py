"""Parts of an embedding store while it is being made."""

from collections.abc import Iterable
from pathlib import Path

from atrkit.store.differences import describe_difference
from atrkit.store.embeddings import Embeddings, load_embeddings, save_embeddings
from atrkit.store.merge import ExpectedPart, merge_parts
from atrkit.store.part_plan import PartPlan
from atrkit.store.plan_folder import PLAN_NAME, PlanFolder

__all__ = ["PLAN_NAME", "PartFolder", "PartPlan", "describe_difference"]


class PartFolder(PlanFolder):
    """Finished parts of one plan, beside the embedding file they will become.

    Args:
        final_path: the embedding file, `<encoder>.h5`; parts lie in `<encoder>.parts/`.
    """

    def __init__(self, final_path: Path) -> None:
        super().__init__(final_path, "embeddings", f"atrkit extract --encoder {final_path.stem}")

    def expected(self, plan: PartPlan, parts: Iterable[int]) -> list[ExpectedPart]:
        """What the files of some parts must be."""
        return [ExpectedPart(self.part_path(part, len(plan.parts)), plan.clips_of(part)) for part in parts]

    def save(self, part: int, plan: PartPlan, embeddings: Embeddings) -> None:
        """Write one finished part.

        Raises:
            ResourceError: the disk is full or cannot be written; nothing is left behind.
        """
        save_embeddings(self.part_path(part, len(plan.parts)), embeddings)

    def merge(self, plan: PartPlan) -> Embeddings:
        """Join all parts into the final file, read it back, and remove them; in memory is one part at a time.

        Returns:
            What is in the file, its arrays mapped.

        Raises:
            MissingPrerequisiteError: parts are missing.
            IntegrityError: a part is damaged, or of another plan; names it and the way out.
            ResourceError: the file cannot be written; the parts stay.
        """
        self.require_finished(plan)
        merge_parts(self.final_path, self.expected(plan, range(len(plan.parts))), plan.provenance)
        merged = load_embeddings(self.final_path, mapped=True)
        self.clear()
        return merged
