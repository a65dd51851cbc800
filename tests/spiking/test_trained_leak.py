"""A leak that is trained with the weights (PLIF): its gradient against autograd, and where it goes afterwards."""

import copy

import pytest
import torch
from oracle import ORDERS, Neuron, bright_input, close, dyadic_input, small_snn

from lasnn.spiking.conversion import leaks, neurons, settle, start_at, train_leaks, train_thresholds, with_leaks
from lasnn.spiking.neurons import LIF, Dynamics

THETA = 0.75


@pytest.mark.parametrize("gain", [1, 2])
@pytest.mark.parametrize("order", ORDERS)
def test_what_neurons_start_from_is_leaked_too(order, gain):
    """dL/dw of a leak σ(w), which has δ¹ v⁰, behind a dropout mask: autograd's, in double precision.

    A trained threshold of θ / 2 is twice the current and twice the v⁰.
    """
    draws = torch.Generator().manual_seed(3)
    current = torch.rand(9, 2, 5, generator=draws, dtype=torch.float64) - 0.2
    weight = torch.randn(current.shape, generator=draws, dtype=torch.float64)
    mask = torch.rand(2, 5, generator=draws, dtype=torch.float64).round() / 0.5
    found = {}
    for start in (0.0, 0.5):
        neuron = LIF(THETA, Dynamics(0.7, order)).double()
        neuron.leak_logit = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64).logit())
        neuron.log_gain = torch.nn.Parameter(torch.tensor(float(gain), dtype=torch.float64).log())
        neuron.initial = torch.full((5,), start, dtype=torch.float64)
        spikes = neuron(current.clone(), mask)
        (spikes * weight).sum().backward()
        logit = neuron.leak_logit.detach().clone().requires_grad_()
        oracle = Neuron(THETA, Dynamics(logit.sigmoid(), order), "bellec", initial=gain * start)
        expected = torch.stack([oracle(gain * step) for step in current]) * mask
        (expected * weight).sum().backward()
        assert torch.equal(spikes, expected)
        assert close(neuron.leak_logit.grad, logit.grad, 1e-12)
        found[start] = logit.grad
    assert found[0.0] != found[0.5]


def test_by_hand():
    """Two steps, no spike: v² = λ I¹ + I², dL/dλ = ψ² I¹ and dL/dw = λ (1 - λ) of that."""
    neuron = LIF(1.0, Dynamics(0.5))
    neuron.leak_logit = torch.nn.Parameter(torch.tensor(0.0))
    current = torch.tensor([0.5, 0.25]).view(2, 1, 1).requires_grad_()
    neuron(current * 1)[1].sum().backward()
    psi = 0.3 * 0.5  # v² = 0.5, half way to the threshold
    assert neuron.leak_logit.grad.item() == pytest.approx(0.25 * psi * 0.5)
    assert current.grad.flatten().tolist() == pytest.approx([0.5 * psi, psi])


@pytest.mark.parametrize("spiking_readout", [False, True])
def test_trained_leaks_are_the_layers_own_afterwards(spiking_readout):
    """The same spikes, bit for bit; saved and loaded by name; a spiking readout doesn't leak."""
    net, x = small_snn("resnet12", Dynamics(0.5), spiking_readout=spiking_readout), dyadic_input(12, 2)
    bare = copy.deepcopy(net)
    train_leaks(net)
    for number, neuron in enumerate(neurons(net.layers).values()):
        assert neuron.leak_logit.item() == 0  # σ(0) = 0.5
        neuron.leak_logit.data.fill_(number / 8)
    with torch.no_grad():
        trained = net(x).logits
        settle(net)
        settled = net(x).logits
        loaded = with_leaks(bare, leaks(net))(x).logits
    assert trained.any()
    assert torch.equal(trained, settled)
    assert torch.equal(trained, loaded)
    assert list(leaks(net).values()) == pytest.approx(
        [torch.tensor(n / 8).sigmoid().item() for n in range(len(leaks(net)))]
    )
    assert "leak" not in " ".join(net.state_dict())


@pytest.mark.parametrize(("leak", "order"), [(0.9, "instant_reset"), (1.0, "sync")])
def test_thresholds_and_leaks_are_trained_together(leak, order):
    """As in DIET-SNN: both have a gradient in every layer that spikes, from a start of θ/2; a leak of one starts where
    it has a slope.
    """
    net = start_at(small_snn("vgg5", Dynamics(leak, order)).train(), 0.5)
    train_thresholds(net)
    train_leaks(net)
    net(bright_input(12, 4)).logits.square().sum().backward()
    assert all(neuron.leak_logit.grad and neuron.log_gain.grad for neuron in neurons(net).values())
    settle(net)
    assert list(leaks(net).values()) == pytest.approx([min(leak, 0.999)] * 5)
