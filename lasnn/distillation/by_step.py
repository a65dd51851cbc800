"""Distillation of each step's logits."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from lasnn.distillation.step import Step, Terms, cross_entropy, divergence_from
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given


def aligned_distillation(step: Step, settings: SnnSettings) -> Terms:
    """SeAl-KD (Sun et al. 2026): mean_t CE(z^t) + α mean_t KL_τ(q' || z'^t) + β mean_t KL_τ(m^t || z^t).

    z' and q' are the logits of student and teacher without what a wrong step would teach (`aligned`); m^t, held
    constant, is made of the other steps' logits (`of_other_steps`), and is left out at T = 1.
    """
    kd, z = given(settings.aligned_kd), given(step.by_step)  # [T, B, K]
    with torch.no_grad():
        q = step.asked(step.batch.x[None]).logits.to(z.dtype).expand_as(z)
    ours, theirs = aligned(z, q, step.batch.labels)
    flat = divergence_from(theirs.flatten(0, 1), ours.flatten(0, 1), kd.temperature)
    terms = cross_entropy(step, settings) | {"kd": kd.weight * flat}
    if len(z) > 1:
        among = divergence_from(of_other_steps(z.detach()).flatten(0, 1), z.flatten(0, 1), kd.temperature)
        terms["self"] = kd.self_weight * among
    return terms


def aligned(z: Tensor, q: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits z, q [T, B, K] with the first class c of a wrong step put level with the right class y: z_c <- z_y in the
    student's, q_c, q_y <- min(q_c, q_y) in the teacher's. Right steps stay.
    """
    first = z.argmax(2, keepdim=True)
    right = labels.expand(len(z), -1)[..., None]
    wrong, lower = first != right, torch.minimum(q.gather(2, first), q.gather(2, right))
    ours = torch.where(wrong, z.scatter(2, first, z.gather(2, right)), z)
    return ours, torch.where(wrong, q.scatter(2, first, lower).scatter(2, right, lower), q)


def of_other_steps(z: Tensor) -> Tensor:
    """m^t = Σ_{t' != t} w_{tt'} z^{t'} of logits [T, B, K], w_t the softmax over t' of conf(z^{t'}) cos(z^t, z^{t'}).

    conf = 1 - H(softmax(z)) / ln K is 0 for equal logits and 1 for a certain step.
    """
    log_p = z.log_softmax(2)
    sure = 1 + (log_p.exp() * log_p).sum(2) / math.log(z.shape[2])  # [T, B]
    unit = F.normalize(z, dim=2)
    score = torch.einsum("tbk,ubk->tub", unit, unit) * sure
    score = score.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device)[..., None], -math.inf)
    return torch.einsum("tub,ubk->tbk", score.softmax(1), z)
