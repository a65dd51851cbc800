"""Correction, verdicts, the test image by image, T* and the speed-up against values worked out by hand."""

import numpy as np
import pytest

from lasnn.report.speedup import relative_spread, speed_up, steps_needed
from lasnn.report.statistics import holm, more_right, sign_flips, verdict


def of_one_seed(only_first, only_second):
    return [-1] * only_first + [1] * only_second + [0] * 9


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        (of_one_seed(0, 0), 1),
        (of_one_seed(3, 3), 1),
        (of_one_seed(1, 7), 2 * (1 + 8) / 2**8),
        (of_one_seed(7, 1), 18 / 256),
        (of_one_seed(0, 5), 2 / 2**5),
        (of_one_seed(0, 6), 2 / 2**6),
        ([1, -1], 1),
        ([1, 2], 0.5),
        ([-1, 2], 1),
        ([3, 3, 1], 2 / 8),
        ([3, 3, -1], 4 / 8),
        (np.ones(200, dtype=np.int8), 2 / 2**200),  # the sum is no int8
    ],
)
def test_sign_flips_by_hand(differences, p):
    """Of one seed McNemar's test. ±1 ± 2 is 3, 1, -1 or -3: half of them as far from zero as 3, all as far as 1.

    ±3 ± 3 ± 1 is ±7, ±5 or ±1. The chances of 1 and -1 add up to 1 + 2e-16: no p is above one.
    """
    assert sign_flips(differences) == pytest.approx(p)
    assert sign_flips(differences) <= 1


def test_which_network_is_right():
    labels = np.array([0, 1, 2, 3, 4])
    assert more_right(np.array([0, 1, 9, 9, 4]), np.array([0, 9, 2, 3, 9]), labels).tolist() == [0, -1, 1, 1, -1]


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01, None, 0.02]) == pytest.approx([0.02, np.nan, 0.02], nan_ok=True)
    assert holm([0.7, 0.6]).tolist() == [1, 1]
    assert holm([np.nan]) == pytest.approx([np.nan], nan_ok=True)
    assert len(holm([])) == 0


@pytest.mark.parametrize(
    ("effect", "p", "seeds", "word"),
    [
        (1, 0.01, 5, "confirmed"),
        (-1, 0.01, 5, "refuted"),
        (1, 0.05, 5, "undecided"),
        (1, np.nan, 5, "undecided"),
        (9, 1e-9, 4, "too few seeds"),
        (0, np.nan, 1, "too few seeds"),
    ],
)
def test_verdict_where_five_seeds_are_asked_for(effect, p, seeds, word):
    assert verdict(effect, p, 0.05, seeds, least=5) == word


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


def test_speed_up_and_spread_of_thresholds():
    assert speed_up(2000, 100) == 20
    assert speed_up(50, 100) == 0.5  # conversion was the faster
    assert speed_up(None, 100) is None
    assert relative_spread([[1.0, 2.0]]) is None
    assert relative_spread([[1.0, 2.0], [1.0, 3.0]]) == pytest.approx(0.4)  # the second layer: 1 / 2.5
