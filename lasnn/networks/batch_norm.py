"""Batch norm of a network while it trains: behind each convolution of its wires, over all steps and images.

    y = γ (x - μ) / √(σ² + ε) + β        μ, σ² of one channel over T, B, H and W

That is convolution, norm, neuron; in a residual block each branch has its norm in front of the sum (tdBN, Zheng et al.
2021, and the code of its successors). A student that is kept has none: with k = γ/√(σ² + ε) of the running statistics,

    W <- k W        constant current of the neurons it drives += β - k μ

are the same currents up to rounding, so that conversion, counts of operations and NIR see a plain network.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from lasnn.networks.layers import Conv, Neuron, Norm
from lasnn.networks.net import Net, watched, wired
from lasnn.plan.vocabulary import given


def convolutions(net: Net) -> Iterator[tuple[Conv, Neuron]]:
    """Each convolution that drives neurons, and these."""
    for _, wire in wired(net):
        for synapses in wire.synapses:
            if isinstance(synapses.module, Conv):
                yield synapses.module, wire.neuron


def insert(net: Net, gain: float = 1.0) -> Net:
    """`net` itself with a norm behind each convolution: γ = `gain`, β = 0.

    A gain of θ gives the current of neurons with threshold θ that deviation.
    """
    for conv, _ in convolutions(net):
        conv.batch_norm = Norm(conv.out_channels).to(conv.weight.device)
        nn.init.constant_(conv.batch_norm.weight, gain)
    return net


@torch.no_grad()
def take_statistics(net: Net, send: Callable[[], object]) -> Net:
    """`net` itself with running statistics of what `send()` sends, so that it is normed in evaluation mode as well.

    Dropout stays off. From random weights the running statistics of a new norm, 0 and 1, norm nothing.
    """
    norms = [given(conv.batch_norm) for conv, _ in convolutions(net.eval())]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train().momentum = None  # the plain mean over calls
    send()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.eval().momentum = momentum
    return net


@torch.no_grad()
def insert_unchanged(net: Net, send: Callable[[], object]) -> Net:
    """`net` itself with norms that change nothing at first: γ and β are deviation and mean of what `send()` sends."""
    sums: dict[nn.Module, Tensor] = {}

    def add(conv: nn.Module, given: Tensor, current: Tensor) -> None:
        rows = current.double().transpose(0, 2).flatten(1)  # [C, B T H W]
        count = torch.full_like(rows[:, 0], rows.shape[1])
        sums[conv] = sums.get(conv, 0) + torch.stack([count, rows.sum(1), rows.square().sum(1)])

    with watched([conv for conv, _ in convolutions(net)], add):
        send()
    for conv, _ in convolutions(insert(net)):
        count, total, squares = sums[conv]
        norm, mean = given(conv.batch_norm), total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        given(norm.running_mean).copy_(mean)
        given(norm.running_var).copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.copy_(mean)
    return net


def folding(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, before: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """k and k (b - μ) + β [C] of a norm behind a bias b (`before`, none: 0), in double precision."""
    gain = (var.double() + eps).rsqrt()
    gain = gain if weight is None else weight.double() * gain
    shift = gain * ((0.0 if before is None else before.double()) - mean.double())
    return gain, shift if bias is None else shift + bias.double()


@torch.no_grad()
def fold(net: Net) -> Net:
    """`net` itself without its norms: the same currents in evaluation mode."""
    for conv, neuron in convolutions(net):
        norm, conv.batch_norm = conv.batch_norm, None
        if norm is None:
            continue
        gain, shift = folding(norm.weight, norm.bias, given(norm.running_mean), given(norm.running_var), norm.eps)
        conv.weight.copy_(conv.weight.double() * gain[:, None, None, None])
        constant = shift if neuron.offset is None else neuron.offset.double() + shift
        neuron.offset = constant.to(conv.weight.dtype)
    return net
