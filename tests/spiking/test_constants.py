"""Constant currents of adopted networks: converted, they still act as the ANN's biases."""

import pytest
import torch

from lasnn.networks import build, initialise
from lasnn.networks.net import relus
from lasnn.plan.vocabulary import Architecture
from lasnn.spiking.calibration import activations, amplitude
from lasnn.spiking.conversion import (
    balance,
    balance_readout,
    neurons,
    scale_thresholds,
    spiking,
    thresholds,
    with_spiking_readout,
    without_constants,
)
from lasnn.spiking.neurons import Dynamics

PLAIN = Architecture("Mine", "plain", (8, "A", 12, 12), hidden=1, fc=20)
RESIDUAL = Architecture("Mine", "residual", (8, 12), strides=(1, 2))
X = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(4)) * 2 - 1
STEPS = 1500


def biased(arch):
    """An ANN with a bias in every layer."""
    draws = torch.Generator().manual_seed(1)
    net = initialise(build(arch, 10, 16), arch, "he", draws)
    found = activations(net, X)
    for name, relu in relus(net).items():
        relu.offset = torch.randn(found[name].shape[1], generator=draws) * 0.2
    net.readout.bias = torch.nn.Parameter(torch.randn(10, generator=draws), requires_grad=False)
    return net.eval()


def constant(steps):
    return lambda: [X[None].expand(steps, *X.shape)]


@pytest.mark.parametrize("arch", [PLAIN, RESIDUAL], ids=["plain", "residual"])
@torch.no_grad()
def test_the_logits_of_many_steps_are_those_of_the_ann(arch):
    """Over T steps of the image itself the mean currents of the readout, in the ANN's units, come to its logits."""
    ann = biased(arch)
    balanced = spiking(ann, Dynamics()).eval()
    balance(balanced, constant(40))
    before = {name: neuron.offset.clone() for name, neuron in neurons(balanced).items()}
    net = scale_thresholds(balanced, 1.2)
    unit = torch.tensor(1.0)
    for layer in net.layers.values():
        unit = unit * list(neurons(layer).values())[-1].threshold
    logits = net(next(iter(constant(STEPS)()))).logits / STEPS * unit
    expected = ann(X[None]).logits
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()
    assert all(torch.equal(before[name], neuron.offset) for name, neuron in neurons(balanced).items())
    without = scale_thresholds(without_constants(balanced), 1.2)(next(iter(constant(STEPS)()))).logits / STEPS * unit
    assert (without - expected).abs().max() > 0.2 * expected.abs().max()


@torch.no_grad()
def test_balancing_a_spiking_readout_and_calibration_know_the_constants():
    """One neuron layer by hand, its threshold is the largest W x + b; a readout's bias; a shift beside the constant."""
    ann = biased(PLAIN)
    first, net = ann.layers["c1"], spiking(ann, Dynamics()).eval()
    balance(net, constant(3))
    current = first.synapses(X[None]) + first.activation.offset[:, None, None]
    assert thresholds(net)["c1"] == pytest.approx(current.max().item())

    net = with_spiking_readout(spiking(ann, Dynamics()).eval(), Dynamics())
    assert torch.equal(net.readout.activation.offset, ann.readout.bias)
    for neuron in neurons(net.layers).values():
        neuron.threshold.fill_(1.0)
    assert balance_readout(net, constant(3)) > 0

    thetas = {name: value.max().item() for name, value in activations(ann, X).items()}
    net, stations = amplitude(ann, thetas, 200, Dynamics())
    assert torch.allclose(stations[0].neuron.offset, first.activation.offset + thetas["c1"] / 400)
    logits, expected = net(*constant(200)()).logits / 200, ann(X[None]).logits
    assert (logits - expected).abs().max() < 0.2 * expected.abs().max()
