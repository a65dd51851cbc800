"""Activation maps and the distances between maps: by hand, by finite differences."""

import math

import pytest
import torch
from spike_trains import random, sam, spike_train
from torch.nn import functional as F

from lasnn.distillation.attention import (
    DISTANCES,
    Variant,
    activation_map,
    resized,
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
