"""Two methods side by side: their runs of the same seeds, and on which test images they differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lasnn.plan.config import Preset
from lasnn.plan.runs import Run, as_snn
from lasnn.report.curves import predicted, predictions
from lasnn.report.late import pd
from lasnn.report.statistics import holm, more_right, sign_flips

Pairs = Sequence[tuple[Run, Run]]


def same_seeds(rivals: Sequence[Run], runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Each of `runs` behind the rival of its seed; a run that is its own rival, or has none, is left out."""
    against = {run.seed: run for run in rivals}
    return [(against[run.seed], run) for run in runs if against.get(run.seed, run) != run]


def image_differences(pairs: Pairs, preset: Preset, encoders: int | None = None) -> list[np.ndarray]:
    """For each pair and image, how often the second run is right less how often the first is, over encoder seeds.

    Each [N]. `encoders`: how many seeds of a Poisson encoder are looked at; by default as many as both runs have. The
    second run is a spiking one.
    """
    found = []
    for first, second in pairs:
        one, (other, labels) = predicted(first, preset), predictions(as_snn(second), preset)
        count = encoders or min(len(one), len(other))
        found.append(np.sum([more_right(one[seed], other[seed], labels) for seed in range(count)], axis=0))
    return found


def p_on_images(pairs: Pairs, preset: Preset) -> float | None:
    """p of the sign-flip test that both methods are alike, all seeds together; None without a pair."""
    return sign_flips(np.sum(image_differences(pairs, preset), axis=0)) if pairs else None


def with_p(tidy: pd.DataFrame, pairs: Sequence[Pairs], preset: Preset, name: str = "p") -> pd.DataFrame:
    """`tidy` with p of each line's pairs, NaN without any, and in `<name>_holm` after Holm's correction over them."""
    found = [p_on_images(line, preset) for line in pairs]
    columns = {name: found, f"{name}_holm": holm(found)}
    return tidy.assign(**{key: pd.to_numeric(pd.Series(values, tidy.index)) for key, values in columns.items()})
