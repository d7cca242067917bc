"""NVML as the exporter calls it: a small library with its functions and memory layouts stands in for the driver's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from identity_masker.errors import TemporaryError
from identity_masker.monitoring.sources.gpu import GpuSource

CODE = """
#include <string.h>
typedef struct { unsigned gpu, memory; } utilisation;
typedef struct { unsigned long long total, free, used; } memory;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return COUNT_RESULT; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)(size_t)(index + 1); return 0; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) { strncpy(name, "H200", length); return 0; }
int nvmlDeviceGetMemoryInfo(void *device, memory *m)
{ m->total = 1ull << 37; m->free = 1; m->used = 1ull << 36; return 0; }
int nvmlDeviceGetUtilizationRates(void *device, utilisation *u)
{ u->gpu = 75; u->memory = 10; return device == (void *)2 ? 3 : 0; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { *milliwatts = 350500; return 0; }
"""
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")


def library(folder: Path, count_result: int) -> str:
    source, target = folder / "nvml.c", folder / "libnvidia-ml.so.1"
    source.write_text(CODE)
    define = f"-DCOUNT_RESULT={count_result}"
    subprocess.run(["gcc", "-shared", "-fPIC", define, "-o", str(target), str(source)], check=True, timeout=60)
    return str(target)


def test_each_gpu_is_told_and_what_one_does_not_tell_is_left_out(tmp_path: Path) -> None:
    source = GpuSource(library(tmp_path, 0))
    for _ in range(2):
        found = {(sample.family.name, *sample.labels): sample.value for sample in source.read()}
        assert found == {
            ("masker_gpus",): 2,
            ("masker_gpu_utilisation_ratio", "0", "H200"): 0.75,
            **{("masker_gpu_memory_total_bytes", gpu, "H200"): 2.0**37 for gpu in "01"},
            **{("masker_gpu_memory_used_bytes", gpu, "H200"): 2.0**36 for gpu in "01"},
            **{("masker_gpu_power_watts", gpu, "H200"): 350.5 for gpu in "01"},
        }


def test_a_call_that_nvml_refuses_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(TemporaryError, match="nvmlDeviceGetCount_v2"):
        list(GpuSource(library(tmp_path, 999)).read())
