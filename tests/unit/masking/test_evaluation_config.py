from __future__ import annotations

import pytest
from pydantic import ValidationError

from identity_masker.masking.evaluation_config import EvaluationConfig, GateConfig


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"sizes": 64}, "Extra inputs"),
        ({"size": 50}, "multiple of 16"),
        ({"size": 64, "power": {"pixel": 40}}, "fewer than two blocks"),
        ({"size": 64, "power": {"pixel": 7}}, "divisor"),
        ({"strong": {"views": 0}}, "greater than or equal to 1"),
        ({"encoder": {"widths": [1, 2, 3]}}, "widths"),
        ({"confidence": 1.0}, "less than 1"),
    ],
)
def test_a_section_that_cannot_work_is_refused(section: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EvaluationConfig.model_validate(section)


def test_sections_may_be_empty() -> None:
    assert EvaluationConfig.model_validate({}) == EvaluationConfig()
    assert GateConfig.model_validate({}).min_pose_r2_ratio is not None
