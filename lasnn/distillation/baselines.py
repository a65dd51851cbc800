"""Methods of other papers that learn from a teacher's features, readout or saliency, or step by step.

Some have weights, which are trained with the student's and left behind.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lasnn.distillation.attention import FiringRate, resized
from lasnn.distillation.step import FEATURES, Shapes, Step, Terms, cross_entropy, divergence_from
from lasnn.errors import InputError
from lasnn.networks.layers import Linear
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import given

EPSILON = 1e-3


class Projected(nn.Module):
    """CE + w Σ_l mean (P_l(s_l) - A_l)²: firing rates of tapped layers, projected, against the teacher's activations.

    P_l is a 3x3 convolution to the teacher's channels and batch norm, trained with the student and left behind (hints
    of FitNet, Romero et al. 2015; as in SAKD, Qiu et al. 2024). The larger of both is brought to the smaller's side.
    """

    def __init__(self, student: Shapes, teacher: Shapes):
        super().__init__()
        self.projections = nn.ModuleDict(
            {
                level: nn.Sequential(
                    nn.Conv2d(shape[0], teacher[level][0], 3, padding=1, bias=False), nn.BatchNorm2d(teacher[level][0])
                )
                for level, shape in student.items()
                if level != FEATURES
            }
        )

    def forward(self, step: Step, settings: SnnSettings) -> Terms:
        features, wanted, apart = given(settings.features), step.above.stages, []
        for level in features.levels:
            rate: Tensor = FiringRate.apply(step.output.stages[level])
            apart.append(F.mse_loss(*at_one_side(self.projections[level](rate), wanted[level][0])))
        return cross_entropy(step, settings) | {"features": features.weight * torch.stack(apart).sum()}


def at_one_side(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Two of [B, C, H, W] at the smaller of their sides, as attention maps are resized."""
    side = min(ours.shape[-1], theirs.shape[-1])

    def small(maps: Tensor) -> Tensor:
        found: Tensor = resized(maps.flatten(0, 1), side).unflatten(0, maps.shape[:2])
        return found

    return small(ours), small(theirs)


class Blurred(nn.Module):
    """BKDSNN, mixed (Xu et al. 2024): CE + w mean (G(m s) - A)² + v τ² mean_b u_b H(softmax(q/τ), softmax(z/τ)).

    s are the firing rates of the highest tapped layer, aligned by a 1x1 convolution where channels differ, m sets whole
    channels of an image to zero with probability `blur`, and G are two 3x3 convolutions that restore the teacher's A.
    H is the cross-entropy of teacher and student, u_b = 1 - exp(-CE(z_b) / CE(q_b)) what the student has still to learn
    of image b, held constant. The authors sum squares over a map where this takes their mean.
    """

    def __init__(self, student: Shapes, teacher: Shapes):
        super().__init__()
        narrow, wide = student["high"][0], teacher["high"][0]
        self.align = nn.Identity() if narrow == wide else nn.Conv2d(narrow, wide, 1)
        self.restore = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, wide, 3, padding=1)
        )

    def forward(self, step: Step, settings: SnnSettings) -> Terms:
        kd, labels = given(settings.blurred), step.batch.labels
        q, wanted = step.above.logits, step.above.stages["high"][0]
        rate: Tensor = self.align(FiringRate.apply(step.output.stages["high"]))
        kept = given(step.draw)("blur", rate.shape[1]) >= kd.blur  # [B, C]
        restored = self.restore(rate * kept[:, :, None, None].to(rate.dtype))
        apart = F.mse_loss(*at_one_side(restored, wanted))
        z, hotter = step.logits, kd.temperature
        with torch.no_grad():
            entropies = (F.cross_entropy(logits, labels, reduction="none") for logits in (z, q))
            unlearned = 1 - torch.exp(-next(entropies) / next(entropies).clamp_min(1e-12))
        by_image = F.cross_entropy(z / hotter, (q / hotter).softmax(1).to(z.dtype), reduction="none")
        soft = kd.logits * hotter**2 * (unlearned * by_image).mean()
        return cross_entropy(step, settings) | {"features": kd.weight * apart, "kd": soft}


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
        q, readout = step.above.logits, step.above.readout
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
    first class, where positive. n are normal numbers: mean of an image's logits, deviation their variance, both with
    their gradient.
    """
    kd, q = given(settings.saliency_kd), step.above.logits
    theirs = class_map(step.above.stages["high"][0], step.above.readout, q)
    z, ours = step.logits, step.output.stages["high"].sum((0, 2), dtype=step.logits.dtype)
    pair = at_one_side(ours[:, None], theirs.to(ours.dtype)[:, None])
    ours, theirs = (normed(maps[:, 0]).flatten(1) for maps in pair)
    uniform = given(step.draw)("noise", z.shape[1]).to(z.dtype).clamp(1e-6, 1 - 1e-6)
    normal = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    noise = z.mean(1, keepdim=True) + z.var(1, keepdim=True) * normal
    share, hotter = kd.noise, kd.temperature
    mixed = math.log1p(-share) + (z / hotter).log_softmax(1)  # logarithms, as either softmax may be 0 in float32
    if share:
        mixed = torch.logaddexp(mixed, math.log(share) + (noise / hotter).log_softmax(1))
    soft = F.kl_div(mixed, (q / hotter).log_softmax(1).to(z.dtype), reduction="batchmean", log_target=True)
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


def aligned_distillation(step: Step, settings: SnnSettings) -> Terms:
    """SeAl-KD (Sun et al. 2026): mean_t CE(z^t) + α mean_t KL_τ(q' || z'^t) + β mean_t KL_τ(m^t || z^t).

    z' and q' are the logits of student and teacher without what a wrong step would teach (`aligned`); m^t, held
    constant, is made of the other steps' logits (`of_other_steps`), and is left out at T = 1.
    """
    kd, z = given(settings.aligned_kd), given(step.by_step)  # [T, B, K]
    ours, theirs = aligned(z, step.above.logits.to(z.dtype).expand_as(z), step.batch.labels)
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
