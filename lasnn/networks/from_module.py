"""An existing torch module as a network of this project: its layers mapped to wires, or refused in one line."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from lasnn.errors import InputError
from lasnn.networks.adopting import EPS, adopt
from lasnn.networks.layers import Conv, Dropout, Flatten, GlobalAverage, Linear, Pool, Readout
from lasnn.networks.net import Net
from lasnn.networks.plain import Layer

KNOWN = (
    "known are Conv2d (odd kernel that keeps the side, one group), BatchNorm2d behind it, ReLU, AvgPool2d(2), "
    "AdaptiveAvgPool2d(1), Flatten, Dropout and Linear, in a row"
)
# What a forward method may call: the module that does the same, and the one number that it must be given.
FUNCTIONS: dict[object, tuple[Callable[[], nn.Module], int | None]] = {
    F.relu: (nn.ReLU, None),
    torch.relu: (nn.ReLU, None),
    "relu": (nn.ReLU, None),
    torch.flatten: (nn.Flatten, 1),
    "flatten": (nn.Flatten, 1),
    F.avg_pool2d: (partial(nn.AvgPool2d, 2), 2),
    F.adaptive_avg_pool2d: (partial(nn.AdaptiveAvgPool2d, 1), 1),
}


def from_module(module: nn.Module, side: int) -> Net:
    """A network that computes what `module` computes of images [B, 3, side, side] in evaluation mode, [B, K].

    Weights are copied, batch norm is folded, a bias becomes the constant current of its layer. The last linear layer is
    the readout. InputError in one line for a layer that can't spike or isn't in a row with the others.
    """
    built = _Row(side)
    for name, part in _in_a_row(module):
        built.take(name, part)
    return built.net()


def _in_a_row(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """What the module calls, in order, each on the result of the one before."""
    try:
        graph = fx.symbolic_trace(module).graph
    except (fx.proxy.TraceError, TypeError, NotImplementedError) as error:
        why = " ".join(str(error).split())[:120]
        raise InputError(f"{type(module).__name__} can't be followed from input to output ({why}): {KNOWN}") from None
    parts, modules, last = [], dict(module.named_modules()), None
    for node in graph.nodes:
        inputs = list(node.all_input_nodes)
        if node.op != "placeholder" and inputs != [last]:
            raise InputError(f"{node.name} joins or skips layers: {KNOWN}; for a block see docs/extending.md")
        last = node
        if node.op == "call_module":
            parts.append((str(node.target), modules[str(node.target)]))
        elif node.op in ("call_function", "call_method"):
            made, number = FUNCTIONS.get(node.target, (None, None))
            numbers = [*node.args[1:], *(value for key, value in node.kwargs.items() if key != "inplace")]
            if made is None or numbers != ([] if number is None else [number]):
                raise InputError(f"{node.name} is a call that can't be mapped: {KNOWN}")
            parts.append((node.name, made()))
    return parts


class _Row:
    """The network as far as it was read."""

    def __init__(self, side: int):
        self.image, self.side = side, side
        self.layers: dict[str, Layer] = {}
        self.sides: dict[str, int] = {}
        self.open: tuple[str, Conv | Linear] | None = None  # synapses whose neurons are still to come
        self.weights: dict[str, Tensor] = {}  # of the module, in the order of its calls

    def take(self, name: str, part: nn.Module) -> None:
        """Add one module."""
        if isinstance(part, nn.Conv2d | nn.Linear):
            if self.open:
                raise InputError(f"{name} follows {self.open[0]} without a ReLU between them: {KNOWN}")
            self.open = name, self.synapses(name, part)
            self.weights |= {f"{len(self.layers)}.{name}.{leaf}": value for leaf, value in part.state_dict().items()}
        elif isinstance(part, nn.BatchNorm2d) and self.open and isinstance(self.open[1], Conv):
            if part.running_var is None:
                raise InputError(f"{name} keeps no running statistics, so that it can't be folded: {KNOWN}")
            state = part.state_dict() | {"running_var": part.running_var.double() + (part.eps - EPS)}
            self.weights |= {f"{len(self.layers)}.{name}.{leaf}": value for leaf, value in state.items()}
        elif isinstance(part, nn.ReLU) and self.open:
            self.close()
        elif isinstance(part, nn.Identity):
            pass
        elif self.layers and not self.open:
            self.between(name, part)
        else:
            raise InputError(f"{name} is a {type(part).__name__} where none can be: {KNOWN}")

    def synapses(self, name: str, part: nn.Conv2d | nn.Linear) -> Conv | Linear:
        """This package's module of the same size."""
        if isinstance(part, nn.Linear):
            return Linear(part.in_features, part.out_features, bias=False)
        size, stride = part.kernel_size[0], part.stride[0]
        square = part.kernel_size == (size, size) and part.stride == (stride, stride) and size % 2 == 1
        same = part.padding == (size // 2, size // 2) and part.padding_mode == "zeros"
        if not square or not same or part.groups != 1 or part.dilation != (1, 1):
            raise InputError(f"{name} is {part}: {KNOWN}")
        self.side = -(-self.side // stride)
        return Conv(part.in_channels, part.out_channels, size, stride)

    def close(self) -> None:
        """A ReLU closes a layer."""
        assert self.open
        (_, synapses), self.open = self.open, None
        letter = "c" if isinstance(synapses, Conv) else "f"
        name = f"{letter}{1 + sum(key.startswith(letter) for key in self.layers)}"
        self.layers[name] = Layer(synapses)
        if isinstance(synapses, Conv):
            self.sides[name] = self.side

    def between(self, name: str, part: nn.Module) -> None:
        """What lies between two layers."""
        between = next(reversed(self.layers.values())).between
        if isinstance(part, nn.AvgPool2d) and self.halves(part):
            between.append(Pool())
            self.side //= 2
        elif isinstance(part, nn.AdaptiveAvgPool2d) and part.output_size in (1, (1, 1)):
            between.append(GlobalAverage())
        elif isinstance(part, nn.Flatten) and (part.start_dim, part.end_dim) in ((1, -1), (1, 3)):
            if not any(isinstance(module, GlobalAverage) for module in between):
                between.append(Flatten())
        elif isinstance(part, nn.Dropout) and part.p < 1:
            between.append(Dropout(part.p))
        elif isinstance(part, nn.MaxPool2d):
            raise InputError(f"{name} is a max pool, which can't be computed from rates: use AvgPool2d(2), train again")
        elif isinstance(part, nn.AvgPool2d | nn.Flatten | nn.Dropout):
            raise InputError(f"{name} is {part}, which can't be mapped at a side of {self.side}: {KNOWN}")
        else:
            raise InputError(f"{name} is a {type(part).__name__}, whose neurons can't spike: {KNOWN}")

    def halves(self, pool: nn.AvgPool2d) -> bool:
        """Whether a pool is the mean of 2x2 pixels that leaves a last odd row and column out."""
        square = pool.kernel_size in (2, (2, 2)) and pool.stride in (2, (2, 2)) and pool.padding in (0, (0, 0))
        return square and not (pool.ceil_mode and self.side % 2) and pool.divisor_override in (None, 4)

    def net(self) -> Net:
        """All of it."""
        if not self.open or not isinstance(self.open[1], Linear) or not self.layers:
            raise InputError(f"the last layer isn't a linear one without ReLU: {KNOWN}")
        readout = Readout(self.open[1].in_features, self.open[1].out_features, bias=False)
        net = Net(self.layers, readout, self.sides, self.image).to(memory_format=torch.channels_last)
        adopt(net, self.weights, student=True)
        return net
