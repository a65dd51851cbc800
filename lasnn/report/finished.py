"""What is read of finished runs: metrics, training logs, curves, predictions. Exhibits read runs here only.

A run that does not answer the plan is refused: whatever the workflow has seen, metrics and provenance are compared
again. No torch.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np

from lasnn.errors import InputError, again
from lasnn.plan.config import Preset
from lasnn.plan.runs import AnnRun, ConvertedRun, Run, SnnRun
from lasnn.results import store
from lasnn.results.fits import other_than_planned, provenance_of, whole_metrics
from lasnn.storage import files
from lasnn.storage.digests import Digests

_seen = Digests(None)  # parents that several runs share are read once
_arrays = cache(files.read_arrays)


@cache
def metrics_of(run: Run, preset: Preset) -> dict:
    """A run's metrics; InputError if they are missing, damaged, or not of what the plan asks for now."""
    folder = Path(preset.folder(run))
    metrics = whole_metrics(folder)
    reason = other_than_planned(preset, run, metrics, Path(preset.root), _seen)
    if (folder / "provenance.json").exists() and not reason:
        stated = provenance_of(folder, _seen)["files"].get("metrics.json")
        if stated not in (None, _seen.sha256(folder / "metrics.json")):
            reason = "its metrics.json is not the one that its provenance.json describes"
    if reason:
        made = f"`snakemake --cores 1 {preset.folder(run)}/metrics.json` makes it again"
        raise InputError(f"{folder} is not what the plan asks for: {reason}; {made}")
    return metrics


def same_images(found: list[dict]) -> None:
    """InputError if runs on one dataset were made from different images, which can't be shown side by side."""
    first: dict[str, dict] = {}
    for one in found:
        other = first.setdefault(one["data"]["dataset"], one)
        if other["data"]["digest"] != one["data"]["digest"]:
            raise InputError(
                f"{one['run']['path']} and {other['run']['path']} were made from different images of "
                f"{one['data']['dataset']}: `snakemake` makes again what does not fit"
            )


@cache
def provenance(run: Run, preset: Preset) -> dict:
    """What a run's provenance.json says; InputError if it is missing or damaged."""
    return files.read_json(f"{preset.folder(run)}/provenance.json")


def training_log(run: Run, preset: Preset) -> list[dict]:
    """A line for each epoch of a training; of an ANN that lies whole under another preset alone, from there."""
    path = Path(preset.folder(run), store.LOG)
    if isinstance(run, AnnRun) and not path.exists():
        path = next((one.folder / store.LOG for one in store.finished(preset, run)), path)
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}): {again(f'{preset.folder(run)}/metrics.json')}") from None


def converted_of(run: SnnRun, preset: Preset) -> ConvertedRun | None:
    """The converted network that a run starts from."""
    return next((parent for parent in preset.parents(run) if isinstance(parent, ConvertedRun)), None)


def converted_behind(runs: list[Run], preset: Preset) -> list[Run]:
    """The converted networks of the spiking runs among `runs`, each once."""
    found = (converted_of(run, preset) for run in runs if isinstance(run, SnnRun))
    return list(dict.fromkeys(run for run in found if run is not None))


def curves(run: ConvertedRun, preset: Preset) -> dict[float, dict[int, float]]:
    """s -> T -> accuracy in percent, on the first images that the curve was drawn on."""
    found = metrics_of(run, preset)["curves"]
    return {curve["scale"]: {int(steps): value for steps, value in curve["accuracy"].items()} for curve in found}


def predicted(run: Run, preset: Preset) -> np.ndarray:
    """Predicted classes [encoder seeds, N] of a run on the test images; of an ANN [1, N]."""
    return _arrays(f"{preset.folder(run)}/predictions.npz")["predicted"]


def predictions(run: SnnRun, preset: Preset) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes [encoder seeds, N] and labels [N] of a spiking run on the test images."""
    return predicted(run, preset), _arrays(f"{preset.folder(run)}/predictions.npz")["labels"]


def accuracy_on_first(run: SnnRun, preset: Preset, images: int) -> float:
    """Accuracy of a run in percent, mean over its encoder seeds, on the first test images only."""
    classes, labels = predictions(run, preset)
    return 100 * float((classes[:, :images] == labels[:images]).mean())
