"""The scan in Triton against the torch scan: in Triton's interpreter on the CPU, and on a GPU where one is.

The interpreter must be chosen before the kernels are read, so one test runs this file, that of the pooling kernels and
that of the door to the scan again in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from oracle import SURROGATES, close, surrogate_of

from lasnn.spiking.kernels import triton_scan
from lasnn.spiking.kernels.torch_scan import Scan, fire
from lasnn.spiking.kernels.triton_scan import Scan as FusedScan
from lasnn.spiking.neurons import Dynamics
from lasnn.spiking.surrogates import Bellec

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
OTHERS = [Path(__file__).parents[1] / "networks" / "test_triton_pool.py", Path(__file__).with_name("test_scan.py")]
THETA = 0.75
# What kernels tell apart: to them `delayed` is `sync`, and a hard reset is one whatever the order.
CASES = [("sync", "soft", False), ("sync", "soft", True), ("instant_reset", "soft", False),
         ("instant_reset", "soft", True), ("sync", "hard", False)]  # fmt: skip
every_case = pytest.mark.parametrize(("order", "reset", "reset_grad"), CASES)
EXACT = 2e-6  # of float32, relative to the largest entry
COMPACT = 2**-7  # of ψ in bfloat16, which the interpreter cuts off instead of rounding

on_gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
# Device and shape of a step: not multiples of a block, on the GPU with and without aligned rows, few neurons and many.
SIZES = [("cpu", (3, 43))] if INTERPRETED else [pytest.param("cuda", (3, 43, n), marks=on_gpu) for n in (1, 1024, 9216)]
DEVICES = ["cpu"] if INTERPRETED else [pytest.param("cuda", marks=on_gpu)]


def random_current(device, shape, steps=7, dtype=torch.float32):
    """Multiples of 1/8 between -0.75 and 1.5: sums are exact, and some potentials tie with the threshold."""
    values = torch.randint(-6, 13, (steps, *shape), generator=torch.Generator().manual_seed(0))
    return (values / 8).to(device, dtype)


def noise(like, seed=1):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed)).to(like.device)


def gradient(scan, current, weight):
    """Spikes, and dL/dI for L = Σ weight o."""
    leaf = current.clone(memory_format=torch.preserve_format).requires_grad_()
    spikes = scan(leaf * 1)
    spikes.backward(weight.to(spikes.dtype))
    return spikes.detach(), leaf.grad


def theirs(dynamics):
    return lambda current: Scan.apply(current, THETA, dynamics)


def theta(current, value=THETA):
    return torch.tensor(value, device=current.device)


def ours(dynamics, exact=True):
    return lambda current: FusedScan.apply(current, theta(current), dynamics, None, False, exact)


def test_the_kernels_in_the_interpreter():
    if INTERPRETED:
        pytest.skip("this is the process that runs them")
    pytest.importorskip("triton")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-m", "not gpu", __file__, *map(str, OTHERS)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]


def test_without_a_gpu_and_interpreter_the_kernels_are_not_available():
    assert triton_scan.available(torch.zeros(2, 3), Dynamics()) == INTERPRETED
    assert not triton_scan.available(torch.zeros(2, 3, dtype=torch.float64), Dynamics())
    assert not triton_scan.available(torch.zeros(2, 3), Dynamics(surrogate=object()))


def compiled(kernel, types, tmp_path, monkeypatch, **constants):
    """PTX of a kernel for a Hopper GPU, which the compiler makes without one; types by argument, None to leave out."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    names = kernel.arg_names
    signature = {name: types.get(name) or "constexpr" for name in names}
    given = {(names.index(name),): constants.get(name) for name in names if signature[name] == "constexpr"}
    wide = [name for name in names if signature[name] == "*fp32" or name in ("neurons", "last")]
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in wide}
    options = {"num_warps": 4, "enable_fp_fusion": False}
    built = compile(ASTSource(kernel, signature, given, aligned), GPUTarget("cuda", 90, 32), options)
    assert built.asm["cubin"]
    return built.asm["ptx"]


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled in the interpreter")
def test_kernels_compile_for_a_hopper_gpu(tmp_path, monkeypatch):
    pytest.importorskip("triton")
    common = {"LEAK": 0.99, "INSTANT": False, "CONSTANT": False, "BLOCK": 512, "STAGES": 3}
    rows = dict.fromkeys(("current", "spikes", "saved", "gradient", "result", "threshold"), "*fp32")
    numbers = {"steps": "i32", "neurons": "i32", "last": "i64"}
    forward = {**common, "HARD": False, "SURROGATE": "bellec", "A": 0.3, "B": 0.0}
    ptx = compiled(triton_scan.forward_kernel, rows | numbers, tmp_path, monkeypatch, **forward)
    assert "fma.rn.f32" not in ptx  # potentials are rounded after each operation, as torch's are
    assert "cp.async" in ptx  # rows are fetched ahead
    rows["spikes"] = None
    ptx = compiled(triton_scan.backward_kernel, rows | numbers, tmp_path, monkeypatch, **common, RESET_GRAD=False)
    assert "cp.async" in ptx


# ---- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "shape"), SIZES)
@pytest.mark.parametrize("name", SURROGATES)
@every_case
def test_spikes_and_gradient_of_the_scan(order, reset, reset_grad, name, device, shape):
    """Away from dyadic numbers: leak 0.9, so that rounding must agree too."""
    dynamics = Dynamics(0.9, order, reset, surrogate_of(name), reset_grad)
    current = random_current(device, shape) + noise(torch.empty(7, *shape, device=device), 2) / 10
    weight = noise(current)
    spikes, expected = gradient(theirs(dynamics), current, weight)
    assert 0.1 < spikes.mean() < 0.9
    found, exact = gradient(ours(dynamics), current, weight)
    assert torch.equal(found, spikes)
    assert close(exact, expected, EXACT)
    found, compact = gradient(ours(dynamics, exact=False), current, weight)
    assert torch.equal(found, spikes)
    assert close(compact, expected, COMPACT)


@pytest.mark.parametrize(("device", "shape"), SIZES)
@pytest.mark.parametrize("leak", [1.0, 0.5])
@every_case
def test_dyadic_numbers_are_exact(order, reset, reset_grad, leak, device, shape):
    """Also δ: γ = 1/4, θ = 1 and g in eighths leave no bit behind."""
    dynamics = Dynamics(leak, order, reset, Bellec(0.25, by_threshold=False), reset_grad)
    current = random_current(device, shape, steps=4)
    weight = random_current(device, shape, steps=4).flip(0)
    spikes, expected = gradient(lambda x: Scan.apply(x, 1.0, dynamics), current, weight)
    for exact in (True, False):
        found, delta = gradient(
            lambda x, exact=exact: FusedScan.apply(x, theta(x, 1.0), dynamics, None, False, exact), current, weight
        )
        assert torch.equal(found, spikes)
        assert torch.equal(delta, expected)


@pytest.mark.parametrize(("device", "shape"), SIZES)
def test_currents_and_spikes_in_bfloat16(device, shape):
    """Potentials stay float32: the spikes are those of the same currents in float32."""
    dynamics = Dynamics(0.9)
    current = random_current(device, shape, dtype=torch.bfloat16)
    weight = noise(current).bfloat16()
    spikes, expected = gradient(theirs(dynamics), current.float(), weight)
    found, delta = gradient(ours(dynamics, exact=False), current, weight)
    assert found.dtype == delta.dtype == torch.bfloat16
    assert torch.equal(found.float(), spikes)
    assert close(delta.float(), expected, 2 * COMPACT)


# ---- memory ----------------------------------------------------------------------------------------------------------


def channels_last(x):
    """[T, B, C, H, W] with channels last within a step."""
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)


def test_layouts_in_another_order_or_with_gaps():
    x = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    last = channels_last(x)
    assert triton_scan.rows(last, triton_scan.step_strides(last)) is last
    for odd in (x[:, :, :2], x.transpose(0, 1), last[..., ::2], x[:1].expand(2, -1, -1, -1, -1)):
        strides = triton_scan.step_strides(odd)
        row = triton_scan.rows(odd, strides)
        assert torch.equal(row.expand_as(odd), odd)
        assert row.is_contiguous() or channels_last(row).stride() == row.stride()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_layout_of_current_and_gradient_changes_nothing(reset, device):
    current = random_current(device, (3, 2, 5, 7))
    dynamics = Dynamics(0.9, reset=reset)
    dense = noise(current)
    constant = dense[:1].expand_as(dense)  # as from a mean over time
    for weight in (dense, channels_last(dense), constant, channels_last(dense)[:1].expand_as(dense)):
        spikes, expected = gradient(theirs(dynamics), current, weight)
        for layout in (current, channels_last(current), current.repeat(1, 2, 1, 1, 1)[:, :3]):
            found, delta = gradient(ours(dynamics), layout, weight)
            assert torch.equal(found, spikes)
            assert close(delta, expected, EXACT)
            plain, _ = triton_scan.fire(layout.clone(), None, theta(layout), dynamics)
            assert torch.equal(plain, spikes)
    # One number for all, as from a sum: every stride is 0.
    assert gradient(ours(dynamics), current, torch.ones((), device=device).expand_as(current))[1].any()


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_overwritten(device):
    current = random_current(device, (3, 43)).requires_grad_() * 1
    spikes = ours(Dynamics())(current)
    assert spikes.grad_fn.psi.data_ptr() == current.data_ptr()
    loss = spikes.sum()
    loss.backward(retain_graph=True)
    assert spikes.grad_fn.psi is None
    with pytest.raises(RuntimeError, match="run forward again"):
        loss.backward()
    current = random_current(device, (3, 43))
    assert triton_scan.fire(current, None, theta(current), Dynamics())[0] is current


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.mem_get_info()[0] < 12 * 2**30, reason="needs 12 GB on a CUDA device"
)
def test_more_values_than_32_bits_can_count():
    current = torch.full((4096, 2**20), 0.625, dtype=torch.bfloat16, device="cuda")
    expected, _ = fire(torch.full((4096, 1), 0.625), None, 1.0, Dynamics(0.5))
    spikes, _ = triton_scan.fire(current, None, theta(current, 1.0), Dynamics(0.5))
    assert torch.equal(spikes[:, -1].float().cpu(), expected[:, 0])
    assert torch.equal(spikes[-1], spikes[-1, :1].expand(2**20))
