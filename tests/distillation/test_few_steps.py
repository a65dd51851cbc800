"""Losses at every step, consistency and the firing penalty: by hand, and against the step-by-step oracle."""

import numpy as np
import pytest
import torch
from oracle import bright_input, settings_of, small_snn
from spike_trains import softmax

from lasnn.datasets.batches import Batch
from lasnn.distillation.few_steps import added_terms, consistency, mean_rate
from lasnn.distillation.objectives import OBJECTIVES
from lasnn.distillation.step import Step
from lasnn.spiking.neurons import LIF

LABELS = [1, 2]
Z = np.array([[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[-1.0, 0.0, 0.5], [2.0, 1.0, 1.0]]])  # [T, B, K]
SURE = np.log([[[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]], [[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]])


def divergence(target, z, tau):
    p, q = softmax(target / tau), softmax(z / tau)
    return tau**2 * (p * np.log(p / q)).sum(-1)


def step(z, every_step=True):
    return Step(Batch(None, torch.tensor(LABELS)), None, z.mean(0), None, 0.0, by_step=z if every_step else None)


def spiking_of(**changes):
    return settings_of("hybrid", spiking=changes).spiking


def test_cross_entropy_of_every_step_by_hand():
    """The mean over both steps and images of -log p, not that of the mean logits."""
    expected = -np.log(softmax(Z)[:, [0, 1], LABELS]).mean()
    found, of_means = (
        OBJECTIVES["hybrid"](step(torch.tensor(Z), every_step), settings_of("hybrid"))["ce"].item()
        for every_step in (True, False)
    )
    assert found == pytest.approx(expected, rel=1e-12)
    assert found != pytest.approx(of_means)


@pytest.mark.parametrize(
    ("target", "z", "taught", "by"),
    [
        ("mean", Z, [0, 1], Z.mean(0)),
        # the steps that are right: of either image the first alone, both, whose mean teaches, or none, which is uniform
        ("correct", Z, [0, 1], Z[0]),
        ("correct", np.array([Z[0], 2 * Z[0]]), [0, 1], 1.5 * Z[0]),
        ("correct", np.roll(Z[:1], 1, axis=2), [0], 0 * Z[0]),
        # largest probabilities of the first step sum to 1.5 over both images, the second's to 1.6: it is the strongest
        ("strongest", SURE, [0], SURE[1]),
        ("weakest", SURE, [1], SURE[0]),
    ],
)
def test_consistency_by_hand(target, z, taught, by):
    """Weight 0.5, τ = 2. What teaches is a constant, so a step that is taught is pulled by its own softmax alone."""
    seen = torch.tensor(z, requires_grad=True)
    asked = {"consistency": 0.5, "consistency_target": target, "consistency_temperature": 2.0}
    found = consistency(step(seen), spiking_of(loss="every_step", **asked))
    assert found.item() == pytest.approx(0.5 * divergence(by, z[taught], 2.0).mean(), rel=1e-12)
    found.backward()
    # d/dz^t of τ² KL(p || softmax(z^t/τ)) is τ (softmax(z^t/τ) - p), here over the steps that are taught x 2 images.
    expected = np.zeros_like(z)
    expected[taught] = 0.5 * 2.0 * (softmax(z[taught] / 2.0) - softmax(by / 2.0)) / (2 * len(taught))
    assert seen.grad.numpy() == pytest.approx(expected, rel=1e-10)


def test_a_single_step_teaches_itself_nothing():
    asked = spiking_of(loss="every_step", consistency=0.5, consistency_target="strongest")
    assert consistency(step(torch.tensor(Z[:1])), asked).item() == 0


def test_terms_are_added_where_they_are_asked_for():
    seen, rate = step(torch.tensor(Z)), torch.tensor(0.25)
    assert added_terms(seen, None, spiking_of()) == {}
    terms = added_terms(seen, rate, spiking_of(loss="every_step", consistency=0.5, firing_penalty=0.1))
    assert set(terms) == {"consistency", "firing"}
    assert terms["firing"].item() == pytest.approx(0.025)


def test_the_mean_rate_is_that_of_all_neurons_and_steps_with_its_gradient():
    """Layers count by their neurons: all spikes over all neurons, images and steps."""
    net, seen = small_snn("vgg5"), []
    layers = [module for module in net.modules() if isinstance(module, LIF)]
    for module in layers:
        module.register_forward_hook(lambda module, inputs, spikes: seen.append(spikes.flatten()))
    with mean_rate(net, watched=True) as rate:
        net(bright_input(4, 2))
        found = rate()
    assert len(seen) == len(layers)
    assert found.item() == pytest.approx(torch.cat(seen).double().mean().item(), rel=1e-5)
    assert found.item() > 0
    assert found.requires_grad


def test_nothing_is_watched_unasked():
    net = small_snn("vgg5")
    with mean_rate(net, watched=False) as rate, torch.no_grad():
        net(bright_input(2, 1))
        assert not any(module._forward_hooks for module in net.modules())
    assert rate() is None
