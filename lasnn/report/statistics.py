"""From p to a verdict: correction for several tests, what a verdict takes, and tests of these networks alone.

Whether one method is above another is judged by `lasnn.report.crossed`, over seeds and images. A test image by image
(`sign_flips`) says whether the networks that were trained differ, and nothing of others trained alike: no verdict.
"""

from collections.abc import Iterable, Sequence

import numpy as np

CONFIRMED, REFUTED, UNDECIDED, TOO_FEW = "confirmed", "refuted", "undecided", "too few seeds"


def more_right(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image 1 where only the second network is right, -1 where only the first is, else 0; all [N]."""
    return (second == labels).astype(np.int64) - (first == labels)


def sign_flips(differences: Sequence[int] | np.ndarray) -> float:
    """p of the exact sign-flip test: were these networks alike, each image's difference d_i could as well be -d_i.

    `differences` [N]: on image i, how many more networks of the second method are right than of the first, over the
    seeds. With one seed d_i is -1, 0 or 1, and this is McNemar's exact test.
    """
    from scipy.stats import binom

    sizes = np.abs(np.asarray(differences, dtype=np.int64))
    chances = np.ones(1)  # of each sum, from -reach to reach
    for size, count in zip(*np.unique(sizes[sizes > 0], return_counts=True), strict=True):
        steps = np.zeros(2 * size * count + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, steps)
    reach = len(chances) // 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(int(np.sum(differences)))
    p = min(1.0, float(chances[as_far].sum()))
    return float(f"{p:.12g}")  # the digits behind these are the processor's, which adds in an order of its own


def holm(values: Iterable[float | None]) -> np.ndarray:
    """Holm's step-down correction: p_(i) becomes the largest of (m - j + 1) p_(j), j <= i, and at most 1.

    m counts the tests that were made; NaN (or None) is one that wasn't, and stays NaN.
    """
    adjusted = np.array(list(values), dtype=float)
    order = np.argsort(adjusted, kind="stable")[: np.count_nonzero(~np.isnan(adjusted))]  # NaNs are last
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * adjusted[order]))
    return adjusted


def verdict(effect: float, p: float, alpha: float, seeds: int, least: int) -> str:
    """What a corrected p (NaN: no test) says of a claim that `effect` > 0 speaks for; it takes `least` seeds."""
    if seeds < least:
        return TOO_FEW
    if effect == 0 or not p < alpha:
        return UNDECIDED
    return CONFIRMED if effect > 0 else REFUTED


def reach(sd: float, n: int) -> float:
    """How far the 95 % interval of a mean over n >= 2 seeds reaches to either side: t sd / √n (Student's t)."""
    from scipy.stats import t

    return float(t.isf((1 - 0.95) / 2, n - 1)) * sd / n**0.5
