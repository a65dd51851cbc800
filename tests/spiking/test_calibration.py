"""SNN calibration: by hand on toy layers, and whole networks against neurons with spikes of amplitude θ."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle import apply, bright_input, dyadic, dyadic_input, small
from torch import nn

from lasnn.errors import InputError
from lasnn.networks import Net
from lasnn.networks.layers import Conv, Linear
from lasnn.networks.net import Synapses, Wire
from lasnn.networks.plain import Layer
from lasnn.networks.residual import Block
from lasnn.plan.settings import WeightCalibration
from lasnn.spiking.calibration import (
    Means,
    Station,
    activations,
    amplitude,
    average_thresholds,
    best_threshold,
    correct_bias,
    correct_potential,
    means,
    train_weights,
)
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.neurons import LIF, Dynamics, streaming

STEPS = 8


def one_layer(weights):
    """An ANN of one linear layer, `weights` [F][3], on images [B, 3] without sides."""
    layer = Layer(Linear(3, len(weights), bias=False))
    layer.synapses.weight.data = torch.tensor(weights)
    net = Net({"f1": layer}, Linear(len(weights), 2, bias=False), {"a": 4, "b": 2, "c": 1}, 4)
    net.taps = {}
    return net.eval()


def toy():
    """Two neurons that hear the first two of three pixels, θ = 1, T = 8: ANN, spiking network, its only station."""
    ann = one_layer([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    net, (station,) = amplitude(ann, {"f1": 1.0}, STEPS, Dynamics())
    return ann, net, station


PIXELS = torch.tensor([[0.25, 0.5, 0.0], [0.5, 0.25, 0.0]])


# ---- amplitudes ------------------------------------------------------------------------------------------------------


def test_best_threshold_by_search():
    """Against the definition, number by number; the largest activation is an outlier that T = 4 levels waste."""
    x = np.array([0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 1.0], dtype=np.float32)
    errors = {}
    for i in range(95):
        theta = 1.0 * (1 - 0.01 * i)
        errors[theta] = np.mean((x - np.clip(np.floor(x * 4 / theta), 0, 4) * theta / 4) ** 2)
    expected = min(errors, key=errors.get)
    assert expected < 0.9
    assert best_threshold(torch.from_numpy(x), 4, 95) == pytest.approx(expected)
    batch = torch.from_numpy(x)[:, None] * torch.tensor([1.0, 0, 0])  # activations x of one neuron
    assert average_thresholds(one_layer([[1.0, 0.0, 0.0]]), [batch], 4, 95, 0.9) == {"f1": pytest.approx(expected)}
    assert best_threshold(torch.from_numpy(x), 4, 1) == 1.0
    assert best_threshold(torch.zeros(3), 4, 95) == 0


@pytest.mark.parametrize(("momentum", "theta"), [(0.5, 2.75), (0.75, 1.9375), (0.0, 4.0)])
def test_thresholds_are_averaged_exponentially_over_batches(momentum, theta):
    """Largest activations 1, 2, 4; the momentum m is the weight of what was found before: θ <- m θ + (1 - m) largest.

    With 1/2: 1, 1.5, 2.75; with 3/4: 1, 1.25, 1.9375. A silent layer is refused by name.
    """
    ann = one_layer([[1.0, 0.0, 0.0]])
    *batches, silent = [torch.tensor([[size, 0.0, 0.0]]) for size in (1.0, 2.0, 4.0, -1.0)]
    assert average_thresholds(ann, batches, STEPS, 1, momentum) == {"f1": theta}
    with pytest.raises(InputError, match="layer f1 of the ANN is silent in 1 calibration images"):
        average_thresholds(ann, [silent], STEPS, 95, momentum)


# ---- corrections by hand ---------------------------------------------------------------------------------------------


def output(net, station):
    return means(net, station, PIXELS, STEPS, rows=4).output


def test_a_convolution_has_one_bias_and_one_correction_for_each_channel():
    net = Net({"c1": Layer(Conv(3, 8))}, Linear(8, 2, bias=False), {"a": 4, "b": 2, "c": 1}, 4)
    calibrated, (station,) = amplitude(net, {"c1": 0.5}, STEPS, Dynamics())
    neuron = calibrated.layers["c1"].activation
    assert neuron.offset.tolist() == [0.5 / 16] * 8
    neuron.offset = torch.zeros(2)
    error = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]], [[[1.0, 3.0]], [[0.0, 0.0]]]])  # [2, 2, 1, 2]
    correct_bias(replace(station, neuron=neuron, unit=2.0), error)
    assert neuron.offset.tolist() == [-1.0, -0.5]  # -2/g and -1/g


def test_bias_correction_removes_the_mean_error():
    """With the shift of 1/16, currents 1/4 and 1/2 give 2 and 4 spikes in 8 steps: no error. A bias of -1/8 (first
    neuron) takes one spike from each image, one of +1/4 (second) adds two: errors -1/8 and 1/4, which go.
    """
    ann, net, station = toy()
    target = activations(ann, PIXELS)["f1"]
    assert torch.equal(output(net, station), target)
    assert torch.equal(target, PIXELS[:, :2])
    station.neuron.offset += torch.tensor([-1 / 8, 1 / 4])
    error = output(net, station) - target
    assert error.mean(0).tolist() == [-1 / 8, 1 / 4]
    correct_bias(station, error)
    assert station.neuron.offset.tolist() == [1 / 16, 1 / 16]
    assert torch.equal(output(net, station), target)


def test_potential_correction_shifts_counts_by_the_intended_amount():
    """Errors of -2/8 and +1/8 in every image mean two spikes too few and one too many: v_0 = 2θ and -θ."""
    _, net, station = toy()
    before = output(net, station) * STEPS
    correct_potential(station, torch.tensor([[-2 / 8, 1 / 8]] * 2), STEPS)
    assert station.neuron.initial.tolist() == [2.0, -1.0]
    after = output(net, station) * STEPS
    assert (after - before).tolist() == [[2.0, -1.0]] * 2


# ---- the whole network against amplitude spikes ----------------------------------------------------------------------


class Amplitude:
    """A neuron whose spikes weigh θ: v += I + b + θ/(2T); o = 1[v > θ]; v -= θ o. Potentials in the ANN's units."""

    def __init__(self, theta, bias, initial):
        self.theta, self.bias, self.v, self.count = theta, bias, initial, 0

    def __call__(self, current):
        self.v = self.v + current + self.bias + self.theta / (2 * STEPS)
        spikes = (self.v > self.theta).to(current.dtype)
        self.v = self.v - self.theta * spikes
        self.count = self.count + spikes
        return self.theta * spikes


def amplitude_counts(ann, inner, x):
    """Step by step: spike counts of each layer [B, ...], and the summed logits."""
    logits = 0
    for _ in range(STEPS):
        h = x
        for name, layer in ann.layers.items():
            if isinstance(layer, Block):
                a = inner[f"{name}.inner"](apply(layer.conv1, h))
                h = inner[name](apply(layer.conv2, a) + apply(layer.shortcut, h))
            else:
                h = inner[name](apply(layer.synapses, h))
            h = apply(layer.between, h)
        logits = logits + h @ ann.readout.weight.T
    return {name: neuron.count for name, neuron in inner.items()}, logits


@pytest.mark.parametrize("name", ["conv3fc2", "vgg5", "resnet12"])
def test_unit_spikes_count_as_amplitude_spikes_do(name):
    """Weights, thresholds (powers of two), biases and initial potentials are dyadic: every sum is exact."""
    ann = dyadic(small(name)).double()
    x = (dyadic_input(1, 3)[0].double() + 1) / 2
    sizes = (0.25, 0.5, 1.0, 0.5)
    thetas = {layer: sizes[index % 4] for index, layer in enumerate(neurons(spiking(ann, Dynamics())))}
    net, stations = amplitude(ann, thetas, STEPS, Dynamics())
    draws, inner = torch.Generator().manual_seed(1), {}
    shapes = {layer: activation.shape[1:] for layer, activation in activations(ann, x).items()}
    for station in stations:
        bias = torch.randint(-2, 5, (shapes[station.name][0],), generator=draws).double() / 32
        initial = torch.randint(-4, 9, shapes[station.name], generator=draws).double() / 16
        station.neuron.offset = station.neuron.offset.double() + bias / station.unit
        correct_potential(station, -initial[None] / STEPS, STEPS)
        by_channel = bias.view(-1, *(1,) * (initial.dim() - 1))
        inner[station.name] = Amplitude(thetas[station.name], by_channel, initial)
    with torch.no_grad():
        counts, logits = amplitude_counts(ann, inner, x)
        output = net(x[None].expand(STEPS, *x.shape))
    for station in stations:
        found = means(net, station, x, STEPS, rows=5).output * (STEPS / station.threshold)
        assert 0 < counts[station.name].mean() < STEPS
        assert torch.equal(found, counts[station.name]), station.name
    assert torch.equal(output.logits, logits)


# ---- weights ---------------------------------------------------------------------------------------------------------


def weight_station(weight):
    synapses = Linear(2, 1, bias=False)
    synapses.weight.data = torch.tensor([weight])
    wire = Wire("", LIF(), (Synapses("synapses", synapses),))
    return Station("f1", synapses, wire, wire.neuron, threshold=1.0, unit=2.0, input_unit=4.0)


def recipe(**update):
    return WeightCalibration(**{"images": 4, "steps": 1, "batch": 4, "lr": 0.125, **update})


@pytest.mark.parametrize(
    ("images", "target", "constant", "steps", "first"),
    [
        # Adam's first step is lr = 1/8 against the gradient's sign, as stored 1/4: too small an output raises W
        ([[1.0, 0.0]], 0.75, None, 1, 0.75),
        # the rate falls as a cosine: two steps against the same sign, 1/8, then half of that
        ([[0.5, 0.0]], 0.9, None, 2, 0.5 + 2 * (1 / 8 + 1 / 16)),
        # clipped outputs move no weight
        ([[8.0, 0.0]], 0.5, None, 1, 0.5),
        ([[-8.0, 0.0]], 0.5, None, 1, 0.5),
        # the constant of an adopted network is part of the current: 0.25 x 1 and 0.5 are right, or too much
        ([[1.0, 0.0]] * 3, 0.75, 0.5, 1, 0.5),
        ([[1.0, 0.0]] * 3, 0.25, 0.5, 1, 0.25),
    ],
)
def test_steps_on_weights_by_hand(images, target, constant, steps, first):
    """In units of the ANN W = weight unit / input_unit = 1/4, 0. The weight of the silent input stays."""
    constant = None if constant is None else torch.tensor([constant])
    station, x = replace(weight_station([0.5, 0.0]), constant=constant), torch.tensor(images)
    asked, wanted = recipe(steps=steps), torch.full((len(x), 1), target)
    found = train_weights(station, Means(None, x, x), wanted, STEPS, asked, torch.Generator().manual_seed(0))
    assert found.tolist() == [[pytest.approx(first, rel=1e-3 if steps > 1 else 1e-6), 0.0]]


def test_the_input_of_a_block_is_the_output_of_the_one_before_in_the_anns_units():
    """Whatever the thresholds of either are: the shortcut's current is made of it."""
    ann = small("resnet12").double()
    names = neurons(spiking(ann, Dynamics()))
    thetas = {name: (0.25, 0.5, 1.0)[index % 3] for index, name in enumerate(names)}
    net, stations = amplitude(ann, thetas, STEPS, Dynamics())
    by_name = {station.name: station for station in stations}
    x = bright_input(1, 3)[0].double()
    given = means(net, by_name["b1"], x, STEPS, 64).output
    assert given.any()
    assert torch.equal(means(net, by_name["b2"], x, STEPS, 64).layer_input, given)


def test_a_junction_also_hears_its_shortcut():
    """Shortcut 0.5 + weight 0.25 x 1 gives 0.75 already: no error, no step. Without the shortcut it would be 0.25."""
    block = Block(8, 8, 1, 0.0)
    block.conv2.weight.data.zero_()
    block.conv2.weight.data[:, :, 1, 1] = 0.25 * torch.eye(8)
    junction = LIF()
    block.junction = junction
    station = Station("b1", block, block.wires()[-1], junction, threshold=1.0, unit=1.0, input_unit=1.0)
    ones = torch.ones(1, 8, 1, 1)
    seen = Means(None, ones, 0.5 * ones)
    before = block.conv2.weight.detach().clone()
    draws = torch.Generator().manual_seed(0)
    assert torch.equal(train_weights(station, seen, 0.75 * ones, STEPS, recipe(), draws), before)
    assert not torch.equal(train_weights(station, seen, 0.25 * ones, STEPS, recipe(), draws), before)


# ---- constants of a layer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (2, 3, 3)])
def test_constants_of_a_layer_in_chunks_and_with_a_constant_current(shape):
    """T = 6 at once, in chunks, and from a current that is one step in memory: the same spikes."""
    neuron = LIF(0.5)
    neuron.offset = torch.tensor([0.125, -0.125])
    neuron.initial = torch.arange(2 * shape[-1] ** (len(shape) - 1)).view(shape) / 8
    x = torch.full((2, *shape), 0.25)
    if len(shape) == 3:
        x = x.contiguous(memory_format=torch.channels_last)
    whole = neuron(x[None].repeat(6, *(1,) * x.dim()))
    assert torch.equal(neuron(x.clone()[None].expand(6, *x.shape)), whole)
    net = nn.Sequential(neuron)
    with streaming(net):
        parts = [net(x.clone()[None].expand(steps, *x.shape)) for steps in (1, 2, 3)]
    assert torch.equal(torch.cat(parts), whole)
    bare, other = LIF(0.5), LIF()
    assert not torch.equal(bare(x[None].repeat(6, *(1,) * x.dim())), whole)
    assert set(bare.state_dict()) == {"threshold"}  # saved where they are, loaded where they were
    other.load_state_dict(neuron.state_dict())
    assert torch.equal(other.offset, neuron.offset)
    assert torch.equal(other.initial, neuron.initial)
    other.load_state_dict(bare.state_dict())
    assert (other.offset, other.initial) == (None, None)
