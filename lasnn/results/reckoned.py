"""Accuracies reckoned again from predicted classes, beside those that a run's metrics state. No torch."""

from collections.abc import Iterator

from lasnn.plan.runs import AnnRun, ConvertedRun, Run
from lasnn.storage.files import Array, Json


def accuracies(run: Run, metrics: Json, predicted: Array, labels: Array) -> Iterator[tuple[str, float, float]]:
    """Each accuracy in %: its name, what metrics say, and what follows from predicted classes [..., N] and labels."""
    right = 100 * (predicted == labels[: predicted.shape[-1]]).mean(axis=-1)
    if isinstance(run, ConvertedRun):
        for curve, found in zip(metrics["curves"], right, strict=True):
            for steps, now in zip(sorted(curve["accuracy"], key=int), found, strict=True):
                yield f"accuracy at T = {steps}, s = {curve['scale']:g}", curve["accuracy"][steps], float(now)
        return
    yield "accuracy", metrics["accuracy"], float(right.mean())
    if not isinstance(run, AnnRun):
        for seed, now in zip(sorted(metrics["accuracy_by_seed"], key=int), right, strict=True):
            yield f"accuracy of encoder seed {seed}", metrics["accuracy_by_seed"][seed], float(now)
