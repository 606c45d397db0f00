"""What the NVIDIA driver says of this computer's GPUs; does not load torch."""

from __future__ import annotations

import pynvml


def gpu_capabilities() -> tuple[int, ...]:
    """Compute capabilities of all GPUs, times ten: 89 is Ada; none where the driver does not answer."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        versions = map(pynvml.nvmlDeviceGetCudaComputeCapability, handles)
        return tuple(10 * major + minor for major, minor in versions)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def has_nvidia_gpu() -> bool:
    """Whether the driver answers and sees a GPU."""
    return bool(gpu_capabilities())
