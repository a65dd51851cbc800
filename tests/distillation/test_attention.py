"""Activation maps, of spikes too, and the distances between maps: by hand, by autograd, by finite differences."""

import math

import pytest
import torch
from oracle import close
from spike_trains import random, sam, spike_train
from torch.nn import functional as F

from lasnn.distillation.attention import (
    DISTANCES,
    FiringRate,
    SpikeActivationMap,
    Variant,
    activation_map,
    resized,
    running_maps,
    scalar_distance,
    spatial_distance,
    unit,
)


def test_activation_maps_of_2x2_by_hand():
    """The mean over two channels of squares, T = 1; of spikes that of the rate: 1, 1/2, 0 and 1/2 in two steps."""
    activation = torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    assert activation_map(torch.stack(activation)[None, None]).tolist() == [[[5.0, 2.0], [0.0, 5.0]]]
    spikes = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]).view(2, 1, 1, 2, 2)
    assert activation_map(spikes).tolist() == [[[1.0, 0.25], [0.0, 0.25]]]


def test_the_gradient_of_a_rate_is_one_view_for_all_steps_in_the_memory_order_of_the_spikes():
    """g/T, a copy for none of the steps: what a layer behind reads in its own order."""
    spikes = random(4, 2, 3, 5, 5).permute(0, 1, 4, 2, 3).requires_grad_()
    gradient = random(2, 5, 3, 5)
    (found,) = torch.autograd.grad(FiringRate.apply(spikes), spikes, gradient)
    assert torch.equal(found, (gradient / 4).expand(4, 2, 5, 3, 5))
    assert found.stride() == (0, *spikes.stride()[1:])


def test_spatial_distance_by_hand():
    teacher = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])  # unit vector 0.6, 0, 0, 0.8
    student = torch.tensor([[[0.0, 0.0], [0.0, 0.5]]])  # 0, 0, 0, 1
    squared = 0.6**2 + 0.2**2
    assert spatial_distance(teacher, student, "l2").item() == pytest.approx(math.sqrt(squared), rel=1e-6)
    assert spatial_distance(teacher, student, "l2sq").item() == pytest.approx(squared, rel=1e-6)
    assert spatial_distance(teacher, student, "mse").item() == pytest.approx(squared / 4, rel=1e-6)


def test_scalar_distance_by_hand():
    """Eq. (6): images of mean square 2 and 1 against 0.5 and 2: (1.5 + 1)/2."""
    teacher = torch.tensor([[[4.0, 0.0], [4.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    student = torch.tensor([[[0.5, 0.5], [0.5, 0.5]], [[8.0, 0.0], [0.0, 0.0]]])
    assert scalar_distance(teacher, student, "l2").item() == 1.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("map_of", [activation_map, sam], ids=["activation", "sam"])
def test_gradient_is_finite_at_coinciding_and_at_empty_maps(map_of, distance, dtype):
    spikes = spike_train(6, 2, 3, 4, 4, dtype=dtype)
    spikes[:, 1] = 0  # the second image is silent
    for teacher in (map_of(spikes), random(2, 4, 4, dtype=dtype), torch.zeros(2, 4, 4, dtype=dtype)):
        student = spikes.clone().requires_grad_()
        loss = spatial_distance(teacher, map_of(student), distance)
        (gradient,) = torch.autograd.grad(loss, student)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        assert not gradient[:, 1].any()  # nothing pulls at a silent image


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradient_of_the_spatial_distance_equals_finite_differences(distance):
    teacher, student = random(2, 4, 4), random(2, 4, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: spatial_distance(teacher, s, distance), student)


def test_resizing_pools_where_the_side_divides_and_interpolates_elsewhere():
    map_ = torch.arange(16.0).view(1, 4, 4)
    assert resized(map_, 2).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]  # means of 2x2
    assert resized(map_, 4) is map_
    map_ = random(2, 6, 6)
    expected = F.interpolate(map_[:, None], (4, 4), mode="bilinear", align_corners=False)[:, 0]
    assert torch.equal(resized(map_, 4), expected)
    row = torch.tensor([0.0, 1.0, 2.0]).expand(1, 3, 3)  # centres of 2 of 3 columns: at 0.25 and 1.75
    assert resized(row, 2)[0, 0].tolist() == pytest.approx([0.25, 1.75])


@pytest.mark.parametrize("bigger", ["teacher", "student"])
def test_maps_meet_at_the_smaller_side_before_they_are_normalised(bigger):
    large, little = random(2, 8, 8), random(2, 4, 4, seed=1)
    pooled = F.avg_pool2d(large[:, None], 2)[:, 0].flatten(1)
    expected = (F.normalize(pooled) - F.normalize(little.flatten(1))).norm(dim=1).mean()
    maps = (large, little) if bigger == "teacher" else (little, large)
    assert torch.allclose(spatial_distance(*maps, "l2"), expected, rtol=1e-9)


def test_a_map_of_neurons_that_fire_once_pulls_at_nothing():
    """All neurons of an image fire at most once: the map is zero and so must be the gradient (silent-map rule)."""
    spikes = torch.zeros(5, 1, 2, 4, 4)
    spikes[1, 0, 0, 1, 1] = spikes[2, 0, 1, 2, 3] = 1
    spikes.requires_grad_()
    loss = spatial_distance(random(1, 4, 4, dtype=torch.float32), sam(spikes), "l2")
    assert loss.item() == pytest.approx(1)
    loss.backward()
    assert spikes.grad.abs().max() == 0


def test_a_tiny_map_is_a_unit_vector_all_the_same():
    """The square of 1e-30 is no float32: the gradients of a confident teacher are as small."""
    assert unit(torch.tensor([[[3e-30, 4e-30]], [[0.0, 0.0]]])).tolist() == [pytest.approx([0.6, 0.8]), [0, 0]]


def test_maps_that_are_not_normalised_by_hand():
    """Eq. (12) as printed: images differ by 3 and 4 in two positions and by nothing; the mean of 5 and 0."""
    theirs = torch.tensor([[[3.0, 0.0], [0.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    ours = torch.tensor([[[0.0, 4.0], [0.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    assert spatial_distance(theirs, ours, "l2", normalised=False).item() == pytest.approx(2.5, abs=1e-6)
    assert spatial_distance(theirs, ours, "l2sq", normalised=False).item() == 12.5


def test_maps_of_a_variant_of_ones_own_are_unit_vectors_unless_it_says_otherwise():
    assert Variant(None, None).normalised(None) is True
    assert Variant(None, None, lambda settings: False).normalised(None) is False


# ---- the spike activation map, Eq. (11) ------------------------------------------------------------------------------


def double_sum(spikes, kappa):
    """Eq. (11) as printed, over all pairs t' < t."""
    total = torch.zeros_like(spikes[0])
    for t in range(len(spikes)):
        for earlier in range(t):
            total = total + math.exp(-kappa * (t - earlier)) * spikes[earlier] * spikes[t]
    return total.sum(1) / len(spikes)


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

    spikes, d = torch.tensor([1.0, 0.0, 1.0]).double().view(3, 1, 1, 1, 1).requires_grad_(), math.exp(-1)
    found = SpikeActivationMap.apply(spikes, 1.0, include, detach)
    assert found.item() == pytest.approx((d**2 + 2 * include) / 3, rel=1e-12)
    found.sum().backward()
    by_hand = [(not detach) * d**2, d + (not detach) * d, d**2]
    assert spikes.grad.flatten().tolist() == pytest.approx([(g + include) / 3 for g in by_hand], rel=1e-12)


def test_maps_of_running_rates_by_hand():
    """Two channels: 1, 0, 1 and 0, 0, 1. Rates 1, 1/2, 2/3 and 0, 0, 1/3; half the sum of squares each."""
    spikes = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]).view(3, 1, 2, 1, 1)
    assert running_maps(spikes).flatten().tolist() == pytest.approx([1 / 2, 1 / 8, (4 / 9 + 1 / 9) / 2])
    assert torch.equal(running_maps(spikes)[-1:], activation_map(spikes))
