"""The spiking neuron against traces written out by hand and against the step-by-step oracle."""

import re

import pytest
import torch
from oracle import ORDERS, SURROGATES, Neuron, bright_input, close, dyadic_input, simulate, small_snn, surrogate_of
from tiny import message_of

from lasnn.spiking.conversion import neurons
from lasnn.spiking.kernels import torch_scan
from lasnn.spiking.neurons import LIF, Dynamics, streaming

# θ = 1 and I = 0.625 in each of eight steps; the potential ties with θ in the last step at λ = 1 (method.md 1.3).
V_WITHOUT_LEAK = [0.625, 1.25, 0.875, 1.5, 1.125, 0.75, 1.375, 1.0]
TRACES = {  # leak, order, reset -> potential before the reset, spikes
    (1.0, "sync", "soft"): (V_WITHOUT_LEAK, "01011010"),
    (1.0, "instant_reset", "soft"): (V_WITHOUT_LEAK, "01011010"),
    (0.5, "sync", "soft"): (
        [0.625, 0.9375, 1.09375, 0.171875, 0.7109375, 0.98046875, 1.115234375, 0.1826171875],
        "00100010",
    ),
    (0.5, "instant_reset", "soft"): (
        [0.625, 0.9375, 1.09375, 0.671875, 0.9609375, 1.10546875, 0.677734375, 0.9638671875],
        "00100100",
    ),
    (1.0, "sync", "hard"): ([0.625, 1.25, 0.625, 1.25, 0.625, 1.25, 0.625, 1.25], "01010101"),
    (0.5, "sync", "hard"): ([0.625, 0.9375, 1.09375, 0.625, 0.9375, 1.09375, 0.625, 0.9375], "00100100"),
}


def constant():
    return torch.full((8, 1, 1), 0.625)


def spikes_of(train):
    return "".join(str(int(o)) for o in train.flatten())


def random_current(steps=20, shape=(3, 7), seed=0, dtype=torch.float64, unit=1 / 8):
    """Multiples of 1/8 between -0.75 and 1.5: sums are exact, and spikes neither rare nor certain."""
    values = torch.randint(-6, 13, (steps, *shape), generator=torch.Generator().manual_seed(seed))
    return values.to(dtype) * unit


# ---- traces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("leak", [1.0, 0.5])
def test_trace(leak, order, reset, with_gradient):
    """The next layer sees a delayed spike one step later; a hard reset, v^t = λ v^{t-1} (1 - o^{t-1}) + I, is one
    whatever the order.
    """
    potential, seen = TRACES[leak, "sync" if order == "delayed" or reset == "hard" else order, reset]
    seen = "0" + seen[:-1] if order == "delayed" else seen
    current = constant().requires_grad_(with_gradient) * 1
    assert spikes_of(LIF(1.0, Dynamics(leak, order, reset))(current)) == seen
    neuron = Neuron(1.0, Dynamics(leak, order, reset), "bellec")
    assert spikes_of(torch.stack([neuron(step) for step in constant()])) == seen
    assert torch.stack(neuron.potentials).flatten().tolist() == potential


# ---- spikes against the oracle ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "leak", "steps"), [(torch.float32, 1.0, 16), (torch.float64, 0.5, 16)])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
def test_layer_first_equals_step_by_step(name, order, dtype, leak, steps):
    net = small_snn(name, Dynamics(leak, order)).to(dtype)
    x = dyadic_input(steps, 2).to(dtype)
    with torch.no_grad():
        trace = simulate(net, x)
        output = net(x)
    assert all(0.01 < spikes.mean() < 0.9 for spikes in trace.spikes.values())
    assert torch.equal(output.logits, trace.logits)
    assert torch.equal(output.currents, torch.stack(trace.outputs))
    assert output.logits.any()
    for level, stage in output.stages.items():
        assert torch.equal(stage, trace.stages[level])
    with_gradient = net(x)
    assert with_gradient.logits.requires_grad
    assert torch.equal(with_gradient.logits, trace.logits)


@pytest.mark.parametrize("chunks", [[1] * 12, [5, 7]])
@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
def test_streamed_in_chunks_equals_whole(name, order, reset, chunks):
    """Outside, potentials are forgotten, also after an error within."""
    net, x = small_snn(name, Dynamics(1.0, order, reset)), dyadic_input(12, 2)

    def interrupted():
        with streaming(net):
            net(x[:3])
            raise KeyboardInterrupt

    with torch.no_grad():
        whole = net(x).currents
        with streaming(net):
            chunked = torch.cat([net(part).currents for part in x.split(chunks)])
        assert torch.equal(chunked, whole)
        assert torch.equal(net(x).currents, whole)
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert torch.equal(net(x).currents, whole)
        with streaming(net):
            assert torch.equal(net(x).currents, whole)


def test_streaming_has_no_gradient():
    """What is carried is cut from the graph, so that a training in chunks would quietly be another."""
    net, x = small_snn("vgg5", Dynamics()), dyadic_input(12, 2)
    with streaming(net):
        assert re.search("without a gradient, .* torch.no_grad", message_of(net, x))
        with torch.no_grad():
            net(x)


@pytest.mark.parametrize("shape", [(6, 4, 10), (6, 4, 3, 8, 10)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_current_with_gaps_in_memory(shape, dtype):
    """Spikes and gradients are those of the same numbers in one piece."""
    draws, found = torch.Generator().manual_seed(0), []
    whole = torch.rand(shape, generator=draws, dtype=dtype)
    for cut in (lambda x: x[..., ::2], lambda x: x[..., ::2].contiguous()):
        current = whole.clone().requires_grad_()
        spikes = LIF(0.9, Dynamics(0.5))(cut(current * 1))
        spikes.square().sum().backward()
        with torch.no_grad():
            assert torch.equal(LIF(0.9, Dynamics(0.5))(cut(whole.clone())), spikes)
        found.append((spikes.detach(), current.grad))
    assert 0.1 < found[0][0].mean() < 0.9
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_streamed_chunks_may_lie_in_memory_in_either_order():
    """Potentials of one chunk, channels last, start the next one, channels first; and the reverse."""
    current = torch.rand(8, 2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    last = torch.empty(8, 2, 4, 6, 3).permute(0, 1, 4, 2, 3).copy_(current)
    whole, neuron = LIF(0.9, Dynamics(0.5))(current.clone()), LIF(0.9, Dynamics(0.5))
    for one, two in ((current, last), (last, current)):
        with streaming(neuron):
            chunks = [neuron(part.clone(memory_format=torch.preserve_format)) for part in (one[:5], two[5:])]
        assert torch.equal(torch.cat(chunks), whole)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ({"order": "synch"}, "unknown order of the update 'synch'.*did you mean 'sync'"),
        ({"reset": "zero"}, "unknown reset 'zero': known are hard, soft"),
        ({"reset": "hard", "reset_grad": True}, "reset_grad: a hard reset has no gradient of its own"),
    ],
)
def test_dynamics_that_mean_nothing_are_refused(words, line):
    assert re.search(line, message_of(lambda: Dynamics(**words)))


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset_grad", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_gradient_by_hand(order, reset_grad):
    """Two steps, θ = 1, λ = 1/2, I = 0.5, 1.25 and L = o^1 + o^2 (delayed: only o^1 is seen), surrogate Bellec.

    v = 0.5, 1.5: ψ = 0.3 (1 - 0.5) = 0.15 in both steps, and o^1 = 0, so the orders agree on v.
    """
    current = torch.tensor([0.5, 1.25], dtype=torch.float64).view(2, 1, 1).requires_grad_()
    LIF(1.0, Dynamics(0.5, order, reset_grad=reset_grad))(current * 1).sum().backward()
    last = 0.0 if order == "delayed" else 0.15  # δ^2
    reset = {False: 0.0, True: 0.5 if order == "instant_reset" else 1.0}[reset_grad]
    first = (1 - reset * last) * 0.15 + 0.5 * last  # δ^1 = (g - reset θ δ^2) ψ + λ δ^2
    assert current.grad.flatten().tolist() == pytest.approx([first, last], rel=1e-12)


def test_bellec_by_hand():
    v = torch.tensor([-0.5, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])  # θ = 2: a triangle over 0..4 with its top 0.3/2 at 2
    found = surrogate_of("bellec")(v - 2, 2.0)
    assert found.tolist() == pytest.approx([0, 0, 0.075, 0.15, 0.075, 0, 0])
    found = surrogate_of("bellec_noscale")(v - 2, 2.0)
    assert found.tolist() == pytest.approx([0, 0, 0.15, 0.3, 0.15, 0, 0])


@pytest.mark.parametrize(("threshold", "zero"), [(0.75, False), (1.0, True), (2.0, True)])
def test_literal_has_no_gradient_from_threshold_one_on(threshold, zero):
    current = (random_current() * 2).requires_grad_()
    spikes = LIF(threshold, Dynamics(0.9, surrogate=surrogate_of("literal")))(current * 1)
    assert spikes.any()
    spikes.sum().backward()
    assert (current.grad == 0).all() if zero else (current.grad > 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # of the compiled loops, and of torch's scan
@pytest.mark.parametrize("order", ORDERS)
def test_second_backward_raises(order, dtype):
    current = random_current(dtype=dtype).requires_grad_()
    loss = LIF(0.75, Dynamics(order=order))(current * 1).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="run forward again"):
        loss.backward()


@pytest.mark.parametrize("name", ["conv3fc2", "resnet12"])
@pytest.mark.parametrize("order", ORDERS)
def test_gradient_of_all_weights_equals_the_oracle(name, order):
    net = small_snn(name, Dynamics(0.5, order, reset_grad=True)).double()
    x = dyadic_input(14, 2).double()  # enough steps for eleven delays
    labels = torch.tensor([1, 3])
    found, expected = (
        torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), list(net.parameters()))
        for logits in (net(x).logits, simulate(net, x).logits)
    )
    for (weight, _), ours, theirs in zip(net.named_parameters(), found, expected, strict=True):
        assert close(ours, theirs, 1e-10), weight


# ---- how the scan walks through memory -------------------------------------------------------------------------------


def run(current, dynamics, weight):
    """Spikes and dL/dI of the scan, and spikes without gradient."""
    leaf = current.clone(memory_format=torch.preserve_format).requires_grad_()
    spikes = LIF(0.75, dynamics)(leaf * 1)
    (spikes * weight).sum().backward()
    plain = LIF(0.75, dynamics)(current.clone(memory_format=torch.preserve_format))
    return spikes.detach(), leaf.grad, plain


@pytest.mark.parametrize("block", [1, 5, 64])
@pytest.mark.parametrize("name", SURROGATES)
def test_block_size_changes_nothing(monkeypatch, name, block):
    dynamics = Dynamics(0.9, "instant_reset", surrogate=surrogate_of(name), reset_grad=True)
    current = random_current(shape=(3, 2, 5, 7), dtype=torch.float32)
    weight = torch.randn(current.shape, generator=torch.Generator().manual_seed(1))
    expected = run(current, dynamics, weight)
    monkeypatch.setattr(torch_scan, "BLOCK", block)
    assert len(list(torch_scan.blocks(current.flatten(1)))) > 1
    assert all(torch.equal(a, b) for a, b in zip(run(current, dynamics, weight), expected, strict=True))


@pytest.mark.parametrize("reset", ["soft", "hard"])
@pytest.mark.parametrize("shape", [(3, 2, 5, 7), (3, 1, 4, 4), (1, 4, 1, 1), (2, 4, 1, 3)])
def test_memory_format_changes_nothing(shape, reset):
    current = random_current(shape=shape)
    last = current.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)  # channels last within a step
    weight = torch.randn(current.shape, generator=torch.Generator().manual_seed(1), dtype=current.dtype)
    found = (run(laid_out, Dynamics(0.9, reset=reset), weight) for laid_out in (current, last))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_direct_input_computes_the_first_layer_once():
    net = small_snn("conv3fc2")
    image = dyadic_input(1, 2)[0]
    seen = []
    net.layers["c1"].synapses.register_forward_hook(lambda module, inputs, output: seen.append(output.stride(0)))
    with torch.no_grad():
        output = net(image.expand(6, *image.shape))
        dense = net(image.expand(6, *image.shape).contiguous())
    assert seen[0] == 0
    assert seen[1] != 0
    assert torch.equal(output.currents, dense.currents)
    assert all(neuron.carried is None for neuron in neurons(net).values())


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
