"""The teacher's maps: its stages, and gradients by the chain rule."""

import pytest
import torch
from oracle import close, settings_of, small
from spike_trains import random
from torch import nn
from torch.nn import functional as F

from lasnn.distillation.attention import VARIANTS, teacher_gradient_maps, unit
from lasnn.networks import Net
from lasnn.networks.layers import Conv, Linear


class Tap(nn.Module):
    """A convolution of ReLU units, all of them tapped; the last one is flattened for the readout."""

    def __init__(self, last=False):
        super().__init__()
        self.conv, self.last = Conv(3, 3), last

    def forward(self, x):
        activation = torch.relu(self.conv(x))
        return activation, activation.flatten(2) if self.last else activation


def tiny_teacher():
    """Three tapped layers of 3 channels on 4x4 images, two classes; frozen, float64."""
    torch.manual_seed(0)
    layers = {"low": Tap(), "mid": Tap(), "high": Tap(last=True)}
    net = Net(layers, Linear(48, 2, bias=False), {"low": 4, "mid": 4, "high": 4}, 4)
    return net.double().eval().requires_grad_(False)


def teacher():
    """A real teacher, small, in evaluation mode."""
    return small("resnet20").eval().requires_grad_(False).double()


LABELS = torch.tensor([0, 1, 1])


@pytest.mark.parametrize("quantity", ["ce", "logit"])
def test_teacher_gradient_maps_equal_the_chain_rule_by_hand(quantity):
    """dL/dA_high = W^T (softmax(z) - onehot), dz_y/dA_high the readout's row of the label, wherever the image lies;
    below, a transposed convolution of the gradient where a unit is on.
    """
    net, x = tiny_teacher(), random(3, 3, 4, 4)
    stages = {level: stage[0] for level, stage in net(x[None]).stages.items()}
    logits, labels = stages["high"].flatten(1) @ net.readout.weight.T, F.one_hot(LABELS, 2).double()
    of_logits = labels if quantity == "logit" else logits.softmax(1) - labels
    gradient = (of_logits @ net.readout.weight).view(3, 3, 4, 4)
    found = teacher_gradient_maps(net, x, LABELS, quantity=quantity)
    for level in ("high", "mid", "low"):
        assert close(found[level], gradient.abs().sum(1), 1e-12)
        gradient = F.conv_transpose2d(gradient * (stages[level] > 0), net.layers[level].conv.weight, padding=1)
    of_input = teacher_gradient_maps(net, x, LABELS, of="input", quantity=quantity)
    assert set(of_input) == {"low", "mid", "high"}
    assert all(close(map_, gradient.abs().sum(1), 1e-12) for map_ in of_input.values())


@pytest.mark.parametrize("of", ["feature", "input"])
def test_an_images_gradient_map_does_not_depend_on_its_batch(of):
    net, x = teacher(), random(3, 3, 8, 8)
    whole = teacher_gradient_maps(net, x, LABELS, of)
    for index in range(3):
        alone = teacher_gradient_maps(net, x[index : index + 1], LABELS[index : index + 1], of)
        for level, map_ in alone.items():
            assert close(whole[level][index], map_[0], 1e-9)


def test_the_gradient_map_of_a_confident_teacher_survives():
    """Logits 20 apart: 1 - p is 2e-9. In float32 p is 1 and its gradient 0; in float64 both are right."""
    net, x = tiny_teacher(), random(1, 3, 4, 4)
    with torch.no_grad():
        logits = net(x[None]).logits
        net.readout.weight.mul_(20 / (logits[:, 0] - logits[:, 1]).abs())
    label = logits.argmax(1)
    expected = teacher_gradient_maps(net, x, label)
    found = teacher_gradient_maps(net.float(), x.float(), label)
    for level, map_ in found.items():
        assert close(map_.double(), expected[level], 1e-3)  # logits of 175, rounded in float32, in an exponent
        assert close(unit(map_).double(), unit(expected[level]), 1e-6)
        assert unit(map_).norm().item() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("frozen", [True, False])
def test_teacher_maps_leave_no_gradient_behind(variant, frozen):
    net, x = teacher().requires_grad_(not frozen), random(3, 3, 8, 8)
    with torch.no_grad():
        maps = VARIANTS[variant].of_teacher(net, x, LABELS, settings_of(variant).attention)
    assert all(map_.any() and not map_.requires_grad for map_ in maps.values())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not x.requires_grad
    assert x.grad is None
