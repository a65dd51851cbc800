"""What `record` says of every neuron is what the float64 oracle saw, and what two neurons do by hand."""

import pytest
import torch
from oracle import bright_input, simulate, small_snn
from torch import nn

from lasnn.networks import Net
from lasnn.networks.layers import Flatten, Linear
from lasnn.networks.plain import Layer
from lasnn.spiking.conversion import neurons, spiking, train_leaks
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.recording import record


def test_two_neurons_by_hand():
    """θ = 1, λ = 1/2, currents 3/4 and 5/4 in each step: v = λ v - θ o + I."""
    layer = Layer(nn.Sequential(Flatten(), Linear(1, 2, bias=False)))
    layer.synapses[1].weight.data = torch.tensor([[0.75], [1.25]])
    net = spiking(Net({"f1": layer}, Linear(2, 2, bias=False), {"a": 4, "b": 2, "c": 1}, 4), Dynamics(leak=0.5))
    net.taps = {}
    found = record(net, torch.ones(1, 1, 1, 1, 1).expand(4, -1, -1, -1, -1))
    assert list(found) == ["f1"]
    assert found["f1"].potentials[:, 0].tolist() == [[0.75, 1.25], [1.125, 0.875], [0.3125, 1.6875], [0.90625, 1.09375]]
    assert found["f1"].spikes[:, 0].tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]
    assert found["f1"].threshold == 1
    assert found["f1"].rates.tolist() == [[0.25, 0.75]]


def test_a_leak_that_is_being_trained_is_the_one_of_the_spikes():
    """Not that of the dynamics, where it started."""
    net = small_snn("vgg5", Dynamics(0.9))
    train_leaks(net)
    for neuron in neurons(net).values():
        neuron.leak_logit.data.fill_(0.0)  # a leak of 1/2
    found, expected = (record(one, bright_input(6, 3)) for one in (net, small_snn("vgg5", Dynamics(0.5))))
    for layer, seen in found.items():
        assert torch.equal(seen.potentials, expected[layer].potentials)
        assert torch.equal(seen.spikes, expected[layer].spikes)


@pytest.mark.parametrize(
    ("dynamics", "constants"),
    [
        (Dynamics(), False),
        (Dynamics(leak=0.5), False),
        (Dynamics(leak=0.5, order="delayed"), False),
        (Dynamics(leak=0.5, order="instant_reset"), False),
        (Dynamics(leak=0.5, reset="hard"), False),
        (Dynamics(leak=0.5), True),  # a start at θ/2 and a current of every step, which calibration leaves
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_every_layer_is_as_the_oracle_saw_it(name, dynamics, constants):
    """With a leak of 1/2 and dyadic weights potentials over 6 steps are exact in float32."""
    net, x = small_snn(name, dynamics), bright_input(6, 3)
    for neuron in neurons(net).values() if constants else ():
        neuron.initial = neuron.threshold / 2
    if constants:
        next(iter(neurons(net).values())).offset = torch.arange(8) / 8
    seen, found = simulate(net, x), record(net, x)
    assert list(found) == list(neurons(net)) == list(seen.potentials)
    for layer, one in found.items():
        assert torch.equal(one.potentials.double(), seen.potentials[layer].detach())
        fired = (one.potentials > one.threshold).float()
        if dynamics.order == "delayed":  # the next layer sees a spike one step later
            fired = torch.cat([torch.zeros_like(fired[:1]), fired[:-1]])
        assert torch.equal(one.spikes, fired)
    assert all(one.spikes.any() for one in list(found.values())[:3])


def test_a_spiking_readout_is_recorded_and_the_network_left_as_it_was():
    """Its counts are the logits. Mode, hooks and potentials: the next call starts from rest and gives the same."""
    net, x = small_snn("vgg5", spiking_readout=True), bright_input(6, 3)
    before = net(x).logits
    found = record(net.train(), x)
    assert net.training
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in neurons(net).values())
    assert torch.equal(net.eval()(x).logits, before)
    assert before.any()
    assert list(found)[-1] == "readout"
    assert found["readout"].spikes.shape == (6, 3, 4)
    assert torch.equal(found["readout"].spikes.sum(0), before)
