"""Accuracy over T: of converted networks from their curves, of trained ones step by step."""

from functools import cache

import numpy as np

from lasnn.errors import InputError
from lasnn.plan.config import Preset
from lasnn.plan.runs import ConvertedRun, Run, SnnRun
from lasnn.report import rows
from lasnn.storage import files


def converted_of(run: SnnRun, preset: Preset) -> ConvertedRun | None:
    """The converted network that a run starts from."""
    return next((parent for parent in preset.parents(run) if isinstance(parent, ConvertedRun)), None)


def converted_behind(runs: list[Run], preset: Preset) -> list[Run]:
    """The converted networks of the spiking runs among `runs`, each once."""
    found = (converted_of(run, preset) for run in runs if isinstance(run, SnnRun))
    return list(dict.fromkeys(run for run in found if run is not None))


def curves(run: ConvertedRun, preset: Preset) -> dict[float, dict[int, float]]:
    """s -> T -> accuracy in percent, on the first images that the curve was drawn on."""
    found = rows.metrics_of(run, preset)["curves"]
    return {curve["scale"]: {int(steps): value for steps, value in curve["accuracy"].items()} for curve in found}


def accuracy_on_first(run: SnnRun, preset: Preset, images: int) -> float:
    """Accuracy of a run in percent, mean over its encoder seeds, on the first test images only."""
    classes, labels = predictions(run, preset)
    return 100 * float((classes[:, :images] == labels[:images]).mean())


def predicted(run: Run, preset: Preset) -> np.ndarray:
    """Predicted classes [encoder seeds, N] of a run on the test images; of an ANN [1, N]."""
    return _arrays(f"{preset.folder(run)}/predictions.npz")["predicted"]


def predictions(run: SnnRun, preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes [encoder seeds, N] and labels [N] of a spiking run on the test images."""
    path = f"{preset.folder(run)}/predictions.npz"
    if "labels" not in _arrays(path):
        raise InputError(f"{path} holds no labels: it is of an older version; make the run again")
    return predicted(run, preset), _arrays(path)["labels"]


@cache
def _arrays(path: str) -> dict[str, np.ndarray]:
    return files.read_arrays(path)
