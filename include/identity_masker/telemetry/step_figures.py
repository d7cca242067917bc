"""What one attempt of a DAG's step used, pushed to a Pushgateway: it ends too soon for anybody to scrape it."""

from __future__ import annotations

import resource
import sys
import time
from http.client import HTTPException
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, pushadd_to_gateway

from identity_masker.settings import StepIdentity
from identity_masker.telemetry import logs

JOB, LABELS = "step", ("dag", "task", "map_index")
PUSH_SECONDS = 5.0
KIBIBYTE = 1024
log = logs.logger(__name__)


class Figures(NamedTuple):
    """Seconds on the clock and of CPU (with child processes), bytes of memory at most, and the exit code."""

    seconds: float
    cpu_seconds: float
    peak_memory: int
    exit_code: int


class StepMeasures:
    """The figures of the newest attempt. Its `LABELS` come with the push."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"masker_step_{name}", text, registry=registry)

        self.seconds = gauge("duration_seconds", "Time of the newest attempt of a step.")
        self.cpu = gauge("cpu_seconds", "CPU time of the newest attempt, with its child processes.")
        self.memory = gauge("peak_memory_bytes", "Memory of the newest attempt's largest process, at its most.")
        self.exit_code = gauge("exit_code", "How the newest attempt ended: 0 done, 2 bad input, 75 temporary, 1 else.")
        self.ended = gauge("ended_timestamp_seconds", "When the newest attempt ended.")


class SuccessMeasures:
    """What an attempt that fails leaves as it was."""

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "masker_step_succeeded_timestamp_seconds"
        self.succeeded = Gauge(name, "When the step last succeeded.", registry=registry)


def measured(began: float, exit_code: int) -> Figures:
    """The figures of this process, which began at `began` of the monotonic clock."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    unit = 1 if sys.platform == "darwin" else KIBIBYTE
    return Figures(time.monotonic() - began, cpu, unit * max(usage.ru_maxrss for usage in usages), exit_code)


def push(url: str, step: StepIdentity, figures: Figures) -> None:
    """Push the figures of an attempt to the Pushgateway at `url`. One that does not answer is logged: no step fails."""
    registry = CollectorRegistry()
    measures = StepMeasures(registry)
    measures.seconds.set(figures.seconds)
    measures.cpu.set(figures.cpu_seconds)
    measures.memory.set(figures.peak_memory)
    measures.exit_code.set(figures.exit_code)
    measures.ended.set_to_current_time()
    if figures.exit_code == 0:
        SuccessMeasures(registry).succeeded.set_to_current_time()
    key = dict(zip(LABELS, (step.dag_id, step.task_id, str(step.map_index)), strict=True))
    try:
        pushadd_to_gateway(url, JOB, registry, key, timeout=PUSH_SECONDS)
    except (OSError, HTTPException, ValueError) as error:  # no answer, another answer, no URL
        log.warning("step_figures_not_pushed", url=url, why=str(error))
