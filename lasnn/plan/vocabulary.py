"""The names of the field that a run is made of: networks, methods, encoders, datasets. No torch, and nothing but names.

A network is a line of data; what follows from it before it is built, the side of each layer and the layers that are
tapped, is here too. `lasnn/networks/` turns the line into layers; nothing else knows its shape.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from types import MappingProxyType
from typing import TypeVar

from lasnn.errors import InputError

Value = TypeVar("Value")


LISTED = 24  # names that one line has room for


def known(names: Collection[str], name: str, kind: str) -> str:
    """`name` itself if it is one of `names`; else an InputError that lists the first of them and the nearest one."""
    if name in names:
        return name
    names = sorted(names)
    near = get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    raise InputError(f"unknown {kind} {name!r}: known are {', '.join(names[:LISTED])}{more}{hint}")


def given(value: Value | None) -> Value:
    """`value`, which is there by what the run is: a section that its method reads, a teacher that it has."""
    if value is None:
        raise TypeError("nothing was given where the run's method says that something is")
    return value


def pick(table: Mapping[str, Value], name: str, kind: str) -> Value:
    """The entry of `table` called `name`."""
    return table[known(table, name, kind)]


POOL = "A"  # 2x2 average pooling with stride 2, left out where the side is 1 already
MAX_POOL = "M"  # the same with maxima; for teachers, as a spiking network can't compute it from rates
POOLS = (POOL, MAX_POOL)
TEACHER_FAMILIES = ("plain_bn", "residual_bn", "densenet")  # with batch norm


@dataclass(frozen=True)
class Architecture:
    """A network's definition as data (method: `docs/choices.md`, networks).

    `family` names the builder. `features` lists output channels and pools (plain networks), or the output channels
    of the blocks (residual ones) with `strides` beside them. `fc` is the number of units of each hidden linear layer.
    """

    title: str
    family: str
    features: tuple[int | str, ...]
    strides: tuple[int, ...] = ()
    kernel: int = 3
    stem: str = "deep"  # of family residual: three convolutions and a pool | single: one convolution
    block: str = "basic"  # of family residual: a name in `BLOCKS` of lasnn/networks/residual.py
    hidden: int = 0  # hidden linear layers
    fc: int = 0  # units in each of them at width 1
    conv_dropout: float = 0.2
    fc_dropout: float = 0.5

    @property
    def channels(self) -> tuple[int, ...]:
        """`features` without the pools."""
        return tuple(feature for feature in self.features if isinstance(feature, int))

    @property
    def teacher(self) -> bool:
        """Whether it has batch norm, and so can't become a spiking network as it is."""
        return self.family in TEACHER_FAMILIES


# Student networks and intermediate ANNs: no bias, no batch norm, average pooling.
STUDENTS = {
    "conv3fc2": Architecture(
        "3Conv2Linear",
        "plain",
        (32, POOL, 32, POOL, 64, POOL),
        kernel=5,
        hidden=1,
        fc=64,
        conv_dropout=0,
        fc_dropout=0.2,
    ),
    "conv3fc2_wide": Architecture(
        "3Conv2Linear wide", "plain", (64, POOL, 128, POOL, 256, POOL), hidden=1, fc=1024, conv_dropout=0
    ),
    "vgg5": Architecture("VGG5", "plain", (64, POOL, 128, 128, POOL), hidden=2, fc=4096),
    "vgg7": Architecture("VGG7", "plain", (64, POOL, 128, 256, POOL, 256, 512, POOL), hidden=2, fc=4096),
    "vgg7_alt": Architecture(
        "VGG7 alternative", "plain", (64, POOL, 128, 128, POOL, 256, 256, POOL), hidden=2, fc=4096
    ),
    "vgg9": Architecture(
        "VGG9", "plain", (64, POOL, 128, 256, POOL, 256, 512, POOL, 512, POOL, 512), hidden=2, fc=4096
    ),
    "vgg16": Architecture(
        "VGG16",
        "plain",
        (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512),
        hidden=2,
        fc=4096,
    ),
    "resnet12": Architecture("ResNet12", "residual", (64, 128, 256, 512), strides=(1, 2, 2, 2)),
    # Not the paper's: the student of the preset `benchmark`, whose teacher is the same network with ReLU.
    "resnet20_snn": Architecture(
        "ResNet20 student",
        "residual",
        (16, 16, 16, 32, 32, 32, 64, 64, 64),
        strides=(1, 1, 1, 2, 1, 1, 2, 1, 1),
        stem="single",
        conv_dropout=0,
    ),
}

# Teachers: bias or batch-norm shift, batch norm, their usual pooling.
TEACHERS = {
    "densenet121": Architecture("DenseNet121", "densenet", (6, 12, 24, 16)),  # layers in each dense block
    "vgg16bn": Architecture(
        "VGG16",
        "plain_bn",
        (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"),
    ),
    "resnet20": Architecture("ResNet20", "residual_bn", (16, 32, 64), strides=(1, 2, 2)),
    "resnet20_wide": Architecture("ResNet20 wide", "residual_bn", (64, 128, 256), strides=(1, 2, 2)),
}

NETWORKS = STUDENTS | TEACHERS


@dataclass(frozen=True)
class Method:
    """What the plan must know of a method.

    `sections` are the settings that it and its like alone read, `unread` those of all others that it doesn't.
    """

    title: str
    teacher: bool
    trained: bool
    sections: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()  # the only ones that it takes; all if empty
    start: str = "converted"  # the kind of run that its student comes from: `converted` or `ann`
    by_step: bool = False  # its losses look at each step's logits, whatever `spiking.loss` is
    chained: bool = False  # taught by a run of the same method, along scope.spike_chain, whose head has no teacher


METHODS = {
    "conversion": Method("conversion", teacher=False, trained=False),
    "hybrid": Method("hybrid training", teacher=False, trained=True),
    "kd_label": Method("label KD", teacher=True, trained=True, sections=("label_kd",)),
    "lasnn_act": Method("LaSNN, activation", teacher=True, trained=True, sections=("attention",)),
    "lasnn_grad": Method("LaSNN, gradient", teacher=True, trained=True, sections=("attention",)),
    "kd_features": Method("feature KD", teacher=True, trained=True, sections=("features",)),
    "kd_blurred": Method("BKDSNN", teacher=True, trained=True, sections=("blurred",)),
    "kd_aligned": Method("SeAl-KD", teacher=True, trained=True, sections=("aligned_kd",), by_step=True),
    "kd_head": Method("L_AF", teacher=True, trained=True, sections=("head_kd",)),
    "kd_saliency": Method("CKDSNN", teacher=True, trained=True, sections=("saliency_kd",)),
    "kd_spike": Method("spike KD (reconstruction)", teacher=True, trained=True, sections=("spike_kd",), chained=True),
    "calibration": Method(
        "calibration",
        teacher=False,
        trained=False,
        sections=("calibration",),
        unread=("balancing", "spiking", "choices"),
        encoders=("direct",),
        start="ann",
    ),
}


@dataclass(frozen=True)
class Encoder:
    """What everything but the function in `lasnn/spiking/encoders.py` must know of an encoder."""

    title: str
    analog: bool = False  # gives currents, not spikes: the first layer multiplies, and the gain has no say
    draws: bool = True  # by chance, so that accuracy is a mean over seeds; else the same in every step

    def passes(self, steps: int) -> int:
        """How often an image is multiplied with the first layer's weights in T steps: never, once or T times."""
        return (steps if self.draws else 1) if self.analog else 0


ENCODERS = {
    "poisson": Encoder("signed Poisson rate code"),
    "poisson_unsigned": Encoder("Poisson rate code of positive pixels"),
    "direct": Encoder("direct code", analog=True, draws=False),
}

# The paper's claims that exhibits judge: `lasnn/report/claims.py` has the comparison behind each.
CLAIMS = {
    "conversion_below_hybrid": "hybrid training is above conversion",
    "hybrid_below_kd": "hybrid training is not above label KD",
    "kd_below_lasnn": "LaSNN is above label KD",
    "hybrid_below_lasnn": "LaSNN is above hybrid training",
    "lasnn_near_ann": "LaSNN is close to its ANN",
    "gradient_below_activation": "activation-based is above gradient-based distillation",
    "direct_in_fewer_steps": "direct input reaches the accuracy of Poisson input in fewer steps",
    "teachers_alike": "teachers hardly matter",
    "fewer_spikes_than_conversion": "LaSNN spikes less than the converted network",
    "fewer_spikes_than_kd": "LaSNN spikes less than label KD",
    "lasnn_where_overfitting": "LaSNN is above hybrid training where the student overfits",
    "faster": "conversion needs 20 times the steps of LaSNN for its accuracy",
    "gains_grow": "LaSNN's gain on hybrid training grows with the difficulty of the task",
    "gradient_above_hybrid": "gradient-based distillation is above hybrid training",
    "gradient_30_below_100": "gradient-based distillation at T = 30 is below that at T = 100",
    "gradient_takes_longer": "an epoch with gradient maps takes longer than one with activation maps",
    "gradient_takes_memory": "training with gradient maps takes more memory than with activation maps",
    "stable_when_shallow": "LaSNN loses less than calibration where networks become shallow",
    "spike_kd_below_lasnn": "LaSNN is above spike KD",
    "direct_above_poisson": "direct input lifts the accuracy of VGG5 and VGG9",
    "direct_fewer_spikes": "direct input lowers the spikes of LaSNN",
}

LEVELS = ("low", "mid", "high")
NO_TEACHER = "none"


def sides_of(arch: Architecture, side: int) -> dict[str, int]:
    """The side of the activation of each layer that may be tapped, in order; pools stop at side 1."""
    sides: dict[str, int] = {}
    now = side
    if arch.family.startswith("plain"):
        for feature, following in pairwise((*arch.features, None)):
            if feature in POOLS:
                continue
            sides[f"c{len(sides) + 1}"] = now
            now = max(1, now // 2) if following in POOLS else now
        return sides
    if arch.family == "densenet":
        now = halved(side, 2) if side > 32 else side
        for index in range(len(arch.features)):
            sides[f"d{index + 1}"], now = now, max(now // 2, 1)
        return sides
    if arch.family == "residual":
        deep = arch.stem == "deep"
        sides, now = dict.fromkeys(("p1", "p2", "p3") if deep else ("p1",), side), side // 2 if deep else side
        prefix = "b"
    else:
        now, prefix = halved(side, 2) if side > 32 else side, "s"
    for index, stride in enumerate(arch.strides):
        now = halved(now, stride)
        sides[f"{prefix}{index + 1}"] = now
    return sides


def halved(side: int, stride: int) -> int:
    """Side after a padded convolution with this stride."""
    return (side + stride - 1) // stride


def taps_by_resolution(sides: Mapping[str, int], side: int) -> dict[str, str]:
    """Level -> layer: the last layers at R, R/2 and R/4, R = min(side, 32), all distinct (docs/choices.md, taps)."""
    names, resolution, taps = list(sides), min(side, 32), {}
    end = len(names)
    for level, smallest in zip(reversed(LEVELS), (resolution / 4, resolution / 2, resolution), strict=True):
        found = [index for index in range(end) if sides[names[index]] >= smallest]
        if not found:
            raise InputError(
                f"taps: no layer is left for level {level!r} with a side of at least {smallest:g} in a network with "
                f"sides {list(sides.values())}: choose a deeper network or larger images"
            )
        end = found[-1]
        taps[level] = names[end]
    return taps


def taps_deep(sides: Mapping[str, int], side: int) -> dict[str, str]:
    """As `taps_by_resolution`, but high is the last layer that may be tapped."""
    return taps_by_resolution(sides, side) | {"high": list(sides)[-1]}


TAPS = {"resolution": taps_by_resolution, "deep": taps_deep}


@dataclass(frozen=True)
class Source:
    """What the official dataset holds; a source with other numbers is a subset or another dataset."""

    title: str
    classes: int
    side: int  # width and height in pixels, as prepared
    train: int  # images
    test: int
    archive_mb: int = 0  # of the publisher's archive, megabytes


# Origins and licences: docs/data.md. Of Tiny ImageNet the test images are the official validation set.
KNOWN_DATASETS: Mapping[str, Source] = MappingProxyType(
    {
        "digits": Source("Digits", classes=10, side=16, train=1437, test=360),
        "cifar10": Source("CIFAR-10", classes=10, side=32, train=50_000, test=10_000, archive_mb=170),
        "cifar100": Source("CIFAR-100", classes=100, side=32, train=50_000, test=10_000, archive_mb=169),
        "tinyimagenet": Source("Tiny ImageNet", classes=200, side=64, train=100_000, test=10_000, archive_mb=248),
    }
)
OWN_IMAGES = Source("own images", classes=10, side=32, train=10_000, test=2_000)


def source_of(dataset: str) -> Source:
    """A known dataset; of a folder of one's own, whose images nobody has counted yet, a guess."""
    return KNOWN_DATASETS.get(dataset, OWN_IMAGES)
