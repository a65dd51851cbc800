"""Distillation through the teacher's readout: of the student's features (L_AF), and of where it looks (CKDSNN)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.distillation.attention import FiringRate
from lasnn.distillation.features import scaled_to
from lasnn.distillation.step import FEATURES, Shapes, Step, Terms, cross_entropy, divergence_from
from lasnn.errors import InputError
from lasnn.networks.layers import Linear
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given

EPSILON = 1e-3


class Headed(nn.Module):
    """L_AF (Guo et al. 2024): CE + w τ² KL(softmax(q/τ) || softmax(W f/τ)).

    f are the features that the student's readout sees, averaged over T, and W is the teacher's readout with its bias,
    held constant. A linear layer brings f to the teacher's number of features where these differ.
    """

    def __init__(self, student: Shapes, teacher: Shapes):
        super().__init__()
        (narrow,), (wide,) = student[FEATURES], teacher[FEATURES]
        self.align = nn.Identity() if narrow == wide else nn.Linear(narrow, wide, bias=False)

    def forward(self, step: Step, settings: SnnSettings) -> Terms:
        kd = given(settings.head_kd)
        with torch.no_grad():
            above = step.asked(step.batch.x[None])
            q, readout = above.logits, above.readout
        ours = read_by(readout, self.align(FiringRate.apply(step.output.features)))
        return cross_entropy(step, settings) | {"features": kd.weight * divergence_from(q, ours, kd.temperature)}


def read_by(readout: Linear, features: Tensor) -> Tensor:
    """W f + b of a readout whose weights are held constant: [B, F] to [B, K]."""
    bias = readout.bias.detach() if readout.bias is not None else None
    return F.linear(features, readout.weight.detach().to(features.dtype), bias)


def saliency_distillation(step: Step, settings: SnnSettings) -> Terms:
    """CKDSNN (Liu et al. 2026): CE + w KL(P_t || P_s) + v τ² KL(softmax(q/τ) || (1-ν) softmax(z/τ) + ν softmax(n/τ)).

    P are softmax(M/2) over the pixels of saliency maps M of the highest tapped layer (`normed`): of the student the
    spikes summed over time and channels, of the teacher its activations weighted as its readout weighs them for its
    first class, where positive. n are normal numbers: mean of an image's logits, deviation their variance.
    """
    kd = given(settings.saliency_kd)
    with torch.no_grad():
        above = step.asked(step.batch.x[None])
        q, theirs = above.logits, class_map(above.stages["high"][0], above.readout, above.logits)
    z, ours = step.logits, step.output.stages["high"].sum((0, 2), dtype=step.logits.dtype)
    side = min(ours.shape[-1], theirs.shape[-1])
    ours, theirs = (normed(scaled_to(maps[:, None], side)[:, 0]).flatten(1) for maps in (ours, theirs.to(ours.dtype)))
    uniform = given(step.draw)("noise", z.shape[1]).to(z.dtype).clamp(1e-6, 1 - 1e-6)
    normal = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    noise = z.detach().mean(1, keepdim=True) + z.detach().var(1, keepdim=True) * normal
    share, hotter = kd.noise, kd.temperature
    mixed = (1 - share) * (z / hotter).softmax(1) + share * (noise / hotter).softmax(1)
    soft = F.kl_div(mixed.log(), (q / hotter).log_softmax(1).to(z.dtype), reduction="batchmean", log_target=True)
    return cross_entropy(step, settings) | {
        "features": kd.weight * divergence_from(theirs, ours, 2.0) / 4,
        "kd": kd.logits * hotter**2 * soft,
    }


def class_map(activation: Tensor, readout: Linear, logits: Tensor) -> Tensor:
    """relu(Σ_c W[k, c] A_c), k the first class of each image: activations [B, C, H, W] to [B, H, W] (CAM)."""
    weights = readout.weight[logits.argmax(1)]  # [B, C]
    if weights.shape[1] != activation.shape[1]:
        raise InputError(
            f"kd_saliency weighs {activation.shape[1]} channels by a readout of {weights.shape[1]} features: take a "
            "teacher whose readout sees the averages of its last layer's channels"
        )
    return torch.einsum("bc,bchw->bhw", weights, activation).relu()


def normed(maps: Tensor) -> Tensor:
    """(M - min) / (max + 1e-3) of maps [B, H, W]: least and, behind the difference, greatest value of the batch."""
    above = maps - maps.amin()
    return above / (above.amax() + EPSILON)
