"""Stage 1 and 2a: an analog network, a teacher or a student's intermediate ANN, trained with cross-entropy.

In place of a training there may be weights from elsewhere, which are checked, folded and measured.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn.errors import InputError
from lasnn.networks import Net, census
from lasnn.networks.adopting import Adoption, adopt
from lasnn.networks.batch_norm import fold, insert
from lasnn.plan.config import Preset
from lasnn.plan.own import ADOPT, Adopted
from lasnn.plan.runs import AnnRun
from lasnn.plan.vocabulary import given
from lasnn.storage import files, foreign
from lasnn.training import training_log
from lasnn.training.device import products_in, tf32
from lasnn.training.health import weight_norms
from lasnn.training.leaving import Result
from lasnn.training.loop import Job, Losses, Moment, Part, fit
from lasnn.training.reading import prepared_images, task_of
from lasnn.training.resume import Saves
from lasnn.training.task import Analog


def train_ann(task: Analog, saves: Saves) -> Result:
    """Make the network, train it, assess it."""
    net, recipe = task.new_network(), given(task.settings.training)
    if task.settings.network.batch_norm:
        insert(net)
    amp = task.settings.compute.amp if task.device.type == "cuda" else "off"  # on a CPU it is about students

    @tf32(False)
    def look(epoch: int) -> dict:
        return {"test_accuracy": task.analog(net, task.watched).accuracy, "weight_norms": weight_norms(net)}

    job = Job(recipe, task.settings.data, task.run.seed, recipe.batch, saves)
    with tf32(amp != "off"):
        log = fit(net, cross_entropy(net, amp), task.train, job, look)
    if task.settings.network.batch_norm:
        fold(net)
    return assessed(net, task, training_log.best(log), training_log.cost(log))


def assessed(net: Net, task: Analog, log: files.Json, origin: files.Json) -> Result:
    """What a finished analog network is judged by, together with what its training's log says."""
    result = task.analog(net, task.test)
    sizes = {"sizes": census(net)._asdict()}
    metrics = {"accuracy": result.accuracy, "cross_entropy": result.cross_entropy["sum"]} | sizes | log
    return Result(net, metrics, {"predicted": result.predicted, "steps": np.array([1])}, origin=origin)


def cross_entropy(net: Net, amp: str) -> Losses:
    """The loss of an ANN's training, with products in this precision."""

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        with products_in(amp, part.batch.x.device.type):
            output = net(part.batch.x[None])
        return {"ce": F.cross_entropy(output.logits, part.batch.labels)}

    return losses


def adopt_from(path: Path, adopted: Adopted) -> Callable[[Analog, Saves], Result]:
    """The stage that fills a network from the kept file and measures it."""

    def take_up(task: Analog, saves: Saves) -> Result:
        net, done = filled(task, path, adopted)
        saves.console.say(f"adopted from {adopted.file}: {done}")
        origin = {"file": adopted.file, "sha256": adopted.sha256, "layers": done.layers}
        origin |= {"folded": done.folded, "constants": done.constants}
        return assessed(net.to(task.device), task, {"accuracy_best_test": None, "epochs": 0}, {"adopted": origin})

    return take_up


def tried(preset: Preset, run: AnnRun, path: Path, adopted: Adopted) -> tuple[float, Adoption]:
    """Accuracy in percent on the run's test images, before anything is written; InputError if the file doesn't fit."""
    prepared = prepared_images(preset, run.dataset)
    task = task_of(run, preset.settings(run), prepared, torch.device("cpu"))
    net, done = filled(task, path, adopted)
    return task.analog(net, task.test).accuracy, done


def filled(task: Analog, path: Path, adopted: Adopted) -> tuple[Net, Adoption]:
    """The network of a run with the weights of a file, and what was done; InputError in one line if they don't fit."""
    run, arch = task.run, task.architecture
    if not path.exists():
        raise InputError(
            f"{run} is adopted from {adopted.file} (sha256 {adopted.sha256[:12]}...), and {path} is missing: `{ADOPT}` "
            "brings it back"
        )
    if files.sha256(path) != adopted.sha256:
        raise InputError(f"{path} is not the file that was adopted ({adopted.sha256[:12]}...): adopt it again")
    weights, ordered = foreign.read(path)
    # `standardise` of a teacher trained here; teacher_norm is about training
    net = task.built(arch, task.settings.network, standardised="standardise.mean" in weights)
    try:
        return net, adopt(net, weights, not arch.teacher, ordered, adopted.mean, adopted.std)
    except InputError as error:
        raise InputError(f"{adopted.file} as {run.network} for {run.dataset}: {error}") from None
