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


def image_differences(pairs: Pairs, preset: Preset) -> list[np.ndarray]:
    """For each pair and image 1 where only the second run is right, -1 where only the first is, else 0.

    Each [N]; of Poisson input, the predictions with the first encoder seed. The second run is a spiking one.
    """
    found = []
    for first, second in pairs:
        classes, labels = predictions(as_snn(second), preset)
        found.append(more_right(predicted(first, preset)[0], classes[0], labels))
    return found


def p_on_images(pairs: Pairs, preset: Preset) -> float | None:
    """p of the sign-flip test that both methods are alike, all seeds together; None without a pair."""
    return sign_flips(np.sum(image_differences(pairs, preset), axis=0)) if pairs else None


def with_p(tidy: pd.DataFrame, pairs: Sequence[Pairs], preset: Preset, name: str = "p") -> pd.DataFrame:
    """`tidy` with p of each line's pairs, NaN without any, and in `<name>_holm` after Holm's correction over them."""
    found = [p_on_images(line, preset) for line in pairs]
    columns = {name: found, f"{name}_holm": holm(found)}
    return tidy.assign(**{key: pd.to_numeric(pd.Series(values, tidy.index)) for key, values in columns.items()})
