"""Every network at small and large images: converted, taught layer by layer, and trained for one real step."""

import math

import pytest
import torch
from oracle import settings_of, small
from trainings import ann_losses, job, pictures

from lasnn.distillation.objectives import OBJECTIVES
from lasnn.distillation.step import Step
from lasnn.networks import batch_norm
from lasnn.plan.vocabulary import LEVELS, STUDENTS, TEACHERS
from lasnn.spiking.conversion import balance, neurons, scale_thresholds, spiking, with_leaks
from lasnn.spiking.encoders import batch_noise, direct, poisson
from lasnn.spiking.neurons import Dynamics
from lasnn.training.loop import fit

SIDES = (16, 64)  # from above 32 on some have a stem with a stride; test_sizes.py has the shapes of all
STEPS = 3
ONCE = {"batch": 2, "epochs": 1, "micro_batch": 2, "optimizer": "adam", "weight_decay": 0.0, "milestones": (0.9,)}


def moved(net, before):
    return {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}


@torch.no_grad()
def normed(ann, x):
    """Weights as batch norm leaves them: without it a network as deep as this one has no spikes in its last blocks."""
    batch_norm.insert(ann).train()
    for _ in range(50):
        ann(x[None])
    batch_norm.fold(ann.eval())


def copies(net):
    return {name: value.detach().clone() for name, value in net.named_parameters()}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_converted_and_trained_for_one_step(tmp_path, name, side):
    ann = small(name, side=side)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    if name == "resnet20_snn":
        normed(ann, x)
    net = spiking(ann, Dynamics()).eval()
    found = balance(net, lambda: iter(direct(x, 96, None).split(32)))
    assert list(found) == list(neurons(net))
    assert all(value > 0 and math.isfinite(value) for value in found.values())
    net = with_leaks(scale_thresholds(net, 0.4), 0.99)
    teacher = small("vgg16bn", side=side, seed=1).requires_grad_(False)
    objective, settings = OBJECTIVES["lasnn_act"], settings_of("lasnn_act")
    seen = {}

    def losses(part, moment):
        output = net(poisson(part.batch.x, STEPS, batch_noise(moment.draws("encoder"), part.start, part.whole)))
        seen.update({level: tuple(stage.shape[:2]) for level, stage in output.stages.items()})
        return objective(Step(part.batch, output, output.logits, teacher, moment.progress), settings)

    before = copies(net)
    (line,) = fit(net, losses, pictures(2, side), job(tmp_path, **ONCE))
    assert seen == dict.fromkeys(LEVELS, (STEPS, 2))
    assert 0 < line["attention"] <= 0.45 * 3 * math.sqrt(2)  # three levels of unit vectors
    assert next(iter(before)) in moved(net, before)  # the first layer learns, however deep the network
    assert all(value.isfinite().all() for value in net.parameters())


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", [*STUDENTS, *TEACHERS])
def test_an_analog_network_is_trained_for_one_step(tmp_path, name, side):
    net = small(name, side=side)
    before = copies(net)
    (line,) = fit(net, ann_losses(net), pictures(2, side), job(tmp_path, **ONCE))
    assert math.isfinite(line["loss"])
    assert {name for name in before if name.endswith("weight")} <= moved(net, before)
