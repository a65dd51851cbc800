"""Evaluation: accuracy over time and spike counts of a network small enough to follow by hand."""

import numpy as np
import pytest
import torch
from oracle import simulate, small, small_snn
from torch import nn
from torch.nn import functional as F

from lasnn.datasets.batches import Images, scaled
from lasnn.networks import Net
from lasnn.networks.layers import Flatten, Linear
from lasnn.networks.plain import Layer
from lasnn.spiking import evaluation
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.encoders import ENCODERS, image_noise
from lasnn.spiking.evaluation import LayerSpikes, evaluate
from lasnn.spiking.neurons import Dynamics


def images_of(*pixels, labels):
    """Images of 1x1 from their three channels, 255 for x = 1 and 0 for x = -1."""
    values = torch.tensor(pixels, dtype=torch.uint8)[:, :, None, None]
    return Images(values, torch.tensor(labels), torch.arange(len(labels)))


def by_hand():
    """Two neurons of θ = 1: currents 0.75 x_1 and 1.25 x_2; outputs 3 and 1.75 for a spike.

    At x = 1 the first fires in steps 2, 3 and 5 (v: .75 1.5 1.25 1 1.75), the second in all five. Potentials of the
    classes: 0, 3, 6, 6, 9 against 1.75, 3.5, 5.25, 7, 8.75.
    """
    layer = Layer(nn.Sequential(Flatten(), Linear(3, 2, bias=False)))
    layer.synapses[1].weight.data = torch.tensor([[0.75, 0, 0], [0, 1.25, 0]])
    net = Net({"f1": layer}, Linear(2, 2, bias=False), {"a": 4, "b": 2, "c": 1}, 4)
    net.readout.weight.data = torch.tensor([[3.0, 0], [0, 1.75]])
    net.taps = {}
    return spiking(net, Dynamics())


FULL, NO_FIRST, BLACK = (255, 255, 255), (0, 255, 255), (0, 0, 0)


def test_an_evaluation_by_hand():
    """Accuracy after each step, logits, cross-entropy of their sums and means, and spike counts."""
    result = evaluate(by_hand(), images_of(FULL, NO_FIRST, labels=[0, 1]), "direct", 5, grid=[1, 3, 4, 5])
    assert result.accuracy_by_step.tolist() == [50, 50, 100, 50, 100]
    assert result.accuracy == 100
    assert result.predicted.tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert result.predicted.dtype == np.int16
    assert result.logits.tolist() == [[9.0, 8.75], [0.0, 8.75]]
    for name, scale in (("sum", 1), ("mean", 5)):
        margins = np.array([0.25, 8.75]) / scale
        assert result.cross_entropy[name] == pytest.approx(np.log1p(np.exp(-margins)).mean(), rel=1e-5)
    assert result.spikes == {"f1": LayerSpikes(neurons=2, total=3 + 5 + 5, images=2, silent=0)}
    assert result.spikes["f1"].per_neuron == 13 / 4
    for image, expected in ((NO_FIRST, (5, 1, 2.5)), (BLACK, (0, 2, 0))):
        alone = evaluate(by_hand(), images_of(image, labels=[1]), "direct", 5).spikes["f1"]
        assert (alone.total, alone.silent, alone.per_neuron) == expected


def pictures(encoder="poisson", count=9, side=8):
    """Grey values for the Poisson code, whose spikes are exact; black and white, x = -1 and 1, for the direct one."""
    draws = torch.Generator().manual_seed(5)
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=draws, dtype=torch.uint8)
    pixels = pixels if encoder == "poisson" else (pixels > 100) * torch.tensor(255, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 4, torch.arange(count))


def same(found, expected):
    assert np.array_equal(found.accuracy_by_step, expected.accuracy_by_step)
    assert np.array_equal(found.predicted, expected.predicted)
    assert np.array_equal(found.logits, expected.logits)  # dyadic weights and inputs: no rounding
    assert found.spikes == expected.spikes


@pytest.mark.parametrize("order", ["sync", "delayed"])
@pytest.mark.parametrize("encoder", ENCODERS)
def test_rows_and_batches_change_nothing(monkeypatch, encoder, order):
    net, images = small_snn("resnet12", Dynamics(order=order)), pictures(encoder)
    expected = evaluate(net, images, encoder, 14, grid=[3, 14])
    assert any(layer.total for layer in expected.spikes.values())
    for batch, rows in [(64, 1), (64, 2), (64, 40), (4, 512), (2, 7)]:
        monkeypatch.setattr(evaluation, "BATCH", batch)
        same(evaluate(net, images, encoder, 14, rows=rows, grid=[3, 14]), expected)


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
@pytest.mark.parametrize("tapped", [True, False])  # pools of layers that nobody taps are taken along by the scan
def test_evaluation_equals_the_oracle(name, encoder, tapped):
    """Spikes of every layer (S_l, silent neurons), logits and accuracy against the step-by-step simulation."""
    net, images, steps = small_snn(name), pictures(encoder), 12
    net.taps = net.taps if tapped else {}
    result = evaluate(net, images, encoder, steps, rows=20)
    x = ENCODERS[encoder](scaled(images.pixels), steps, image_noise(0, range(9), torch.device("cpu")))
    with torch.no_grad():
        trace = simulate(net, x)
    assert np.array_equal(result.logits, trace.logits.numpy())
    choices = torch.stack(trace.outputs).cumsum(0).argmax(2)
    assert result.accuracy_by_step.tolist() == ((choices == images.labels).sum(1).double() * 100 / 9).tolist()
    assert list(result.spikes) == list(neurons(net))
    for layer, spikes in trace.spikes.items():
        found = result.spikes[layer]
        assert found.neurons == spikes[0, 0].numel()
        assert found.total == spikes.sum()
        assert found.images == 9
        assert found.silent == (spikes.sum((0, 1)) == 0).sum()
        assert found.per_neuron == pytest.approx(spikes.sum(0).mean().item(), rel=1e-6)
        assert 0 <= found.per_neuron <= steps
    assert sum(layer.total for layer in result.spikes.values()) > 0


@pytest.mark.parametrize("rows", [1, 4, 512])
def test_an_ann_is_evaluated_in_one_step(rows):
    net, images = small("vgg16bn").train(), pictures()
    result = evaluate(net, images, "direct", 1, rows=rows)
    with torch.no_grad():
        logits = net.eval()(scaled(images.pixels)[None]).logits
    assert np.allclose(result.logits, logits.numpy(), rtol=1e-4, atol=1e-5)
    assert result.predicted.tolist() == [logits.argmax(1).tolist()]
    assert result.accuracy == pytest.approx((logits.argmax(1) == images.labels).double().mean().item() * 100)
    assert result.cross_entropy["sum"] == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-4)
    assert result.cross_entropy["sum"] == result.cross_entropy["mean"]
    assert result.spikes == {}


def test_evaluation_leaves_nothing_behind():
    net, done = small_snn("vgg5"), []
    evaluate(net, pictures(), "poisson", 6, rows=4, step=done.append)
    assert sum(done) == 9
    assert all(neuron.carried is None and not neuron._forward_hooks for neuron in neurons(net).values())
    assert all(parameter.grad is None for parameter in net.parameters())
