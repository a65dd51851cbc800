"""The loss of each variant of layer-wise distillation, from maps of its levels."""

import pytest
import torch
from oracle import close, settings_of
from spike_trains import KAPPA, double_sum, random, stages_of

from lasnn.distillation.attention import (
    VARIANTS,
    activation_map,
    spatial_distance,
)
from lasnn.networks import Output
from lasnn.plan.vocabulary import METHODS


def test_variants_are_the_methods_with_attention():
    assert set(VARIANTS) == {name for name, method in METHODS.items() if "attention" in method.sections}


@pytest.mark.parametrize("levels", [("low", "mid", "high"), ("mid",), ("high", "low")])
@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_is_the_sum_over_the_chosen_levels(variant, levels):
    settings = settings_of(variant, attention={"levels": levels}).attention
    output = Output(torch.zeros(6, 3, 1), stages_of(0), None)
    maps = {level: random(3, 8, 8, seed=index) for index, level in enumerate(("low", "mid", "high"))}
    found = VARIANTS[variant].loss(maps, output, settings)
    map_of = {"lasnn_act": activation_map, "lasnn_grad": lambda o: double_sum(o, KAPPA)}[variant]
    parts = [spatial_distance(maps[level], map_of(output.stages[level]), "l2") for level in levels]
    assert all(part > 0.01 for part in parts)
    assert torch.allclose(found, sum(parts), rtol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_scalar_maps_are_compared_as_scalars(variant):
    settings = settings_of(variant, attention={"map": "scalar", "levels": ("mid",)}).attention
    output = Output(torch.zeros(6, 3, 1), stages_of(0), None)
    maps = {"mid": random(3, 4, 4)}
    student = VARIANTS[variant].of_student(output.stages["mid"], settings)
    expected = (maps["mid"].mean((1, 2)) - student.mean((1, 2))).abs().mean()
    assert torch.allclose(VARIANTS[variant].loss(maps, output, settings), expected)


def test_the_loss_of_running_rates_is_the_mean_over_steps():
    settings = settings_of("lasnn_act", attention={"student_act": "per_step", "levels": ("mid",)}).attention
    spikes, maps = stages_of(0)["mid"].requires_grad_(), {"mid": random(3, 4, 4)}
    found = VARIANTS["lasnn_act"].loss(maps, Output(None, {"mid": spikes}, None), settings)
    by_step = [spatial_distance(maps["mid"], activation_map(spikes[: t + 1]), "l2") for t in range(len(spikes))]
    expected = sum(by_step) / len(by_step)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = [torch.autograd.grad(loss, spikes, retain_graph=True)[0] for loss in (found, expected)]
    assert close(*gradients, 1e-9)


def test_maps_that_are_not_normalised_by_hand():
    """Eq. (12) as printed: images differ by 3 and 4 in two positions and by nothing; the mean of 5 and 0."""
    theirs = torch.tensor([[[3.0, 0.0], [0.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    ours = torch.tensor([[[0.0, 4.0], [0.0, 5.0]], [[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    assert spatial_distance(theirs, ours, "l2", normalised=False).item() == pytest.approx(2.5, abs=1e-6)
    assert spatial_distance(theirs, ours, "l2sq", normalised=False).item() == 12.5
    settings = settings_of("lasnn_grad", attention={"grad_norm": "none", "levels": ("mid",)}).attention
    output, maps = Output(None, stages_of(0), None), {"mid": random(3, 4, 4)}
    expected = (maps["mid"] - double_sum(output.stages["mid"], KAPPA)).flatten(1).norm(dim=1).mean()
    assert VARIANTS["lasnn_grad"].loss(maps, output, settings).item() == pytest.approx(expected.item(), rel=1e-9)


def test_raw_activation_maps_by_hand():
    """Eq. (5), (7) to the letter: the L2 norm of the difference of two maps, neither of which is normalised."""
    settings = settings_of("lasnn_act", attention={"norm": "none", "levels": ("mid",)}).attention
    output, maps = Output(None, stages_of(0), None), {"mid": random(3, 4, 4)}
    rates = output.stages["mid"].mean(0)
    expected = (maps["mid"] - rates.square().mean(1)).flatten(1).norm(dim=1).mean()
    found = VARIANTS["lasnn_act"].loss(maps, output, settings).item()
    assert found == pytest.approx(expected.item(), rel=1e-9)
    unit = settings_of("lasnn_act", attention={"levels": ("mid",)}).attention
    assert found != pytest.approx(VARIANTS["lasnn_act"].loss(maps, output, unit).item(), rel=1e-3)
