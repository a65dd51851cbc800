"""Weights from elsewhere in our networks: the same numbers, or one line that says why not."""

import pytest
import torch
from tiny import message_of
from torch import nn

from lasnn.networks import build
from lasnn.networks.adopting import adopt
from lasnn.plan.vocabulary import Architecture

PLAIN = Architecture("Mine", "plain", (8, 12, "A", 16, "A", 16), hidden=1, fc=20)
TEACHER = Architecture("Mine", "plain_bn", (8, 12, "M", 16, "A", 16))
RESIDUAL = Architecture("Mine", "residual", (8, 16), strides=(1, 2))
X = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def lived_in(net):
    """Random weights, and batch norms as after a training."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)[0] = 1e-3  # near batch norm's ε
    return net.eval()


def plain(norm=True, bias=True, pool=nn.AvgPool2d):
    """PLAIN as somebody else writes it."""

    def layer(channels_in, channels, *after):
        norms = [nn.BatchNorm2d(channels)] if norm else []
        return [nn.Conv2d(channels_in, channels, 3, padding=1, bias=bias), *norms, nn.ReLU(), *after]

    layers = [*layer(3, 8), *layer(8, 12, pool(2)), *layer(12, 16, pool(2)), *layer(16, 16)]
    head = [nn.Flatten(), nn.Linear(256, 20, bias=bias), nn.ReLU(), nn.Linear(20, 10, bias=bias)]
    return lived_in(nn.Sequential(*layers, *head))


class Basic(nn.Module):
    """A residual block in the usual order of registration."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        same = stride == 1 and channels_in == channels
        conv = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
        self.downsample = nn.Identity() if same else nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x):
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


def residual():
    """RESIDUAL as somebody else writes it."""
    stem = []
    for channels in (3, 8, 8):
        stem += [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    blocks = nn.AvgPool2d(2), Basic(8, 8, 1), Basic(8, 16, 2)
    return lived_in(nn.Sequential(*stem, *blocks, nn.Flatten(), nn.Linear(256, 10)))


def logits(net, x=X):
    with torch.no_grad():
        return net.eval()(x[None]).logits


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_batch_norm_and_bias_are_folded_to_the_same_numbers(norm, bias):
    """In residual blocks too."""
    theirs, ours = plain(norm, bias), build(PLAIN, 10, 16)
    done = adopt(ours, theirs.state_dict(), student=True)
    torch.testing.assert_close(logits(ours), theirs(X).detach(), rtol=1e-4, atol=1e-5)
    assert done.folded == (["c1", "c2", "c3", "c4"] if norm else [])
    assert ("c1" in done.constants) == (norm or bias)
    assert ("readout" in done.constants) == bias
    theirs, ours = residual(), build(RESIDUAL, 10, 16)
    done = adopt(ours, theirs.state_dict(), student=True)
    torch.testing.assert_close(logits(ours), theirs(X).detach(), rtol=1e-4, atol=1e-5)
    assert done.layers["b2.shortcut"] == "11.downsample.0"


def test_a_teacher_keeps_its_batch_norm():
    theirs, ours = build(TEACHER, 10, 16), build(TEACHER, 10, 16)
    lived_in(theirs)
    renamed = {f"net.{name.replace('synapses', 'part')}": value for name, value in theirs.state_dict().items()}
    adopt(ours, renamed, student=False)
    assert torch.equal(logits(ours), logits(theirs))


@pytest.mark.parametrize("arch", [PLAIN, TEACHER])
def test_the_scale_of_pixels_moves_into_the_network(arch):
    """What somebody trained on (x - 0.5) / 0.25 of pixels x in [0, 1] gets z = 2 x - 1 here; a teacher any mean."""
    mean, std = ((0.5,) * 3 if arch is PLAIN else (0.4, 0.5, 0.6)), (0.25, 0.2, 0.3)
    pixels = (X + 1) / 2
    shown = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    theirs = plain() if arch is PLAIN else lived_in(build(arch, 10, 16))
    expected = theirs(shown).detach() if arch is PLAIN else logits(theirs, shown)
    ours = build(arch, 10, 16)
    adopt(ours, theirs.state_dict(), student=arch is PLAIN, mean=mean, std=std)
    torch.testing.assert_close(logits(ours), expected, rtol=1e-4, atol=1e-5)


def changed(**changes):
    state = plain().state_dict()
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("state", "told", "named"),
    [
        (changed(**{"17__weight": None, "17__bias": None}), "has 5 layers, the network 6: missing is readout", {}),
        (changed(extra__weight=torch.ones(10, 10)), "too much is extra (linear layer 10x10)", {}),
        (changed(**{"0__weight": torch.ones(9, 3, 3, 3)}), "convolution 9x3x3x3", {}),
        (changed(**{"15__weight": torch.ones(20, 999)}), "15 (linear layer 20x999) of the file is where", {}),
        (changed(act__weight=torch.ones(1)), "layer act has a weight of one axis, as of PReLU", {}),
        (changed(act__alpha=torch.ones(1)), "act.alpha is no tensor of a convolution", {}),
        ({"bn.running_mean": torch.ones(3), "bn.running_var": torch.ones(3)}, "is behind nothing", {}),
        # padding shares no other mean
        (changed(), "only means of 0.5 can be folded", {"mean": (0.49, 0.48, 0.44), "std": (0.2, 0.2, 0.2)}),
        # of safetensors
        (dict(reversed(changed().items())), "keeps no order of layers", {"ordered": False}),
    ],
)
def test_what_does_not_fit_is_one_line_with_the_layer(state, told, named):
    assert told in message_of(adopt, build(PLAIN, 10, 16), state, student=True, **named)


@pytest.mark.parametrize(
    "counter",
    [
        {},
        {"n_averaged": torch.tensor(7)},
        {"total_ops": torch.zeros(1, dtype=torch.float64), "0.total_params": torch.zeros(1, dtype=torch.float64)},
        {"0.num_updates": torch.tensor([5])},
        {"initted": torch.tensor(True)},
    ],
    ids=lambda counter: next(iter(counter), "none"),
)
@pytest.mark.parametrize("ordered", [True, False])
def test_names_of_ours_are_taken_in_any_order_and_counters_of_other_tools_are_no_layers(counter, ordered):
    one, other = build(PLAIN, 10, 16), build(PLAIN, 10, 16)
    adopt(one, counter | plain().state_dict(), student=True)
    ours = counter | one.state_dict()
    adopt(other, ours if ordered else dict(sorted(ours.items(), reverse=True)), student=True, ordered=ordered)
    assert torch.equal(logits(one), logits(other))
    assert other.layers["c1"].activation.offset is not None


@pytest.mark.parametrize(
    ("features", "ordered", "doubts"),
    [
        ((8, 8, 8), False, ["1 and 2 have equal shapes and no order"]),
        ((8, 8, 8), True, []),
        ((8, 12, 8), False, []),
        ((8, 12, "A", 12, 12), False, ["2 and 3 have equal shapes", "which pools the network has"]),
        ((8, 12, "A", 12, 12), True, ["which pools the network has"]),
    ],
)
def test_what_a_file_leaves_open_is_said(features, ordered, doubts):
    """Where an order was guessed and another would fit too, and pools, of which no tensor tells."""
    ours = build(Architecture("Mine", "plain", features), 10, 16)
    theirs = {f"{index}.weight": value for index, value in enumerate(ours.state_dict().values())}
    done = adopt(build(Architecture("Mine", "plain", features), 10, 16), theirs, student=True, ordered=ordered)
    assert len(done.doubts) == len(doubts)
    assert all(told in said for told, said in zip(doubts, done.doubts, strict=True))
    assert adopt(ours, ours.state_dict(), student=True, ordered=ordered).doubts == []  # our names
