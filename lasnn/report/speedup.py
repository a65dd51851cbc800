"""How many steps a converted network needs for a given accuracy, and how many times more than a trained one (4a)."""

from collections.abc import Mapping

TOLERANCE = 1e-9  # points; accuracies are ratios of counts


def steps_needed(curve: Mapping[int, float], target: float) -> int | None:
    """T*: the smallest T of the curve from which on the accuracy is never below `target`; None: not reached.

    `curve` maps T to an accuracy in percent. A curve that reaches the target and falls below it later starts again, so
    that a lucky early point does not count.
    """
    reached = None
    for steps in sorted(curve, reverse=True):
        if curve[steps] < target - TOLERANCE:
            return reached
        reached = steps
    return reached


def speed_up(needed: int | None, steps: int) -> float | None:
    """How many times fewer steps a network with `steps` takes than the converted one with T* = `needed`."""
    return None if needed is None else needed / steps


def relative_spread(by_batch: list[list[float]]) -> float | None:
    """How much thresholds differ between calibration batches: the largest (max - min) / mean of any layer.

    `by_batch` holds one list of thresholds for each batch; None if there is only one batch.
    """
    if len(by_batch) < 2:
        return None
    layers = zip(*by_batch, strict=True)
    return max((max(values) - min(values)) * len(values) / sum(values) for values in layers)
