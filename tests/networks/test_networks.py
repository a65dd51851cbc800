"""Networks: the sizes and taps that docs/choices.md lists, dropout masks, initial weights, the readout."""

import functools
import math

import pytest
import torch
from oracle import close, dyadic_input, simulate, small, small_snn
from torch import nn
from torch.nn import functional as F

from lasnn.errors import InputError
from lasnn.networks import TAPS, build, census, initialise
from lasnn.networks.layers import Dropout
from lasnn.networks.net import taps_by_resolution
from lasnn.plan.vocabulary import LEVELS, NETWORKS, STUDENTS, TEACHERS
from lasnn.spiking.conversion import neurons, spiking
from lasnn.spiking.neurons import LIF, Dynamics

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
    ("densenet121", 10, 32): (None, "6.96", "888"),
    ("vgg16bn", 10, 32): (None, "14.7", "313"),
    ("resnet20", 10, 32): (None, "0.27", "41"),
    ("resnet20_wide", 10, 32): (None, "4.33", "648"),
}

# name -> the layer at low, mid, high; channels; side as a share of R = min(side, 32)
TAPPED = {
    "conv3fc2": (("c1", "c2", "c3"), (32, 32, 64), (1, 2, 4)),
    "conv3fc2_wide": (("c1", "c2", "c3"), (64, 128, 256), (1, 2, 4)),
    "vgg5": (("c1", "c2", "c3"), (64, 128, 128), (1, 2, 2)),
    "vgg7": (("c1", "c3", "c5"), (64, 256, 512), (1, 2, 4)),
    "vgg7_alt": (("c1", "c3", "c5"), (64, 128, 256), (1, 2, 4)),
    "vgg9": (("c1", "c3", "c5"), (64, 256, 512), (1, 2, 4)),
    "vgg16": (("c2", "c4", "c7"), (64, 128, 256), (1, 2, 4)),
    "resnet12": (("p3", "b1", "b2"), (64, 64, 128), (1, 2, 4)),
    "densenet121": (("d1", "d2", "d3"), (256, 512, 1024), (1, 2, 4)),
    "vgg16bn": (("c2", "c4", "c7"), (64, 128, 256), (1, 2, 4)),
    "resnet20": (("s1", "s2", "s3"), (16, 32, 64), (1, 2, 4)),
    "resnet20_wide": (("s1", "s2", "s3"), (64, 128, 256), (1, 2, 4)),
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
}
DEEP = {
    "conv3fc2": "c3",
    "conv3fc2_wide": "c3",
    "vgg5": "c3",
    "vgg7": "c5",
    "vgg7_alt": "c5",
    "vgg9": "c7",
    "vgg16": "c13",
    "resnet12": "b4",
    "vgg16bn": "c13",
    "densenet121": "d4",
    "resnet20": "s3",
    "resnet20_wide": "s3",
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


def test_sizes_of_a_spiking_network_are_those_of_its_ann():
    ann = small("resnet12")
    assert census(spiking(ann, Dynamics())) == census(ann)


def test_sizes_by_hand():
    """conv3fc2 of 8 channels, 12 hidden units and 4 classes at 8x8: three 5x5 convolutions, sides 8, 4, 2."""
    found = census(small("conv3fc2"))
    assert found.neurons == 8 * 64 + 8 * 16 + 8 * 4 + 12
    assert found.weights == 25 * (3 * 8 + 8 * 8 + 8 * 8) + 8 * 12 + 12 * 4
    assert found.macs == 25 * (3 * 8 * 64 + 8 * 8 * 16 + 8 * 8 * 4) + 8 * 12 + 12 * 4


def test_every_network_has_a_row_in_the_tables():
    assert {name for name, _, _ in SIZES} == set(TAPPED) == set(DEEP) == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [16, 32, 64])
def test_taps(name, side):
    layers, channels, shares = TAPPED_64.get(name, TAPPED[name]) if side == 64 else TAPPED[name]
    with torch.device("meta"):
        net = build(name, 10, side)
        output = net.eval()(torch.zeros(2, 3, 3, side, side))
    assert net.taps == dict(zip(LEVELS, layers, strict=True))
    assert list(output.stages) == list(LEVELS)
    for level, count, share in zip(LEVELS, channels, shares, strict=True):
        lies_at = min(side, 32) / share
        assert output.stages[level].shape == (2, 3, count, lies_at, lies_at)
    assert TAPS["deep"](net.sides, net.side) == net.taps | {"high": DEEP[name]}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [8, 16, 24, 32, 64, 96])
def test_sides_are_those_that_are_observed(name, side):
    with torch.device("meta"):
        net = build(name, 10, side, width=0.125, fc=8)
        net.taps = {layer: layer for layer in net.sides}
        stages = net.eval()(torch.zeros(1, 1, 3, side, side)).stages
    seen = {layer: activation.shape[-1] for layer, activation in stages.items()}
    assert seen == net.sides


def test_classifier_input_follows_the_side():
    features = {"conv3fc2": 1024, "vgg5": 8192, "vgg7": 8192, "vgg9": 2048, "vgg16": 2048}
    with torch.device("meta"):
        for name, count in features.items():
            assert build(name, 10, 32).layers["f1"].synapses.in_features == count
        assert build("resnet12", 10, 32).readout.in_features == 2048
        assert build("vgg16", 10, 64).layers["f1"].synapses.in_features == 8192
        for name in ("vgg9", "vgg16"):
            assert build(name, 10, 16).layers["f1"].synapses.in_features == 512
        assert build("resnet12", 10, 16).readout.in_features == 512


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [4, 8])
def test_pools_and_strides_stop_at_side_one(name, side):
    net = build(name, 4, side, width=0.125, fc=8).eval()
    with torch.no_grad():
        output = net(torch.ones(1, 2, 3, side, side))
    assert output.logits.shape == (2, 4)
    assert min(net.sides.values()) >= 1


def test_too_few_layers_for_three_taps():
    with pytest.raises(InputError, match="no layer is left for level 'low'"):
        taps_by_resolution({"c1": 16, "c2": 8}, 16)
    with pytest.raises(InputError, match=r"'low'.*larger images"):
        build("densenet121", 10, 48, width=0.125)  # its stem halves 48 to 24, and low needs 32
    assert taps_by_resolution({"c1": 16, "c2": 16, "c3": 16}, 16) == {"low": "c1", "mid": "c2", "high": "c3"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("width", [0.01, 0.125, 0.25, 0.5, 1.0])
def test_no_narrow_pointwise_convolution_with_a_stride(name, width):
    """torch's CPU kernels were seen to crash on 1x1 convolutions with stride 2 and fewer than 8 input channels."""
    with torch.device("meta"):
        net = build(name, 10, 32, width=width)
    for conv in (module for module in net.modules() if isinstance(module, nn.Conv2d)):
        assert not (conv.kernel_size == (1, 1) and conv.stride != (1, 1) and conv.in_channels < 8)
        assert conv.out_channels >= 8


@pytest.mark.parametrize("name", STUDENTS)
def test_students_have_no_bias_and_no_norm(name):
    with torch.device("meta"):
        net = build(name, 10, 32)
    assert all(weight.endswith(".weight") for weight, _ in net.named_parameters())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert not any("Max" in type(module).__name__ for module in net.modules())


def test_unknown_network():
    with pytest.raises(InputError, match=r"unknown network 'vgg6'.*did you mean"):
        build("vgg6", 10, 32)


# ---- spiking, readout ------------------------------------------------------------------------------------------------


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
    }  # fmt: skip


@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
def test_logits_are_the_readout_of_summed_features(name):
    net, x = small_snn(name), dyadic_input(12, 3)
    with torch.no_grad():
        output = net(x)
        trace = simulate(net, x)
    assert output.logits.any()
    assert torch.equal(output.logits, output.features.sum(0) @ net.readout.weight.T)
    assert torch.equal(output.logits, output.currents.sum(0))
    assert torch.equal(output.logits, trace.logits)


@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
def test_stages_are_taken_before_dropout_and_pooling(name):
    net, x = small_snn(name, dropout_scale=1.9).train(), dyadic_input(8, 2)
    with torch.no_grad():
        stages = net(x).stages
    assert all(set(stage.unique().tolist()) == {0.0, 1.0} for stage in stages.values())


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


def test_a_convolution_folds_time_into_the_batch():
    net, x = small("conv3fc2"), dyadic_input(5, 2)
    conv = net.layers["c1"].synapses
    with torch.no_grad():
        assert torch.equal(dyadic_conv := conv(x), torch.stack([conv(step[None])[0] for step in x]))
    assert dyadic_conv.shape == (5, 2, 8, 8, 8)


# ---- dropout ---------------------------------------------------------------------------------------------------------


def mask_of(dropout, shape, seed=0, start=0, whole=None):
    """What the layer does to ones [T, B, ...]."""
    dropout.draw_from(torch.Generator().manual_seed(seed), start, whole or shape[1])
    return dropout(torch.ones(shape))


def test_dropout_mask():
    dropout = Dropout(0.25).train()
    masked = mask_of(dropout, (5, 4, 3, 8, 8))
    assert masked.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert all(torch.equal(step, masked[0]) for step in masked)  # one mask for all steps
    assert not torch.equal(masked[0, 0], masked[0, 1])  # another for each image, channel and position
    assert not torch.equal(masked[0, 0, 0], masked[0, 0, 1])
    assert not torch.equal(masked[0, 0, 0, 0], masked[0, 0, 0, 1])
    assert torch.equal(mask_of(dropout, (5, 4, 3, 8, 8)), masked)
    assert not torch.equal(mask_of(dropout, (5, 4, 3, 8, 8), seed=1), masked)
    kept = (mask_of(dropout, (1, 100, 1000), seed=2) > 0).double().mean()
    assert kept.item() == pytest.approx(0.75, abs=0.005)  # 1e5 draws: 3.7 standard errors


def test_dropout_is_off_in_evaluation():
    x = torch.ones(2, 3, 4)
    assert mask_of(Dropout(0.5).eval(), (2, 3, 4)).equal(x)
    assert mask_of(Dropout(0.0).train(), (2, 3, 4)).equal(x)
    assert not mask_of(Dropout(0.5).train(), (2, 3, 4)).equal(x)


@pytest.mark.parametrize(("start", "stop"), [(0, 2), (2, 6), (5, 6)])
def test_dropout_of_a_micro_batch_is_the_slice_of_the_whole(start, stop):
    whole = mask_of(Dropout(0.5).train(), (2, 6, 3, 4, 4))
    part = mask_of(Dropout(0.5).train(), (2, stop - start, 3, 4, 4), start=start, whole=6)
    assert torch.equal(part, whole[:, start:stop])


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_dropout_rate_must_leave_something(rate):
    with pytest.raises(ValueError, match="expected 0 <= rate < 1"):
        Dropout(rate)


def test_dropout_rates_of_the_networks():
    """A convolution that is pooled has none; hidden linear layers 0.5; stem convs 1, 2 and the inner ones 0.2."""

    def rates(name, scale=1.0):
        net = build(name, 10, 16, width=0.125, fc=8, dropout_scale=scale)
        return [round(module.rate, 10) for module in net.modules() if isinstance(module, Dropout)]

    assert rates("conv3fc2") == [0.2]
    assert rates("vgg5") == [0.2, 0.5, 0.5]  # c1 and c3 are pooled
    assert rates("vgg9") == [0.2, 0.2, 0.2, 0.5, 0.5]  # of seven convolutions four are pooled
    assert rates("vgg16") == [0.2] * 9 + [0.5] * 2  # of thirteen four are pooled
    assert rates("resnet12") == [0.2] * 6
    assert rates("vgg5", 0.5) == [0.1, 0.25, 0.25]


@pytest.mark.parametrize("tapped", [True, False])
@pytest.mark.parametrize("dynamics", [Dynamics(0.5), Dynamics(0.5, "delayed"), Dynamics(reset="hard")])
@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_dropout_inside_a_network_equals_the_oracle_with_the_same_masks(name, dynamics, tapped):
    """Logits, tapped spikes and all gradients, wherever the masks are multiplied."""
    net, x = small_snn(name, dynamics).train(), dyadic_input(12, 2)  # masks of 1/0.8 and 1/0.5 keep sums exact
    net.taps = net.taps if tapped else {}
    shapes, masks = {}, {}
    dropouts = [module for module in net.modules() if isinstance(module, Dropout)]
    for seed, module in enumerate(dropouts):
        module.mask = functools.partial(noted, module.mask, shapes, module)
        module.draw_from(torch.Generator().manual_seed(seed), 0, 2)
    output = net(x)
    for seed, module in enumerate(dropouts):
        masks[module] = mask_of(Dropout(module.rate).train(), shapes[module], seed)[0]
    expected = simulate(net, x, masks=masks)
    assert torch.equal(output.logits, expected.logits)
    assert not torch.equal(output.logits, simulate(net, x).logits)
    for level, spikes in output.stages.items():
        assert torch.equal(spikes, expected.stages[level])
    assert len(output.stages) == (3 if tapped else 0)
    labels = torch.tensor([0, 1])
    found, wanted = (
        torch.autograd.grad(F.cross_entropy(logits / 12, labels), list(net.parameters()))
        for logits in (output.logits, expected.logits)
    )
    for (weight, _), one, other in zip(net.named_parameters(), found, wanted, strict=True):
        assert close(one, other, 1e-5), weight


def noted(mask, shapes, module, x):
    """A call of the layer's `mask` that leaves the shape it was asked for."""
    shapes[module] = x.shape
    return mask(x)


# ---- initial weights -------------------------------------------------------------------------------------------------


def expected_std(module, rule):
    conv = isinstance(module, nn.Conv2d)
    if rule == "he":
        return math.sqrt(2 / module.weight[0].numel())
    return math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)) if conv else 0.01


@pytest.mark.parametrize("rule", ["base", "he"])
@pytest.mark.parametrize("name", STUDENTS)
def test_initial_weights_of_students(name, rule):
    net = initialise(build(name, 10, 16, width=0.25, fc=64), name, rule, torch.Generator().manual_seed(0))
    for weight, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            count, std = module.weight.numel(), expected_std(module, rule)
            # Five standard errors of a standard deviation and of a mean.
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count)), weight
            assert abs(module.weight.mean().item()) < 5 * std / math.sqrt(count), weight


@pytest.mark.parametrize("name", TEACHERS)
def test_initial_weights_of_teachers(name):
    net = initialise(build(name, 10, 16, width=0.25), name, "base", torch.Generator().manual_seed(0))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            count, std = module.weight.numel(), expected_std(module, "base")
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * count))
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()
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
