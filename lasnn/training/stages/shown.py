"""What the attention loss compares, on the first test images: kept at the end, watched after each epoch."""

import numpy as np
import torch

from lasnn.datasets.batches import Batch, Images, plain_batches
from lasnn.distillation.attention import VARIANTS, as_compared
from lasnn.networks import Net, Output
from lasnn.plan.lookup import given
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.spiking.encoders import encode, image_noise

IMAGES = 8


@torch.no_grad()
def maps_at_the_end(net: Net, teacher: Net, test: Images, run: SnnRun, settings: SnnSettings) -> dict[str, np.ndarray]:
    """Unit maps [8, h, w] of teacher and student at each level."""
    output, batch = shown_to(net, test, run, settings)
    variant, attention, maps = VARIANTS[run.method], given(settings.attention), {}
    of_teacher = variant.of_teacher(teacher, batch.x, batch.labels, attention)
    for level, spikes in output.stages.items():
        of_student = variant.of_student(spikes, attention)[-len(batch) :]  # of maps for each step the last
        pair = as_compared(of_teacher[level], of_student)
        maps[f"maps_teacher_{level}"], maps[f"maps_student_{level}"] = (map_.cpu().numpy() for map_ in pair)
    return maps


@torch.no_grad()
def silent_maps(net: Net, test: Images, run: SnnRun, settings: SnnSettings) -> dict[str, float]:
    """The share of these images whose map at a level is zero throughout: there the loss pulls at nothing."""
    output, batch = shown_to(net, test, run, settings)
    of_student, attention = VARIANTS[run.method].of_student, given(settings.attention)
    maps = {level: of_student(spikes, attention)[-len(batch) :] for level, spikes in output.stages.items()}
    return {level: float((map_.flatten(1) == 0).all(1).double().mean()) for level, map_ in maps.items()}


def shown_to(net: Net, test: Images, run: SnnRun, settings: SnnSettings) -> tuple[Output, Batch]:
    """What a student makes of them, under the first encoder seed of evaluation."""
    batch = next(plain_batches(test.first(IMAGES), IMAGES))
    noise = image_noise(settings.evaluation.seeds[0], range(len(batch)), batch.x.device)
    return net.eval()(encode(run.encoder, batch.x, run.steps, noise, settings.encoder.gain)), batch
