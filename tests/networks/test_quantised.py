"""The clip-and-floor activation: what a neuron with v⁰ = θ/2 gives on average, and its gradient by hand."""

import pytest
import torch
from oracle import small

from lasnn.networks.quantised import ClipFloor, clips, quantise


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_it_is_the_mean_output_of_a_neuron_that_starts_at_half_its_threshold(levels):
    """A constant current z for T = L steps, v⁰ = λ/2, reset by subtraction; never at a tie, as z are no multiples."""
    unit = ClipFloor(levels)
    unit.clip.data.fill_(0.75)
    z = torch.linspace(-0.71, 1.43, 97)
    v, count = torch.full_like(z, 0.375), torch.zeros_like(z)
    for _ in range(levels):
        v = v + z
        spikes = (v > 0.75).float()
        v, count = v - 0.75 * spikes, count + spikes
    assert torch.allclose(unit(z), 0.75 * count / levels, atol=1e-6)
    assert set(unit(z).unique().tolist()) == {0.75 * k / levels for k in range(levels + 1)}


def test_its_gradient_by_hand():
    """λ = 2, L = 4: z = -1, 0.3, 0.8, 5 give 0, 0.5, 1, 2; d/dz 0, 1, 1, 0; d/dλ (output - z)/λ between, 1 above."""
    unit = ClipFloor(4)
    unit.clip.data.fill_(2.0)
    z = torch.tensor([-1.0, 0.3, 0.8, 5.0], requires_grad=True)
    output = unit(z)
    assert output.tolist() == [0.0, 0.5, 1.0, 2.0]
    assert torch.autograd.grad(output.sum(), z, retain_graph=True)[0].tolist() == [0, 1, 1, 0]
    by_hand = [0.0, (0.5 - 0.3) / 2, (1.0 - 0.8) / 2, 1.0]
    for place, expected in enumerate(by_hand):
        found = torch.autograd.grad(output[place], unit.clip, retain_graph=True)[0].item()
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "layers"), [("vgg5", 5), ("resnet12", 11)])
def test_every_layer_gets_its_own(name, layers):
    net = quantise(small(name), 4)
    assert len(clips(net)) == layers
    x = torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    net(x).logits.sum().backward()
    units = [module for module in net.modules() if isinstance(module, ClipFloor)]
    assert all(unit.clip.grad is not None for unit in units)
