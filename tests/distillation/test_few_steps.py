"""Losses at every step, consistency and the firing penalty: by hand, and against the step-by-step oracle."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracle import bright_input, settings_of, small_snn
from spike_trains import softmax

from lasnn.datasets.batches import Batch
from lasnn.distillation.few_steps import added_terms, consistency, mean_rate
from lasnn.distillation.objectives import OBJECTIVES
from lasnn.distillation.step import Step

LABELS = [1, 2]
Z = np.array([[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[-1.0, 0.0, 0.5], [2.0, 1.0, 1.0]]])  # [T, B, K]
Z_TEACHER = np.array([[4.0, 0, 1], [1, 1, 5.0]])


def divergence(target, z, tau):
    p, q = softmax(target / tau), softmax(z / tau)
    return tau**2 * (p * np.log(p / q)).sum(-1)


def step(z, teacher=None, every_step=True):
    z = torch.tensor(z)
    answer = None if teacher is None else lambda x: SimpleNamespace(logits=torch.tensor(teacher))
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.tensor(LABELS))
    return Step(batch, None, z.mean(0), answer, 0.0, by_step=z if every_step else None)


def spiking_of(**changes):
    return settings_of("hybrid", spiking=changes).spiking


def test_cross_entropy_of_every_step_by_hand():
    """The mean over both steps and images of -log p, not that of the mean logits."""
    expected = -np.log(softmax(Z)[:, [0, 1], LABELS]).mean()
    found = OBJECTIVES["hybrid"](step(Z), settings_of("hybrid"))["ce"].item()
    assert found == pytest.approx(expected, rel=1e-12)
    assert found != pytest.approx(OBJECTIVES["hybrid"](step(Z, every_step=False), settings_of("hybrid"))["ce"].item())


def test_consistency_by_hand():
    """Weight 0.5, τ = 2; the mean over steps is a constant, so a step is pulled by its own softmax alone."""
    z = torch.tensor(Z, requires_grad=True)
    batch = Batch(None, torch.tensor(LABELS))
    seen = Step(batch, None, z.mean(0), None, 0.0, by_step=z)
    found = consistency(seen, spiking_of(loss="every_step", consistency=0.5, consistency_temperature=2.0))
    assert found.item() == pytest.approx(0.5 * divergence(Z.mean(0), Z, 2.0).mean(), rel=1e-12)
    found.backward()
    # d/dz^t of τ² KL(p || softmax(z^t/τ)) is τ (softmax(z^t/τ) - p), here over 2 steps x 2 images.
    expected = 0.5 * 2.0 * (softmax(Z / 2.0) - softmax(Z.mean(0) / 2.0)) / 4
    assert z.grad.numpy() == pytest.approx(expected, rel=1e-10)


def test_consistency_with_the_steps_that_are_right_by_hand():
    """Image 0 has label 1: its first step is right (2.0 is the largest), its second isn't. Image 1 has label 2: its
    first step alone is right too; with labels that no step gives the target is uniform, as all logits are 0.
    """
    asked = spiking_of(loss="every_step", consistency=0.5, consistency_target="correct", consistency_temperature=2.0)
    expected = 0.5 * divergence(Z[0], Z, 2.0).mean()
    assert consistency(step(Z), asked).item() == pytest.approx(expected, rel=1e-12)
    both = np.array([Z[0], 2 * Z[0]])  # right in both steps: their mean
    assert consistency(step(both), asked).item() == pytest.approx(
        0.5 * divergence(1.5 * Z[0], both, 2.0).mean(), rel=1e-12
    )
    wrong = np.roll(Z[:1], 1, axis=2)
    assert consistency(step(wrong), asked).item() == pytest.approx(
        0.5 * divergence(np.zeros((2, 3)), wrong, 2.0).mean(), rel=1e-12
    )


@pytest.mark.parametrize(("target", "teaches", "learns"), [("strongest", 1, 0), ("weakest", 0, 1)])
def test_one_step_teaches_another_by_hand(target, teaches, learns):
    """Over both images the first step's largest probabilities sum to 1.5, the second's to 1.6: it is the strongest.

    The other step learns from its constant logits, b τ² KL, and has all of the gradient.
    """
    z = torch.tensor(
        np.log([[[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]], [[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]]), requires_grad=True
    )
    asked = spiking_of(loss="every_step", consistency=0.5, consistency_target=target, consistency_temperature=2.0)
    seen = Step(Batch(None, torch.tensor(LABELS)), None, z.mean(0), None, 0.0, by_step=z)
    found = consistency(seen, asked)
    by_hand = z.detach().numpy()
    assert found.item() == pytest.approx(0.5 * divergence(by_hand[teaches], by_hand[learns], 2.0).mean(), rel=1e-12)
    found.backward()
    assert z.grad[teaches].abs().max() == 0
    assert z.grad[learns].abs().max() > 0


def test_a_single_step_teaches_itself_nothing():
    asked = spiking_of(loss="every_step", consistency=0.5, consistency_target="strongest")
    assert consistency(step(Z[:1]), asked).item() == 0


def test_terms_are_added_where_they_are_asked_for():
    rate = torch.tensor(0.25)
    assert added_terms(step(Z), None, spiking_of()) == {}
    terms = added_terms(step(Z), rate, spiking_of(loss="every_step", consistency=0.5, firing_penalty=0.1))
    assert set(terms) == {"consistency", "firing"}
    assert terms["firing"].item() == pytest.approx(0.025)


def test_nothing_is_watched_unasked():
    net = small_snn("vgg5")
    with mean_rate(net, watched=False) as rate, torch.no_grad():
        net(bright_input(2, 1))
        assert not any(module._forward_hooks for module in net.modules())
    assert rate() is None
