"""What a method minimises: named loss terms of one batch; the total is their sum."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.distillation.attention import VARIANTS
from lasnn.distillation.baselines import Blurred, Headed, Projected, aligned_distillation, saliency_distillation
from lasnn.distillation.step import Objective, Shapes, Step, Terms, cross_entropy, divergence_from
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given, pick


def label_distillation(step: Step, settings: SnnSettings) -> Terms:
    """(1-w) CE + w τ² KL(softmax(z_T/τ) || softmax(z/τ)).

    Form `sum`: CE + τ² KL (Takuya et al. 2021); form `added`: CE + w τ² KL (TWSNN, Yu et al. 2025). With an `entropy` γ
    less γ H(softmax(z/τ)), the student's entropy, as in TSER (Yu et al. 2025).
    """
    kd, target, (logits, labels) = given(settings.label_kd), step.above.logits, step.judged
    divergence = divergence_from(target.repeat(len(logits) // len(target), 1), logits, kd.temperature)
    ce, kl = {"mix": (1 - kd.weight, kd.weight), "sum": (1.0, 1.0), "added": (1.0, kd.weight)}[kd.form]
    terms = {"ce": ce * F.cross_entropy(logits, labels), "kd": kl * divergence}
    if kd.entropy:
        log_p = (logits / kd.temperature).log_softmax(1)
        terms["entropy"] = kd.entropy * (log_p.exp() * log_p).sum(1).mean()
    return terms


def layer_wise(method: str) -> Objective:
    """LaSNN: L_ce + (α/2) L_at (Eq. 8, 13); with `attention.labels`, label distillation in place of L_ce."""
    variant = VARIANTS[method]

    def terms(step: Step, settings: SnnSettings) -> Terms:
        attention = given(settings.attention)
        alpha = attention.alpha * (1 - step.progress if attention.alpha_schedule == "linear_to_zero" else 1)
        maps = variant.of_teacher(step.asked, step.batch.x, step.batch.labels, attention)
        about_labels = label_distillation if attention.labels else cross_entropy
        return about_labels(step, settings) | {"attention": alpha / 2 * variant.loss(maps, step.output, attention)}

    return terms


def window_sums(spikes: Tensor, window: int, stride: int) -> Tensor:
    """U_j = sum of S^t over t = jh+1 .. jh+w, j = 0 .. (T-w)/h: spikes [T, B, K] to [J, B, K]."""
    return spikes.unfold(0, window, stride).sum(-1)


def spike_distillation(step: Step, settings: SnnSettings) -> Terms:
    """(1-a) CE + a mean_j mean_{b,k} (U_j^Ta - U_j^St)² / w² between output spikes; CE alone without a teacher.

    A reconstruction of spike-based KD (Kushawaha et al. 2020), whose code and text could not be read. The teacher, a
    spiking network too, sees the student's own input spikes.
    """
    ce, kd = cross_entropy(step, settings), given(settings.spike_kd)
    if step.teacher is None:
        return ce
    with torch.no_grad():
        target = window_sums(step.teacher(given(step.encoded)).currents, kd.window, kd.stride)
    apart = window_sums(step.output.currents, kd.window, kd.stride) - target
    return {"ce": (1 - kd.weight) * ce["ce"], "kd": kd.weight * apart.square().mean() / kd.window**2}


# An objective is a function, or a module of weights that are trained with the student's and left behind.
OBJECTIVES: dict[str, Objective | type[nn.Module]] = {
    "hybrid": cross_entropy,
    "kd_label": label_distillation,
    "kd_spike": spike_distillation,
    "kd_features": Projected,
    "kd_blurred": Blurred,
    "kd_aligned": aligned_distillation,
    "kd_head": Headed,
    "kd_saliency": saliency_distillation,
    **{method: layer_wise(method) for method in VARIANTS},
}


def objective_of(method: str, student: Shapes, teacher: Shapes) -> Objective:
    """A method's objective; one with weights is built for these tapped layers."""
    found = pick(OBJECTIVES, method, "objective (a name of `OBJECTIVES` in lasnn/distillation/objectives.py)")
    return found(student, teacher) if isinstance(found, type) else found
