"""Which clips people found relevant to a caption, beyond the one clip that it was written for.

Two annotations of Clotho are read from their published formats and kept as qrels beside the manifest; see
`dcase2025` and `graded2023` for what they are and what is in them.
"""

from atrkit.datasets.relevance.dcase2025 import read_dcase2025
from atrkit.datasets.relevance.detect import detect_and_read
from atrkit.datasets.relevance.graded2023 import HIGHEST_GRADE, read_graded2023
from atrkit.datasets.relevance.graded2023 import NAME as GRADED2023
from atrkit.datasets.relevance.judgements import CaptionedSplits, Relevance
from atrkit.datasets.relevance.kept import QRELS_FOLDER, KeptQrels, kept_qrels, save_relevance
from atrkit.datasets.relevance.qrels import Qrels, load_qrels

# of annotations whose grades have a scale, also where no clip of a subset reaches its end
HIGHEST_GRADES = {GRADED2023: HIGHEST_GRADE}

__all__ = [
    "HIGHEST_GRADES",
    "QRELS_FOLDER",
    "CaptionedSplits",
    "KeptQrels",
    "Qrels",
    "Relevance",
    "detect_and_read",
    "kept_qrels",
    "load_qrels",
    "read_dcase2025",
    "read_graded2023",
    "save_relevance",
]
