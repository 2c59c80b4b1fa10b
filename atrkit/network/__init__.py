"""Downloads: one resumable, verified transfer for everything atrkit fetches."""

from atrkit.network.mirror import MIRROR_VARIABLE, mirrored
from atrkit.network.settings import TransferSettings
from atrkit.network.transfer import Fetched, fetch

__all__ = ["MIRROR_VARIABLE", "Fetched", "TransferSettings", "fetch", "mirrored"]
