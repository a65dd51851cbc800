"""Networks from their definition: `build("vgg5", ...)` takes that of `lasnn.plan.vocabulary`, and makes a `Net`."""

import math

import torch
from torch import nn

from lasnn.networks.densenet import densenet
from lasnn.networks.layers import Standardise
from lasnn.networks.net import Net
from lasnn.networks.plain import plain, plain_bn
from lasnn.networks.residual import residual, residual_bn
from lasnn.plan.vocabulary import NETWORKS, Architecture, pick

FAMILIES = {
    "plain": plain,
    "plain_bn": plain_bn,
    "residual": residual,
    "residual_bn": residual_bn,
    "densenet": densenet,
}


def build(
    network: str | Architecture,
    classes: int,
    side: int,
    *,
    width: float = 1.0,
    fc: int | None = None,
    dropout_scale: float = 1.0,
    standardised: bool = False,
) -> Net:
    """A network with ReLU neurons for images of `side` x `side`, in channels-last memory format.

    `network` is its definition, or the name of one of the paper's.
    """
    arch = pick(NETWORKS, network, "network") if isinstance(network, str) else network
    net = FAMILIES[arch.family](arch, classes, side, width, fc, dropout_scale)
    if standardised:
        net.standardise = Standardise()
    return net.to(memory_format=torch.channels_last)


def initialise(net: Net, network: str | Architecture, rule: str, generator: torch.Generator) -> Net:
    """Initial weights: `he` N(0, sqrt(2/fan_in)) everywhere, `base` as in the base code (fan-out, linear 0.01).

    A teacher's linear layers keep the uniform rule of torch, as the base code leaves them, but from `generator`.
    """
    arch = pick(NETWORKS, network, "network") if isinstance(network, str) else network
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                if rule == "base":
                    fan = module.kernel_size[0] ** 2 * module.out_channels
                module.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Linear) and not arch.teacher:
                std = 0.01 if rule == "base" else math.sqrt(2 / module.in_features)
                module.weight.copy_(torch.empty(module.weight.shape).normal_(0, std, generator=generator))
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.in_features)
                module.weight.copy_(torch.empty(module.weight.shape).uniform_(-bound, bound, generator=generator))
                module.bias.uniform_(-bound, bound, generator=generator)
    return net
