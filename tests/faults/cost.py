"""What the guards cost: the share of a training's wall time that is spent inside them, waiting for the disk included.

On a machine with other work the difference to a training without them drowns in noise.
"""

import statistics
import tempfile
import time
from pathlib import Path
from unittest import mock

import torch

from lasnn import seeding
from lasnn.console import Console
from lasnn.datasets import prepare
from lasnn.datasets.arrays import load
from lasnn.datasets.batches import split
from lasnn.networks import build, initialise
from lasnn.plan.config import Config, merged, whole
from lasnn.plan.runs import SnnRun
from lasnn.spiking.conversion import neurons, set_thresholds, spiking
from lasnn.training import health
from lasnn.training.loop import Job, fit
from lasnn.training.resume import Resume, Saves
from lasnn.training.stages.snn import dynamics_of
from lasnn.training.stages.student import micro_batch, student_losses

from .tiny import ROOT

RUN = SnnRun("digits", "vgg5", "hybrid", "poisson", 10)


def measure(folder: Path, turns: int) -> str:
    """Three epochs of `quick`'s VGG5 at T = 10 on all its images, saved after each: medians."""
    overlay = {
        "folders": {"results": str(folder / "results"), "data": str(folder / "data")},
        "presets": {"quick": {"student": {"epochs": 3}}},
    }
    preset = Config(merged(whole(ROOT / "config.yaml"), overlay)).preset("quick")
    prepare("digits", folder / "data" / "digits.npz")
    settings = preset.settings(RUN)
    prepared = load(folder / "data" / "digits.npz")
    train, _ = split(prepared, settings.data, torch.device("cpu"))

    def share() -> float:
        net = build("vgg5", 10, prepared.side, width=settings.network.width, fc=settings.network.fc)
        initialise(net, "vgg5", settings.network.init, seeding.generator(0, "initial weights", "vgg5"))
        net = spiking(net, dynamics_of(settings))
        set_thresholds(net, [1.0] * len(neurons(net)))
        size, inside = micro_batch(settings, RUN, net), 0.0

        def timed(call):
            def called(*arguments, **named):
                nonlocal inside
                began = time.monotonic()
                call(*arguments, **named)
                inside += time.monotonic() - began

            return called

        save, check = timed(Resume.save), timed(health.check_terms)
        with (
            tempfile.TemporaryDirectory(dir=folder) as where,
            mock.patch.object(Resume, "save", save),
            mock.patch.object(health, "check_terms", check),
        ):
            job = Job(settings.training, settings.data, 0, size, Saves(Path(where), "tag", Console()))
            start = time.monotonic()
            fit(net, student_losses(net, None, RUN, settings, "mean"), train, job)
            return inside / (time.monotonic() - start)

    _, *shares = (100 * share() for _ in range(turns + 1))
    median, least, most = statistics.median(shares), min(shares), max(shares)
    return f"guards: {median:.2f} % of the wall time (from {least:.2f} to {most:.2f}), median of {turns} turns"
