"""GPUs of this machine through NVML, the library that comes with NVIDIA's driver; without it there are none.

On Kubernetes the exporter's pod has no GPU: there NVIDIA's DCGM exporter on every GPU node gives the same and more
(docs/metrics.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from identity_masker.errors import TemporaryError
from identity_masker.monitoring.sample import Family, Sample

LIBRARY = "libnvidia-ml.so.1"
LABELS = ("gpu", "name")
COUNT = Family("masker_gpus", "GPUs of this machine.")
BUSY = Family("masker_gpu_utilisation_ratio", "Share of the last moment in which the GPU computed.", LABELS)
USED = Family("masker_gpu_memory_used_bytes", "Memory of the GPU that is in use.", LABELS)
TOTAL = Family("masker_gpu_memory_total_bytes", "Memory of the GPU.", LABELS)
POWER = Family("masker_gpu_power_watts", "Power that the GPU draws.", LABELS)


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class GpuSource:
    """Asks NVML."""

    name = "gpu"
    every = 15.0
    families = (COUNT, BUSY, USED, TOTAL, POWER)

    def __init__(self, library: str = LIBRARY) -> None:
        self._library = library
        self._nvml: ctypes.CDLL | None = None

    def read(self) -> Iterator[Sample]:
        if not self._opened():
            yield COUNT.sample(0)
            return
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        yield COUNT.sample(count.value)
        for index in range(count.value):
            yield from self._gpu(index)

    def _opened(self) -> bool:
        """Whether there is a driver. Its library is opened once."""
        if self._nvml is None:
            try:
                nvml = ctypes.CDLL(self._library)
            except OSError:
                return False
            if nvml.nvmlInit_v2() != 0:
                return False
            self._nvml = nvml
        return True

    def _gpu(self, index: int) -> Iterator[Sample]:
        device, name = ctypes.c_void_p(), ctypes.create_string_buffer(96)
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(device))
        self._call("nvmlDeviceGetName", device, name, ctypes.c_uint(len(name)))
        labels = (index, name.value.decode(errors="replace"))
        busy, memory, milliwatts = _Utilisation(), _Memory(), ctypes.c_uint()
        self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(memory))
        yield TOTAL.sample(memory.total, *labels)
        yield USED.sample(memory.used, *labels)
        # A GPU that is split (MIG) or old does not tell these of itself as a whole.
        if self._asked("nvmlDeviceGetUtilizationRates", device, ctypes.byref(busy)):
            yield BUSY.sample(busy.gpu / 100, *labels)
        if self._asked("nvmlDeviceGetPowerUsage", device, ctypes.byref(milliwatts)):
            yield POWER.sample(milliwatts.value / 1000, *labels)

    def _call(self, function: str, *arguments: object) -> None:
        if not self._asked(function, *arguments):
            raise TemporaryError("NVML refused a call", got=function, fix="see `nvidia-smi`")

    def _asked(self, function: str, *arguments: object) -> bool:
        result: int = getattr(self._nvml, function)(*arguments)
        return result == 0
