"""Differences over seeds and images by hand: standard error, degrees of freedom, equivalence, bootstrap."""

import math

import numpy as np
import pytest
from scipy.stats import t

from lasnn.report import crossed as crossed_module
from lasnn.report.crossed import Estimate, bootstrap, crossed, share_above, tost

FIRST = np.array([[1.0, 2, 3], [3, 2, 7]])


@pytest.mark.parametrize(
    ("blocks", "mean", "se", "df"),
    [
        # Means of seeds 2, 4, of images 2, 2, 5, of all 3: MS_seed = 3 ((2-3)² + (4-3)²) / 1 = 6, MS_image = 2 (1 + 1
        # + 4) / 2 = 6; what is left is ±0, ±1, ±1 in both rows: MS_rest = 4 / 2. SE² = (6 + 6 - 2) / 6, df = 10² / (6²
        # / 1 + 6² / 2 + 2² / 2).
        ([FIRST], 3, math.sqrt(10 / 6), 100 / 56),
        # No less than what images alone say. Both seeds have mean 1, images 1.5, 1.5, 0; MS_seed 0, MS_image 2 · 1.5 /
        # 2. What is left: -1.5, 1.5, 0 and the reverse: MS_rest = 9 / 2. The sum, 1.5 - 4.5, is negative: SE² = 1.5 /
        # 6. Its square over 1.5² / 2 + 4.5² / 2 is 0.8, so df = S - 1.
        ([np.array([[0.0, 3, 0], [3, 0, 0]])], 1, 0.5, 1),
        # No less than what seeds alone say. Seeds 1, 3, images 2, 2: MS_seed 2 · 2 = 4, MS_image 0, left ±1: MS_rest 4.
        # The sum is 0, SE² = 4 / 4, as of the two means alone.
        ([np.array([[0.0, 2], [4, 2]])], 2, 1, 1),
        # One number for each seed: Student's t of mean 2, sd 1.
        ([np.array([[1.0], [2], [3]])], 2, 1 / math.sqrt(3), 2),
        # Two datasets, images of their own, seeds in common: 2 - 0 and 4 - 2, so no spread of seeds. Second block:
        # images 0.5, 1.5, MS_image 2 · 0.5 = 1, left ∓0.5: MS_rest 1. Images: 6/6 + 1/4 (alone: with the rest taken off
        # it would be 2 / 3), rest: 2/6 + 1/4.
        ([FIRST, -np.array([[0.0, 0], [1, 3]])], 2, math.sqrt(1.25), 1),
    ],
)
def test_mean_error_and_freedom_by_hand(blocks, mean, se, df):
    found = crossed(blocks)
    assert (found.mean, found.se, found.df) == pytest.approx((mean, se, df))


def test_half_of_all_is_half_in_mean_and_error_and_the_same_in_freedom():
    d = np.random.default_rng(3).normal(size=(4, 30))
    one, half = crossed([d]), crossed([d / 2])
    assert (half.mean, half.se, half.df) == pytest.approx((one.mean / 2, one.se / 2, one.df))
    assert crossed([np.full((3, 4), 100 / 3)]).se == 0  # equal differences


def test_p_interval_and_equivalence_by_hand():
    """With 2 degrees of freedom P(|t| > v) = 1 - v / sqrt(v² + 2); with 4 the printed table has 2.776 at 97.5 %.

    Mean 1, se 0.5, margin 2: the limits lie 6 and 2 errors away; the nearer one decides.
    """
    value = 2 * math.sqrt(3)
    p = Estimate(2, 1 / math.sqrt(3), 2).p_not_above(0)
    assert 2 * p == pytest.approx(1 - value / math.sqrt(value**2 + 2))
    found = Estimate(1.0, 0.5, 4.0)
    assert found.interval(0.95) == pytest.approx((1 - 2.776 * 0.5, 1 + 2.776 * 0.5), abs=1e-3)
    assert tost(found, 2.0) == pytest.approx(t.sf(2, 4))
    assert tost(Estimate(-1.0, 0.5, 4.0), 2.0) == pytest.approx(t.sf(2, 4))
    assert tost(found, 2.0, both=False) == pytest.approx(t.sf(6, 4))  # not further below: the far limit alone
    assert tost(Estimate(-3.0, 0.5, 4.0), 2.0) == pytest.approx(t.sf(-2, 4))  # beyond: never within
    assert share_above([1.0, -2.0, 0.0, 3.0]) == 2.5 / 4


def test_the_bootstrap_draws_seeds_and_images():
    """Without spread among images the mean of S drawn seeds has variance Σ(m - mean)² / S²; likewise for images."""
    seeds = np.array([[0.0], [1], [2], [5], [7]])
    for d in (seeds, np.tile(seeds, (1, 40)), np.tile(seeds.T, (6, 8))):
        low, high = bootstrap([d], 0.68)
        count = d.shape[1] if d.shape[0] == 6 else 5
        assert (high - low) / 2 == pytest.approx(math.sqrt(34 / 5 / count), rel=0.08)
        assert (high + low) / 2 == pytest.approx(3, abs=0.15)
    assert bootstrap([seeds], 0.95) == bootstrap([seeds], 0.95)


def test_the_bootstrap_of_two_datasets_draws_each_ones_images():
    """Equal blocks with weights 1 and -1 would cancel if both drew the same images."""
    d = np.tile(np.arange(50.0), (3, 1))
    low, high = bootstrap([d, -d], 0.95)
    assert high - low > 10  # 2 · 1.96 · sqrt(2 · 208 / 50) is 11.3
    both, alone = crossed([d, -d]), crossed([d])
    assert both.se == pytest.approx(alone.se * math.sqrt(2))


def test_the_bootstrap_is_the_same_in_any_order_of_summing(monkeypatch):
    """Images last to first, as another processor or more threads may add them: to the last bit; thirds to 1e-10."""
    draws = np.random.default_rng(3)
    d = 100 * draws.integers(-3, 4, (6, 2000)) / 6  # points of accuracies over three encoder seeds, two networks
    counts = crossed_module._drawn_images(2000, 0)
    found = crossed_module._drawn_means(d, 0)
    monkeypatch.setattr(crossed_module, "_drawn_images", lambda images, place: counts[:, ::-1])
    assert np.array_equal(found, crossed_module._drawn_means(d[:, ::-1], 0))
    exact = [[math.fsum(row.tolist() * one) / 2000 for one in d] for row in counts[:3].astype(float)]
    assert found[:3] == pytest.approx(np.array(exact), abs=1e-10)
