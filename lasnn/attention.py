"""Attention maps of teacher and student and the distance between them (Eq. 5-8 and 10-13)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn.networks import Net, Output
from lasnn.settings import Attention

EPSILON = 1e-12

Maps = dict[str, Tensor]  # level -> [B, H, W]


# ---- the student's maps, from its spikes [T, B, C, H, W] -------------------------------------------------------------


class FiringRate(torch.autograd.Function):
    """Mean over time, [T, B, ...] to [B, ...]: r = (1/T) Σ_t o^t.

    The gradient of every step is the same g/T; it is passed on as a view with stride 0 along T, in the memory format
    of the spikes, and not written out T times as the gradient of `mean` would be.
    """

    @staticmethod
    def forward(ctx, spikes: Tensor) -> Tensor:
        ctx.steps, ctx.strides = len(spikes), spikes.stride()[1:]
        return spikes.mean(0)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        laid_out = gradient.new_empty_strided(gradient.shape, ctx.strides)
        return torch.div(gradient, ctx.steps, out=laid_out).expand(ctx.steps, *gradient.shape)


def activation_map(activation: Tensor) -> Tensor:
    """Q = (1/C) Σ_c |A_c|² of the mean over time: [T, B, C, H, W] to [B, H, W] (Eq. 5, 6).

    For spikes the mean over time is the firing rate; an ANN has T = 1 and its activation is meant.
    """
    return FiringRate.apply(activation).square().mean(1)


class SpikeActivationMap(torch.autograd.Function):
    """(1/T) Σ_t Σ_c N_c^t o_c^t with N_c^t = Σ_{t'<t} e^{-κ(t-t')} o_c^{t'}: [T, B, C, H, W] to [B, H, W] (Eq. 11).

    Both passes are O(T): with d = e^{-κ}, e^{t+1} = d (e^t + o^t) equals N, and dL/do^t = (g/T)(e^t + f^t) with the
    anti-causal f^t = d (f^{t+1} + o^{t+1}). Only the spikes are kept.
    """

    @staticmethod
    def forward(ctx, spikes: Tensor, kappa: float) -> Tensor:
        ctx.save_for_backward(spikes)
        ctx.decay = math.exp(-kappa)
        trace, total = torch.zeros_like(spikes[0]), torch.zeros_like(spikes[0])
        for o in spikes:
            total.addcmul_(trace, o)
            trace.add_(o).mul_(ctx.decay)
        return total.sum(1).div_(len(spikes))  # [B, H, W]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (spikes,) = ctx.saved_tensors
        result, steps = torch.empty_like(spikes), len(spikes)
        trace = torch.zeros_like(spikes[0])
        for t in range(steps):  # e^t
            result[t].copy_(trace)
            trace.add_(spikes[t]).mul_(ctx.decay)
        trace.zero_()
        for t in reversed(range(steps)):  # f^t
            result[t].add_(trace)
            trace.add_(spikes[t]).mul_(ctx.decay)
        return result.mul_(gradient.unsqueeze(1) / steps), None


# ---- the teacher's maps ----------------------------------------------------------------------------------------------


@torch.no_grad()
def teacher_activation_maps(teacher: Net, x: Tensor, labels: Tensor) -> Maps:
    """Q of the teacher's three stages for images x [B, 3, H, W]."""
    return {level: activation_map(stage) for level, stage in teacher(x[None]).stages.items()}


def teacher_gradient_maps(teacher: Net, x: Tensor, labels: Tensor, of: str = "feature") -> Maps:
    """Σ_c |dL_ce/dA_c| of each stage (`feature`), or Σ_c |dL_ce/dx_c| for all levels (`input`), Eq. (10).

    Losses are summed over the batch, so that each image's gradient is its own; the cross-entropy is taken in float64,
    where a confident teacher's small gradient survives.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        output = teacher(x[None])
        loss = F.cross_entropy(output.logits.double(), labels, reduction="sum")
        levels = list(output.stages)
        if of == "input":
            gradient = torch.autograd.grad(loss, x)[0].abs().sum(1)
            return dict.fromkeys(levels, gradient)
        gradients = torch.autograd.grad(loss, [output.stages[level] for level in levels])
    return {level: gradient[0].abs().sum(1) for level, gradient in zip(levels, gradients, strict=True)}


# ---- the distance between two maps -----------------------------------------------------------------------------------


def resized(map_: Tensor, side: int) -> Tensor:
    """[B, H, W] to [B, side, side]: adaptive average pooling where it divides, else bilinear."""
    if map_.shape[-1] == side:
        return map_
    if map_.shape[-1] % side == 0:
        return F.adaptive_avg_pool2d(map_[:, None], side)[:, 0]
    return F.interpolate(map_[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def unit(map_: Tensor) -> Tensor:
    """[B, H, W] to unit vectors [B, H*W]; an all-zero map stays zero and passes no gradient.

    Dividing by the largest entry first keeps the squares of a confident teacher's tiny gradients from vanishing.
    """
    vector = map_.flatten(1)
    peak = vector.detach().abs().amax(1, keepdim=True)
    silent = peak == 0
    vector = vector / peak.masked_fill(silent, 1)
    norm = vector.square().sum(1, keepdim=True).masked_fill(silent, 1).sqrt()
    return (vector / norm).masked_fill(silent, 0)


def as_compared(teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps [B, H, W] at the smaller of their resolutions, each image's a unit vector: still [B, h, w]."""
    side = min(teacher.shape[-1], student.shape[-1])
    return tuple(unit(resized(map_, side)).unflatten(1, (side, side)) for map_ in (teacher, student))


DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {  # difference [B, n] -> [B]
    "l2": lambda difference: difference.square().sum(1).add(EPSILON).sqrt(),
    "l2sq": lambda difference: difference.square().sum(1),
    "mse": lambda difference: difference.square().mean(1),
}


def spatial_distance(teacher: Tensor, student: Tensor, distance: str) -> Tensor:
    """Mean over the batch of the distance between unit-normalised maps at the smaller resolution (Eq. 7, 12)."""
    ours, theirs = as_compared(student, teacher)
    return DISTANCES[distance]((theirs - ours).flatten(1)).mean()


def scalar_distance(teacher: Tensor, student: Tensor, distance: str) -> Tensor:
    """Eq. (6) as printed: the mean over channels and positions, one number an image, and its absolute difference."""
    return (teacher.mean((1, 2)) - student.mean((1, 2))).abs().mean()


MAP_DISTANCES = {"spatial": spatial_distance, "scalar": scalar_distance}


class Variant:
    """One way to make a teacher's and a student's maps. Add a variant: two functions and a line in `VARIANTS`."""

    def __init__(
        self,
        of_teacher: Callable[[Net, Tensor, Tensor, Attention], Maps],
        of_student: Callable[[Tensor, Attention], Tensor],
    ):
        self.of_teacher, self.of_student = of_teacher, of_student

    def loss(self, teacher: Maps, output: Output, settings: Attention) -> Tensor:
        """L_at: the distances of the chosen levels, added (Eq. 8, 13)."""
        compare = MAP_DISTANCES[settings.map]
        return torch.stack(
            [
                compare(teacher[level], self.of_student(output.stages[level], settings), settings.distance)
                for level in settings.levels
            ]
        ).sum()


VARIANTS = {
    "lasnn_act": Variant(
        lambda teacher, x, labels, settings: teacher_activation_maps(teacher, x, labels),
        lambda spikes, settings: activation_map(spikes),
    ),
    "lasnn_grad": Variant(
        lambda teacher, x, labels, settings: teacher_gradient_maps(teacher, x, labels, settings.teacher_grad),
        lambda spikes, settings: SpikeActivationMap.apply(spikes, settings.kappa),
    ),
}
