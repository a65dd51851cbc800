"""Every network at every size of image: converted, taught layer by layer, and trained for one real step."""

import math

import pytest
import torch
from oracle import settings_of, small
from torch.nn import functional as F

from lasnn.console import Console
from lasnn.datasets.batches import Images
from lasnn.distillation.objectives import OBJECTIVES, Step
from lasnn.plan.vocabulary import LEVELS, STUDENTS, TEACHERS
from lasnn.spiking.conversion import balance, neurons, scale_thresholds, spiking, with_dynamics
from lasnn.spiking.encoders import batch_noise, direct, poisson
from lasnn.spiking.neurons import Dynamics
from lasnn.training.loop import Job, fit
from lasnn.training.resume import Saves

SIDES = (16, 32, 64)
STEPS = 3


def pictures(side, count=2):
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=draws, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 4, torch.arange(count))


def job(folder, training):
    data = settings_of("hybrid").data.model_copy(update={"crop_padding": 1, "flip": True})
    recipe = training.model_copy(update={"batch": 2, "epochs": 1, "lr": 0.01, "weight_decay": 0.0, "warmup_epochs": 0})
    return Job(recipe, data, 0, 2, Saves(folder, "tag", Console()))


def moved(net, before):
    return {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}


def copies(net):
    return {name: value.detach().clone() for name, value in net.named_parameters()}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_converted_and_trained_for_one_step(tmp_path, name, side):
    ann = small(name, side=side)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    net = spiking(ann, Dynamics()).eval()
    found = balance(net, lambda: iter(direct(x, 96, None).split(32)))
    assert list(found) == list(neurons(net))
    assert all(value > 0 and math.isfinite(value) for value in found.values())
    net = with_dynamics(scale_thresholds(net, 0.4), leak=0.99)
    teacher = small("vgg16bn", side=side, seed=1).requires_grad_(False)
    objective, settings = OBJECTIVES["lasnn_act"], settings_of("lasnn_act")
    seen = {}

    def losses(part, moment):
        output = net(poisson(part.batch.x, STEPS, batch_noise(moment.draws("encoder"), part.start, part.whole)))
        seen.update({level: tuple(stage.shape[:2]) for level, stage in output.stages.items()})
        return objective(Step(part.batch, output, output.logits, teacher, moment.progress), settings)

    before = copies(net)
    (line,) = fit(net, losses, pictures(side), job(tmp_path, settings.training)).lines
    assert seen == dict.fromkeys(LEVELS, (STEPS, 2))
    assert 0 < line["attention"] <= 0.45 * 3 * math.sqrt(2)  # three levels of unit vectors
    assert next(iter(before)) in moved(net, before)  # the first layer learns, however deep the network
    assert all(value.isfinite().all() for value in net.parameters())


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [*STUDENTS, *TEACHERS])
def test_an_analog_network_is_trained_for_one_step(tmp_path, name, side):
    net = small(name, side=side)
    before = copies(net)

    def losses(part, moment):
        return {"ce": F.cross_entropy(net(part.batch.x[None]).logits, part.batch.labels)}

    (line,) = fit(net, losses, pictures(side), job(tmp_path, settings_of("hybrid").training)).lines
    assert math.isfinite(line["loss"])
    assert {name for name in before if name.endswith("weight")} <= moved(net, before)
