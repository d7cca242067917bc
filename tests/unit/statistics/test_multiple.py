from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from identity_masker.errors import BadInputError
from identity_masker.statistics import multiple

p_lists = st.lists(st.floats(0, 1), min_size=1, max_size=30)
ADJUSTMENTS = [multiple.bonferroni, multiple.holm, multiple.benjamini_hochberg, multiple.benjamini_yekutieli]


@given(p_lists)
def test_benjamini_procedures_agree_with_scipy(p: list[float]) -> None:
    np.testing.assert_allclose(multiple.benjamini_hochberg(p), stats.false_discovery_control(p), atol=1e-12)
    np.testing.assert_allclose(
        multiple.benjamini_yekutieli(p), stats.false_discovery_control(p, method="by"), atol=1e-12
    )


@given(p_lists, st.randoms(use_true_random=False))
def test_adjustment_keeps_the_order_of_the_input(p: list[float], random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(p)))
    random.shuffle(order)
    for adjust in ADJUSTMENTS:
        np.testing.assert_allclose(adjust(p)[order], adjust(np.array(p)[order]), atol=1e-12)


@given(p_lists)
def test_adjusted_values_are_p_values_that_are_not_smaller(p: list[float]) -> None:
    bonferroni, holm, hochberg, _ = (adjust(p) for adjust in ADJUSTMENTS)
    for adjusted in (bonferroni, holm, hochberg):
        assert np.all((adjusted >= np.array(p) - 1e-15) & (adjusted <= 1))
    assert np.all(hochberg <= holm + 1e-12)
    assert np.all(holm <= bonferroni + 1e-12)


def test_e_values_reject_as_wang_and_ramdas_say() -> None:
    # m = 4, alpha = .1: the largest needs 40, the two largest 20 each.
    assert multiple.e_benjamini_hochberg([39, 1, 0, 2], 0.1).tolist() == [False] * 4
    assert multiple.e_benjamini_hochberg([25, 1, 0, 21], 0.1).tolist() == [True, False, False, True]


@pytest.mark.parametrize("p", [[], [float("nan")], [-0.1], [1.1], ["a"], [[0.1]]])
def test_what_is_not_a_p_value_is_refused(p) -> None:  # type: ignore[no-untyped-def]
    for adjust in ADJUSTMENTS:
        with pytest.raises(BadInputError):
            adjust(p)
