"""Products from events and in bfloat16 against torch's own in float64, and which way is taken."""

import threading
from itertools import product as every

import pytest
import torch
from torch.nn import functional as F

from lasnn.compiled import events, library, products
from lasnn.compiled.events import Geometry

pytestmark = pytest.mark.skipif(library() is None, reason="no compiled loops here")
GENERATOR = torch.Generator().manual_seed(3)


def sparse(*shape: int, share: float, kind: str = "binary") -> torch.Tensor:
    """Spikes, signed spikes or pooled ones, a `share` of them not zero."""
    values = {"binary": [1.0], "signed": [1.0, -1.0], "pooled": [0.25, 0.5, 0.75, 1.0]}[kind]
    chosen = torch.tensor(values)[torch.randint(len(values), shape, generator=GENERATOR)]
    return chosen * (torch.rand(shape, generator=GENERATOR) < share)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    assert found.shape == expected.shape
    return ((found - expected).norm() / expected.norm().clamp(min=1e-12)).item()


def convolution_case(x, weight, stride, pad):
    """Output and weight gradient from events, and their distances from float64."""
    at = Geometry.of(x, weight, stride, pad)
    found = events.events_of(x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]), 1.0)
    out = events.convolution(found, weight, at)
    exact_weight = weight.double().requires_grad_()
    exact = F.conv2d(x.double(), exact_weight, None, stride, pad)
    gradient = torch.randn(out.shape, generator=GENERATOR)
    exact.backward(gradient.double())
    return distance(out, exact), distance(events.convolution_weight(found, gradient, at), exact_weight.grad)


@pytest.mark.parametrize("outputs", [16, 32, 64, 144, 208])
def test_convolutions_from_events(outputs):
    for kernel, stride, side, channels in every((1, 3, 5), (1, 2), (1, 2, 5, 8), (3, 8, 20)):
        x = sparse(2, side, side, channels, share=0.3, kind="pooled").permute(0, 3, 1, 2)
        weight = torch.randn(outputs, channels, kernel, kernel, generator=GENERATOR)
        assert max(convolution_case(x, weight, stride, kernel // 2)) < 1e-6, (kernel, stride, side, channels)


@pytest.mark.parametrize("kind", ["binary", "signed", "pooled"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("images", [1, 5])
def test_no_events_and_nothing_but_events(kind, share, images):
    x = sparse(images, 6, 6, 16, share=share, kind=kind).permute(0, 3, 1, 2)
    for outputs in (16, 64):
        weight = torch.randn(outputs, 16, 3, 3, generator=GENERATOR)
        assert max(convolution_case(x, weight, 1, 1)) < 1e-6
    rows, matrix = sparse(images, 40, share=share, kind=kind), torch.randn(40, 80, generator=GENERATOR).t()
    found = events.events_of(rows, 1.0)
    gradient = torch.randn(images, 80, generator=GENERATOR)
    assert distance(events.matrix_product(found, matrix), rows.double() @ matrix.double().t()) < 1e-6
    assert distance(events.matrix_weight(found, gradient), gradient.double().t() @ rows.double()) < 1e-6


def test_events_are_the_entries_that_are_not_zero():
    x = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 0.5]])
    found = events.events_of(x, 1.0)
    assert found.start.tolist() == [0, 1, 1, 3]
    assert found.channel[:3].tolist() == [1, 0, 2]
    assert found.value[:3].tolist() == [2.0, -1.0, 0.5]
    assert events.events_of(x, 0.2) is None  # three of nine are more than a fifth


def test_more_threads_give_the_same_bits():
    x = sparse(6, 8, 8, 24, share=0.2).permute(0, 3, 1, 2)
    rows, threads = sparse(9, 50, share=0.2), torch.get_num_threads()
    gradients = torch.randn(6, 160, 8, 8, generator=GENERATOR), torch.randn(9, 160, generator=GENERATOR)
    found = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            seen = []
            for outputs in (32, 160):
                weight = torch.ones(outputs, 24, 3, 3) / 3
                at = Geometry.of(x, weight, 1, 1)
                listed = events.events_of(x.permute(0, 2, 3, 1).reshape(-1, 24), 1.0)
                seen += [events.convolution(listed, weight, at)]
                seen += [events.convolution_weight(listed, gradients[0][:, :outputs], at)]
            listed = events.events_of(rows, 1.0)
            seen += [events.matrix_product(listed, torch.ones(160, 50) / 3), events.matrix_weight(listed, gradients[1])]
            found.append(seen)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_way_is_chosen_by_share_and_channels():
    weight = torch.randn(64, 16, 3, 3, requires_grad=True)
    few, many = (sparse(2, 8, 8, 16, share=share).permute(0, 3, 1, 2) for share in (0.05, 0.9))
    assert products.convolve(few, weight, 1, 1).grad_fn.name() == "ConvolutionBackward"
    assert products.convolve(many, weight, 1, 1).grad_fn.name() == "ConvolutionBackward0"  # torch's own
    assert events.limit(3, 64) == 0  # an image has too few channels
    assert events.limit(64, 10) == 0  # rows of ten are too short


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("amp", ["off", "bf16_grad", "bf16"])
def test_gradients_in_each_precision(amp, stride):
    close = {"off": (1e-6, 1e-6), "bf16_grad": (1e-6, 8e-3), "bf16": (8e-3, 8e-3)}[amp]
    for share in (0.05, 0.9):
        results = []
        x = sparse(4, 8, 8, 16, share=share).permute(0, 3, 1, 2)
        weight, matrix = torch.randn(64, 16, 3, 3, generator=GENERATOR), torch.randn(1024, 256, generator=GENERATOR)
        shapes = (4, 64, 8 // stride, 8 // stride), (4, 256)
        upstream = [torch.randn(shape, generator=GENERATOR) for shape in shapes]
        for dtype in (torch.float32, torch.float64):
            with products.precision(amp if dtype == torch.float32 else "off"):
                a, w, m = (t.to(dtype, copy=True).requires_grad_() for t in (x, weight, matrix.t()))
                out = products.convolve(a, w, stride, 1)
                rows = a.permute(0, 2, 3, 1).reshape(4, 1024)
                total = products.multiply(rows, m)
            ((out * upstream[0].to(dtype)).sum() / 100 + (total * upstream[1].to(dtype)).sum()).backward()
            results.append([out, total, a.grad, w.grad, m.grad])
        apart = [distance(ours.detach(), theirs.detach()) for ours, theirs in zip(*results, strict=True)]
        assert max(apart[:2]) <= close[0], (share, apart)
        assert max(apart[2:]) <= close[1], (share, apart)


def test_a_precision_is_that_of_its_thread_and_ends_with_its_block():
    """Another thread's products stay in float32."""
    x, weight = torch.full((1, 16, 4, 4), 1 / 3).contiguous(memory_format=torch.channels_last), torch.ones(8, 16, 1, 1)
    exact, found = F.conv2d(x, weight), []
    with products.precision("bf16"):
        thread = threading.Thread(target=lambda: found.append(products.convolve(x, weight, 1, 0)))
        thread.start()
        thread.join()
        assert not torch.equal(products.convolve(x, weight, 1, 0), exact)
    assert torch.equal(found[0], exact)
    assert torch.equal(products.convolve(x, weight, 1, 0), exact)
