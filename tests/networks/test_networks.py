"""Networks and their layers: spiking copies, readout, taps, pooling, the safe strided convolution."""

import pytest
import torch
from oracle import dyadic_input, small, small_snn

from lasnn.networks import build
from lasnn.plan.vocabulary import STUDENTS
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
    from lasnn.networks.layers import AveragePool

    x = torch.randn(3, 4, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(side))
    x = x.contiguous(memory_format=memory_format)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.arange(1.0, side // 2 + 1, dtype=torch.float64)
    (AveragePool.apply(ours) * weight).sum().backward()
    (torch.nn.functional.avg_pool2d(theirs, 2) * weight).sum().backward()
    assert torch.equal(ours.grad, theirs.grad)
    assert torch.autograd.gradcheck(AveragePool.apply, (x[:1].requires_grad_(),))


@pytest.mark.parametrize(("channels", "wide", "side"), [(8, 16, 16), (4, 8, 7), (64, 128, 4)])
def test_a_strided_pointwise_convolution_is_computed_without_the_strided_kernel(channels, wide, side, monkeypatch):
    from lasnn.networks.layers import Conv

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
