"""Stage 1 and 2a for weights from elsewhere: checked, folded, measured; in place of a training."""

from collections.abc import Callable
from pathlib import Path

import torch

from lasnn.errors import InputError
from lasnn.networks import Net
from lasnn.networks.adopting import Adoption, adopt
from lasnn.plan.config import Preset
from lasnn.plan.own import ADOPT, Adopted
from lasnn.plan.runs import AnnRun
from lasnn.storage import files, foreign
from lasnn.training.leaving import Result
from lasnn.training.reading import prepared_images, task_of
from lasnn.training.resume import Saves
from lasnn.training.stages.ann import assessed
from lasnn.training.task import Analog


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
    # `standardise` of a teacher of ours; teacher_norm is about training
    net = task.built(arch, task.settings.network, standardised="standardise.mean" in weights)
    try:
        return net, adopt(net, weights, not arch.teacher, ordered, adopted.mean, adopted.std)
    except InputError as error:
        raise InputError(f"{adopted.file} as {run.network} for {run.dataset}: {error}") from None
