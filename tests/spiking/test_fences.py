"""What the scan does behind autograd's back, and what a look from outside may not change."""

import pytest
import torch
from oracle import bright_input, small_snn
from torch.nn import functional as F

from lasnn.compiled import library
from lasnn.compiled.products import dense, onednn
from lasnn.spiking import scanning
from lasnn.spiking.conversion import neurons
from lasnn.spiking.neurons import LIF, Dynamics

no_loops = pytest.mark.skipif(library() is None, reason="no compiled loops here")


@pytest.mark.parametrize("name", ["torch", pytest.param("numba", marks=no_loops)])
@pytest.mark.parametrize("constant", [None, 0.25])
def test_a_current_that_is_needed_again_is_refused(name, constant, monkeypatch):
    """exp'(x) is its own output, which the scan overwrites: an error from autograd, never another gradient."""
    monkeypatch.setattr(scanning, "backend", lambda current, dynamics: (name, "the test says so"))
    neuron, x = LIF(0.75), torch.zeros(4, 2, 3, requires_grad=True)
    neuron.offset = None if constant is None else torch.full((3,), constant)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        neuron(x.exp()).sum().backward()


@pytest.mark.parametrize("name", ["vgg5", "resnet12"])
def test_a_hook_changes_no_bit(name):
    """Spikes that somebody looks at are pooled apart from the scan: the same logits and gradients, bit for bit."""
    seen = []
    for hooked in (False, True):
        net, x = small_snn(name, Dynamics(0.9)), bright_input(12, 2) / 3
        told = []
        for neuron in neurons(net).values() if hooked else ():
            neuron.register_forward_hook(lambda module, inputs, output, told=told: told.append(output.shape))
        logits = net(x).logits
        logits.square().sum().backward()
        seen.append([logits.detach(), *(weight.grad for weight in net.parameters())])
    assert len(told) == len(neurons(net))
    assert seen[0][0].any()
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))


def test_products_by_onednn_are_those_of_torch(monkeypatch):
    """The private operator against float64; without it, or on another vendor's processor, torch's own product."""
    x, weight = (torch.randn(shape, generator=torch.Generator().manual_seed(1)) for shape in ((40, 300), (70, 300)))
    exact = x.double() @ weight.double().t()
    assert ((dense(x, weight) - exact).abs().max() / exact.abs().max()) < 1e-6
    for processor in ("vendor_id : GenuineIntel", ""):
        monkeypatch.setattr("lasnn.compiled.products._processor", lambda text=processor: text)
        onednn.cache_clear()
        assert not onednn()
        assert torch.equal(dense(x, weight), F.linear(x, weight))
    monkeypatch.undo()
    onednn.cache_clear()
