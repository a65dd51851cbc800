"""ANN to SNN: spiking neurons in place of ReLU, and thresholds by balancing (Sengupta et al. 2019).

θ_l is the largest input current that layer l sees in T steps when the layers before it spike at their own thresholds.
Each layer's output spikes are kept, one bit each, as the input of the next, so every layer is simulated once for its
threshold and once for its output, however deep the network. That is neurons x images x T / 8 bytes for a layer, of two
layers at a time; what is beyond `packed_spikes.IN_MEMORY` of a layer is in a temporary file.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks.batch_norm import fold
from lasnn.networks.layers import Linear, ReLU
from lasnn.networks.net import Net, Synapses, Tappable, Wire, replace_neurons, wired
from lasnn.spiking.neurons import LIF, Dynamics, streaming
from lasnn.spiking.packed_spikes import SpikeStore

NEAR_ONE = 0.999  # a trained leak starts no nearer to 1, where σ(w) has no slope
Chunks = Callable[[], Iterable[Tensor]]  # one fresh pass over a spike train, in chunks [t, B, ...]


def spiking(net: Net, dynamics: Dynamics) -> Net:
    """A copy of `net` with a LIF neuron in place of every ReLU; weights and constant currents keep their names.

    It takes the encoder's spikes or currents as they are, where the ReLU network may standardise its pixels.
    """
    for name, layer in net.layers.items():
        if not layer.wires():
            raise InputError(
                f"layer {name} is a {type(layer).__name__}, which has no wires, so that its neurons can't spike: give "
                "it `wires` (docs/extending.md, A block)"
            )
    net = copy.deepcopy(net)
    net.standardise = None

    def made(relu: ReLU) -> LIF:
        neuron = LIF(dynamics=dynamics).to(net.readout.weight.device)
        neuron.offset = relu.offset
        return neuron

    replace_neurons(net, ReLU, made)
    return net


class SpikingReadout(Linear):
    """A readout whose currents drive neurons: [T, B, F] to spikes [T, B, K]; logits are their counts."""

    def __init__(self, readout: Linear, dynamics: Dynamics):
        super().__init__(readout.in_features, readout.out_features, bias=False)
        self.weight = readout.weight
        self.activation = LIF(dynamics=replace(dynamics, leak=1.0, reset="soft", kind="lif")).to(readout.weight.device)
        self.activation.offset = None if readout.bias is None else readout.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(super().forward(x))

    def drive(self, x: Tensor, neuron: nn.Module) -> Tensor:
        """The current that reaches its neurons."""
        return super().forward(x)

    def total(self, x: Tensor) -> Tensor:
        return self(x).sum(0)  # [B, K]


def with_spiking_readout(net: Net, dynamics: Dynamics) -> Net:
    """`net` itself, its readout made to spike: non-leaky neurons with soft reset, threshold 1 until it is balanced."""
    net.readout = SpikingReadout(net.readout, dynamics)
    return net


def neurons(net: nn.Module) -> dict[str, LIF]:
    """The spiking layers in forward order, by short names: `c1`, `f1`, `b1.inner`, `b1`, `readout` if that spikes."""
    found = {name: wire.neuron for name, wire in wired(net) if isinstance(wire.neuron, LIF)}
    readout = getattr(net, "readout", None)
    return found | {"readout": readout.activation} if isinstance(readout, SpikingReadout) else found


def spikes_of(wire: Wire) -> LIF:
    """The spiking neurons of a wire; TypeError for analog ones."""
    if not isinstance(wire.neuron, LIF):
        raise TypeError(f"{type(wire.neuron).__name__} has no spikes")
    return wire.neuron


def weights_of(synapses: Synapses) -> Tensor:
    """The weights [C, ...] of synapses that have some; TypeError for the identity."""
    if not isinstance(synapses.module, nn.Conv2d | nn.Linear):
        raise TypeError(f"{synapses.name} is a {type(synapses.module).__name__}, which has no weights")
    return synapses.module.weight


def inner_weights(layer: Tappable) -> list[tuple[LIF, Tensor]]:
    """The weights that see spikes of the layer's own inner neurons, with these."""
    found = []
    for wire in layer.wires():
        for synapses in wire.synapses:
            if synapses.source is not None:
                assert isinstance(synapses.source, LIF)
                found.append((synapses.source, weights_of(synapses)))
    return found


def is_block(layer: Tappable) -> bool:
    """Whether the layer has inner neurons, as a residual block."""
    return len(layer.wires()) > 1


def set_thresholds(net: Net, thresholds: Iterable[float]) -> None:
    """Give each spiking layer its threshold, in forward order."""
    for neuron, threshold in zip(neurons(net).values(), thresholds, strict=True):
        neuron.threshold.fill_(threshold)


def thresholds(net: Net) -> dict[str, float]:
    """The threshold of each spiking layer."""
    return {name: neuron.threshold.item() for name, neuron in neurons(net).items()}


def train_thresholds(net: Net, by_channel: bool = False) -> None:
    """Give each layer's neurons a gain of their current to be trained, which is the same as training thresholds.

    By channel or unit where all that drives them has weights, into which the gains can be put afterwards: not where an
    identity shortcut does, nor in a spiking readout, whose counts are the logits.
    """
    for neuron in neurons(net).values():
        neuron.log_gain = nn.Parameter(torch.zeros_like(neuron.threshold))
    for _, wire in wired(net) if by_channel else ():
        if not any(isinstance(synapses.module, nn.Identity) for synapses in wire.synapses):
            neuron, width = spikes_of(wire), len(weights_of(wire.synapses[0]))
            neuron.log_gain = nn.Parameter(neuron.threshold.new_zeros(width))


def train_offsets(net: Net) -> None:
    """Give each layer's neurons a change of their constant current, one a channel or unit [C], to be trained."""
    for _, wire in wired(net):
        neuron, width = spikes_of(wire), len(weights_of(wire.synapses[0]))
        neuron.offset_change = nn.Parameter(neuron.threshold.new_zeros(width))


def train_leaks(net: Net) -> None:
    """Let each layer's leak be trained as σ(w) (PLIF, Fang et al. 2021, without a decay of the input).

    It starts at the leak of its dynamics, one of 1 at `NEAR_ONE`. A spiking readout keeps its own.
    """
    for neuron in neurons(net.layers).values():
        leak = neuron.threshold.new_tensor(min(neuron.dynamics.leak, NEAR_ONE))
        neuron.leak_logit = nn.Parameter(leak.logit())


def leaks(net: Net) -> dict[str, float]:
    """The leak of each spiking layer."""
    return {name: neuron.dynamics.leak for name, neuron in neurons(net.layers).items()}


def with_leaks(net: Net, leak: float | Mapping[str, float]) -> Net:
    """`net` itself with this leak, or one for each layer; a spiking readout keeps its own."""
    for name, neuron in neurons(net.layers).items():
        neuron.dynamics = replace(neuron.dynamics, leak=leak[name] if isinstance(leak, Mapping) else leak)
    return net


@torch.no_grad()
def settle(net: Net) -> None:
    """Put what was trained of thresholds, offsets, leaks and batch norm, if anything, into them: the same spikes."""
    fold(net)
    for _, wire in wired(net):
        _settle_channels(wire)
    for neuron in neurons(net).values():
        if neuron.offset_change is not None:
            change = neuron.offset_change.detach()
            neuron.offset = change if neuron.offset is None else neuron.offset + change
            neuron.offset_change = None
        if neuron.log_gain is not None:
            neuron.threshold.div_(neuron.log_gain.exp())
            neuron.log_gain = None
        if neuron.leak_logit is not None:
            neuron.dynamics = replace(neuron.dynamics, leak=neuron.leak_logit.sigmoid().item())
            neuron.leak_logit = None


def _settle_channels(wire: Wire) -> None:
    """Put gains of channels into weights and constants: θ e^-g is one threshold where the current is e^g times it."""
    neuron = spikes_of(wire)
    if neuron.log_gain is None or not neuron.log_gain.dim():
        return
    gain, neuron.log_gain = neuron.log_gain.exp(), None
    for synapses in wire.synapses:
        weight = weights_of(synapses)
        weight.mul_(gain.view(-1, *(1,) * (weight.dim() - 1)))
    if neuron.offset_change is not None:
        neuron.offset_change.mul_(gain)
    if neuron.offset is not None:
        neuron.offset = neuron.offset * gain
    if neuron.initial is not None:
        neuron.initial = neuron.initial * (gain[:, None, None] if weights_of(wire.synapses[0]).dim() == 4 else gain)


@torch.no_grad()
def start_at(net: Net, potential: float) -> Net:
    """`net` itself with v⁰ = `potential` θ in every layer; at 1/2 a few steps round and don't round down (QCFS)."""
    for neuron in neurons(net).values():
        neuron.initial = potential * neuron.threshold if potential else None
    return net


@torch.no_grad()
def scale_thresholds(net: Net, scale: float, residual: str = "balanced") -> Net:
    """A copy of a balanced network, ready to simulate at a reduced horizon: θ <- s θ.

    In a residual block the spikes of the inner neuron stand for θ_a units and those of the shortcut for one, so
    W_2 <- s θ_a W_2 brings both branches of the sum to the same unit. Always start from the balanced network: the
    fold must happen once. Constant currents, which are in units of the ANN's activations, are brought to those of each
    layer's potential.
    """
    net = copy.deepcopy(net)
    untouched = [layer for layer in net.layers.values() if residual == "base" and is_block(layer)]
    left = {id(neuron) for layer in untouched for neuron in neurons(layer).values()}
    for neuron in neurons(net).values():
        if id(neuron) not in left:
            neuron.threshold.mul_(scale)
    for layer in net.layers.values():
        for inner, weight in inner_weights(layer) if layer not in untouched else []:
            weight.mul_(inner.threshold)
    divide_constants(net, lambda neuron: neuron.threshold)
    return net


@torch.no_grad()
def divide_constants(net: Net, gain: Callable[[LIF], float | Tensor]) -> None:
    """Divide each layer's constant currents by the value of one input spike, u; a trained one: by u `gain(neuron)`."""
    unit: float | Tensor = 1.0
    for layer in net.layers.values():
        for neuron in neurons(layer).values():
            if neuron.offset is not None:
                neuron.offset = neuron.offset / unit
        unit = unit * gain(neuron)
    readout = net.readout.activation.offset if isinstance(net.readout, SpikingReadout) else net.readout.bias
    if readout is not None:
        readout.div_(unit)


def without_constants(net: Net) -> Net:
    """`net` itself without the constant currents that an adopted network brought."""
    for neuron in neurons(net).values():
        neuron.offset = None
    net.readout.register_parameter("bias", None)
    return net


@torch.no_grad()
def balance(net: Net, encoded: Chunks, stat: str = "max", residual: str = "balanced") -> dict[str, float]:
    """Thresholds of every spiking layer of `net` (unscaled), also written into its neurons.

    `encoded()` yields one pass of encoded calibration images in chunks [t, B, 3, H, W], the same at every call. The
    net must be in evaluation mode with leak 1. A layer that nothing reaches is an InputError (dead layer).
    """
    names, folded, chunks = {neuron: name for name, neuron in neurons(net).items()}, [], encoded
    constants, unit = {neuron: neuron.offset for neuron in neurons(net).values()}, 1.0
    try:
        for layer in net.layers.values():
            for neuron in neurons(layer).values():
                if neuron.offset is not None:
                    neuron.offset = neuron.offset / unit
                if residual == "base" and is_block(layer):
                    continue  # block neurons keep threshold 1
                threshold = _balanced(f"layer {names[neuron]}", layer, neuron, chunks, stat)
                for weight in [weight for inner, weight in inner_weights(layer) if inner is neuron]:
                    folded.append((weight, weight.clone()))
                    weight.mul_(threshold)
            unit = unit * neuron.threshold.item()
            chunks = _recorded(layer, chunks)
    finally:
        for weight, original in folded:
            weight.copy_(original)
        for neuron, constant in constants.items():
            neuron.offset = constant
    return thresholds(net)


@torch.no_grad()
def balance_readout(net: Net, encoded: Chunks, stat: str = "max") -> float:
    """The threshold that balancing gives a balanced net's spiking readout; the net keeps the one that it has."""
    ready = scale_thresholds(net, 1.0)

    def features() -> Iterator[Tensor]:
        with streaming(ready.layers):
            for chunk in encoded():
                for layer in ready.layers.values():
                    _, chunk = layer(chunk)
                yield chunk

    readout = ready.readout
    assert isinstance(readout, SpikingReadout)
    return _balanced("the readout", readout, readout.activation, features, stat)


def _largest(current: Tensor) -> Tensor:
    return current.amax()


def _percentile(current: Tensor) -> Tensor:
    """The 99.7th percentile over images and neurons of each step, then the maximum over steps."""
    rows = current[:1] if current.stride(0) == 0 else current
    rank = max(1, round(0.997 * rows[0].numel()))
    return torch.stack([row.reshape(-1).kthvalue(rank).values for row in rows]).amax()


STATISTICS = {"max": _largest, "p99.7": _percentile}


def _balanced(name: str, layer: Tappable | SpikingReadout, neuron: LIF, chunks: Chunks, stat: str) -> float:
    """The largest current that reaches a neuron, which becomes its threshold."""
    with streaming(layer):
        currents = (neuron.with_offset(layer.drive(chunk, neuron)) for chunk in chunks())
        threshold = max(STATISTICS[stat](current).item() for current in currents)
    if not threshold > 0:
        raise InputError(
            f"threshold balancing: {name} gets no positive input current in the calibration images (largest "
            f"{threshold:g}): the network before it is dead; train it longer, or use network.init: he"
        )
    neuron.threshold.fill_(threshold)
    return threshold


def _recorded(layer: Tappable, chunks: Chunks) -> Chunks:
    """The layer's output for one pass of its input, kept as bits before pooling."""
    kept = SpikeStore()
    with streaming(layer):
        for chunk in chunks():
            spikes, _ = layer(chunk)
            # In the order of its memory, so that the memory format survives.
            kept.add(spikes.permute(0, 1, 3, 4, 2) if spikes.dim() == 5 else spikes)

    def replay() -> Iterator[Tensor]:
        for flat in kept:
            yield layer.between(flat.permute(0, 1, 4, 2, 3) if flat.dim() == 5 else flat)

    return replay
