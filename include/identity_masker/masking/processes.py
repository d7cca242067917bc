"""Several processes that train one network, one a GPU, as `torchrun` starts them; or one process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn

from identity_masker.masking.device import Choice, choose

Value = TypeVar("Value")


@dataclass(frozen=True)
class Group:
    """This process among `count`; number 0 leads: it alone writes checkpoints and reports."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, value: Value) -> Value:
        """The leader's `value`, in every process."""
        if self.count == 1:
            return value
        box = [value if self.leads else None]
        distributed.broadcast_object_list(box, device=self.device if self.device.type == "cuda" else None)
        return box[0]  # type: ignore[return-value]

    def joined(self, network: nn.Module) -> nn.Module:
        """`network`, its gradients averaged over the processes after each backward pass."""
        if self.count == 1:
            return network
        if self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            return nn.parallel.DistributedDataParallel(network, device_ids=[self.device.index])
        return nn.parallel.DistributedDataParallel(network)


def alone(choice: Choice) -> Group:
    return Group(choose(choice))


@contextmanager
def group(choice: Choice) -> Iterator[Group]:
    """The group that this process was started in."""
    if not distributed.is_torchelastic_launched():
        yield alone(choice)
        return
    device = choose(choice, distributed.get_node_local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Group(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
