"""How many images of a batch are in memory at once."""

import pytest
from oracle import quick, small_snn

from lasnn.networks import census
from lasnn.plan.runs import SnnRun
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
