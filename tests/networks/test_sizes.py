"""Networks: the sizes and taps that docs/choices.md lists, and the sides behind them."""

import pytest
import torch
from oracle import small
from torch import nn

from lasnn.errors import InputError
from lasnn.networks import TAPS, build, census
from lasnn.plan.vocabulary import LEVELS, NETWORKS, STUDENTS, taps_by_resolution
from lasnn.spiking.conversion import spiking
from lasnn.spiking.neurons import Dynamics

# name, classes, side -> neurons (exact), weights and MACs in millions as printed in the tables of sizes
SIZES = {
    ("conv3fc2", 10, 32): (45_120, "0.15", "12.4"),
    ("conv3fc2_wide", 10, 32): (115_712, "4.57", "43.7"),
    ("vgg5", 10, 32): (139_264, "50.6", "108.8"),
    ("vgg7", 100, 32): (221_184, "52.9", "260.1"),
    ("vgg7_alt", 10, 32): (172_032, "34.7", "148.6"),
    ("vgg9", 10, 32): (231_424, "32.1", "281.8"),
    ("vgg16", 10, 32): (284_672, "39.9", "338.4"),
    ("vgg16", 200, 64): (1_114_112, "65.9", "1303.9"),
    ("resnet12", 10, 32): (258_048, "4.99", "140.2"),
    ("resnet20_snn", 10, 32): (188_416, "0.27", "40.8"),
    ("densenet121", 10, 32): (None, "6.96", "888"),
    ("vgg16bn", 10, 32): (None, "14.7", "313"),
    ("resnet20", 10, 32): (None, "0.27", "41"),
    ("resnet20_wide", 10, 32): (None, "4.33", "648"),
}
# name -> the layer at low, mid, high; channels; side as a share of R = min(side, 32); the last layer of features
TAPPED = {
    "conv3fc2": (("c1", "c2", "c3"), (32, 32, 64), (1, 2, 4), "c3"),
    "conv3fc2_wide": (("c1", "c2", "c3"), (64, 128, 256), (1, 2, 4), "c3"),
    "vgg5": (("c1", "c2", "c3"), (64, 128, 128), (1, 2, 2), "c3"),
    "vgg7": (("c1", "c3", "c5"), (64, 256, 512), (1, 2, 4), "c5"),
    "vgg7_alt": (("c1", "c3", "c5"), (64, 128, 256), (1, 2, 4), "c5"),
    "vgg9": (("c1", "c3", "c5"), (64, 256, 512), (1, 2, 4), "c7"),
    "vgg16": (("c2", "c4", "c7"), (64, 128, 256), (1, 2, 4), "c13"),
    "resnet12": (("p3", "b1", "b2"), (64, 64, 128), (1, 2, 4), "b4"),
    "resnet20_snn": (("b3", "b6", "b9"), (16, 32, 64), (1, 2, 4), "b9"),
    "densenet121": (("d1", "d2", "d3"), (256, 512, 1024), (1, 2, 4), "d4"),
    "vgg16bn": (("c2", "c4", "c7"), (64, 128, 256), (1, 2, 4), "c13"),
    "resnet20": (("s1", "s2", "s3"), (16, 32, 64), (1, 2, 4), "s3"),
    "resnet20_wide": (("s1", "s2", "s3"), (64, 128, 256), (1, 2, 4), "s3"),
}
TAPPED_64 = {  # students and vgg16bn start at 64: the layers at 32, 16 and 8 lie one stage deeper, if there are any
    "conv3fc2": (("c1", "c2", "c3"), (32, 32, 64), (1 / 2, 1, 2)),
    "conv3fc2_wide": (("c1", "c2", "c3"), (64, 128, 256), (1 / 2, 1, 2)),
    "vgg5": (("c1", "c2", "c3"), (64, 128, 128), (1 / 2, 1, 1)),
    "vgg7": (("c3", "c4", "c5"), (256, 256, 512), (1, 2, 2)),
    "vgg7_alt": (("c3", "c4", "c5"), (128, 256, 256), (1, 2, 2)),
    "vgg9": (("c3", "c5", "c6"), (256, 512, 512), (1, 2, 4)),
    "vgg16": (("c4", "c7", "c10"), (128, 256, 512), (1, 2, 4)),
    "vgg16bn": (("c4", "c7", "c10"), (128, 256, 512), (1, 2, 4)),
    "resnet12": (("b1", "b2", "b3"), (64, 128, 256), (1, 2, 4)),
    "resnet20_snn": (("b6", "b8", "b9"), (32, 64, 64), (1, 2, 2)),
}


def printed(count, like):
    """Millions, rounded to as many decimals as `like` has."""
    decimals = len(like.partition(".")[2])
    return f"{count / 1e6:.{decimals}f}"


@pytest.mark.parametrize(("name", "classes", "side"), SIZES)
def test_sizes(name, classes, side):
    with torch.device("meta"):  # sizes need no numbers
        net = build(name, classes, side)
        found = census(net)
    count, weights, macs = SIZES[name, classes, side]
    assert (printed(found.weights, weights), printed(found.macs, macs)) == (weights, macs)
    assert count is None or found.neurons == count


def test_sizes_by_hand():
    """conv3fc2 of 8 channels, 12 hidden units and 4 classes at 8x8: three 5x5 convolutions, sides 8, 4, 2.

    Every network has a row in the tables; a spiking one has the sizes of its ANN.
    """
    found = census(small("conv3fc2"))
    assert found.neurons == 8 * 64 + 8 * 16 + 8 * 4 + 12
    assert found.weights == 25 * (3 * 8 + 8 * 8 + 8 * 8) + 8 * 12 + 12 * 4
    assert found.macs == 25 * (3 * 8 * 64 + 8 * 8 * 16 + 8 * 8 * 4) + 8 * 12 + 12 * 4
    assert {name for name, _, _ in SIZES} == set(TAPPED) == set(NETWORKS)
    assert census(spiking(ann := small("resnet12"), Dynamics())) == census(ann)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [16, 32, 64])
def test_taps(name, side):
    *_, deep = TAPPED[name]
    layers, channels, shares, *_ = TAPPED_64.get(name, TAPPED[name]) if side == 64 else TAPPED[name]
    with torch.device("meta"):
        net = build(name, 10, side)
        output = net.eval()(torch.zeros(2, 3, 3, side, side))
    assert net.taps == dict(zip(LEVELS, layers, strict=True))
    assert list(output.stages) == list(LEVELS)
    for level, count, share in zip(LEVELS, channels, shares, strict=True):
        lies_at = min(side, 32) / share
        assert output.stages[level].shape == (2, 3, count, lies_at, lies_at)
    assert TAPS["deep"](net.sides, net.side) == net.taps | {"high": deep}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [4, 8, 16, 24, 32, 64, 96])
def test_sides_are_those_that_are_observed(name, side):
    """Pools and strides stop at side 1."""
    with torch.device("meta"):
        net = build(name, 10, side, width=0.125, fc=8)
        net.taps = {layer: layer for layer in net.sides}
        output = net.eval()(torch.zeros(1, 1, 3, side, side))
    seen = {layer: activation.shape[-1] for layer, activation in output.stages.items()}
    assert seen == net.sides
    assert min(net.sides.values()) >= 1
    assert output.logits.shape == (1, 10)


def test_unknown_network_and_too_few_layers_for_three_taps():
    with pytest.raises(InputError, match=r"unknown network 'vgg6'.*did you mean"):
        build("vgg6", 10, 32)
    with pytest.raises(InputError, match="no layer is left for level 'low'"):
        taps_by_resolution({"c1": 16, "c2": 8}, 16)
    assert build("densenet121", 10, 48, width=0.125).taps == {}  # its stem halves 48 to 24, and low needs 32
    assert taps_by_resolution({"c1": 16, "c2": 16, "c3": 16}, 16) == {"low": "c1", "mid": "c2", "high": "c3"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [0.01, 0.125, 0.25, 0.5, 1.0])
def test_no_narrow_pointwise_convolution_with_a_stride_and_no_bias_or_norm_of_a_student(name, width):
    """torch's CPU kernels were seen to crash on 1x1 convolutions with stride 2 and fewer than 8 input channels."""
    with torch.device("meta"):
        net = build(name, 10, 32, width=width)
    for conv in (module for module in net.modules() if isinstance(module, nn.Conv2d)):
        assert not (conv.kernel_size == (1, 1) and conv.stride != (1, 1) and conv.in_channels < 8)
        assert conv.out_channels >= 8
    if name in STUDENTS:
        assert all(weight.endswith(".weight") for weight, _ in net.named_parameters())
        assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
        assert not any("Max" in type(module).__name__ for module in net.modules())
