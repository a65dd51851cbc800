"""How often a rule judges where there is nothing to judge: two methods are alike, and chance alone tells them apart.

A simulation with the spread that was found between real runs. Of each image, one of two networks alone is right in a
share q of all draws, and what a seed and an image add leans it to either side:

    P(d[s, i] = ±1) = (q ± (a_s + b_i)) / 2      a_s ~ N(0, seed_sd), b_i = ±TILT

so the methods differ for each seed, and on average not at all. `python -m benchmarks.false_verdicts` prints `page`.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lasnn.report.crossed import crossed, p_either_way
from lasnn.report.statistics import holm, sign_flips

DIFFERING = 0.13  # q; over 2,000 images the difference of two networks then has an sd of 0.8 points
TILT = 0.1  # b_i: an image is easier for one of the methods, whatever the seed
FAMILY = 3  # claims that are corrected together
DRAWS = 2000


@dataclass(frozen=True)
class Setting:
    """A rule at work: p of d [S, N], how many seeds and test images, and how far seeds differ, in points."""

    rule: str
    p: Callable[[np.ndarray], float]
    seeds: int
    images: int
    seed_sd: float


@dataclass(frozen=True)
class Rates:
    """In percent: claims with a verdict at the level itself, and families of three with any after Holm's correction."""

    single: float
    family: float


def differences(draws: np.random.Generator, seeds: int, images: int, seed_sd: float) -> np.ndarray:
    """d [S, N], 1 where the second network alone is right, -1 where the first alone is, else 0; `seed_sd` in points."""
    lean = draws.normal(0, seed_sd / 100, (seeds, 1)) + TILT * draws.choice([-1.0, 1.0], images)
    chance = draws.random((seeds, images), dtype=np.float32)
    up, down = (DIFFERING + lean) / 2, (DIFFERING - lean) / 2
    return (chance < up).astype(np.int8) - (chance > 1 - down)


def p_over_seeds_and_images(d: np.ndarray) -> float:
    """The rule in use: seeds and images both at random."""
    p = p_either_way(crossed([100.0 * d]))
    return 1.0 if p is None else p


def p_over_images(d: np.ndarray) -> float:
    """The rule before: signs flipped image by image, all seeds together; and every seed has to have the same sign."""
    means = d.mean(axis=1)
    return sign_flips(d.sum(axis=0, dtype=np.int64)) if min(means) > 0 or max(means) < 0 else 1.0


SETTINGS = (
    *(Setting("images, 3 seeds agree", p_over_images, 3, 2000, seed_sd) for seed_sd in (1.7, 2.4)),
    *(Setting("seeds and images", p_over_seeds_and_images, 5, 10000, seed_sd) for seed_sd in (0.45, 1.7, 2.4)),
)


def rates(at: Setting, draws: int = DRAWS, alpha: float = 0.05) -> Rates:
    """False verdicts of a rule in so many draws, the same ones in every call."""
    source = np.random.default_rng(2023)
    found = [at.p(differences(source, at.seeds, at.images, at.seed_sd)) for _ in range(draws)]
    families = [holm(found[start : start + FAMILY]) for start in range(0, draws - draws % FAMILY, FAMILY)]
    wrong = [(family < alpha).any() for family in families]
    return Rates(100 * float(np.mean(np.array(found) < alpha)), 100 * float(np.mean(wrong)))


def page(draws: int = DRAWS) -> str:
    """A line for each setting."""
    lines = [f"{'rule':<22} seeds  images  seed sd  false verdicts: one claim  any of three after Holm"]
    for at in SETTINGS:
        found = rates(at, draws)
        counts = f"{at.rule:<22} {at.seeds:>5} {at.images:>7} {at.seed_sd:>8g}"
        lines.append(f"{counts} {found.single:>24.1f} % {found.family:>22.1f} %")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.false_verdicts", description=page.__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="simulated comparisons (default: %(default)s)")
    print(page(parser.parse_args().draws))
