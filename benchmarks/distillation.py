"""Layer-wise distillation as the stage trains: batches with augmentation, the teacher's maps, attention loss, update.

An epoch is extrapolated from the images a second, without the evaluation and the saving that follow it.
"""

import gc
from pathlib import Path

import torch

from benchmarks.case import CLASSES, SIDE, Case, Subject, prepare
from benchmarks.measure import clock, summary
from lasnn import seeding
from lasnn.console import Console
from lasnn.datasets.batches import training_batches
from lasnn.networks import TAPS, build, initialise
from lasnn.plan.config import read
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.training.device import tf32
from lasnn.training.loop import Job, Moment, optimizer, update
from lasnn.training.resume import Saves
from lasnn.training.stages.student import micro_batch, student_losses

METHOD, DATASET, EPOCH = "lasnn_act", "cifar10", 50_000


class Distillation:
    """Batches of LaSNN's training with the settings of the preset `paper`, on random images."""

    def __init__(self, subject: Subject):
        case = subject.case
        preset = read().preset("paper")
        teacher = preset.scope.teacher_of[case.network]
        self.run = SnnRun(DATASET, case.network, METHOD, "poisson", case.steps, teacher)
        self.settings = with_amp(preset.settings(self.run), case.amp)
        self.images, self.batch, self.epoch, self.device = subject.images, case.batch, 0, case.device
        self.net, self.teacher = subject.copy_of_net(), teacher_of(teacher, case)
        taps = TAPS[self.settings.attention.taps]
        for net in (self.net, self.teacher):
            net.taps = taps(net.sides, net.side)
        self.losses = student_losses(self.net, self.teacher, self.run, self.settings, "mean")
        recipe = self.settings.training.model_copy(update={"batch": case.batch})
        self.optimizer = optimizer(self.net, recipe)
        part = case.micro_batch or micro_batch(
            self.settings.model_copy(update={"training": recipe}), self.run, self.net
        )
        self.job = Job(recipe, self.settings.data, 0, part, Saves(Path(), "", Console()))

    def train(self) -> None:
        """One pass over the images."""
        self.net.train()
        with tf32(self.settings.compute.amp != "off" and self.device == "cuda"):
            batches, waiting = training_batches(self.images, self.batch, self.settings.data, 0, self.epoch), None
            for index, batch in enumerate(batches):
                moment = Moment(0, self.epoch, index, 0.0)
                now = update(self.net, self.losses, batch, moment, self.optimizer, self.job)
                if waiting:  # read one batch late, as `fit` does
                    waiting()
                waiting = now
            waiting()
        self.epoch += 1


def with_amp(settings: SnnSettings, amp: str) -> SnnSettings:
    return settings.model_copy(update={"compute": settings.compute.model_copy(update={"amp": amp})})


def teacher_of(name: str, case: Case):
    """A teacher with random weights, frozen: what it says costs the same."""
    net = initialise(
        build(name, CLASSES, SIDE, width=case.width), name, "he", seeding.generator("benchmark", "teacher", name)
    )
    return net.to(case.device).eval().requires_grad_(False)


def distillation_row(case: Case, images: int, rounds: int, clock_kind: str) -> dict:
    """Seconds of a pass over the images, images a second, an epoch, and on a GPU the peak of its memory."""
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if case.device == "cuda":  # as runs have it
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return measured(case, images, rounds, clock_kind)
    finally:
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        gc.collect()


def measured(case: Case, images: int, rounds: int, clock_kind: str) -> dict:
    if case.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    subject = prepare(case, images)
    thing = Distillation(subject)
    subject.net = None  # it has weights of its own
    clock(thing.train, case.device, clock_kind)
    if case.device == "cuda":  # of steps alone: preparing has its own peak
        torch.cuda.reset_peak_memory_stats()
    seconds = [clock(thing.train, case.device, clock_kind) for _ in range(rounds)]
    row = {"what": "distillation", "implementation": "ours", "teacher": thing.run.teacher}
    row |= {"micro_batch": thing.job.micro_batch, "images": images} | summary(seconds, None, None)
    rate = images / row["median_s"]
    row |= {"step_s": row["median_s"] * case.batch / images, "images_per_s": rate, "epoch_s": EPOCH / rate}
    if case.device == "cuda":
        row["device_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    return row
