"""Losses at every step, consistency and the firing penalty: by hand, and against the step-by-step oracle."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracle import bright_input, close, settings_of, simulate, small, small_snn

from lasnn.datasets.batches import Batch
from lasnn.distillation.few_steps import added_terms, consistency, mean_rate
from lasnn.distillation.objectives import OBJECTIVES, Step
from lasnn.spiking.neurons import Dynamics

LABELS = [1, 2]
Z = np.array([[[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]], [[-1.0, 0.0, 0.5], [2.0, 1.0, 1.0]]])  # [T, B, K]
Z_TEACHER = np.array([[4.0, 0, 1], [1, 1, 5.0]])


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


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


def test_label_distillation_of_every_step_by_hand():
    """L = mean_t [(1-a) CE(z^t) + a τ² KL(teacher || z^t)]."""
    settings = settings_of("kd_label", label_kd={"weight": 0.2, "temperature": 3.0, "form": "mix"})
    terms = OBJECTIVES["kd_label"](step(Z, Z_TEACHER), settings)
    assert terms["ce"].item() == pytest.approx(0.8 * -np.log(softmax(Z)[:, [0, 1], LABELS]).mean(), rel=1e-12)
    assert terms["kd"].item() == pytest.approx(0.2 * divergence(Z_TEACHER, Z, 3.0).mean(), rel=1e-12)


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


def test_terms_are_added_where_they_are_asked_for():
    rate = torch.tensor(0.25)
    assert added_terms(step(Z), None, spiking_of()) == {}
    terms = added_terms(step(Z), rate, spiking_of(loss="every_step", consistency=0.5, firing_penalty=0.1))
    assert set(terms) == {"consistency", "firing"}
    assert terms["firing"].item() == pytest.approx(0.025)


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_the_mean_rate_and_its_gradient_are_those_of_the_simulation(name):
    """Spikes of all layers over neurons, steps and images; float64, against plain autograd step by step."""
    net = small_snn(name, Dynamics(0.5)).double()
    x = bright_input(8, 3).double()
    with mean_rate(net, watched=True) as rate:
        net(x)
    found, graph = rate(), simulate(net, x)
    spikes = graph.spikes
    expected = sum(each.sum() for each in spikes.values()) / sum(each.numel() for each in spikes.values())
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.item() > 0
    weights = [parameter for key, parameter in net.named_parameters() if not key.startswith("readout")]
    ours = torch.autograd.grad(found, weights)
    rates = sum(graph.totals.values()) / sum(each.numel() for each in spikes.values())
    theirs = torch.autograd.grad(rates, weights)
    assert all(close(a, b, 1e-9) for a, b in zip(ours, theirs, strict=True))


def test_nothing_is_watched_unasked():
    net = small_snn("vgg5")
    with mean_rate(net, watched=False) as rate, torch.no_grad():
        net(bright_input(2, 1))
        assert not any(module._forward_hooks for module in net.modules())
    assert rate() is None


@pytest.mark.parametrize("name", ["vgg5", "conv3fc2"])
def test_the_gradient_of_losses_at_every_step(name):
    """Hybrid training, z^t = W o^t: the whole student in float64 against the simulation."""
    net, x = small_snn(name, Dynamics(0.5)).double(), bright_input(8, 2).double()
    output = net(x)
    batch = Batch(None, torch.tensor(LABELS))
    seen = Step(batch, output, output.logits / 8, None, 0.0, by_step=output.currents)
    assert torch.allclose(seen.by_step.mean(0), seen.logits)
    terms = OBJECTIVES["hybrid"](seen, settings_of("hybrid")) | added_terms(
        seen, None, spiking_of(loss="every_step", consistency=0.5, consistency_temperature=3.0)
    )
    found = torch.autograd.grad(sum(terms.values()), list(net.parameters()))
    loss, logits = 0, simulate(net, x).outputs
    mean = (sum(logits) / 8).detach()
    for z in logits:
        loss = loss - z.log_softmax(1)[range(2), LABELS].mean() / 8
        p, q = (mean / 3).softmax(1), (z / 3).softmax(1)
        loss = loss + 0.5 * 9 * (p * (p / q).log()).sum(1).mean() / 8
    expected = torch.autograd.grad(loss, list(net.parameters()))
    assert sum(terms.values()).item() == pytest.approx(loss.item(), rel=1e-12)
    assert all(close(a, b, 1e-9) for a, b in zip(found, expected, strict=True))


def test_layer_wise_distillation_may_learn_labels_too():
    """`attention.labels`: label distillation's two terms in place of cross-entropy, beside the maps'."""
    both = settings_of("lasnn_act", attention={"labels": True}).model_copy(
        update={"label_kd": settings_of("kd_label").label_kd}
    )
    net = small_snn("vgg5", Dynamics(0.5)).double()
    teacher_net = small("vgg16bn", seed=1).requires_grad_(False).double()
    x = bright_input(6, 2).double()
    output = net(x)
    seen = Step(Batch(x[0], torch.tensor(LABELS)), output, output.logits / 6, teacher_net, 0.0)
    terms = OBJECTIVES["lasnn_act"](seen, both)
    labels = OBJECTIVES["kd_label"](seen, both)
    plain = OBJECTIVES["lasnn_act"](seen, settings_of("lasnn_act"))
    assert set(terms) == {"ce", "kd", "attention"}
    assert (terms["ce"], terms["kd"]) == (labels["ce"], labels["kd"])
    assert terms["attention"] == plain["attention"] > 0
