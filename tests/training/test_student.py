"""How many images of a batch are in memory at once, and what is trained beside weights."""

from types import SimpleNamespace

import pytest
import torch
from oracle import quick, small_snn

from lasnn.distillation import objectives
from lasnn.errors import InputError
from lasnn.networks import batch_norm, census
from lasnn.plan.runs import SnnRun
from lasnn.spiking import conversion, kinds
from lasnn.spiking.neurons import Dynamics
from lasnn.training.stages import student

RUN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 10, "vgg16bn")


def settings(variant="base"):
    from dataclasses import replace

    return quick().settings(replace(RUN, variant=variant))


@pytest.mark.parametrize(
    ("room", "variant", "images"),
    [
        (16, "base", 16),
        (15.9, "base", 8),  # of a batch of 16 the next divisor
        (4, "base", 4),
        (0.5, "base", 1),  # one image at least
        (16, "double_first", 8),  # its first epochs have twice the steps
        (16, "per_step", 8),  # the running rate of each step and its gradient are kept as well
    ],
)
def test_micro_batches_by_hand(monkeypatch, room, variant, images):
    """An image takes 12 bytes for each neuron and step; there is room for `room` of them."""
    net = small_snn("vgg5", Dynamics())
    monkeypatch.setattr(student, "MICRO_BATCH_BYTES", int(room * 12 * RUN.steps * census(net).neurons))
    assert student.micro_batch(settings(variant), RUN, net) == images


@pytest.mark.parametrize("change", [conversion.train_leaks, conversion.train_thresholds, conversion.train_offsets])
def test_a_neuron_that_ignores_what_is_trained_is_named(monkeypatch, change):
    """A leak, a threshold or an offset without a gradient would be left as it was, silently."""

    class Stubborn:
        def step(self, layer, state, current):
            state["v"] = 0 * current.detach()
            return 0 * current.detach() + 1

    monkeypatch.setitem(kinds.KINDS, "stubborn", Stubborn())
    images = SimpleNamespace(first=lambda count: SimpleNamespace(pixels=torch.zeros(1, 3, 8, 8, dtype=torch.uint8)))
    for kind in ("lif", "alif", "stubborn"):
        net = small_snn("vgg5", Dynamics(0.5, kind=kind), threshold=0.01)
        change(net)
        spiking = SimpleNamespace(kind=kind)
        task = SimpleNamespace(train=images, side=8, settings=SimpleNamespace(spiking=spiking))
        if kind != "stubborn":
            student.check_trained(net, task)
            continue
        with pytest.raises(InputError, match="is to be trained, but neurons of the kind stubborn have no gradient"):
            student.check_trained(net, task)


def test_batches_of_a_normed_student_are_whole():
    """Statistics of batch norm are those of a batch: of the student, or of what its objective projects with."""
    net = small_snn("vgg5", Dynamics())
    assert student.whole_if_normed(net, 4, settings()) == 4
    net.objective = objectives.objective_of("kd_features", {"low": (8, 4, 4)}, {"low": (16, 4, 4)})
    assert student.whole_if_normed(net, 4, settings()) == settings().training.batch
    net.objective = None
    assert student.whole_if_normed(batch_norm.insert(net), 4, settings()) == settings().training.batch
