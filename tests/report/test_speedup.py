"""T* and the speed-up, by hand."""

import pytest

from lasnn.report.speedup import relative_spread, speed_up, steps_needed

CURVE = {10: 50.0, 20: 91.0, 30: 89.0, 50: 92.0, 100: 90.0}


@pytest.mark.parametrize(
    ("curve", "target", "needed"),
    [
        (CURVE, 40, 10),  # reached from the first point on
        (CURVE, 50, 10),  # exactly
        (CURVE, 89, 20),
        (CURVE, 90, 50),  # at T = 20 it is reached and lost again
        (CURVE, 90.1, None),  # the last point is below
        (CURVE, 95, None),  # never
        (dict(reversed(CURVE.items())), 90, 50),  # points in any order
        ({10: 30.0}, 100 * (0.1 + 0.2), 10),  # rounding does not count
        ({}, 90, None),
    ],
)
def test_steps_needed(curve, target, needed):
    assert steps_needed(curve, target) == needed


def test_speed_up():
    assert speed_up(2000, 100) == 20
    assert speed_up(50, 100) == 0.5  # conversion was the faster
    assert speed_up(None, 100) is None


def test_spread_of_thresholds():
    assert relative_spread([[1.0, 2.0]]) is None
    assert relative_spread([[1.0, 2.0], [1.0, 3.0]]) == pytest.approx(0.4)  # the second layer: 1 / 2.5
