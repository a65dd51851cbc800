"""The diagnosis of a finished run: its network on held-out training images, and quick trials of what may help."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch

from lasnn import seeding
from lasnn.datasets.batches import Images, split
from lasnn.errors import InputError
from lasnn.networks import Net
from lasnn.plan.config import Preset
from lasnn.plan.runs import ConvertedRun, Run, SnnRun
from lasnn.plan.settings import Data
from lasnn.plan.vocabulary import given
from lasnn.spiking import diagnosis
from lasnn.spiking.conversion import balance, scale_thresholds, with_leaks
from lasnn.spiking.diagnosis import Diagnosis
from lasnn.spiking.evaluation import evaluate
from lasnn.storage import files
from lasnn.training.reading import prepared_images
from lasnn.training.stages.converted import drawn_images, in_chunks

TRIAL_STEPS, TRIAL_IMAGES, TRIAL_ROWS = 200, 32, 512  # of a trial of balancing


@dataclass(frozen=True)
class Trial:
    """One setting tried: as config.yaml has it, its value now, and the accuracy; None where nothing was tried."""

    setting: str
    value: str
    now: str
    accuracy: float | None
    remark: str = ""

    def __str__(self) -> str:
        text = f"{self.setting}: {self.value} (now {self.now})"
        text += "" if self.accuracy is None else f": {self.accuracy:.1f} %"
        return text + (f", {self.remark}" if self.remark else "")


@dataclass(frozen=True)
class Patient:
    """A run with what its trials need: its network ready to simulate, its scale, and the balanced network behind it."""

    run: ConvertedRun | SnnRun
    net: Net
    scale: float
    steps: int
    images: Images
    settings: dict
    train: Images
    data: Data
    balanced: Net | None = None  # of a converted run, unscaled

    @property
    def gain(self) -> float:
        return self.settings["encoder"]["gain"]

    @property
    def trained(self) -> bool:
        return self.settings.get("training") is not None

    def judge(self, net: Net, steps: int | None = None) -> float:
        """Accuracy on the images, in percent."""
        return evaluate(net, self.images, self.run.encoder, steps or self.steps, gain=self.gain).accuracy


def patient(preset: Preset, run: Run, net: Net, settings: dict, steps: int | None, images: int) -> Patient:
    """What a diagnosis of `run` looks at; `net` and `settings` are its checkpoint's. InputError for an ANN."""
    if not isinstance(run, ConvertedRun | SnnRun):
        raise InputError(f"{run} is an ANN and has no spikes: diagnose a converted or a spiking run of it")
    data = preset.settings(run).data
    train, _ = split(prepared_images(preset, run.dataset), data, torch.device("cpu"))
    scale, balanced = 1.0, None
    if isinstance(run, ConvertedRun):
        balanced, net = net, scale_thresholds(net, 1.0, settings["balancing"]["residual"])
        steps = steps or settings["curve"]["steps"]
    else:
        metrics = files.read_json(Path(preset.folder(run), "metrics.json"))
        scale, steps = metrics.get("choices", {}).get("scale", 1.0), steps or run.steps
    shown = train.last(data.held_out).first(images)
    return Patient(run, net, scale, steps, shown, settings, train, data, balanced)


def trials(sick: Patient, found: Diagnosis, run_them: bool) -> list[Trial]:
    """The two or three settings that are most likely to help; with `run_them` each with what it gives."""
    balancing = {} if sick.balanced is None else sick.settings["balancing"]
    by_maximum = (balancing.get("norm"), balancing.get("stat")) == ("tb", "max")
    asked = diagnosis.advice(found, sick.trained, by_maximum)
    return [_trial(sick, found, name, run_them) for name in asked]


def _trial(sick: Patient, found: Diagnosis, name: str, run_it: bool) -> Trial:
    after = "without training again" if sick.trained else ""
    accuracy: float | None
    if name in ("lower", "higher"):
        if not run_it:
            return Trial("spiking.scale", f"{name} than now", f"{sick.scale:g}", None)
        factor, best = diagnosis.best_factor(sick.net, name, sick.judge)
        return Trial("spiking.scale", f"{sick.scale * factor:g}", f"{sick.scale:g}", best, after)
    if name == "T":
        accuracy = sick.judge(sick.net, 4 * sick.steps) if run_it else None
        return Trial("T", f"{4 * sick.steps}", f"{sick.steps}", accuracy, after)
    if name == "leak":
        accuracy = sick.judge(with_leaks(copy.deepcopy(sick.net), 1.0)) if run_it else None
        return Trial("spiking.leak", "1.0", f"{found.layers[0].leak:g}", accuracy, after)
    if name == "stat":
        accuracy = sick.judge(_rebalanced(sick)) if run_it else None
        return Trial("balancing.stat", "p99.7", "max", accuracy)
    entropy = found.cross_entropy
    remark = f"cross-entropy {entropy['sum']:.2f} becomes {entropy['mean']:.2f} at the start of a training"
    return Trial("spiking.logit_scale", "mean", "sum", None, remark)


def _rebalanced(sick: Patient) -> Net:
    """The converted network with thresholds from a percentile, found in fewer steps."""
    net = copy.deepcopy(given(sick.balanced)).eval()
    seed = seeding.key(sick.run.seed, "diagnosis")
    x = drawn_images(sick.train, TRIAL_IMAGES, sick.data, False, seed)
    steps, residual = min(TRIAL_STEPS, sick.settings["balancing"]["steps"]), sick.settings["balancing"]["residual"]
    balance(net, in_chunks(sick.run.encoder, x, steps, TRIAL_ROWS, seed, sick.gain), "p99.7", residual)
    return scale_thresholds(net, sick.scale, residual)


def page(sick: Patient, found: Diagnosis, tried: list[Trial]) -> str:
    """One page for a terminal."""
    head = f"{sick.run} at T = {found.steps}, {found.images} held-out training images"
    lines = [
        head,
        f"accuracy {found.accuracy:.1f} %, of its weights without spikes (analog limit) {found.limit_accuracy:.1f} %",
        f"logits: cross-entropy {found.cross_entropy['sum']:.2f} summed, {found.cross_entropy['mean']:.2f} averaged; "
        f"{found.certain:.0%} of images saturated",
        "",
        f"{'layer':14}{'theta':>9}{'leak':>6}{'rate':>8}{'limit':>9}{'silent':>8}{'satur.':>8}{'I>theta':>9}"
        f"{'I<0':>7}{'max I':>9}{'error':>7}{'lost':>7}{'clip':>6}",
    ]
    for one in found.layers:
        lines.append(
            f"{one.name:14}{one.threshold:9.3f}{one.leak:6.3g}{one.rate:8.4f}{one.expected:9.3g}{one.silent:8.0%}"
            f"{one.saturated:8.0%}{one.above:9.1%}{one.negative:7.0%}{one.largest:9.2g}{one.error:7.2f}"
            f"{one.lost:7.0%}{one.clipped:6.0%}"
        )
    lines += ["", diagnosis.words(found) + "."]
    if tried:
        lines.append("Most likely to help:" if tried[0].accuracy is None else "Tried on the same images:")
        lines += [f"  {trial}" for trial in tried]
    return "\n".join(lines)
