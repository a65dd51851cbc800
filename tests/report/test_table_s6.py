"""Table S6: change over the last fifth of the epochs."""

import math

import pytest

from lasnn.report.exhibits.table_s6 import change


@pytest.mark.parametrize(
    ("accuracies", "before"),
    [
        ([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 80], 80),  # ten epochs: after the eighth
        ([10.0, 20, 30, 40, 80], 40),  # five: after the fourth
        ([70.0, 80], 70),  # fewer than five: the one before the last
        ([10.0, 20, 30, 40, 50, 60, 80], 50),  # seven: a fifth is 1.4 epochs, so two
    ],
)
def test_change_by_hand(accuracies, before):
    found = change(accuracies, images=100)
    assert (found["before"], found["end"]) == (before, 80)
    assert found["standard_error"] == pytest.approx(100 * math.sqrt(0.8 * 0.2 / 100))  # 4 points
