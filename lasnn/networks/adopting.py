"""Weights trained elsewhere, brought into this package's network: matched by name or by order, folded where exact.

A state dict names no activation and no pool, so a network is known by its definition and the file only fills it. Names
that are ours are taken as they are. Others are matched in order: convolutions and linear layers as they come in the
file are those of the network from the input on, a batch norm belongs to the convolution in front of it.

A student has neither bias nor batch norm. With γ, β, μ, σ² of a batch norm in evaluation behind W x + b,

    W' = γ/√(σ² + ε) W        b' = γ/√(σ² + ε) (b - μ) + β

are the same numbers up to rounding, and b' is the constant current of the layer's neurons.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks.batch_norm import folding
from lasnn.networks.layers import Conv, Linear, Neuron, Norm, Pool, ReLU, Standardise
from lasnn.networks.net import Net
from lasnn.plan.vocabulary import given

EPS = 1e-5  # of batch norm: torch's own, which a state dict doesn't hold
KINDS = {4: "convolution", 2: "linear layer"}
LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
COUNTED = ("total_ops", "total_params")  # by thop, as floats; other counters are integers


@dataclass
class Found:
    """One layer of a file: its tensors by their last word."""

    name: str
    kind: str
    tensors: dict[str, Tensor]
    norm: "Found | None" = None  # behind it

    def __str__(self) -> str:
        return f"{self.name} ({self.kind} {'x'.join(map(str, self.shape))})"

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensors["weight" if "weight" in self.tensors else "running_mean"].shape)

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias with the norm behind in them, in double precision; None: no bias."""
        weight, bias = self.tensors["weight"].double(), self.tensors.get("bias")
        bias = None if bias is None else bias.double()
        if self.norm is None:
            return weight, bias
        norm = self.norm.tensors
        found = norm.get("weight"), norm.get("bias"), norm["running_mean"], norm["running_var"]
        gain, shift = folding(*found, EPS, bias)
        return weight * gain.view(-1, *(1,) * (weight.dim() - 1)), shift


@dataclass
class Adoption:
    """What was done: which layer of the network took which of the file's, and what was folded."""

    layers: dict[str, str] = field(default_factory=dict)
    folded: list[str] = field(default_factory=list)  # layers whose batch norm is in their weights now
    constants: list[str] = field(default_factory=list)  # layers with a constant current
    doubts: list[str] = field(default_factory=list)  # what the file leaves open, so that only an accuracy tells

    def __str__(self) -> str:
        pairs = ", ".join(f"{ours} from {theirs}" for ours, theirs in self.layers.items())
        parts = [pairs]
        if self.folded:
            parts.append(f"batch norm folded in {', '.join(self.folded)}")
        if self.constants:
            parts.append(f"bias as constant current in {', '.join(self.constants)}")
        return "; ".join(parts)


@torch.no_grad()
def adopt(
    net: Net,
    weights: dict[str, Tensor],
    student: bool,
    ordered: bool = True,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> Adoption:
    """Fill `net` with a state dict of elsewhere; InputError in one line for what doesn't fit: `net` is then useless.

    `ordered`: whether its names have the order of the layers, as torch saves them, and not as they are sorted.
    `mean` and `std` of pixels in [0, 1] are those with which the file's network standardises its input; without them
    it takes pixels in [-1, 1] as ours do.
    """
    weights = {name.removeprefix("module."): value for name, value in weights.items() if not _counts(name, value)}
    if set(net.state_dict()) <= set(weights) and all(_ours(net, name) for name in weights):
        check_shapes(net, weights)
        net.load_state_dict(weights)
        done = Adoption({name: name for name in weights})
    else:
        try:
            found = _layers_of(weights, fold=student)
            done = (_into_student if student else _into_teacher)(net, found)
            done.doubts = _doubts(net, found, ordered)
        except InputError as error:
            hint = "" if ordered else "; safetensors keeps no order of layers, torch.save does"
            raise InputError(f"{error}{hint}") from None
    if mean is not None and std is not None:
        _standardised(net, student, mean, std)
    return done


def check_shapes(net: Net, weights: dict[str, Tensor]) -> None:
    """InputError that names the first tensor of another shape than the network's."""
    for name, value in net.state_dict().items():
        if value.shape != weights[name].shape:
            raise InputError(
                f"{name} has shape {tuple(weights[name].shape)}, the network needs {tuple(value.shape)}: check its "
                "definition, network.width and network.fc, and the size of the images"
            )


def _ours(net: Net, name: str) -> bool:
    """Whether a network of this kind may have a tensor of this name."""
    module, _, leaf = name.rpartition(".")
    return name in net.state_dict() or (
        name == "readout.bias" or (leaf == "offset" and isinstance(dict(net.named_modules()).get(module), ReLU))
    )


def _counts(name: str, value: Tensor) -> bool:
    """Whether a tensor is a counter that tools add to a network, and no part of a layer."""
    leaf = name.rpartition(".")[2]
    return leaf in COUNTED or (leaf not in LEAVES and value.numel() == 1 and not value.is_floating_point())


def _doubts(net: Net, found: list[Found], ordered: bool) -> list[str]:
    """What could be otherwise than it was taken, and no shape would tell."""
    alike: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for layer in found:
        alike.setdefault((layer.kind, layer.shape), []).append(layer.name)
    same = next((names for names in alike.values() if len(names) > 1), None)
    doubts = (
        [f"{' and '.join(same[:2])} have equal shapes and no order, which torch.save keeps"]
        if same and not ordered
        else []
    )
    if any(isinstance(module, Pool) for module in net.modules()):
        doubts.append("it doesn't say which pools the network has, and where")
    return doubts


def _layers_of(weights: dict[str, Tensor], fold: bool) -> list[Found]:
    """The layers of a file in its order; with `fold` a batch norm belongs to the layer in front of it."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in weights.items():
        prefix, _, leaf = name.rpartition(".")
        if leaf not in LEAVES:
            raise InputError(
                f"{name} is no tensor of a convolution, linear layer or batch norm: networks here are made of those, "
                "ReLU and pools"
            )
        groups.setdefault(prefix, {})[leaf] = value
    found: list[Found] = []
    for prefix, tensors in groups.items():
        layer = Found(prefix, _kind(prefix, tensors), tensors)
        if layer.kind == "batch norm" and fold:
            before = found[-1] if found else None
            if before is None or before.norm is not None or before.shape[0] != layer.shape[0]:
                raise InputError(
                    f"{layer} is behind {before or 'nothing'}: only a batch norm directly behind a convolution or "
                    "linear layer of as many channels can be folded; register each behind its own"
                )
            before.norm = layer
        else:
            found.append(layer)
    return found


def _kind(name: str, tensors: dict[str, Tensor]) -> str:
    if {"running_mean", "running_var"} <= set(tensors):
        return "batch norm"
    dims = tensors["weight"].dim() if "weight" in tensors else 0
    if dims not in KINDS:
        what = "a weight of one axis, as of PReLU, LayerNorm or GroupNorm" if dims == 1 else f"{sorted(tensors)}"
        raise InputError(
            f"layer {name} has {what}: it can't be converted; use convolutions, linear layers, BatchNorm2d and ReLU, "
            "and train again"
        )
    return KINDS[dims]


def _synapses(net: Net) -> list[tuple[str, Conv | Linear, Neuron | None]]:
    """A student's layers of weights in order: short name, module, and the neuron that its current drives."""
    found: list[tuple[str, Conv | Linear, Neuron | None]] = []
    for name, layer in net.layers.items():
        for wire in layer.wires():
            for synapses in wire.synapses:
                if isinstance(synapses.module, Conv | Linear):
                    short = name if synapses.name == "synapses" else f"{name}.{synapses.name}"
                    found.append((short, synapses.module, wire.neuron))
    return [*found, ("readout", net.readout, None)]


def _into_student(net: Net, found: list[Found]) -> Adoption:
    ours, done = _synapses(net), Adoption()
    _check([(name, KINDS[module.weight.dim()], tuple(module.weight.shape)) for name, module, _ in ours], found)
    for (name, module, neuron), layer in zip(ours, found, strict=True):
        weight, bias = layer.folded()
        module.weight.copy_(weight)
        done.layers[name] = layer.name
        if layer.norm is not None:
            done.folded.append(name)
        if bias is None or not bias.any():
            continue
        done.constants.append(name)
        if neuron is None:
            net.readout.bias = nn.Parameter(bias.to(module.weight.dtype), requires_grad=False)
        else:  # a junction's is that of both its branches
            neuron.offset = (bias if neuron.offset is None else neuron.offset.double() + bias).to(module.weight.dtype)
    return done


def _into_teacher(net: Net, found: list[Found]) -> Adoption:
    parts = [(name, m) for name, m in net.named_modules() if isinstance(m, Conv | Linear | Norm)]
    kinds = {Conv: "convolution", Norm: "batch norm"}
    _check([(name, kinds.get(type(m), "linear layer"), tuple(m.weight.shape)) for name, m in parts], found)
    done = Adoption()
    for (name, module), layer in zip(parts, found, strict=True):
        done.layers[name] = layer.name
        state = {leaf: value for leaf, value in layer.tensors.items() if leaf != "num_batches_tracked"}
        if isinstance(module, Norm):
            state = {"weight": torch.ones_like(module.weight), "bias": torch.zeros_like(module.bias)} | state
            state["num_batches_tracked"] = given(module.num_batches_tracked)
        elif module.bias is not None:
            state = {"bias": torch.zeros_like(module.bias)} | state
        elif "bias" in state:
            raise InputError(
                f"{layer} has a bias, {name} of the network has none, as a batch norm follows: train it with "
                "bias=False, or define the network as family plain_bn, whose convolutions have one"
            )
        module.load_state_dict(state)
    return done


def _check(ours: list[tuple[str, str, tuple[int, ...]]], found: list[Found]) -> None:
    """InputError that names the first layer where file and network part."""
    for (name, kind, shape), layer in zip(ours, found, strict=False):
        if (kind, shape) != (layer.kind, layer.shape):
            raise InputError(
                f"{layer} of the file is where the network has {name} ({kind} {'x'.join(map(str, shape))}): check "
                "its definition, network.width and network.fc, the size of the images, and the order of layers"
            )
    if len(found) < len(ours):
        name, kind, shape = ours[len(found)]
        raise InputError(
            f"the file has {len(found)} layers, the network {len(ours)}: missing is {name} "
            f"({kind} {'x'.join(map(str, shape))})"
        )
    if len(found) > len(ours):
        raise InputError(f"the file has {len(found)} layers, the network {len(ours)}: too much is {found[len(ours)]}")


def _standardised(net: Net, student: bool, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Let `net`, whose input is z = 2 x - 1, compute what it computes of (x - mean) / std."""
    centre, width = 2 * torch.tensor(mean) - 1, 2 * torch.tensor(std)
    if not student:
        net.standardise = Standardise()
        net.standardise.mean.copy_(centre)
        net.standardise.std.copy_(width)
        return
    if centre.abs().max() > 1e-6:
        raise InputError(
            f"its pixels are standardised with means {', '.join(f'{value:g}' for value in mean)}: a student's padding "
            "is grey, so that only means of 0.5 can be folded; train it with mean 0.5, or on pixels in [-1, 1]"
        )
    first = next(module for module in net.modules() if isinstance(module, Conv))
    first.weight.div_(width[:, None, None])
