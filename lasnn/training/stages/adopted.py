"""Stage 1 and 2a for weights from elsewhere: checked, folded, measured; in place of a training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lasnn.console import Console
from lasnn.datasets.arrays import load
from lasnn.datasets.batches import split
from lasnn.errors import InputError
from lasnn.networks import Net, build, census
from lasnn.networks.adopting import Adoption, adopt
from lasnn.plan.config import Preset
from lasnn.plan.own import ADOPT, Adopted, architecture_of
from lasnn.plan.runs import AnnRun
from lasnn.plan.settings import AnnSettings
from lasnn.spiking.evaluation import evaluate
from lasnn.storage import files, foreign
from lasnn.training.leaving import Result
from lasnn.training.resume import Saves
from lasnn.training.task import Task


def adopt_from(path: Path, adopted: Adopted) -> Callable[[Task[AnnRun, AnnSettings], Saves, Console], Result]:
    """The stage that fills a network from the kept file and measures it."""

    def take_up(task: Task[AnnRun, AnnSettings], saves: Saves, console: Console) -> Result:
        net, done = filled(task.run, task.settings, path, adopted, task.classes, task.side)
        console.say(f"adopted from {adopted.file}: {done}")
        result = evaluate(net.to(task.device), task.test, "direct", 1, rows=task.settings.compute.rows)
        metrics = {
            "accuracy": result.accuracy,
            "cross_entropy": result.cross_entropy["sum"],
            "sizes": census(net)._asdict(),
            "accuracy_best_test": None,
            "epochs": 0,
        }
        predictions = {"predicted": result.predicted, "steps": np.array([1])}
        origin = {"file": adopted.file, "sha256": adopted.sha256, "layers": done.layers}
        origin |= {"folded": done.folded, "constants": done.constants}
        return Result(net, metrics, predictions, origin={"adopted": origin})

    return take_up


def tried(preset: Preset, run: AnnRun, path: Path, adopted: Adopted) -> tuple[float, Adoption]:
    """Accuracy in percent on the run's test images, before anything is written; InputError if the file doesn't fit."""
    data = Path(preset.config.data_file(run.dataset))
    if not data.exists():
        raise InputError(f"no prepared images {data}: make them with `python -m lasnn data {run.dataset}`")
    prepared, settings = load(data), preset.settings(run)
    net, done = filled(run, settings, path, adopted, len(prepared.classes), prepared.side)
    _, test = split(prepared, settings.data, torch.device("cpu"))
    return evaluate(net, test, "direct", 1, rows=settings.compute.rows).accuracy, done


def filled(
    run: AnnRun, settings: AnnSettings, path: Path, adopted: Adopted, classes: int, side: int
) -> tuple[Net, Adoption]:
    """The network of a run with the weights of a file, and what was done; InputError in one line if they don't fit."""
    if not path.exists():
        raise InputError(
            f"{run} is adopted from {adopted.file} (sha256 {adopted.sha256[:12]}...), and {path} is missing: `{ADOPT}` "
            "brings it back"
        )
    if files.sha256(path) != adopted.sha256:
        raise InputError(f"{path} is not the file that was adopted ({adopted.sha256[:12]}...): adopt it again")
    arch, network = architecture_of(run.network, settings.architecture), settings.network
    weights, ordered = foreign.read(path)
    net = build(
        arch,
        classes,
        side,
        width=network.width,
        fc=network.fc,
        dropout_scale=network.dropout_scale,
        standardised="standardise.mean" in weights,  # of a teacher of ours; teacher_norm is about training
    )
    try:
        return net, adopt(net, weights, not arch.teacher, ordered, adopted.mean, adopted.std)
    except InputError as error:
        raise InputError(f"{adopted.file} as {run.network} for {run.dataset}: {error}") from None
