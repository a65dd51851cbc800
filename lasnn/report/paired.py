"""Two methods side by side: their runs of the same seeds, and how often each is right on each test image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, SnnRun, as_snn
from lasnn.report.crossed import crossed, p_either_way
from lasnn.report.finished import predicted, predictions
from lasnn.report.late import pd
from lasnn.report.statistics import holm, more_right, sign_flips

Pairs = Sequence[tuple[Run, Run]]


def same_seeds(rivals: Sequence[Run], runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Each of `runs` behind the rival of its seed; a run that is its own rival, or has none, is left out."""
    against = {run.seed: run for run in rivals}
    return [(against[run.seed], run) for run in runs if against.get(run.seed, run) != run]


def percent_right(pairs: Pairs, preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """For each pair and image how many percent of its encoder seeds each side is right under, [S, N] each.

    The second run of a pair is a spiking one. InputError if the two were judged on different test images.
    """
    sides: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for first, second in pairs:
        classes, labels = predictions(as_snn(second), preset)
        other = predicted(first, preset)
        theirs = predictions(first, preset)[1] if isinstance(first, SnnRun) else labels
        if other.shape[1] != len(labels) or not np.array_equal(theirs, labels):
            raise InputError(
                f"{preset.folder(first)} and {preset.folder(second)} were judged on different test images "
                f"({other.shape[1]} and {len(labels)}): give both the same data.test_images and data.assess"
            )
        sides[0].append(100 * (other == labels).mean(axis=0))
        sides[1].append(100 * (classes == labels).mean(axis=0))
    return np.stack(sides[0]), np.stack(sides[1])


def estimated(pairs: Pairs, preset: Preset) -> dict[str, float]:
    """Points that the second runs are above the first, standard error over seeds and images, interval, p.

    NaN where seeds are too few: an interval takes two, p as many as a verdict (`claims.seeds`).
    """
    estimate = dict.fromkeys(("difference", "se", "low", "high", "p"), np.nan)
    if pairs:
        less, more = percent_right(pairs, preset)
        estimate["difference"] = float((more - less).mean())
    if len(pairs) > 1:
        found = crossed([more - less])
        low, high = found.interval(1 - preset.claims.alpha)
        p = p_either_way(found) if len(pairs) >= preset.claims.seeds else None
        estimate |= {"se": found.se, "low": low, "high": high, "p": np.nan if p is None else p}
    return estimate


def image_differences(pairs: Pairs, preset: Preset) -> list[np.ndarray]:
    """For each pair and image, how often the second run is right less how often the first is, over encoder seeds.

    Each [N], over as many seeds of a Poisson encoder as both runs have. The second run is a spiking one.
    """
    found = []
    for first, second in pairs:
        one, (other, labels) = predicted(first, preset), predictions(as_snn(second), preset)
        count = min(len(one), len(other))
        found.append(np.sum([more_right(one[seed], other[seed], labels) for seed in range(count)], axis=0))
    return found


def with_p(tidy: pd.DataFrame, pairs: Sequence[Pairs], preset: Preset, name: str = "p") -> pd.DataFrame:
    """`tidy` with p of the sign-flip test that each line's pairs are alike, all seeds together; NaN without any.

    In `<name>_holm` after Holm's correction over them.
    """
    found = [sign_flips(np.sum(image_differences(line, preset), axis=0)) if line else None for line in pairs]
    columns = {name: found, f"{name}_holm": holm(found)}
    return tidy.assign(**{key: pd.to_numeric(pd.Series(values, tidy.index)) for key, values in columns.items()})
