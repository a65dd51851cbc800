"""Networks and their layers: spiking copies, pools, products, clips, and the spread of initial weights."""

import math
from itertools import product

import pytest
import torch
from oracle import dyadic_input, small, small_snn
from torch import nn
from torch.nn import functional as F

from lasnn.compiled.products import dense, onednn
from lasnn.networks import build, initialise
from lasnn.networks.layers import AveragePool, Conv
from lasnn.networks.quantised import ClipFloor, clips, quantise
from lasnn.plan.vocabulary import NETWORKS, STUDENTS, TEACHERS
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.neurons import LIF, Dynamics


@pytest.mark.parametrize("name", STUDENTS)
def test_spiking_keeps_names_and_values_of_weights(name):
    ann = small(name)
    before = {key: value.clone() for key, value in ann.state_dict().items()}
    net = spiking(ann, Dynamics())
    after = net.state_dict()
    assert {key for key in after if not key.endswith(".threshold")} == set(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert sum(isinstance(module, LIF) for module in net.modules()) == len(neurons(net)) > 0
    with torch.no_grad():
        next(net.parameters()).add_(1)
    assert all(torch.equal(value, before[key]) for key, value in ann.state_dict().items())  # a copy, not a view
    assert not any(isinstance(module, LIF) for module in ann.modules())


def test_names_of_spiking_layers_in_forward_order():
    assert list(neurons(small_snn("vgg5"))) == ["c1", "c2", "c3", "f1", "f2"]
    blocks = [f"b{i}{end}" for i in (1, 2, 3, 4) for end in (".inner", "")]
    assert list(neurons(small_snn("resnet12"))) == ["p1", "p2", "p3", *blocks]
    assert {name: len(neurons(spiking(small(name), Dynamics()))) for name in STUDENTS} == {
        "conv3fc2": 4, "conv3fc2_wide": 4, "vgg5": 5, "vgg7": 7, "vgg7_alt": 7, "vgg9": 9, "vgg16": 15, "resnet12": 11,
        "resnet20_snn": 19,
    }  # fmt: skip


def test_a_teacher_standardises_its_input_by_hand():
    """Channels of mean 1, 2, 0 and deviation 1, 0 (left alone), 2; then the network sees what it would see without."""
    net, plain = (build("resnet20", 4, 8, width=0.125, standardised=own).eval() for own in (True, False))
    assert "standardise.mean" in net.state_dict()
    assert not any("standardise" in name for name in plain.state_dict())
    plain.load_state_dict({name: value for name, value in net.state_dict().items() if "standardise" not in name})
    first = torch.tensor([[0.0, 2.0], [2.0, 2.0], [-2.0, 2.0]]).view(1, 3, 1, 2).expand(2, 3, 4, 2)
    net.standardise.fit(first)
    assert net.standardise.mean.tolist() == pytest.approx([1, 2, 0], abs=1e-12)
    assert net.standardise.std.tolist() == [1, 1, 2]
    x = dyadic_input(1, 2)
    by_hand = (x - torch.tensor([1.0, 2, 0]).view(3, 1, 1)) / torch.tensor([1.0, 1, 2]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(net(x).logits, plain(by_hand).logits, rtol=1e-6)


def test_a_spiking_network_takes_its_input_as_it_is():
    """Its ANN may standardise pixels (`network.ann_norm`): the base code's SNN sees them in [-1, 1] all the same."""
    net = build("vgg5", 4, 8, width=0.125, standardised=True).eval()
    x = torch.rand(3, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = spiking(net, Dynamics())(x).logits
    net.standardise.fit(x[0])
    assert torch.equal(spiking(net, Dynamics())(x).logits, before)
    assert not any("standardise" in name for name in spiking(net, Dynamics()).state_dict())


@pytest.mark.parametrize("side", [2, 5, 8])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_average_pool_has_the_gradient_of_torchs_own(side, memory_format):
    x = torch.randn(3, 4, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(side))
    x = x.contiguous(memory_format=memory_format)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.arange(1.0, side // 2 + 1, dtype=torch.float64)
    (AveragePool.apply(ours) * weight).sum().backward()
    (F.avg_pool2d(theirs, 2) * weight).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
    assert torch.autograd.gradcheck(AveragePool.apply, (x[:1].requires_grad_(),))


@pytest.mark.parametrize(("channels", "wide", "side"), [(8, 16, 16), (4, 8, 7), (64, 128, 4)])
def test_a_strided_pointwise_convolution_is_computed_without_the_strided_kernel(channels, wide, side, monkeypatch):
    conv, draws = Conv(channels, wide, 1, 2).double(), torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, channels, side, side, dtype=torch.float64, generator=draws)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.nn.functional.conv2d(theirs.flatten(0, 1), conv.weight, stride=2)  # contiguous: the safe format
    strides, real = [], torch.nn.functional.conv2d

    def seen(x, weight, bias=None, stride=1, *rest):
        strides.append(stride)
        return real(x, weight, bias, stride, *rest)

    monkeypatch.setattr(torch.nn.functional, "conv2d", seen)
    found = conv(ours)
    assert strides == [1]
    assert torch.allclose(found.flatten(0, 1), expected, rtol=1e-12)
    found.square().sum().backward()
    expected.square().sum().backward()
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-12)


def test_products_by_onednn_are_those_of_torch(monkeypatch):
    """The private operator against float64; without it, or on another vendor's processor, torch's own product."""
    x, weight = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in ((40, 300), (70, 300)))
    exact = x.double() @ weight.double().t()
    assert ((dense(x, weight) - exact).abs().max() / exact.abs().max()) < 1e-6
    for processor in ("vendor_id : GenuineIntel", ""):
        monkeypatch.setattr("lasnn.compiled.products._processor", lambda text=processor: text)
        onednn.cache_clear()
        assert not onednn()
        assert torch.equal(dense(x, weight), F.linear(x, weight))
    monkeypatch.undo()
    onednn.cache_clear()


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_clip_and_floor_is_the_mean_output_of_a_neuron_that_starts_at_half_its_threshold(levels):
    """A constant current z for T = L steps, v⁰ = λ/2, reset by subtraction; never at a tie, as z are no multiples."""
    unit = ClipFloor(levels)
    unit.clip.data.fill_(0.75)
    z = torch.linspace(-0.71, 1.43, 97)
    v, count = torch.full_like(z, 0.375), torch.zeros_like(z)
    for _ in range(levels):
        v = v + z
        spikes = (v > 0.75).float()
        v, count = v - 0.75 * spikes, count + spikes
    assert torch.allclose(unit(z), 0.75 * count / levels, atol=1e-6)
    assert set(unit(z).unique().tolist()) == {0.75 * k / levels for k in range(levels + 1)}


def test_the_gradient_of_a_clip_and_floor_by_hand():
    """λ = 2, L = 4: z = -1, 0.3, 0.8, 5 give 0, 0.5, 1, 2; d/dz 0, 1, 1, 0; d/dλ (output - z)/λ between, 1 above."""
    unit = ClipFloor(4)
    unit.clip.data.fill_(2.0)
    z = torch.tensor([-1.0, 0.3, 0.8, 5.0], requires_grad=True)
    output = unit(z)
    assert output.tolist() == [0.0, 0.5, 1.0, 2.0]
    assert torch.autograd.grad(output.sum(), z, retain_graph=True)[0].tolist() == [0, 1, 1, 0]
    by_hand = [0.0, (0.5 - 0.3) / 2, (1.0 - 0.8) / 2, 1.0]
    for place, expected in enumerate(by_hand):
        found = torch.autograd.grad(output[place], unit.clip, retain_graph=True)[0].item()
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("name", "layers"), [("vgg5", 5), ("resnet12", 11)])
def test_every_layer_gets_a_clip_of_its_own(name, layers):
    net = quantise(small(name), 4)
    assert len(clips(net)) == layers
    x = torch.rand(1, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    net(x).logits.sum().backward()
    units = [module for module in net.modules() if isinstance(module, ClipFloor)]
    assert all(unit.clip.grad is not None for unit in units)


@pytest.mark.parametrize(("name", "rule"), [*product(STUDENTS, ["base", "he"]), *product(TEACHERS, ["base"])])
def test_initial_weights(name, rule):
    """By the rule, to five standard errors of a standard deviation and of a mean. A teacher's batch norms are where
    they start, and its readout is as torch's own.
    """
    net = initialise(build(name, 10, 16, width=0.25, fc=64), name, rule, torch.Generator().manual_seed(0))
    for module in net.modules():
        if isinstance(module, nn.Conv2d) or (name in STUDENTS and isinstance(module, nn.Linear)):
            count, std = module.weight.numel(), math.sqrt(2 / module.weight[0].numel())
            if rule == "base":
                conv = isinstance(module, nn.Conv2d)
                std = math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)) if conv else 0.01
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count))
            assert name in TEACHERS or abs(module.weight.mean().item()) < 5 * std / math.sqrt(count)
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
    if name in TEACHERS:
        bound = 1 / math.sqrt(net.readout.in_features)
        assert 0.9 * bound < net.readout.weight.abs().max() <= bound
        assert net.readout.bias.any()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rule", ["base", "he"])
def test_initial_weights_follow_the_seed_alone(name, rule):
    def weights(seed):
        net = build(name, 4, 8, width=0.125, fc=8)  # with weights of torch's own, from its global generator
        return list(initialise(net, name, rule, torch.Generator().manual_seed(seed)).parameters())

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True) if a.dim() > 1)
