"""What the guards cost: one training with them and without, by turns in one process."""

import shutil
import statistics
import time
from pathlib import Path
from unittest import mock

import torch
import yaml

from lasnn import health
from lasnn.config import Config, merged
from lasnn.conversion import neurons, set_thresholds, spiking
from lasnn.datasets import prepare
from lasnn.journal import Console
from lasnn.resume import Resume
from lasnn.runs import AnnRun, SnnRun
from lasnn.stages.snn import dynamics, micro_batch, student_losses
from lasnn.training import Job, fit
from lasnn.workplace import Workplace

from .tiny import ROOT

RUN = SnnRun("digits", "vgg5", "hybrid", "poisson", 10)


def measure(folder: Path, turns: int) -> str:
    """Three epochs of `quick`'s VGG5 at T = 10 on all its images, saved after each: medians and their ratio."""
    overlay = {
        "folders": {"results": str(folder / "results"), "data": str(folder / "data")},
        "presets": {"quick": {"student": {"epochs": 3}}},
    }
    preset = Config(merged(yaml.safe_load((ROOT / "config.yaml").read_text()), overlay)).preset("quick")
    prepare("digits", folder / "data" / "digits.npz")
    settings = preset.settings(RUN)
    place = Workplace(preset, RUN, settings, torch.device("cpu"), Console())

    def once(name: str) -> float:
        net = spiking(place.build(AnnRun("digits", "vgg5")), dynamics(settings))
        set_thresholds(net, [1.0] * len(neurons(net)))
        where = folder / name
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        size = micro_batch(settings, RUN, net)
        job = Job(settings.training, settings.data, 0, size, where, "tag", Console())
        began = time.monotonic()
        fit(net, student_losses(place, net, None, "mean"), place.images[0], job)
        return time.monotonic() - began

    def unguarded() -> float:
        with mock.patch.object(Resume, "save"), mock.patch.object(health, "check_terms"):
            return once("without")

    once("warm")
    pairs = [(once("with"), unguarded()) if turn % 2 else (unguarded(), once("with"))[::-1] for turn in range(turns)]
    with_, without = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return (
        f"cost of the guards: {with_:.2f} s with, {without:.2f} s without (medians of {turns} turns), "
        f"{100 * (ratio - 1):+.1f} % (median of the turns' ratios)"
    )
