"""Tests of orderings: paired over seeds, on the same images, and the correction for making several of them.

Every test is two-sided; the sign of the difference then says whether it speaks for a claim or against it.
"""

import math
from collections.abc import Sequence

import numpy as np

SEEDS = 3  # a test over seeds needs as many
CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "undecided"


def paired_t(differences: Sequence[float]) -> float | None:
    """p of Student's t-test that the mean of paired differences, one for each seed, is zero.

    None where it is not defined: fewer than `SEEDS` differences, or no spread among them.
    """
    from scipy.stats import ttest_1samp

    if len(differences) < SEEDS or math.isclose(min(differences), max(differences)):
        return None
    return float(ttest_1samp(differences, 0.0).pvalue)


def discordant(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """On how many images only the first network is right, and only the second; predictions and labels are [N]."""
    one, other = first == labels, second == labels
    return int((one & ~other).sum()), int((other & ~one).sum())


def mcnemar(only_first: int, only_second: int) -> float:
    """p of McNemar's exact test: a fair coin for each image on which exactly one of two networks is right."""
    from scipy.stats import binomtest

    both = only_first + only_second
    return float(binomtest(only_first, both, 0.5).pvalue) if both else 1.0


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: p_(i) becomes the largest of (m - j + 1) p_(j), j <= i, and at most 1.

    m counts the tests that were made; None stands for one that wasn't, and stays.
    """
    order = sorted((index for index, value in enumerate(values) if value is not None), key=lambda index: values[index])
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def verdict(effect: float, p: float | None, alpha: float) -> str:
    """What a corrected p says of a claim that `effect` > 0 speaks for."""
    if p is None or p >= alpha or effect == 0:
        return UNDECIDED
    return CONFIRMED if effect > 0 else REFUTED
