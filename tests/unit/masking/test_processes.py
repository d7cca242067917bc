"""Two processes that train one network, as torchrun starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from identity_masker.masking import processes

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from tests.unit.masking.maskers import faces, plan
from identity_masker.masking import processes
from identity_masker.masking.training import train

torch.set_num_threads(1)
folder = Path(sys.argv[1])
said = []
with processes.group("cpu") as group:
    config = plan(steps=6, checkpoint_steps=4, validate_steps=2, patience=9, device="cpu")
    trained = train(config, faces(20), faces(6, seed=4), folder / "c.pt", lambda p: said.append(p.step), group)
    total = float(sum(p.double().sum() for p in trained.masker.network.parameters()))
    found = {"count": group.count, "said": said, "total": total, "steps": trained.steps}
    (folder / f"{group.rank}.json").write_text(json.dumps(found))
"""


def test_two_processes_end_with_one_network_and_one_of_them_reports(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        str(tmp_path / "program.py"), str(tmp_path),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    leader, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert leader["count"] == other["count"] == 2
    assert leader["total"] == other["total"]
    assert leader["said"] == [1, 2, 3, 4, 5, 6]
    assert other["said"] == []
    assert torch.load(tmp_path / "c.pt", weights_only=True)["step"] == 6


def test_a_process_alone_leads_itself() -> None:
    with processes.group("cpu") as group:
        assert group.leads
        assert group.agree("value") == "value"
        network = torch.nn.Linear(1, 1)
        assert group.joined(network) is network
