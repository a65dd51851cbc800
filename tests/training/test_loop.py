"""The training loop: rates by hand, micro-batches, and draws."""

import math
import subprocess
import sys

import pytest
import torch
from oracle import close, small, small_snn
from trainings import job, pictures, recipe, snn_losses, student

from lasnn.networks import batch_norm
from lasnn.optimizers import eager
from lasnn.spiking.conversion import train_leaks
from lasnn.training.loop import fit, learning_rate, least_batch, optimizer


@pytest.mark.parametrize(
    ("update", "rates"),
    [
        ({"epochs": 10, "milestones": (0.6, 0.8, 0.9), "decay": 0.1}, [0.1] * 6 + [0.01] * 2 + [0.001] + [0.0001]),
        # no milestone before the first epoch is over: 0.2 of two epochs rounds to none, and two fall together
        ({"epochs": 2, "milestones": (0.2,), "decay": 0.1}, [0.1, 0.01]),
        ({"epochs": 2, "milestones": (0.1, 0.2), "decay": 0.1}, [0.1, 0.001]),
        ({"epochs": 4, "schedule": "cosine"}, [0.1, 0.05 + math.sqrt(0.5) / 20, 0.05, 0.05 - math.sqrt(0.5) / 20]),
        ({"epochs": 5, "warmup_epochs": 3, "milestones": (0.8,), "decay": 0.5}, [0.025, 0.05, 0.075, 0.1, 0.05]),
    ],
)
def test_rates_by_hand(update, rates):
    """Steps, steps of few epochs, a cosine and a warm-up, from 0.1."""
    made = recipe(lr=0.1, **update)
    assert [learning_rate(made, epoch) for epoch in range(made.epochs)] == pytest.approx(rates)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_an_unwrapped_optimizer_is_torchs_bit_for_bit(kind):
    """Five steps with hooks, state saved and loaded after the third: weights and state as in torch's own class."""

    def trained(kind):
        weights = [torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4)), torch.nn.Parameter(torch.ones(4))]
        made = lambda: kind(weights, lr=0.1, weight_decay=0.01, fused=True)  # noqa: E731
        optim, calls = made(), []
        optim.register_step_post_hook(lambda *_: calls.append("hook"))
        for step in range(5):
            optim.zero_grad()
            (weights[0] @ weights[1]).sin().sum().backward()
            optim.step()
            if step == 2:
                state, optim = optim.state_dict(), made()
                optim.load_state_dict(state)
        assert calls == ["hook"] * 3
        return [*weights, *(value for entry in optim.state_dict()["state"].values() for value in entry.values())]

    ours, theirs = trained(eager(kind)), trained(kind)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if b is not None]  # SGD without momentum has no buffer
    assert pairs
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)


def test_a_training_loads_no_compiler():
    """A job that trains and counts operations imports neither torch._dynamo nor sympy, which cost over a second."""
    code = """
import sys, torch
from lasnn.networks import build
from lasnn.optimizers import eager
from lasnn.spiking.conversion import spiking
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.operations import fan_outs
net = spiking(build("conv3fc2", 10, 16, width=0.125, fc=8), Dynamics())
optim = eager(torch.optim.Adam)(net.parameters(), lr=0.1, fused=True)
optim.zero_grad()
net(torch.ones(2, 1, 3, 16, 16)).logits.sum().backward()
optim.step()
fan_outs(net)
print({"torch._dynamo", "sympy"} & set(sys.modules))
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"


@pytest.mark.parametrize(("kind", "mode"), [("sgd", "l2"), ("adam", "l2"), ("adam", "decoupled")])
def test_weight_decay_pulls_weights_and_no_leak_or_norm(kind, mode):
    """One update with gradients of zero: weights shrink, σ(w), γ and β stay where they are."""
    net = batch_norm.insert(small_snn("vgg5"))
    train_leaks(net)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    optim = optimizer(net, recipe(optimizer=kind, wd_mode=mode, weight_decay=0.1, lr=0.1))
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optim.step()
    moved = {name for name, parameter in net.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name in before if name.endswith("weight") and "batch_norm" not in name}
    assert {"leak_logit", "batch_norm"} <= {part for name in before for part in name.split(".")}


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_decay_is_added_to_the_gradient(name, tmp_path):
    """Without a gradient of the loss, SGD takes w to w (1 - lr wd), Adam moves every weight by lr towards zero."""
    net = small("conv3fc2")
    before = net.readout.weight.detach().clone()
    losses = lambda part, moment: {"none": 0 * net.readout.weight.sum()}  # noqa: E731
    fit(net, losses, pictures(4), job(tmp_path, optimizer=name, epochs=1, weight_decay=0.5, milestones=(0.9,)))
    expected = before * (1 - 0.01 * 0.5) if name == "sgd" else before - 0.01 * before.sign()
    assert torch.allclose(net.readout.weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("count", [8, 7])
def test_gradients_of_micro_batches_add_up(tmp_path, count):
    """One update, in float64, with dropout and encoder noise; seven images leave a smaller last part."""
    gradients = {}
    for micro in (8, 4, 3, 1):
        net = student().double()
        log = fit(
            net, snn_losses(net), pictures(count), job(tmp_path / str(micro), batch=8, epochs=1, micro_batch=micro)
        )
        gradients[micro] = [parameter.grad for parameter in net.parameters()], log[0]
    whole, entry = gradients[8]
    for parts, line in gradients.values():
        assert all(close(ours, theirs, 1e-11) for ours, theirs in zip(parts, whole, strict=True))
        assert line["ce"] == pytest.approx(entry["ce"], rel=1e-12)
        assert line["gradient_norm"] == pytest.approx(entry["gradient_norm"], rel=1e-10)


def test_the_training_log_holds_means_over_images(tmp_path):
    """Ten images in batches of 4, 4 and 2: each counts once. A loss of 3w has the gradient 3, the mean over batches."""
    net = small("conv3fc2")

    def losses(part, moment):
        weight = next(iter(net.parameters())).flatten()[0]
        return {"label": part.batch.labels.double().mean(), "one": 1 + 3 * (weight - weight.detach())}

    (line,) = fit(net, losses, pictures(), job(tmp_path, epochs=1, micro_batch=3), lambda epoch: {"seen": epoch})
    assert line["label"] == pytest.approx((torch.arange(10) % 4).double().mean().item())
    assert (line["one"], line["epoch"], line["seen"]) == (1.0, 1, 0)
    assert line["loss"] == pytest.approx(line["label"] + 1)
    assert line["gradient_norm"] == pytest.approx(3)


@pytest.mark.parametrize(("name", "side", "least"), [("vgg16bn", 8, 2), ("vgg16bn", 32, 1), ("vgg16", 8, 1)])
def test_batch_norm_on_one_pixel_needs_two_images(name, side, least):
    """Four pools take 8 pixels to one, 32 to two; without batch norm an image may be alone."""
    assert least_batch(small(name, side=side)) == least


def test_clipping(tmp_path):
    net = student()
    fit(net, snn_losses(net), pictures(4), job(tmp_path, epochs=1, clip_norm=1e-3))
    total = torch.stack([parameter.grad.norm() for parameter in net.parameters()]).norm()
    assert total.item() == pytest.approx(1e-3, rel=1e-3)


def test_dead_and_saturated_layers_are_named_once_with_their_epoch(tmp_path, capsys):
    rates = [{"c1": 0.2, "c2": 0.0}, {"c1": 0.96, "c2": 0.0}, {"c1": 0.97, "c2": 0.1}, {"c1": 0.5, "c2": 0.0}]
    net = student()
    fit(net, snn_losses(net), pictures(), job(tmp_path), lambda epoch: {"rates": rates[epoch]})
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert [line.split(":")[1].strip() for line in warned] == [
        "layer c2 is dead after epoch 1",
        "layer c1 is saturated after epoch 2",
        "layer c2 is dead after epoch 4",
    ]
    again = student()
    fit(again, snn_losses(again), pictures(), job(tmp_path), lambda epoch: {})
    assert "warning" not in capsys.readouterr().err
