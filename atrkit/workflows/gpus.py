"""The names of GPUs, asked of the driver: torch would take seconds to import."""

import ctypes
from typing import Any

_LIBRARY = "libcuda.so.1"
_NAME_BYTES = 128


def find_gpus() -> list[str]:
    """GPUs that CUDA shows this process, with their memory; CUDA_VISIBLE_DEVICES is honoured.

    Returns:
        As "NVIDIA H200 (150.1 GB)"; empty without a driver, or when it refuses.
    """
    try:
        cuda: Any = ctypes.CDLL(_LIBRARY)
    except OSError:
        return []
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    return [name for number in range(count.value) if (name := _describe(cuda, number)) is not None]


def driver_cuda_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver knows, as (13, 0); None without a driver, or when it refuses."""
    try:
        cuda: Any = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    version = ctypes.c_int(0)
    if cuda.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def _describe(cuda: Any, number: int) -> str | None:
    device, name, total_bytes = ctypes.c_int(0), ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t(0)
    if cuda.cuDeviceGet(ctypes.byref(device), number) != 0:
        return None
    if cuda.cuDeviceGetName(name, _NAME_BYTES, device) != 0:
        return None
    if cuda.cuDeviceTotalMem_v2(ctypes.byref(total_bytes), device) != 0:
        return name.value.decode(errors="replace")
    return f"{name.value.decode(errors='replace')} ({total_bytes.value / 1e9:,.1f} GB)"
