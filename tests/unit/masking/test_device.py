from __future__ import annotations

import logging

import pytest
import torch

from identity_masker.errors import BadInputError, TemporaryError
from identity_masker.masking import device


def test_a_machine_without_a_gpu_computes_on_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto") == device.choose("cpu") == torch.device("cpu")
    with pytest.raises(BadInputError, match="no such GPU"):
        device.choose("cuda")


def test_each_process_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.choose("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(BadInputError, match="as many processes as there are GPUs"):
        device.choose("cuda", 2)


def test_running_out_of_memory_halves_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert device.halved(48, "pictures", torch.OutOfMemoryError("CUDA out of memory.")) == 24
    assert "24 instead of 48 pictures" in caplog.text


def test_nothing_is_left_to_halve_of_one() -> None:
    with pytest.raises(TemporaryError, match="not even one at a time"):
        device.halved(1, "pictures", torch.OutOfMemoryError("CUDA out of memory. Tried to"))


def test_bf16_computes_products_in_bf16_and_sums_in_fp32() -> None:
    rows = torch.ones(2, 2)
    with device.precision(torch.device("cpu"), "bf16"):
        assert (rows @ rows).dtype == torch.bfloat16
        assert rows.sum().dtype == torch.float32
    with device.precision(torch.device("cpu"), "fp32"):
        assert (rows @ rows).dtype == torch.float32
