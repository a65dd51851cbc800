"""What the guards cost: one training with them and without, by turns in one process.

On a machine with other work a difference of wall times drowns in noise. So two numbers are given: the share of the
wall time that is spent inside the guards, waiting for the disk included, and the ratio of processor times.
"""

import shutil
import statistics
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

    def once(name: str) -> tuple[float, float]:
        """Seconds of wall and of processor."""
        net = build("vgg5", 10, prepared.side, width=settings.network.width, fc=settings.network.fc)
        initialise(net, "vgg5", settings.network.init, seeding.generator(0, "initial weights", "vgg5"))
        net = spiking(net, dynamics_of(settings))
        set_thresholds(net, [1.0] * len(neurons(net)))
        where = folder / name
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        size = micro_batch(settings, RUN, net)
        job = Job(settings.training, settings.data, 0, size, Saves(where, "tag", Console()))
        wall, processor = time.monotonic(), time.process_time()
        fit(net, student_losses(net, None, RUN, settings, "mean"), train, job)
        return time.monotonic() - wall, time.process_time() - processor

    def guarded() -> tuple[float, float]:
        """Share of the wall time inside the guards, seconds of processor."""
        inside = 0.0

        def timed(call):
            def called(*arguments, **named):
                nonlocal inside
                began = time.monotonic()
                call(*arguments, **named)
                inside += time.monotonic() - began

            return called

        save, check = timed(Resume.save), timed(health.check_terms)
        with mock.patch.object(Resume, "save", save), mock.patch.object(health, "check_terms", check):
            wall, processor = once("with")
        return inside / wall, processor

    def unguarded() -> float:
        with mock.patch.object(Resume, "save"), mock.patch.object(health, "check_terms"):
            return once("without")[1]

    once("warm")
    shares, ratios = [], []
    for turn in range(turns):
        if turn % 2:
            (share, with_), without = guarded(), unguarded()
        else:
            without, (share, with_) = unguarded(), guarded()
        shares.append(share)
        ratios.append(with_ / without)
    return (
        f"cost of the guards: {100 * statistics.median(shares):.2f} % of the wall time (from {100 * min(shares):.2f} "
        f"to {100 * max(shares):.2f}), processor time {100 * (statistics.median(ratios) - 1):+.1f} % (from "
        f"{100 * (min(ratios) - 1):+.1f} to {100 * (max(ratios) - 1):+.1f}); medians of {turns} turns"
    )
