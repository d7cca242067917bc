from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from identity_masker.masking.bottleneck import quantise

values = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=32)
bits = st.integers(2, 8)


@given(values=values, bits=bits)
def test_a_code_stays_in_range_and_near_what_it_codes(values: list[float], bits: int) -> None:
    factors = torch.tensor(values)
    code = quantise(factors, bits)
    assert float(code.abs().max()) <= 1
    step = 1 / (2 ** (bits - 1) - 1)
    assert float((code - factors.clamp(-1, 1)).abs().max()) <= step / 2 + 1e-6


@given(values=values, bits=bits)
def test_coding_a_code_again_changes_nothing(values: list[float], bits: int) -> None:
    code = quantise(torch.tensor(values), bits)
    assert torch.equal(quantise(code, bits), code)


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
def test_a_factor_takes_no_more_levels_than_its_bits_allow(bits: int) -> None:
    levels = torch.unique(quantise(torch.linspace(-2, 2, 10_001), bits))
    assert len(levels) == 2**bits - 1
    assert 0.0 in levels
