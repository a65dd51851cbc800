"""The one door to the scan: every backend against the step-by-step oracle in float64.

triton's kernels run here on a GPU, or in its interpreter, in the process that test_triton_scan.py starts.
"""

import os
from itertools import product

import pytest
import torch
from oracle import ORDERS, SURROGATES, Neuron, close, surrogate_of

from lasnn.compiled import library
from lasnn.networks.layers import Pool
from lasnn.spiking import scanning
from lasnn.spiking.dynamics import Dynamics
from lasnn.spiking.kernels.compiled_scan import Scan as CompiledScan
from lasnn.spiking.kernels.compiled_scan import poolable
from lasnn.spiking.kernels.torch_scan import Scan as TorchScan
from lasnn.spiking.neurons import LIF
from lasnn.spiking.scanning import State, backend, scan
from lasnn.spiking.surrogates import Bellec

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
THETA = 0.75
on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
of_the_loops = pytest.mark.skipif(INTERPRETED or library() is None, reason="of the CPU's loops")
# Backend, device, type, and how far its gradients may be off, relative to the largest: triton keeps ψ in bfloat16.
BACKENDS = [
    ("torch", "cpu", torch.float64, 1e-12),
    ("torch", "cpu", torch.float32, 2e-6),
    pytest.param("numba", "cpu", torch.float32, 2e-6, marks=of_the_loops),
    pytest.param("triton", "cuda", torch.float32, 2**-7, marks=on_gpu),
]
BACKENDS = [("triton", "cpu", torch.float32, 2**-7)] if INTERPRETED else BACKENDS
CASES = [*product(ORDERS, ["soft"], [False, True]), *product(ORDERS, ["hard"], [False])]
every_backend = pytest.mark.parametrize(("name", "device", "dtype", "tolerance"), BACKENDS)
every_case = pytest.mark.parametrize(("order", "reset", "reset_grad"), CASES)


def images(seed=0, steps=7, batch=2, channels=5, side=4):
    """Currents in eighths, channels last: sums are exact, and some potentials tie with the threshold."""
    values = torch.randint(-6, 13, (steps, batch, side, side, channels), generator=torch.Generator().manual_seed(seed))
    return (values / 8).permute(0, 1, 4, 2, 3)


def by_oracle(current, dynamics, psi="bellec", start=0):
    """Spikes that the next layer sees, spikes as they are, and the potential carried out, in float64."""
    neuron = Neuron(THETA, dynamics, psi, initial=start)
    seen = torch.stack([neuron(step) for step in current.double()])
    v, o = neuron.v.detach(), neuron.o.detach()
    if dynamics.reset == "hard":
        v = v * (1 - o) * dynamics.leak
    else:  # an instant reset is done already, and leaked by the next step
        v = v * dynamics.leak - (0 if dynamics.order == "instant_reset" else THETA * o)
    return seen, torch.stack(neuron.spikes), v


def weight_and_mask(masked=True):
    """Weights of the outputs in a loss, and a dropout mask."""
    weight = torch.randn(images().shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = (torch.rand(images()[0].shape, generator=torch.Generator().manual_seed(2)) > 0.3) * 1.25
    return weight, mask if masked else torch.ones_like(mask)


def forced(monkeypatch, name):
    monkeypatch.setattr(scanning, "backend", lambda current, dynamics: (name, "the test says so"))


def theta_on(device):
    return torch.tensor(THETA, device=device)


@every_backend
@every_case
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("psi", SURROGATES)
def test_spikes_and_gradient(name, device, dtype, tolerance, order, reset, reset_grad, psi, masked, monkeypatch):
    """o of a training's call bit for bit, dL/dI of L = Σ weight mask o; at λ = 1/2 every potential is exact."""
    forced(monkeypatch, name)
    dynamics = Dynamics(0.5, order, reset, surrogate_of(psi), reset_grad)
    weight, mask = weight_and_mask(masked)
    theirs = images().double().requires_grad_()
    expected, _, _ = by_oracle(theirs, dynamics, psi)
    (expected * mask * weight).sum().backward()
    ours = images().to(device, dtype, copy=True).requires_grad_()
    given = mask.to(device, dtype) if masked else None
    out = scan(ours * 1, theta_on(device), dynamics, given).out
    assert torch.equal(out.cpu().double(), expected.detach() * mask)
    assert 0.1 < expected.mean() < 0.9
    (out * weight.to(device, dtype)).sum().backward()
    assert close(ours.grad.cpu().double(), theirs.grad, tolerance)


@every_backend
@every_case
@pytest.mark.parametrize("started", [False, True])
def test_the_gradient_of_a_leak(name, device, dtype, tolerance, order, reset, reset_grad, started, monkeypatch):
    """dL/dλ and dL/dI of L = Σ weight mask o against autograd in float64, at λ = 1/2, to 1e-6 in each backend."""
    forced(monkeypatch, name)
    weight, mask = weight_and_mask()
    first = images(3, steps=1)[0, :1].double() if started else torch.zeros(1, dtype=torch.float64)
    theirs, leak = images().double().requires_grad_(), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    neuron = Neuron(THETA, Dynamics(leak, order, reset, surrogate_of("bellec"), reset_grad), "bellec", initial=first)
    (torch.stack([neuron(step) for step in theirs]) * mask * weight).sum().backward()
    ours = images().to(device, dtype, copy=True).requires_grad_()
    trained = torch.tensor(0.5, dtype=dtype, device=device, requires_grad=True)
    dynamics, start = Dynamics(0.5, order, reset, surrogate_of("bellec"), reset_grad), first.to(device, dtype)
    current = torch.cat([ours[:1] + 0.5 * start, ours[1:]])
    current = current.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    initial = start if started else None
    out = scan(current, theta_on(device), dynamics, mask.to(device, dtype), leak=trained, initial=initial).out
    (out * weight.to(device, dtype)).sum().backward()
    exact = 1e-12 if dtype == torch.float64 else 2e-6
    assert trained.grad.item() == pytest.approx(leak.grad.item(), rel=exact)
    assert close(ours.grad.cpu().double(), theirs.grad, exact)


@every_backend
@pytest.mark.parametrize("by_threshold", [True, False])
def test_a_triangle_of_half_the_width(name, device, dtype, tolerance, by_threshold, monkeypatch):
    """ψ = γ (or γ/θ) max(0, 1 - |v - θ| / (wθ)) at θ = 3/4, w = 1/2: zero from 3/8 on, half way at 3/16."""
    forced(monkeypatch, name)
    potentials = [0.25, 0.5625, 0.75, 0.9375, 1.125, 1.5]
    wanted = [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    current = torch.tensor([potentials]).view(1, 1, 6, 1, 1).to(device, dtype).requires_grad_()
    dynamics = Dynamics(surrogate=Bellec(0.25, by_threshold, width=0.5))
    scan(current * 1, theta_on(device), dynamics).out.sum().backward()
    peak = 0.25 / THETA if by_threshold else 0.25
    assert current.grad.flatten().tolist() == pytest.approx([peak * each for each in wanted], rel=tolerance, abs=1e-7)


@every_backend
@every_case
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("started", [False, True])
def test_without_a_gradient(name, device, dtype, tolerance, order, reset, reset_grad, started, pooled, monkeypatch):
    """Spikes, their pool, what is told of them and the potential carried out, from rest and from a potential."""
    forced(monkeypatch, name)
    dynamics, start = Dynamics(0.5, order, reset, reset_grad=reset_grad), images(3, steps=1)[0]
    # `start` is carried u; the oracle's v^0 is leaked in the first step.
    expected, _, end = by_oracle(images(), dynamics, start=start.double() * 2 if started else 0)
    state = State(start.to(device, dtype, copy=True) if started else None)
    found = scan(images().to(device, dtype, copy=True), theta_on(device), dynamics, None, state,
                 Pool() if pooled else None, told=True)  # fmt: skip
    wanted = torch.nn.functional.avg_pool2d(expected.flatten(0, 1), 2).unflatten(0, (7, 2)) if pooled else expected
    assert torch.equal(found.out.cpu().double(), wanted)
    assert torch.equal(found.told.sum(0).cpu().double(), expected.sum(0))
    assert torch.equal(found.state.potential.cpu().double(), end)


@every_backend
@every_case
@pytest.mark.parametrize("psi", SURROGATES)
def test_all_round_alike(name, device, dtype, tolerance, order, reset, reset_grad, psi, monkeypatch):
    """λ = 0.9 and currents of all bits: spikes, mask and potential are those of the torch scan, bit for bit."""
    dynamics = Dynamics(0.9, order, reset, surrogate_of(psi), reset_grad)
    current = images() + torch.randn(images().shape, generator=torch.Generator().manual_seed(4)) / 10
    mask = (torch.rand(current[0].shape, generator=torch.Generator().manual_seed(2)) > 0.3) / 0.7
    weight = torch.randn(current.shape, generator=torch.Generator().manual_seed(1))
    seen = []
    for which in ("torch", name):
        forced(monkeypatch, which)
        leaf = current.to(device, dtype, copy=True).requires_grad_()
        out = scan(leaf * 1, theta_on(device), dynamics, mask.to(device, dtype)).out
        out.backward(weight.to(device, dtype))
        plain = scan(leaf.detach().clone(memory_format=torch.preserve_format), theta_on(device), dynamics)
        seen.append((out.detach(), plain.out, plain.state.potential, leaf.grad))
    assert all(torch.equal(a, b) for a, b in zip(seen[0][:3], seen[1][:3], strict=True))
    assert close(seen[1][3], seen[0][3], tolerance)


@every_backend
def test_a_single_neuron(name, device, dtype, tolerance, monkeypatch):
    """Its steps lie one number apart in memory, and are steps all the same."""
    forced(monkeypatch, name)
    current = images(batch=1, channels=1, side=1).to(device, dtype)
    expected, _, _ = by_oracle(current.cpu(), Dynamics(0.5))
    assert expected.any()
    assert torch.equal(scan(current.clone(), theta_on(device), Dynamics(0.5)).out.cpu().double(), expected)


@every_backend
def test_a_constant_current_is_not_written_over(name, device, dtype, tolerance, monkeypatch):
    """And its gradient is the sum of those of all steps."""
    forced(monkeypatch, name)
    once, theirs = images(steps=1).to(device, dtype), images(steps=1).double().requires_grad_()
    current = once.clone(memory_format=torch.preserve_format).expand(6, -1, -1, -1, -1)
    found = scan(current, theta_on(device), Dynamics(0.5), start=State())
    expected, _, end = by_oracle(theirs.expand(6, -1, -1, -1, -1), Dynamics(0.5))
    assert torch.equal(found.out.cpu().double(), expected)
    assert torch.equal(found.state.potential.cpu().double(), end)
    ours = once.clone(memory_format=torch.preserve_format).requires_grad_()
    scan((ours * 1).expand(6, -1, -1, -1, -1), theta_on(device), Dynamics(0.5)).out.sum().backward()
    expected.sum().backward()
    assert close(ours.grad.cpu().double(), theirs.grad, tolerance)
    assert torch.equal(current[0], once[0])


@pytest.mark.skipif(INTERPRETED, reason="of the CPU")
@pytest.mark.parametrize("name", ["torch", pytest.param("numba", marks=of_the_loops)])
@pytest.mark.parametrize("constant", [None, 0.25])
def test_a_current_that_is_needed_again_is_refused(name, constant, monkeypatch):
    """exp'(x) is its own output, which the scan overwrites: an error from autograd, never another gradient."""
    forced(monkeypatch, name)
    neuron, x = LIF(THETA), torch.zeros(4, 2, 3, requires_grad=True)
    neuron.offset = None if constant is None else torch.full((3,), constant)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        neuron(x.exp()).sum().backward()


@of_the_loops
def test_which_backend_and_why(monkeypatch):
    current = images()
    assert backend(current, Dynamics()) == ("numba", "float32 on a CPU")
    assert backend(current.double(), Dynamics())[0] == "torch"
    assert backend(current[..., ::2], Dynamics())[0] == "torch"
    assert backend(current[:, :0], Dynamics())[0] == "torch"
    assert "this surrogate" in backend(current, Dynamics(surrogate=lambda excess, threshold, since=None: excess))[1]
    monkeypatch.setattr(scanning, "library", lambda: None)
    monkeypatch.setattr(scanning, "reason", lambda: "LASNN_KERNELS is off")
    assert backend(current, Dynamics()) == ("torch", "no compiled loops: LASNN_KERNELS is off")


# ---- the compiled scan against the torch scan: the same spikes, and gradients to rounding ----------------------------


def compiled(mask=None, pool=False, order="sync"):
    return lambda current: CompiledScan.apply(current, THETA, Dynamics(0.9, order), mask, pool)


def through(scan, current):
    """What a scan gives, and dL/dI for L = Σ upstream x output, of random numbers upstream."""
    leaf = current.clone(memory_format=torch.preserve_format).requires_grad_()
    out = scan(leaf * 1)
    drawn = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    out.backward(torch.empty_like(out).copy_(drawn))
    return out.detach(), leaf.grad


@of_the_loops
@pytest.mark.parametrize(("channels", "side"), [(3, 8), (8, 8), (20, 8), (8192, 2)])  # the last: a pair beyond a block
@pytest.mark.parametrize("order", ORDERS)
def test_a_pool_taken_along(channels, side, order):
    dynamics, current = Dynamics(0.9, order), images(0, 4, 2, channels, side)
    expected, gradient = through(lambda x: Pool()(TorchScan.apply(x, THETA, dynamics)), current)
    found, ours = through(compiled(pool=True, order=order), current)
    assert torch.equal(found, expected)
    assert close(ours, gradient, 2e-6)
    assert poolable(current, dynamics, None, Pool())
    assert not poolable(images(side=5), dynamics, None, Pool())
    assert not poolable(current, dynamics, None, Pool("max"))


@of_the_loops
def test_a_mask_rounds_as_a_product_of_its_own():
    current = images()
    mask = torch.empty_like(current[0]).copy_(images(4, steps=1)[0] > 0) / 0.7
    apart, taken = through(lambda x: compiled()(x) * mask, current), through(compiled(mask), current)
    assert all(torch.equal(a, b) for a, b in zip(apart, taken, strict=True))


@of_the_loops
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 40000), (9, 1, 3), (2, 1, 4, 1, 1), (3, 1, 2, 2, 2)])
def test_shapes(shape):
    values = torch.randint(-6, 13, shape, generator=torch.Generator().manual_seed(2)) / 8
    expected = through(lambda x: TorchScan.apply(x, THETA, Dynamics(0.9)), values)
    found = through(compiled(), values)
    assert torch.equal(found[0], expected[0])
    assert close(found[1], expected[1], 2e-6)


@of_the_loops
def test_more_threads_give_the_same_bits():
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            found.append(through(compiled(pool=True), images(0, 3, 4, 64, 16)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
