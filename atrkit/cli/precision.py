"""The option `--precision` of several commands."""

from enum import StrEnum


class Precision(StrEnum):
    """Arithmetic of a network."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
