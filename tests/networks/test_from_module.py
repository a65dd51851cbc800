"""An existing torch module as a network: the same logits, and one line for what can't be mapped."""

import re

import pytest
import torch
from tiny import message_of
from torch import nn
from torch.nn import functional as F

from lasnn.networks.from_module import from_module
from lasnn.spiking.conversion import neurons, scale_thresholds, set_thresholds, spiking
from lasnn.spiking.neurons import Dynamics


class Written(nn.Module):
    """A network whose forward method calls functions."""

    def __init__(self):
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8, eps=1e-3), nn.Linear(128, 5)
        self.out = nn.Linear(5, 4)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.norm(self.one(x))), 2)
        return self.out(torch.relu(self.two(torch.flatten(x, 1))))


def tiny(*parts):
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *parts, nn.Flatten(), nn.LazyLinear(4))


MODULES = {
    "calls": Written,
    "row": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.2),
        nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 4, bias=False),
    ),
    "average": lambda: nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU()), nn.Identity(), nn.AvgPool2d((2, 2), (2, 2)),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    ),
}  # fmt: skip


def random(made):
    """The module with statistics of batch norm as a training would leave them."""
    torch.manual_seed(0)
    module = made()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module.eval()


@pytest.mark.parametrize("name", MODULES)
def test_logits_are_those_of_the_module(name):
    module, x = random(MODULES[name]), torch.rand(5, 3, 8, 8) * 2 - 1
    net = from_module(module, 8).eval()
    torch.testing.assert_close(net(x[None]).logits, module(x), rtol=1e-4, atol=1e-5)
    assert {layer[0] for layer in net.sides} == {"c"}


def test_it_can_spike():
    """At many steps a converted row gives the module's logits in units of its last threshold."""
    module, x = random(MODULES["row"]), torch.rand(4, 3, 8, 8) * 2 - 1
    net = spiking(from_module(module, 8), Dynamics()).eval()
    seen = []
    for part in [part for part in module if isinstance(part, nn.ReLU)]:
        part.register_forward_hook(lambda _, __, out: seen.append(out.max().item()))
    with torch.no_grad():
        logits = module(x)
        set_thresholds(net, [now / before for before, now in zip([1.0, *seen], seen, strict=False)])
        found = scale_thresholds(net, 1.0)(x.expand(2000, *x.shape)).logits / 2000 * seen[-1]
    assert len(neurons(net)) == 3
    torch.testing.assert_close(found, logits, rtol=0, atol=0.02 * logits.abs().max().item())


@pytest.mark.parametrize(("side", "ceil"), [(8, True), (7, False)])
def test_a_pool_of_an_odd_side_leaves_the_last_row_out(side, ceil):
    module = random(lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2, ceil_mode=ceil), nn.Flatten(),
        nn.Linear(4 * (side // 2) ** 2, 4),
    ))  # fmt: skip
    x = torch.rand(5, 3, side, side) * 2 - 1
    torch.testing.assert_close(from_module(module, side).eval()(x[None]).logits, module(x), rtol=1e-4, atol=1e-5)
    said = message_of(from_module, tiny(nn.ReLU(), nn.AvgPool2d(2, ceil_mode=True)), 7)
    assert re.search("is AvgPool2d.*which can't be mapped at a side of 7", said)


class Joined(nn.Module):
    """A block with a shortcut."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(192, 4)

    def forward(self, x):
        return self.out(torch.flatten(torch.relu(self.conv(x)) + x, 1))


class Branching(Joined):
    def forward(self, x):
        return self.out(x.flatten(1)) if x.sum() > 0 else x


@pytest.mark.parametrize(
    ("module", "line"),
    [
        (tiny(nn.ReLU(), nn.MaxPool2d(2)), "is a max pool, which can't be computed from rates"),
        (tiny(nn.GELU()), "is a GELU where none can be"),
        (tiny(nn.ReLU(), nn.LayerNorm(8)), "is a LayerNorm, whose neurons can't spike"),
        (tiny(), "1 is a Flatten where none can be"),
        (nn.Sequential(nn.Conv2d(3, 8, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)), r"0 is Conv2d\(3, 8"),
        (nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, groups=3), nn.ReLU()), "groups=3"),
        (nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()), "the last layer isn't a linear one"),
        (tiny(nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU()), "keeps no running statistics"),
        (tiny(nn.ReLU(), nn.AvgPool2d(4)), "is AvgPool2d.*which can't be mapped"),
        (tiny(nn.ReLU(), nn.AvgPool2d(2, padding=1)), "is AvgPool2d.*padding=1.*which can't be mapped"),
        (tiny(nn.ReLU(), nn.AvgPool2d(2, divisor_override=3)), "is AvgPool2d.*which can't be mapped"),
        (tiny(nn.ReLU(), nn.Dropout(1.0)), r"is Dropout\(p=1.0.*which can't be mapped"),
        (tiny(nn.ReLU(), nn.Flatten(1, 2)), "is Flatten.*end_dim=2.*which can't be mapped"),
        (nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.ReLU()), "padding_mode=reflect"),
        (Joined(), "add joins or skips layers"),
        (Branching(), "Branching can't be followed from input to output"),
    ],
)
def test_what_cannot_be_mapped_gets_one_line(module, line):
    said = message_of(from_module, module, 8)
    assert re.search(line, said)
    assert "known are Conv2d" in said or "max pool" in said
