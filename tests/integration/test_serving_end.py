"""The end of a model server whose model computes at that moment. `python -m …test_serving_end PORT` is the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.integration.fleet_processes import free_ports
from tests.integration.test_serving import FACE, PNG, PROJECT
from tests.unit.serving.support import eventually

from identity_masker.serving.model import ServedModel
from identity_masker.serving.serve import ServeOptions, serve

pytestmark = pytest.mark.timeout(120)
CALL_SECONDS = 3.0
SLOW = "slow"


class SlowMasker:
    """Computes in torch for `CALL_SECONDS` when the key is `SLOW`."""

    architecture, size = "slow", 64

    def mask(self, images: NDArray[np.uint8], keys: Sequence[str]) -> NDArray[np.uint8]:
        import torch

        values, end = torch.rand(200, 200), time.monotonic() + CALL_SECONDS
        while SLOW in keys and time.monotonic() < end:
            values = (values @ values).clamp(0, 1)
        return np.invert(images)


def test_a_server_that_ends_in_mid_call_ends_in_order() -> None:
    port = free_ports(1)
    command, url = [sys.executable, "-m", __name__, str(port)], f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True) as process:
        eventually(f"{url}/health/ready", seconds=90)
        with pytest.raises(httpx.ReadTimeout):  # the client leaves; the call goes on
            httpx.post(f"{url}/v1/mask", params={"key": SLOW}, content=FACE, headers=PNG, timeout=0.5)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert "terminate called" not in said
    assert process.returncode == 0


def main() -> None:
    options = ServeOptions(port=int(sys.argv[1]), drain_seconds=0, grace_seconds=1)
    serve(options, lambda: ServedModel(SlowMasker(), "1", "1.0.1", "0" * 64))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
