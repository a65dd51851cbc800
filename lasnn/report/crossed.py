"""What a difference between two methods is worth where seeds and test images are both taken as drawn at random.

    d[s, i] = mean + a_s + b_i + e_si      in points

Seed s is a whole chain, teacher, ANN, conversion and student; image i is the same for all of them. Both are
crossed, without a second measurement of a cell, so mean squares MS give the variance of the mean over S seeds and N
images (Satterthwaite 1946):

    SE^2 = (MS_seed + MS_image - MS_rest) / (S N)         and no less than MS_seed / (S N) or MS_image / (S N)
    df = (MS_seed + MS_image - MS_rest)^2 / (MS_seed^2 / (S - 1) + MS_image^2 / (N - 1) + MS_rest^2 / ((S - 1) (N - 1)))

and no less than S - 1. A mean over networks on the same images is a mean of their d: their common seeds and images make
one block [S, N]. A sum across datasets has a block for each, with the seeds in common and images of its own. A block
[S, 1] holds one number for each seed and no images; of it alone this is Student's t over the seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

DRAWS = 4000  # of the bootstrap: its limits move by 4 % of a standard error from one set of draws to another
NOTHING = 1e-9  # points; a standard error below is that of equal numbers


@dataclass(frozen=True)
class Estimate:
    """A mean difference and its standard error `se` with `df` degrees of freedom."""

    mean: float
    se: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        """Limits that hold the true mean in so many cases (0.95, say)."""
        from scipy.stats import t

        reach = float(t.isf((1 - level) / 2, self.df)) * self.se
        return self.mean - reach, self.mean + reach

    def p_not_above(self, bound: float) -> float:
        """One-sided p that the true mean is not above `bound`. It needs a spread: `se` above 0."""
        from scipy.stats import t

        return float(t.sf((self.mean - bound) / self.se, self.df))


def crossed(blocks: Sequence[np.ndarray]) -> Estimate:
    """The sum of the means of blocks d [S, N], whose S >= 2 seeds are the same chains in each."""
    seeds = len(blocks[0])
    of_seeds = np.sum([d.mean(axis=1) for d in blocks], axis=0)  # [S]
    seed = float(of_seeds.var(ddof=1)) / seeds  # MS_seed / (S N)
    image, rest, squares = 0.0, 0.0, seed**2 / (seeds - 1)
    for d in blocks:
        images = d.shape[1]
        if images == 1:
            continue
        left = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
        free = (seeds - 1) * (images - 1)
        own_image = float(d.mean(axis=0).var(ddof=1)) / images  # MS_image / (S N)
        own_rest = float((left**2).sum()) / free / (seeds * images)
        image, rest = image + own_image, rest + own_rest
        squares += own_image**2 / (images - 1) + own_rest**2 / free
    total = seed + image - rest
    se = float(np.sqrt(max(total, seed, image)))
    df = max(seeds - 1.0, total**2 / squares) if squares else seeds - 1.0
    return Estimate(float(of_seeds.mean()), 0.0 if se < NOTHING else se, df)


def bootstrap(blocks: Sequence[np.ndarray], level: float) -> tuple[float, float]:
    """Percentile limits of the same sum: seeds are drawn anew with replacement, then images, for all seeds alike.

    The draws are the same in every call. With few seeds these limits are too narrow: of five seeds they take the
    spread with S in place of S - 1 and no t.
    """
    seeds = len(blocks[0])
    of_seeds = np.sum([_drawn_means(d, place) for place, d in enumerate(blocks)], axis=0)
    drawn = np.random.default_rng(0).integers(seeds, size=(DRAWS, seeds))
    means = np.take_along_axis(of_seeds, drawn, axis=1).mean(axis=1)  # [DRAWS]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _drawn_means(d: np.ndarray, place: int) -> np.ndarray:
    """The mean of each seed over each draw of images [DRAWS, S]; a block at another `place` draws images of its own.

    d is rounded to a power of two that leaves every sum exact: else the last digits would be those of the processor and
    of how many threads share a product.
    """
    images, largest = d.shape[1], max(float(np.abs(d).max()), 1.0)
    whole = np.rint(d * (unit := 2.0 ** math.floor(52 - math.log2(images * largest))))
    counts = _drawn_images(images, place)
    parts = np.array_split(counts, max(1, counts.size // 10**7))  # as floats they would take four times the memory
    return np.concatenate([part.astype(np.float64) @ whole.T for part in parts]) / (unit * images)


@cache
def _drawn_images(images: int, place: int) -> np.ndarray:
    """How often each draw takes an image [DRAWS, N]."""
    draws = np.random.default_rng([1, place])
    counts = np.empty((DRAWS, images), dtype=np.uint8)
    for one in counts:
        one[:] = np.bincount(draws.integers(images, size=images), minlength=images)
    return counts


def tost(found: Estimate, margin: float, both: bool = True) -> float:
    """p of two one-sided tests (Schuirmann 1987) that the true mean does not lie within `margin` of zero.

    Without `both` of the one test that asks whether it lies further below: "not above", "near" ask no more.
    """
    below = found.p_not_above(-margin)
    return max(below, 1 - found.p_not_above(margin)) if both else below


def p_either_way(found: Estimate, margin: float = 0.0, both: bool = False) -> float | None:
    """p of the nearer verdict, within the margin (`tost`) or beyond it, doubled as either can be given.

    Without a margin this is the two-sided test that the true mean is zero. None without a spread.
    """
    if not found.se:
        return None
    inside = tost(found, margin, both)
    return 2 * min(inside, 1 - inside)


def share_above(differences: Sequence[float]) -> float:
    """P(A > B): in which share of all seeds and networks the second method is above the first; a tie is a half."""
    return float(np.mean([0.5 if d == 0 else float(d > 0) for d in differences]))
