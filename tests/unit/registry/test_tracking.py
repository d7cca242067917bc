"""What loading MLflow's plugins leaves behind, in a process in which nothing else was imported before."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import os
from identity_masker.registry import tracking
tracking._load_plugins()
from prometheus_client import CollectorRegistry, Gauge
Gauge("a", "b", registry=CollectorRegistry()).set(1)
print(os.environ.get(tracking.COUNTING_IN_FILES))
"""


def test_metrics_can_be_made_after_mlflows_plugins_were_loaded() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr[-2000:]
