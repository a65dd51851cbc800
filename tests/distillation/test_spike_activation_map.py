"""The spike activation map and the map of running rates: by hand, by the double sum, by autograd."""

import math

import pytest
import torch
from oracle import close
from spike_trains import D, double_sum, random, sam, spike_train

from lasnn.distillation.attention import SpikeActivationMap, activation_map, running_maps


@pytest.mark.parametrize("kappa", [0.1, 0.5, 1.0, 3.0])
def test_sam_equals_the_double_sum(kappa):
    """By hand, a neuron that fires in steps 1, 2 and 4 of 4: pairs (1,2), (2,4), (1,4)."""
    for values in (spike_train(12, 2, 3, 4, 4), random(12, 2, 3, 4, 4) * 2 - 1):
        assert close(sam(values, kappa), double_sum(values, kappa), 1e-13)
    spikes, d = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64).view(4, 1, 1, 1, 1), math.exp(-kappa)
    assert sam(spikes, kappa).item() == pytest.approx((d + d**2 + d**3) / 4, rel=1e-12)


def test_sam_is_zero_for_one_step_and_for_neurons_that_fire_once():
    assert not sam(torch.ones(1, 2, 3, 4, 4)).any()
    once = torch.zeros(10, 2, 3, 4, 4)
    for index in range(10):
        once[index].view(-1)[index::10] = 1  # every neuron fires exactly once
    assert (once.sum(0) == 1).all()
    assert not sam(once).any()
    once[9, 0, 0, 0, 0] = once[8, 0, 0, 0, 0] = 1
    assert sam(once).count_nonzero() == 1


def test_sam_in_channels_last_memory():
    spikes = spike_train(6, 2, 3, 4, 4)
    last = spikes.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    assert torch.equal(sam(last), sam(spikes))


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("detach", [False, True])
def test_sam_with_the_current_spike_and_with_a_detached_trace(include, detach):
    """Against autograd of the recurrence; by hand, spikes 1, 0, 1: sum d^2 (+ 2), gradient e (+ f) (+ 1)."""

    def plain(spikes, kappa):
        trace = total = torch.zeros_like(spikes[0])
        for o in spikes:
            total = total + (trace.detach() if detach else trace) * o + (o if include else 0)
            trace = math.exp(-kappa) * (trace + o)
        return total.sum(1) / len(spikes)

    values, weight = random(7, 2, 3, 2, 2), random(2, 2, 2, seed=1)
    ours, theirs = values.clone().requires_grad_(), values.clone().requires_grad_()
    found, expected = SpikeActivationMap.apply(ours, 0.5, include, detach), plain(theirs, 0.5)
    assert close(found, expected, 1e-13)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    assert close(ours.grad, theirs.grad, 1e-13)

    spikes = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64).view(3, 1, 1, 1, 1).requires_grad_()
    found = SpikeActivationMap.apply(spikes, 1.0, include, detach)
    assert found.item() == pytest.approx((D**2 + 2 * include) / 3, rel=1e-12)
    found.sum().backward()
    by_hand = [(not detach) * D**2, D + (not detach) * D, D**2]
    assert spikes.grad.flatten().tolist() == pytest.approx([(g + include) / 3 for g in by_hand], rel=1e-12)


def test_maps_of_running_rates_by_hand():
    """Two channels: 1, 0, 1 and 0, 0, 1. Rates 1, 1/2, 2/3 and 0, 0, 1/3; half the sum of squares each."""
    spikes = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]).view(3, 1, 2, 1, 1)
    assert running_maps(spikes).flatten().tolist() == pytest.approx([1 / 2, 1 / 8, (4 / 9 + 1 / 9) / 2])
    assert torch.equal(running_maps(spikes)[-1:], activation_map(spikes))
