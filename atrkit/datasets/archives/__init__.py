"""Archives of other people's making: look first, refuse what is hostile or damaged, then extract all or nothing."""

from atrkit.datasets.archives.extract import extract_archive
from atrkit.datasets.archives.listing import ArchiveListing, scan_archive
from atrkit.datasets.archives.record import ExtractionRecord, load_record, missing_or_changed, record_path, save_record

__all__ = [
    "ArchiveListing",
    "ExtractionRecord",
    "extract_archive",
    "load_record",
    "missing_or_changed",
    "record_path",
    "save_record",
    "scan_archive",
]
