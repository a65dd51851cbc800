"""Attention maps of teacher and student and the distance between them (Eq. 5-8 and 10-13)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from lasnn.networks import Output
from lasnn.networks.recorded import Frozen
from lasnn.plan.settings import Attention

EPSILON = 1e-12

Maps = dict[str, Tensor]  # level -> [B, H, W]


# ---- the student's maps, from its spikes [T, B, C, H, W] -------------------------------------------------------------


class RateContext(FunctionCtx):
    """What the forward pass of `FiringRate` leaves for its backward pass."""

    steps: int
    strides: tuple[int, ...]
    dtype: torch.dtype


class FiringRate(torch.autograd.Function):
    """Mean over time, [T, B, ...] to [B, ...] in float32 or better: r = (1/T) Σ_t o^t.

    The gradient of every step is the same g/T; it is passed on as a view with stride 0 along T, in the memory format
    of the spikes, and not written out T times as the gradient of `mean` would be.
    """

    @staticmethod
    def forward(ctx: RateContext, spikes: Tensor) -> Tensor:
        ctx.steps, ctx.strides, ctx.dtype = len(spikes), spikes.stride()[1:], spikes.dtype
        dtype = torch.promote_types(spikes.dtype, torch.float32)
        if spikes.is_cuda and spikes.dim() == 5:  # torch's reduction is fast in the order of memory alone
            return spikes.permute(0, 1, 3, 4, 2).mean(0, dtype=dtype).permute(0, 3, 1, 2)
        return spikes.mean(0, dtype=dtype)

    @staticmethod
    def backward(ctx: RateContext, gradient: Tensor) -> Tensor:
        laid_out = gradient.new_empty_strided(gradient.shape, ctx.strides, dtype=ctx.dtype)
        return torch.div(gradient, ctx.steps, out=laid_out).expand(ctx.steps, *gradient.shape)


def activation_map(activation: Tensor) -> Tensor:
    """Q = (1/C) Σ_c |A_c|² of the mean over time: [T, B, C, H, W] to [B, H, W] (Eq. 5, 6).

    For spikes the mean over time is the firing rate; an ANN has T = 1 and its activation is meant.
    """
    rate: Tensor = FiringRate.apply(activation)
    return rate.square().mean(1)


def running_maps(spikes: Tensor) -> Tensor:
    """Q of the firing rate up to each step, (1/t) Σ_{t'<=t} o^{t'}: [T, B, C, H, W] to [T*B, H, W], step by step."""
    dtype = torch.promote_types(spikes.dtype, torch.float32)
    steps = torch.arange(1, len(spikes) + 1, dtype=dtype, device=spikes.device)
    return (spikes.cumsum(0, dtype=dtype) / steps.view(-1, 1, 1, 1, 1)).square().mean(2).flatten(0, 1)


STUDENT_MAPS = {"rate": activation_map, "per_step": running_maps}


class TraceContext(FunctionCtx):
    """What the forward pass of `SpikeActivationMap` leaves for its backward pass."""

    saved_tensors: tuple[Tensor]
    decay: float
    include_self: bool
    detach_trace: bool


class SpikeActivationMap(torch.autograd.Function):
    """(1/T) Σ_t Σ_c N_c^t o_c^t with N_c^t = Σ_{t'<t} e^{-κ(t-t')} o_c^{t'}: [T, B, C, H, W] to [B, H, W] (Eq. 11).

    Both passes are O(T): with d = e^{-κ}, e^{t+1} = d (e^t + o^t) equals N, and dL/do^t = (g/T)(e^t + f^t) with the
    anti-causal f^t = d (f^{t+1} + o^{t+1}). Only the spikes are kept. `include_self` counts the current spike as well,
    which adds Σ_c o_c^t to the sum and g/T to the gradient; `detach_trace` leaves f out: N is then a constant.
    """

    @staticmethod
    def forward(ctx: TraceContext, spikes: Tensor, kappa: float, include_self: bool, detach_trace: bool) -> Tensor:
        ctx.save_for_backward(spikes)
        ctx.decay, ctx.include_self, ctx.detach_trace = math.exp(-kappa), include_self, detach_trace
        trace, total = torch.zeros_like(spikes[0]), torch.zeros_like(spikes[0])
        for o in spikes:
            total.addcmul_(trace, o)
            if include_self:
                total.add_(o)
            trace.add_(o).mul_(ctx.decay)
        return total.sum(1).div_(len(spikes))  # [B, H, W]

    @staticmethod
    def backward(ctx: TraceContext, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (spikes,) = ctx.saved_tensors
        result, steps = torch.empty_like(spikes), len(spikes)
        trace = torch.zeros_like(spikes[0])
        for t in range(steps):  # e^t
            result[t].copy_(trace)
            trace.add_(spikes[t]).mul_(ctx.decay)
        if not ctx.detach_trace:
            trace.zero_()
            for t in reversed(range(steps)):  # f^t
                result[t].add_(trace)
                trace.add_(spikes[t]).mul_(ctx.decay)
        if ctx.include_self:
            result.add_(1)
        return result.mul_(gradient.unsqueeze(1) / steps), None, None, None


# ---- the teacher's maps ----------------------------------------------------------------------------------------------


@torch.no_grad()
def teacher_activation_maps(teacher: Frozen, x: Tensor, labels: Tensor) -> Maps:
    """Q of the teacher's three stages for images x [B, 3, H, W]."""
    return {level: activation_map(stage) for level, stage in teacher(x[None]).stages.items()}


# What is differentiated, from logits [B, K] in float64 and labels [B].
GRADIENT_OF: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": lambda logits, labels: F.cross_entropy(logits, labels, reduction="sum"),
    "logit": lambda logits, labels: logits.gather(1, labels[:, None]).sum(),
}


def teacher_gradient_maps(
    teacher: Frozen, x: Tensor, labels: Tensor, of: str = "feature", quantity: str = "ce"
) -> Maps:
    """Σ_c |dL_ce/dA_c| of each stage (`feature`), or Σ_c |dL_ce/dx_c| for all levels (`input`), Eq. (10).

    With quantity `logit` it is the true class's logit that is differentiated. Losses are summed over the batch, so that
    each image's gradient is its own; the cross-entropy is taken in float64, where a confident teacher's small gradient
    survives.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        output = teacher(x[None])
        loss = GRADIENT_OF[quantity](output.logits.double(), labels)
        levels = list(output.stages)
        if of == "input":
            gradient = torch.autograd.grad(loss, x)[0].abs().sum(1)
            return dict.fromkeys(levels, gradient)
        gradients = torch.autograd.grad(loss, [output.stages[level] for level in levels])
    return {level: gradient[0].abs().sum(1) for level, gradient in zip(levels, gradients, strict=True)}


# ---- the distance between two maps -----------------------------------------------------------------------------------


def resized(map_: Tensor, side: int) -> Tensor:
    """[B, H, W] to [B, side, side]: average pooling where it divides, else bilinear."""
    if map_.shape[-1] == side:
        return map_
    if map_.shape[-1] % side == 0:
        return F.avg_pool2d(map_[:, None], map_.shape[-1] // side)[:, 0]  # on a GPU deterministic, unlike adaptive
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


def as_compared(teacher: Tensor, student: Tensor, normalised: bool = True) -> tuple[Tensor, Tensor]:
    """Two maps [B, H, W] at the smaller of their resolutions, each image's a unit vector: still [B, h, w]."""
    side = min(teacher.shape[-1], student.shape[-1])

    def compared(map_: Tensor) -> Tensor:
        small = resized(map_, side)
        return unit(small).view(-1, side, side) if normalised else small

    return compared(teacher), compared(student)


DISTANCES: dict[str, Callable[[Tensor], Tensor]] = {  # difference [B, n] -> [B]
    "l2": lambda difference: difference.square().sum(1).add(EPSILON).sqrt(),
    "l2sq": lambda difference: difference.square().sum(1),
    "mse": lambda difference: difference.square().mean(1),
}


def spatial_distance(teacher: Tensor, student: Tensor, distance: str, normalised: bool = True) -> Tensor:
    """Mean over the batch of the distance of maps at the smaller resolution, as they are or unit vectors (Eq. 7)."""
    ours, theirs = as_compared(student, teacher, normalised)
    return DISTANCES[distance]((theirs - ours).flatten(1)).mean()


def scalar_distance(teacher: Tensor, student: Tensor, distance: str, normalised: bool = True) -> Tensor:
    """Eq. (6) as printed: the mean over channels and positions, one number an image, and its absolute difference."""
    return (teacher.mean((1, 2)) - student.mean((1, 2))).abs().mean()


MAP_DISTANCES = {"spatial": spatial_distance, "scalar": scalar_distance}


@dataclass(frozen=True)
class Variant:
    """One way to make a teacher's and a student's maps. Add a variant: two functions and a line in `VARIANTS`."""

    of_teacher: Callable[[Frozen, Tensor, Tensor, Attention], Maps]
    of_student: Callable[[Tensor, Attention], Tensor]
    normalised: Callable[[Attention], bool] = lambda settings: True

    def loss(self, teacher: Maps, output: Output, settings: Attention) -> Tensor:
        """L_at: the distances of the chosen levels, added (Eq. 8, 13).

        A student with one map for each step [T*B, H, W] is compared with the teacher's at each, and averaged.
        """
        compare, normalised, distances = MAP_DISTANCES[settings.map], self.normalised(settings), []
        for level in settings.levels:
            ours, theirs = self.of_student(output.stages[level], settings), teacher[level]
            theirs = theirs.repeat(len(ours) // len(theirs), 1, 1) if len(ours) != len(theirs) else theirs
            distances.append(compare(theirs, ours, settings.distance, normalised))
        return torch.stack(distances).sum()


VARIANTS = {
    "lasnn_act": Variant(
        lambda teacher, x, labels, settings: teacher_activation_maps(teacher, x, labels),
        lambda spikes, settings: STUDENT_MAPS[settings.student_act](spikes),
        lambda settings: settings.norm == "unit",
    ),
    "lasnn_grad": Variant(
        lambda teacher, x, labels, settings: teacher_gradient_maps(
            teacher, x, labels, settings.teacher_grad, settings.teacher_grad_of
        ),
        lambda spikes, settings: SpikeActivationMap.apply(
            spikes.to(torch.promote_types(spikes.dtype, torch.float32)),
            settings.kappa,
            settings.sam_include_self,
            settings.sam_detach_trace,
        ),
        lambda settings: settings.grad_norm == "l2",
    ),
}
