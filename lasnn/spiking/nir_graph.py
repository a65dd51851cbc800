"""A spiking network as a NIR graph (Pedersen et al. 2024), for other simulators and chips, and back.

A layer is a node of synapses, whose bias is the constant current of its neurons, then a node of neurons: IF without a
leak, else LIF with τ = dt/(1 - λ) and R = τ/dt, so that a step of length dt gives v <- λ v + I. Currents that meet at a
junction are two edges into one node. What NIR can't say is in the graph's metadata, in words for readers
(`reading`) and as JSON for `weights_of`: that the reset subtracts θ and is not leaked, that o^t reaches the next layer
in the same step, that logits are the readout's currents summed over time, potentials at the start, encoder and T.
A digest of everything (`sha256`) is kept too, so that a graph that was changed after the export is recognised.
"""

import hashlib
import io
import json
from pathlib import Path

import nir
import numpy as np
import torch
from torch import Tensor, nn

from lasnn.errors import InputError
from lasnn.networks.layers import Conv, Flatten, GlobalAverage, Linear, Neuron, Pool
from lasnn.networks.net import Net
from lasnn.spiking.conversion import SpikingReadout, spikes_of
from lasnn.spiking.neurons import LIF
from lasnn.storage import files

Shape = tuple[int, ...]  # of one image's currents or spikes: (C, H, W) or (F,)

DT = 1.0  # of networks without a leak: spikingjelly wants R = 1/dt of an IF node, snntorch R = 1
LEAKY_DT = 1e-4  # of others: what both assume
READING = {
    "soft": "reset by subtraction: v <- v - threshold; v_reset is not a potential to be set",
    "hard": "reset to zero",
    "sync": "a spike reaches the next layer in its own step; v(t) = leak v(t-1) + I(t) - threshold o(t-1)",
    "delayed": "a spike reaches the next layer one step later; v(t) = leak v(t-1) + I(t) - threshold o(t-1)",
    "instant_reset": "a spike reaches the next layer in its own step; v(t) = leak (v(t-1) - threshold o(t-1)) + I(t)",
}


class _Builder:
    """Nodes and edges in the order of the network."""

    def __init__(self, side: int, leaks: list[float]):
        self.dt, self.leaks = DT if leaks == [1] else LEAKY_DT, leaks
        self.shape: Shape = (3, side, side)
        self.nodes: dict[str, nir.NIRNode] = {"input": nir.Input(input_type=np.array(self.shape))}
        self.edges: list[tuple[str, str]] = []

    def add(self, name: str, node: nir.NIRNode, *sources: str) -> str:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def synapses(self, name: str, module: nn.Module, source: str, shape: Shape, bias: Tensor | None) -> Shape:
        """Add a node of synapses that reads `source`, an output of this shape; the shape of its currents."""
        if not isinstance(module, Conv | Linear):
            raise TypeError(f"{name} is a {type(module).__name__}: synapses are a convolution or a linear layer")
        weight = module.weight.detach().cpu().contiguous().numpy()
        constant = None if bias is None else bias.detach().cpu().numpy()
        if isinstance(module, Conv):
            stride, padding = module.stride, tuple(side // 2 for side in module.kernel_size)
            given = np.zeros(len(weight), np.float32) if constant is None else constant
            self.add(name, nir.Conv2d(shape[1:], weight, stride, padding, (1, 1), 1, given), source)
            sides = [(side + 2 * padding[0] - weight.shape[2]) // stride[0] + 1 for side in shape[1:]]
            return (len(weight), *sides)
        node = nir.Linear(weight) if constant is None else nir.Affine(weight, constant)
        self.add(name, node, source)
        return (len(weight),)

    def neurons(self, name: str, neuron: LIF, shape: Shape, *sources: str) -> str:
        """Add a node of neurons."""
        if neuron.dynamics.kind != "lif":
            raise InputError(f"{name} has neurons of the kind {neuron.dynamics.kind}, for which NIR has no node")
        threshold = np.full(shape, neuron.threshold.item(), np.float32)
        zeros = np.zeros(shape, np.float32)
        extra = {"offset": np.array([neuron.offset is not None])}
        if neuron.initial is not None:
            extra["initial_potential"] = np.broadcast_to(neuron.initial.detach().cpu().numpy(), shape).copy()
        if neuron.dynamics.leak == 1:
            node = nir.IF(np.full(shape, 1 / self.dt, np.float32), threshold, zeros, metadata=extra)
        else:
            tau = self.dt / (1 - neuron.dynamics.leak)
            full = [np.full(shape, value, np.float32) for value in (tau, tau / self.dt)]
            node = nir.LIF(*full, zeros, threshold, zeros, metadata=extra)
        return self.add(name, node, *sources)

    def between(self, name: str, between: nn.Module, shape: Shape, source: str) -> tuple[str, Shape]:
        """Add what lies between a layer and the next one's synapses."""
        for module in between.children():
            if isinstance(module, Pool):
                pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
                source, shape = self.add(f"{name}_pool", pool, source), (shape[0], *(side // 2 for side in shape[1:]))
            elif isinstance(module, Flatten):
                # From the back, so that an importer may count a batch axis in front or not.
                source = self.add(f"{name}_flat", nir.Flatten(np.array(shape), -3, -1), source)
                shape = (int(np.prod(shape)),)
            elif isinstance(module, GlobalAverage):
                pool = nir.AvgPool2d(np.array(shape[1:]), np.array(shape[1:]), np.array([0, 0]))
                source = self.add(f"{name}_average", pool, source)
                source = self.add(f"{name}_flat", nir.Flatten(np.array((shape[0], 1, 1)), -3, -1), source)
                shape = shape[:1]
        return source, shape


def graph_of(net: Net, meta: files.Json) -> nir.NIRGraph:
    """The graph of a spiking network; `meta` is what its checkpoint says of it."""
    found = [module.dynamics.leak for module in net.layers.modules() if isinstance(module, LIF)]
    built = _Builder(net.side, list(dict.fromkeys(found)))  # one leak, or one of each layer
    at, shape = "input", built.shape
    for name, layer in net.layers.items():
        seen: dict[Neuron | None, tuple[str, Shape]] = {None: (at, shape)}  # what synapses of the layer see
        for wire in layer.wires():
            met, reached = [], shape
            for order, synapses in enumerate(wire.synapses):
                source, given = seen[synapses.source]
                if isinstance(synapses.module, nn.Identity):
                    met.append(source)
                    continue
                met.append(name if synapses.name == "synapses" else f"{name}_{synapses.name}")
                constant = None if order else wire.neuron.offset  # in one of the edges that meet
                reached = built.synapses(met[-1], synapses.module, source, given, constant)
            at, shape = built.neurons(f"{name}_{wire.name or 'spikes'}", spikes_of(wire), reached, *met), reached
            seen[wire.neuron] = at, shape
        at, shape = built.between(name, layer.between, shape, at)
    readout = net.readout
    if isinstance(readout, SpikingReadout):
        shape = built.synapses("readout", readout, at, shape, readout.activation.offset)
        at = built.neurons("readout_spikes", readout.activation, shape, "readout")
    else:
        shape, at = built.synapses("readout", readout, at, shape, readout.bias), "readout"
    built.add("output", nir.Output(np.array(shape)), at)
    graph = nir.NIRGraph(built.nodes, built.edges, metadata=_described(net, meta, built))
    graph.metadata[files.SEAL] = digest_of(graph)
    return graph


def digest_of(graph: nir.NIRGraph) -> str:
    """SHA-256 over names and values of all nodes, edges and metadata, the same before writing and after reading."""
    digest = hashlib.sha256()

    def take(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key in sorted(value):
                take(f"{name}/{key}", value[key])
        elif value is not None:
            array = np.asarray(value.decode() if isinstance(value, bytes) else value)
            wide = array.astype(np.int64) if array.dtype.kind in "iu" else array
            content = repr(wide.tolist()).encode() if wide.dtype.kind in "OSU" else wide.tobytes()
            digest.update(f"{name} {wide.dtype.kind} {wide.shape}\n".encode() + content)

    own = graph.to_dict()
    metadata = {key: value for key, value in own["metadata"].items() if key != files.SEAL}
    take("", {"nodes": own["nodes"], "edges": sorted(map(list, own["edges"])), "metadata": metadata})
    return digest.hexdigest()


def _described(net: Net, meta: files.Json, built: _Builder) -> dict[str, str]:
    dynamics = next(module.dynamics for module in net.layers.modules() if isinstance(module, LIF))
    rule = READING["hard" if dynamics.reset == "hard" else "soft"]
    words = [
        f"dt = {built.dt:g}",
        f"leak = {', '.join(f'{leak:g}' for leak in built.leaks)}",
        rule,
        READING[dynamics.order],
    ]
    words += ["a spike where v > threshold", "logits: currents of the readout summed over all steps"]
    if any(module.initial is not None for module in net.modules() if isinstance(module, LIF)):
        words.append("potentials at the start: metadata initial_potential of a node of neurons")
    return {"lasnn": json.dumps(meta | {"dt": built.dt}, sort_keys=True), "reading": "; ".join(words)}


def write(path: Path | str, graph: nir.NIRGraph) -> None:
    """The graph as a file of HDF5, whole or not at all."""
    buffer = io.BytesIO()
    nir.write(buffer, graph)
    files.write_bytes(path, buffer.getvalue())


def read(path: Path | str) -> tuple[dict[str, Tensor], files.Json]:
    """Weights, named as in a checkpoint, and meta of a file that `write` wrote; InputError in one line for another."""
    try:
        graph = nir.read(str(path))
    except FileNotFoundError:
        raise InputError(f"no file {path}: make it with `python -m lasnn export-nir`") from None
    except (OSError, KeyError, ValueError, AssertionError, AttributeError, TypeError) as error:
        line = " ".join(str(error).split())[:120]
        raise InputError(f"{path} cannot be read as a NIR graph ({line})") from None
    try:
        words = graph.metadata["lasnn"]
        meta = json.loads(words.decode() if isinstance(words, bytes) else str(words))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} was not exported by lasnn (no metadata `lasnn`): only such files come back") from None
    seal = graph.metadata.get(files.SEAL)
    if seal != digest_of(graph):
        said = "was changed after it was exported: its nodes don't match its digest" if seal else "has no digest"
        raise InputError(f"{path} {said}: make it anew with `python -m lasnn export-nir`")
    return weights_of(graph), meta


def weights_of(graph: nir.NIRGraph) -> dict[str, Tensor]:
    """The tensors of a graph that `graph_of` made, under the names of a checkpoint."""
    weights: dict[str, Tensor] = {}
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Conv2d | nir.Linear | nir.Affine):
            continue
        layer, _, part = name.partition("_")
        prefix = "readout" if layer == "readout" else f"layers.{layer}.{part or 'synapses'}"
        weights[f"{prefix}.weight"] = torch.from_numpy(np.array(node.weight))
        target = next(end for start, end in graph.edges if start == name)
        neurons = graph.nodes[target]
        if target == "output":
            if isinstance(node, nir.Affine):
                weights["readout.bias"] = torch.from_numpy(np.array(node.bias))
            continue
        owner = f"{layer}.{_neuron(target)}" if layer == "readout" else f"layers.{layer}.{_neuron(target, part)}"
        weights[f"{owner}.threshold"] = torch.tensor(float(neurons.v_threshold.flat[0]))  # all are the same
        if np.any(neurons.metadata.get("offset", False)) and part != "shortcut":
            weights[f"{owner}.offset"] = torch.from_numpy(np.array(node.bias))
        if "initial_potential" in neurons.metadata:
            weights[f"{owner}.initial"] = torch.from_numpy(np.array(neurons.metadata["initial_potential"]))
    return weights


def _neuron(target: str, part: str = "") -> str:
    """What a node of neurons is called in its layer."""
    own = target.partition("_")[2]
    return own if own != "spikes" else "junction" if part else "activation"
