"""NIR: out and back without a changed bit, files that don't fit, and other simulators with the same spikes."""

import copy
import io
import re
from contextlib import redirect_stdout
from functools import cache

import numpy as np
import pytest
import torch
from tiny import message_of

from lasnn.networks import build, initialise
from lasnn.networks.net import watched
from lasnn.plan.vocabulary import STUDENTS
from lasnn.spiking.conversion import balance, leaks, neurons, scale_thresholds, set_thresholds, spiking, with_leaks
from lasnn.spiking.encoders import batch_noise, encode
from lasnn.spiking.neurons import Dynamics

nir = pytest.importorskip("nir")
from lasnn.spiking import nir_graph  # noqa: E402


def encoded(steps, seed=3, images=6):
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(images, 3, 16, 16, generator=draws) * 2 - 1
    return encode("poisson", x, steps, batch_noise(draws))


@cache
def balanced(name, order):
    ann = initialise(build(name, 10, 16, width=0.25, fc=32), name, "he", torch.Generator().manual_seed(1))
    net = spiking(ann, Dynamics(order=order)).eval()
    balance(net, lambda: [encoded(60)])  # fewer steps leave a deep network silent
    return net


def converted(name, leak=1.0, order="sync"):
    return with_leaks(scale_thresholds(balanced(name, order), 0.5), leak)


def spikes_of(net, inputs):
    """Ours: spikes [T, B, ...] of each layer in order, and summed currents of the readout."""
    found = []
    with torch.no_grad(), watched(neurons(net).values(), lambda neuron, current, spikes: found.append(spikes.clone())):
        return found, net(inputs.clone()).logits


@pytest.mark.parametrize("name", STUDENTS)
def test_a_network_comes_back_bit_by_bit(name, tmp_path):
    """What NIR cannot say the file says in words; a layer may have a leak of its own."""
    net = with_leaks(spiking(build(name, 10, 16, width=0.125, fc=16), Dynamics()).eval(), 0.9)
    set_thresholds(net, torch.linspace(0.1, 0.7, len(neurons(net))).tolist())
    layer = next(iter(neurons(net).values()))
    layer.offset = torch.linspace(-0.1, 0.1, len(next(net.parameters())))
    layer.initial = torch.rand(spikes_of(net, encoded(1))[0][0].shape[2:])
    graph = nir_graph.graph_of(net, {"words": 1})
    for told in ("leak = 0.9", "reset by subtraction", "v > threshold", "summed over all steps"):
        assert told in graph.metadata["reading"]
    nir_graph.write(tmp_path / "net.nir", graph)
    weights, meta = nir_graph.read(tmp_path / "net.nir")
    assert meta["words"] == 1
    state = net.state_dict()
    assert set(weights) == set(state)
    assert all(torch.equal(weights[key], state[key]) for key in state)
    own = nir_graph.graph_of(with_leaks(net, leaks(net) | {list(leaks(net))[-1]: 0.5}), {})
    assert "leak = 0.9, 0.5;" in own.metadata["reading"]
    times = sorted({float(node.tau.flat[0]) for node in own.nodes.values() if hasattr(node, "tau")})
    assert times == pytest.approx([nir_graph.LEAKY_DT / 0.5, nir_graph.LEAKY_DT / 0.1])


def test_a_file_that_does_not_fit_is_one_line(tmp_path):
    graph = nir_graph.graph_of(converted("conv3fc2"), {})
    path = tmp_path / "net.nir"

    def refused(changed=None):
        if changed is not None:
            nir.write(str(path), changed)
        return message_of(nir_graph.read, path)

    assert "no file" in refused()
    path.write_bytes(b"\0" * 1000)
    assert "cannot be read as a NIR graph" in refused()
    other = copy.deepcopy(graph)
    other.nodes["c1_spikes"] = nir.I(np.ones(other.nodes["c1_spikes"].v_threshold.shape, np.float32))
    assert "was changed after it was exported" in refused(other)
    foreign = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3), np.float32)))
    foreign.metadata = {}
    assert "was not exported by lasnn" in refused(foreign)


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("nodes/c1/weight", lambda value: 2 * value),
        ("nodes/c2_spikes/v_threshold", lambda value: value + 1),
        ("nodes/c1/bias", lambda value: value + 1e-7),
        ("metadata/lasnn", lambda value: value.replace(b"93.43", b"99.99")),
        ("nodes/c2_spikes/v_reset", lambda value: value + 1),  # which is not read back
        ("metadata/sha256", lambda value: None),
    ],
)
def test_what_was_edited_after_the_export_is_refused_by_name(tmp_path, place, change):
    import h5py

    path = tmp_path / "net.nir"
    nir_graph.write(path, nir_graph.graph_of(converted("conv3fc2"), {"accuracy": 93.43}))
    assert nir_graph.read(path)
    with h5py.File(path, "r+") as file:
        new = change(file["node"][place][()])
        del file["node"][place]
        if new is not None:
            file["node"].create_dataset(place, data=new)
    said = message_of(nir_graph.read, path)
    assert re.search(r"net.nir (was changed after it was exported|has no digest).*export-nir`$", said)


def heard(module, kinds):
    """Spikes of a peer's neurons, a list for each in the order of the graph, filled as it runs."""
    found = {}
    for name, child in module.named_children():
        if type(child).__name__ in kinds:
            found[name] = []
            child.register_forward_hook(
                lambda _, __, out, name=name: found[name].append((out[0] if isinstance(out, tuple) else out).clone())
            )
    return found


def through_spikingjelly(graph, leak):
    """With the one setting that the file asks for: reset by subtraction."""
    from spikingjelly.activation_based import neuron
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    peer = import_from_nir(graph, dt=nir_graph.DT if leak == 1 else nir_graph.LEAKY_DT)
    for module in peer.modules():
        if isinstance(module, neuron.IFNode | neuron.LIFNode):
            module.v_reset = None
    return peer, heard(peer, {"_NIRStatefulModule"})


def through_snntorch(graph, leak):
    """With the settings that the file asks for: the leak, reset by subtraction, one step later."""
    from snntorch.import_nir import import_from_nir

    with redirect_stdout(io.StringIO()):
        peer = import_from_nir(graph)
    found = heard(peer, {"Leaky"})
    for name in found:
        leaky = getattr(peer, name)
        leaky.init_hidden, leaky.reset_delay, leaky.beta = True, True, torch.tensor(leak)
        leaky.reset_mechanism, leaky.state_function = "subtract", leaky._base_sub
    return peer, found


@pytest.mark.parametrize("name", ["vgg5", "resnet12", "conv3fc2"])
@pytest.mark.parametrize(
    ("peer", "leak", "order"),
    [
        ("spikingjelly", 1.0, "sync"),
        ("spikingjelly", 0.9, "instant_reset"),  # a leak that leaves the reset alone, as sync has it, is none of its
        ("snntorch", 1.0, "sync"),
        ("snntorch", 0.9, "sync"),
    ],
)
@torch.no_grad()
def test_another_simulator_gives_the_same_spikes(name, peer, leak, order):
    pytest.importorskip(peer)
    net, inputs = converted(name, leak, order), encoded(12, seed=7)
    ours, logits = spikes_of(net, inputs)
    through = through_spikingjelly if peer == "spikingjelly" else through_snntorch
    simulated, theirs = through(nir_graph.graph_of(net, {}), leak)
    state, total = None, 0
    for x in inputs:
        out, state = simulated(x, state)
        total = total + out
    assert len(theirs) == len(ours) > 3
    assert sum(spikes.sum() for spikes in ours) > 1000
    for (layer, found), spikes in zip(theirs.items(), ours, strict=True):
        assert torch.equal(torch.stack(found), spikes), layer
    torch.testing.assert_close(total, logits)
