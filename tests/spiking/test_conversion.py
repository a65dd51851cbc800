"""Conversion: thresholds by balancing, against hand-made networks, a naive simulation, and the ANN they come from."""

import math

import pytest
import torch
from oracle import ORDERS, bright_input, close, dyadic_input, pixels, simulate, small, small_snn, two_layers
from torch import nn

from lasnn.errors import InputError
from lasnn.networks.layers import Conv
from lasnn.networks.quantised import quantise, set_clips
from lasnn.networks.residual import Block
from lasnn.spiking.conversion import (
    STATISTICS,
    balance,
    neurons,
    scale_thresholds,
    set_thresholds,
    settle,
    spiking,
    start_at,
    thresholds,
    train_offsets,
    train_thresholds,
    weights_of,
    with_leaks,
)
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.normalisation import largest_activations, normalise, set_units, units


def chunked(x, size):
    """`x` [T, B, ...] in chunks, the same at every pass."""
    return lambda: iter(x.split(size))


# ---- balancing by hand -----------------------------------------------------------------------------------------------


def two_neurons(first, second):
    return spiking(two_layers(first, second), Dynamics()).eval()


@pytest.mark.parametrize(
    ("weights", "values", "size", "expected"),
    [
        # currents 1, 2, 0.5, 1.5: θ_1 = 2; v = 1, 3, 1.5, 3 fires in step 2 and 4; a spike brings 0.75 to the second
        ((2.0, 0.75), (0.5, 1.0, 0.25, 0.75), 4, {"f1": 2.0, "f2": 0.75}),
        # currents, not potentials: a constant 0.5 adds up in v, but θ_1 = 0.5; then v = 0.5 ties, 1 fires, ...
        ((0.5, 3.0), (1.0, 1.0, 1.0), 2, {"f1": 0.5, "f2": 3.0}),
    ],
)
def test_balance_two_neurons_by_hand(weights, values, size, expected):
    net = two_neurons(*weights)
    assert balance(net, chunked(pixels(*values)[:, None], size)) == expected
    assert thresholds(net) == expected


def test_a_dead_layer_is_named():
    net = two_neurons(2.0, -0.75)
    with pytest.raises(InputError, match=r"layer f2 gets no positive input current.*largest -?0"):
        balance(net, chunked(pixels(0.5, 1.0, 0.25, 0.75)[:, None], 4))
    with pytest.raises(InputError, match="layer f1"):
        balance(two_neurons(2.0, 0.75), chunked(pixels(-1.0, -0.5)[:, None], 2))


@pytest.mark.parametrize("name", ["b1.inner", "b2"])
def test_a_dead_layer_of_a_residual_network_is_named_and_weights_come_back(name):
    net = spiking(small("resnet12"), Dynamics()).eval()
    block = net.layers[name.split(".")[0]]
    with torch.no_grad():
        (block.conv1 if name.endswith("inner") else block.conv2).weight.fill_(-1)
        if not name.endswith("inner"):
            block.shortcut.weight.fill_(-1)
    before = {key: value.clone() for key, value in net.named_parameters()}
    with pytest.raises(InputError, match=f"layer {name} gets"):
        balance(net, chunked(dyadic_input(8, 2).abs(), 4))
    assert all(torch.equal(value, before[key]) for key, value in net.named_parameters())


# ---- the statistics --------------------------------------------------------------------------------------------------


def test_statistics_by_hand():
    """The largest; the 99.7th percentile of the step that has the largest one, of few values their largest.

    A current that is constant in time has those of its step.
    """
    assert STATISTICS["max"](torch.tensor([[[1.0, -7.0]], [[5.0, 2.0]]])) == 5
    current = torch.stack([torch.arange(1000.0), -torch.arange(1000.0)]).view(2, 10, 100)
    assert STATISTICS["p99.7"](current) == 996  # the 997th of 0, 1, ..., 999; the second step has none above 0
    assert STATISTICS["p99.7"](current[1:]) == -3  # the 997th of -999, ..., 0
    for few in (1, 8, 100):
        assert STATISTICS["p99.7"](torch.arange(float(few)).view(1, 1, few)) == few - 1
    once = torch.randn(1, 4, 50, generator=torch.Generator().manual_seed(0))
    for statistic in STATISTICS.values():
        assert statistic(once.expand(7, 4, 50)) == statistic(once.repeat(7, 1, 1))


# ---- against a naive simulation --------------------------------------------------------------------------------------


@torch.no_grad()
def naive_balance(net, x, statistic, residual="balanced"):
    """Each threshold from one more simulation of the whole network, step by step, with W_2 folded as it goes."""
    names, found = list(neurons(net)), {}
    for name in names:
        layer = net.layers[name.removesuffix(".inner")]
        if residual == "base" and isinstance(layer, Block):
            found[name] = 1.0
            continue
        found[name] = statistic(simulate(net, x).currents[name]).item()
        neurons(net)[name].threshold.fill_(found[name])
        if isinstance(layer, Block) and neurons(net)[name] is layer.inner:
            layer.conv2.weight.mul_(found[name])
    return found


@pytest.mark.parametrize("stat", STATISTICS)
@pytest.mark.parametrize(
    ("name", "residual", "order"),
    [
        ("conv3fc2", "balanced", "sync"),
        *(("vgg5", "balanced", order) for order in ORDERS),
        ("resnet12", "balanced", "sync"),
        ("resnet12", "base", "sync"),
    ],
)
def test_balance_equals_a_naive_simulation(name, stat, residual, order):
    """The recorded bits are the simulated spikes, in chunks or whole, also where the last byte of bits is not full."""
    x = bright_input(40, 3)
    net, other = (small_snn(name, Dynamics(order=order), threshold=1.0) for _ in range(2))
    expected = naive_balance(other, x, STATISTICS[stat], residual)
    before = {key: value.clone() for key, value in net.named_parameters()}
    for size in (40, 11):
        found = balance(net, chunked(x, size), stat, residual)
        assert found == expected  # all currents are dyadic, so all thresholds and folded weights are
        assert thresholds(net) == found
    assert all(torch.equal(value, before[key]) for key, value in net.named_parameters())  # bit for bit


# ---- scaling and folding ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_scaling_multiplies_every_threshold_and_leaves_the_original(name):
    net = small_snn(name)
    set_thresholds(net, [0.5 * (i + 1) for i in range(len(neurons(net)))])
    before = {key: value.clone() for key, value in net.state_dict().items()}
    scaled = scale_thresholds(net, 0.5)
    assert thresholds(scaled) == {layer: 0.5 * value for layer, value in thresholds(net).items()}
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    for key, value in scaled.named_parameters():
        if key.endswith("conv2.weight"):  # W_2 <- s θ_a W_2
            inner = neurons(net)[key.split(".")[1] + ".inner"].threshold
            assert torch.equal(value, before[key] * (0.5 * inner))
        else:
            assert torch.equal(value, before[key])
    if name == "resnet12":  # a base residual network's blocks are left
        set_thresholds(net, [1.0] * len(neurons(net)))
        scaled = scale_thresholds(net, 0.5, "base")
        assert thresholds(scaled) == {layer: 0.5 if layer.startswith("p") else 1.0 for layer in thresholds(net)}
        assert all(torch.equal(a, b) for a, b in zip(scaled.parameters(), net.parameters(), strict=True))


def with_constants(net):
    """`net` itself, with initial potentials and offsets of each channel."""
    start_at(net, 0.5)
    for wire in [wire for layer in net.layers.values() for wire in layer.wires()]:
        wire.neuron.offset = torch.full((len(weights_of(wire.synapses[0])),), 1 / 32)
    return net


def settled(net, x):
    """The logits of the settled network, which are those from before, bit for bit; nothing trained is left."""
    with torch.no_grad():
        before = net(x).logits
        settle(net)
        after = net(x).logits
    assert after.any()
    assert torch.equal(before, after)
    assert not {"log_gain", "offset_change"} & {key.split(".")[-1] for key in net.state_dict()}


@pytest.mark.parametrize("constants", [False, True])
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_a_trained_gain_is_a_threshold(name, constants):
    """A gain of 2 and half the threshold: the same spikes, as powers of 2 don't round."""
    net = small_snn(name, Dynamics(0.5))
    net = with_constants(net) if constants else net
    before = list(thresholds(net).values())
    train_thresholds(net)
    for neuron in neurons(net).values():
        neuron.log_gain.data.fill_(math.log(2))
        assert neuron.log_gain.exp().item() == 2
    settled(net, dyadic_input(12, 2))
    assert list(thresholds(net).values()) == [value / 2 for value in before]


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_a_gain_of_a_channel_is_a_threshold_of_its_own(name):
    """Gains of 1/2, 1 and 2 by channel are put into weights and constants. Where an identity shortcut arrives, which
    has no weights, the gain is one for the layer.
    """
    net = with_constants(small_snn(name, Dynamics(0.5)))
    train_thresholds(net, by_channel=True)
    train_offsets(net)
    identities = {"b1"} if name == "resnet12" else set()
    assert {layer for layer, neuron in neurons(net).items() if not neuron.log_gain.dim()} == identities
    for neuron in neurons(net).values():
        powers = torch.arange(neuron.log_gain.numel()) % 3 - 1
        neuron.log_gain.data.copy_((powers * math.log(2)).view(neuron.log_gain.shape))
        neuron.offset_change.data.fill_(1 / 64)
    before = thresholds(net)
    settled(net, dyadic_input(12, 2))
    assert {layer for layer, theta in thresholds(net).items() if theta != before[layer]} == identities


@pytest.mark.parametrize("by_channel", [False, True])
def test_the_gradient_of_a_gain_is_that_of_all_weights_of_its_layer(by_channel):
    """I = e^g W o, so dL/dg = Σ W dL/dW; the gains of the channels add up to that, and so to the layer's one gain."""
    net, x = small_snn("vgg5", Dynamics(0.5)).train(), dyadic_input(12, 2)
    train_thresholds(net, by_channel)
    net(x).logits[:, 0].sum().backward()
    for layer in net.layers.values():
        expected = (layer.synapses.weight * layer.synapses.weight.grad).sum()
        found = layer.activation.log_gain.grad.sum()
        assert found.item() == pytest.approx(expected.item(), rel=1e-3, abs=1e-6)
        assert expected != 0


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
@pytest.mark.parametrize("leak", [1.0, 0.5])
def test_potentials_at_the_start(name, leak):
    """v⁰ = θ/2, leaked in the first step: the simulation's spikes, which differ from those of a start at rest."""
    net, x = small_snn(name, Dynamics(leak)), bright_input(6, 2)
    with torch.no_grad():
        rested = net(x).logits
        started = start_at(net, 0.5)(x).logits
        assert torch.equal(started, simulate(net, x).logits)
        assert not torch.equal(started, rested)
        assert torch.equal(start_at(net, 0.0)(x).logits, rested)


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_trained_offsets(name):
    """Their gradient is the simulation's; settled in the offsets they give the same spikes."""
    net, x = small_snn(name, Dynamics(0.5)).double(), bright_input(6, 2).double()
    train_offsets(net)
    changes = {key: neuron.offset_change for key, neuron in neurons(net).items()}
    for index, change in enumerate(changes.values()):
        change.data.copy_((torch.arange(len(change)) % 3 - 1) * (1 + index) / 64)
    output = net(x)
    found = torch.autograd.grad(output.logits[:, 0].sum(), list(changes.values()))
    expected = torch.autograd.grad(simulate(net, x).logits[:, 0].sum(), list(changes.values()))
    assert all(close(a, b, 1e-9) for a, b in zip(found, expected, strict=True))
    settled(net, x)
    assert {key: len(neuron.offset) for key, neuron in neurons(net).items()} == {k: len(c) for k, c in changes.items()}


def test_thresholds_travel_in_the_state_dict_and_a_leak_is_changed_alone():
    net, other = small_snn("vgg5", Dynamics(order="instant_reset")), small_snn("vgg5", seed=1)
    set_thresholds(net, [1.5, 2.5, 3.5, 4.5, 5.5])
    other.load_state_dict(net.state_dict())
    assert list(thresholds(other).values()) == [1.5, 2.5, 3.5, 4.5, 5.5]
    with pytest.raises(ValueError, match=r"longer|shorter"):
        set_thresholds(net, [1.0])
    assert with_leaks(net, 0.9) is net
    assert {neuron.dynamics for neuron in neurons(net).values()} == {Dynamics(0.9, "instant_reset")}


# ---- the converted network tends to its ANN --------------------------------------------------------------------------


@torch.no_grad()
def worst_rates(name, steps):
    """For each layer max |r Π θ - a| / max a, over 4 images of positive mean under direct input, λ = 1."""
    ann = small(name, seed=3)
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    train = x.expand(steps, *x.shape)
    net = spiking(ann, Dynamics()).eval()
    units = balance(net, chunked(train, steps))
    net = scale_thresholds(net, 1.0)

    analog, rates, h = {}, {}, x[None]
    for layer, module in ann.layers.items():
        activation, h = module(h)
        analog[layer] = activation[0]
    for layer, neuron in neurons(net).items():
        neuron.register_forward_hook(lambda m, x, spikes, layer=layer: rates.__setitem__(layer, spikes.mean(0)))
    potential, product, errors = net(train).logits, 1.0, {}
    for layer in analog:  # inner neurons of blocks drop out of the product after their junction
        product *= units[layer]
        errors[layer] = ((rates[layer] * product - analog[layer]).abs().max() / analog[layer].max()).item()
    logits = ann(x[None]).logits
    errors["logits"] = ((potential / steps * product - logits).abs().max() / logits.abs().max()).item()
    return errors


@pytest.mark.parametrize(("name", "steps"), [("conv3fc2", 250), ("vgg5", 250), ("resnet12", 1000)])
def test_rates_times_thresholds_tend_to_the_activations(name, steps):
    short, long = worst_rates(name, steps), worst_rates(name, 4 * steps)
    assert max(long.values()) < 0.08
    for layer, error in long.items():
        ratio = short[layer] / error
        assert 2.2 < ratio < 8, f"{layer}: {short[layer]:.4f} -> {error:.4f}; about 4 is expected of 1/T"


# ---- data-based normalisation: by hand, and against weights that are rescaled as the method says, thresholds all 1 ---


def test_thresholds_of_largest_activations_by_hand():
    """Activations 2x: λ_1 = 2; of the second 3 times that: λ_2 = 6, so θ = 2 and 6/2 = 3."""
    ann = two_layers(2.0, 3.0)
    net = spiking(ann, Dynamics())
    assert normalise(net, ann, pixels(0.5, 1.0, -1.0), "max") == {"f1": 2.0, "f2": 3.0}
    assert thresholds(net) == {"f1": 2.0, "f2": 3.0}


@pytest.mark.parametrize("rows", [7, 1000, 4000])
def test_robust_is_the_nearest_rank_of_what_is_not_zero(rows):
    """1, 2, ..., 2000 and as many zeros: the 1998th of 2000, by few images or many at once; of few the largest."""
    x = pixels(*range(-1999, 2001))[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    for share, shown, largest in ((0.001, x, 1998.0), (0.0, x, 2000.0), (0.001, pixels(3.0, 1.0, 2.0), 3.0)):
        assert largest_activations(two_layers(1.0, 1.0), shown, share, rows) == [largest, largest]


def test_a_layer_that_is_never_active_is_named():
    ann = two_layers(1.0, -1.0)
    with pytest.raises(InputError, match=r"layer f2 is never active in 2 calibration images"):
        normalise(spiking(ann, Dynamics()), ann, pixels(1.0, 2.0), "robust")


@torch.no_grad()
def rescaled(ann, largest):
    """`ann` as a spiking network in the words of the method: weights divided, thresholds 1, the identity a gain."""
    net, before, largest = spiking(ann, Dynamics()), 1.0, iter(largest)
    for layer in net.layers.values():
        if isinstance(layer, Block):
            inner, now = next(largest), next(largest)
            if isinstance(layer.shortcut, nn.Identity):
                channels = layer.conv2.in_channels
                layer.shortcut = Conv(channels, channels, 1).to(layer.conv2.weight.dtype)
                layer.shortcut.weight.copy_(torch.eye(channels)[:, :, None, None])
            layer.conv1.weight.mul_(before / inner)
            layer.conv2.weight.mul_(inner / now)
            layer.shortcut.weight.mul_(before / now)
        else:
            now = next(largest)
            layer.synapses.weight.mul_(before / now)
        before = now
    net.readout.weight.mul_(before)
    set_thresholds(net, [1.0] * len(neurons(net)))
    return net.eval()


@pytest.mark.parametrize("norm", ["max", "robust"])
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_thresholds_give_the_spikes_of_rescaled_weights(name, norm):
    """In float64, off the ties that rounding would break; and the readout's scale turns z/T into the ANN's logits."""
    ann, x = small(name, seed=3).double(), bright_input(1, 5)[0].double()
    largest = largest_activations(ann, x, {"max": 0.0, "robust": 0.001}[norm], 2)
    net = spiking(ann, Dynamics()).double()
    found = normalise(net, ann, x, norm, rows=2)
    assert list(found) == list(neurons(net))
    train = (0.997 * x).expand(60, *x.shape)  # x itself would sit on the largest threshold
    with torch.no_grad():
        ours, expected = (simulate(one, train) for one in (scale_thresholds(net, 1.0), rescaled(ann, largest)))
    for layer, spikes in ours.spikes.items():
        assert spikes.any(), layer
        assert torch.equal(spikes, expected.spikes[layer]), layer
    assert torch.allclose(ours.logits * largest[-1], expected.logits, rtol=1e-9, atol=1e-12)


# ---- learned clips: by hand, and against the clipped ANN -------------------------------------------------------------


def test_a_clip_is_a_threshold_in_units_of_the_spikes_that_arrive_by_hand():
    """Clips 2 and 0.5: a spike of the first layer is worth 2, so that the second's threshold is 0.5/2; and back."""
    net = two_neurons(1.0, 1.0)
    assert set_units(net, [2.0, 0.5]) == thresholds(net) == {"f1": 2.0, "f2": 0.25}
    assert units(net) == [2.0, 0.5]


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_rates_of_many_steps_are_the_activations_of_the_clipped_ann(name):
    """A spike is worth its layer's clip; clips of all sizes, most of them below what the layer reaches."""
    ann, x = quantise(small(name, seed=3).double(), 400), bright_input(1, 5)[0].double()
    largest = torch.tensor(largest_activations(small(name, seed=3).double(), x, 0.0, 5))
    learned = (largest * torch.linspace(0.5, 1.1, len(largest))).tolist()
    set_clips(ann, learned)
    net = spiking(ann, Dynamics()).eval()
    set_units(net, learned)
    assert units(net) == pytest.approx(learned)
    ready = start_at(scale_thresholds(net, 1.0), 0.5)
    with torch.no_grad():
        logits = learned[-1] / 400 * ready(x.expand(400, *x.shape)).logits
        expected = ann.eval()(x[None]).logits
    assert (logits - expected).abs().max() < 0.05 * expected.abs().max()
