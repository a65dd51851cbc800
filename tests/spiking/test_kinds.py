"""Neuron models that are simulated step by step: the LIF as its scans have it, and adaptive thresholds by hand."""

from dataclasses import replace

import pytest
import torch
from oracle import ORDERS, SURROGATES, bright_input, close, small_snn, surrogate_of

from lasnn.errors import InputError
from lasnn.spiking import nir_graph
from lasnn.spiking.conversion import neurons, train_leaks, train_thresholds
from lasnn.spiking.kinds import Layer, stepped
from lasnn.spiking.neurons import LIF, Dynamics, streaming
from lasnn.spiking.recording import record


def alif(beta=1.0, rho=0.5, **more):
    return Dynamics(kind="alif", adaptation=(beta, rho), **more)


@pytest.mark.parametrize("psi", SURROGATES)
@pytest.mark.parametrize(("reset", "reset_grad"), [("soft", False), ("soft", True), ("hard", False)])
@pytest.mark.parametrize("order", ["sync", "instant_reset"])
def test_steps_of_a_lif_are_its_scan(order, reset, reset_grad, psi):
    """The same spikes, and the gradient to 1e-12 in double precision."""
    draws = torch.Generator().manual_seed(1)
    current = torch.rand(9, 2, 5, generator=draws, dtype=torch.float64) - 0.2
    weight = torch.randn(current.shape, generator=draws, dtype=torch.float64)
    dynamics = Dynamics(0.7, order, reset, surrogate_of(psi), reset_grad)
    found = []
    for scanned in (True, False):
        x = current.clone().requires_grad_()
        spikes = LIF(0.75, dynamics).double()(x * 1) if scanned else stepped(x, Layer(0.75, 0.7, dynamics), {})[0]
        (spikes * weight).sum().backward()
        found.append((spikes, x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert close(found[1][1], found[0][1], 1e-12)


def test_an_adaptive_threshold_by_hand():
    """θ = 1, β = 1, ρ = 1/2, I = 1.25: b is 0, .5, .25, .625; the second step's potential ties with its threshold."""
    spikes, potentials = stepped(torch.full((4, 1), 1.25), Layer(1.0, 1.0, alif()), {})
    assert spikes.flatten().tolist() == [1, 0, 1, 1]
    assert potentials.flatten().tolist() == [1.25, 1.5, 2.75, 2.75]


@pytest.mark.parametrize(("second", "potential"), [(0.75, 0.375), (1.5, 1.125)])
def test_the_gradient_goes_through_the_threshold(second, potential):
    """dL/dI¹ = ψ² (λ - θ β (1 - ρ) ψ¹) for L = o², as the reset is detached; v² = 0.5 1.25 - 1 + I², its θ is 1.5."""
    current = torch.tensor([1.25, second]).view(2, 1).requires_grad_()
    spikes, potentials = stepped(current, Layer(1.0, 0.5, alif()), {})
    spikes[1].sum().backward()
    assert potentials.flatten().tolist() == [1.25, potential]
    psi = 0.3 * (1 - 0.25), 0.3 * max(0.0, 1 - abs(potential - 1.5))
    assert (psi[1] == 0) == (second == 0.75)
    assert current.grad.flatten().tolist() == pytest.approx([psi[1] * (0.5 - 0.5 * psi[0]), psi[1]])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_without_adaptation_a_network_is_one_of_lifs(name, order):
    """β = 0: the same logits bit for bit and gradients to rounding, in one call and in chunks."""
    nets = [small_snn(name, Dynamics(0.5, order)), small_snn(name, alif(0.0, leak=0.5, order=order))]
    x = bright_input(12, 2)
    for net in nets:
        net(x.clone()).logits.square().sum().backward()
    with torch.no_grad():
        one, other = (net(x.clone()).logits for net in nets)
        with streaming(nets[1]):
            parts = sum(nets[1](part.clone()).logits for part in (x[:5], x[5:]))
    assert one.any()
    assert torch.equal(one, other)
    assert torch.equal(one, parts)
    for ours, theirs in zip(*(net.parameters() for net in nets), strict=True):
        assert close(theirs.grad, ours.grad, 1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_carried_on_is_all_of_it(order):
    """Chunks of an adaptive network with trained thresholds and leaks give the spikes of the whole."""
    net, x = small_snn("vgg5", alif(leak=0.5, order=order)), bright_input(12, 2)
    train_thresholds(net)
    train_leaks(net)
    with torch.no_grad():
        whole = net(x.clone()).logits
        with streaming(net):
            parts = sum(net(part.clone()).logits for part in (x[:5], x[5:]))
    assert torch.equal(whole, parts)
    net(x.clone()).logits.square().sum().backward()
    for neuron in neurons(net).values():
        neuron.dynamics = replace(neuron.dynamics, adaptation=(0.0, 0.5))
    assert not torch.equal(whole, net(x.clone()).logits)
    assert all(neuron.leak_logit.grad and neuron.log_gain.grad for neuron in neurons(net).values())


def test_potentials_and_spikes_are_recorded_a_spiking_readout_is_a_lif_and_nir_has_no_node():
    net, x = small_snn("vgg5", alif(leak=0.5), spiking_readout=True), bright_input(12, 2)
    assert neurons(net)["readout"].dynamics.kind == "lif"
    seen = record(net, x)["c1"]
    assert seen.spikes.any()
    assert torch.equal(seen.potentials[0] > seen.threshold, seen.spikes[0] > 0)  # before anything has adapted
    assert not torch.equal(seen.potentials > seen.threshold, seen.spikes > 0)
    with pytest.raises(InputError, match="c1_spikes has neurons of the kind alif, for which NIR has no node"):
        nir_graph.graph_of(small_snn("vgg5", alif()), {})
