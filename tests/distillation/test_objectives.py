"""Objectives: losses by hand, and the gradient of the whole student against the step-by-step oracle."""

import math
import re
from dataclasses import replace
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from first_update import attention, divergence
from oracle import bright_input, close, dyadic_input, settings_of, simulate, small, small_snn
from spike_trains import softmax
from tiny import message_of
from torch.nn import functional as F

from lasnn.datasets.batches import Batch
from lasnn.distillation.baselines import normed, saliency_distillation
from lasnn.distillation.objectives import OBJECTIVES, objective_of, window_sums
from lasnn.distillation.step import Step
from lasnn.networks import Output
from lasnn.networks.layers import Linear
from lasnn.plan.vocabulary import METHODS, TAPS
from lasnn.spiking.encoders import encode
from lasnn.spiking.neurons import Dynamics
from lasnn.training.stages.student import tapped_shapes

STEPS = 12
LABELS = torch.tensor([1, 3, 0])
LAYER_WISE = [name for name, method in METHODS.items() if "attention" in method.sections]


def side_of(method):
    """Of the images: a saliency map of the teacher's last layer has four pixels then, not one, which says nothing."""
    return 32 if method == "kd_saliency" else 8


def student(dtype=torch.float64, method="hybrid"):
    spiking_readout = METHODS[method].chained
    net = small_snn("vgg5", Dynamics(0.5), spiking_readout=spiking_readout, side=side_of(method))
    return tapped(net, method).to(dtype)


def tapped(net, method):
    """Tapped at its last layer too, for a method that looks there."""
    net.taps = TAPS["deep"](net.sides, net.side) if method == "kd_saliency" else net.taps
    return net


def teacher(dtype=torch.float64, method="lasnn_act"):
    if METHODS[method].chained:
        net = small_snn("conv3fc2", Dynamics(0.5), spiking_readout=True, seed=1)
    else:
        net = tapped(small("vgg16bn", side_of(method), seed=1), method)
    return net.requires_grad_(False).to(dtype)


def batch_and_input(dtype=torch.float64, method="hybrid"):
    """An analog batch for the teacher and an encoded one, another in each step, for the student."""
    side = side_of(method)
    return Batch(dyadic_input(1, 3, side)[0].to(dtype), LABELS), bright_input(STEPS, 3, side).to(dtype)


def drawn(purpose, count):
    """Uniform numbers [3, count] that keep, blur and keep again."""
    return torch.linspace(0, 1, 3 * count).view(3, count).flip(1)


def objective(method, dtype=torch.float64):
    """A method's objective; projections, which student and teacher see as [8, side, side], are drawn once more."""
    if not isinstance(OBJECTIVES[method], type):
        return OBJECTIVES[method]
    torch.manual_seed(5)
    ours, theirs = (tapped_shapes(net) for net in (student(torch.float32), teacher(torch.float32)))
    return objective_of(method, ours, theirs).to(dtype)


def gradient(net, method, settings, progress=0.0, dtype=torch.float64):
    """The loss terms of `method` and the gradient of their sum at every weight."""
    batch, x = batch_and_input(dtype, method)
    output = net(x)
    above = teacher(dtype, method) if METHODS[method].teacher else None
    each = output.currents if METHODS[method].by_step else None
    step = Step(batch, output, output.logits / STEPS, above, progress, x, each, drawn)
    terms = objective(method, dtype)(step, settings)
    return terms, torch.autograd.grad(sum(terms.values()), list(net.parameters()))


# ---- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "weights"), [("mix", (0.25, 0.75)), ("sum", (1.0, 1.0)), ("added", (1.0, 0.75))])
@pytest.mark.parametrize("maximised", [0.0, 0.1])
def test_label_distillation_by_hand(form, weights, maximised):
    """With the student's entropy at temperature τ, where that is maximised: the term is -0.1 H."""
    z, z_teacher, labels = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), np.array([[4.0, 0, 1], [1, 1, 5.0]]), [1, 2]
    tau, above = 4.0, lambda x: SimpleNamespace(logits=torch.tensor(z_teacher))
    p_teacher, p = softmax(z_teacher / tau), softmax(z / tau)
    apart = tau**2 * (p_teacher * (np.log(p_teacher) - np.log(p))).sum(1).mean()
    entropy = -np.log(softmax(z)[[0, 1], labels]).mean()
    expected = {"ce": weights[0] * entropy, "kd": weights[1] * apart}
    expected |= {"entropy": 0.1 * (p * np.log(p)).sum(1).mean()} if maximised else {}

    asked = {"weight": 0.75, "temperature": tau, "form": form, "entropy": maximised}
    batch = Batch(torch.zeros(2, 3, 4, 4), torch.tensor(labels))
    step = Step(batch, None, torch.tensor(z), above, 0.0)
    terms = OBJECTIVES["kd_label"](step, settings_of("kd_label", label_kd=asked))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("window", "stride", "sums"),
    [(2, 1, [1, 1, 2, 2]), (2, 2, [1, 2]), (3, 2, [2, 3]), (5, 1, [4]), (1, 4, [1, 1])],
)
def test_window_sums_by_hand(window, stride, sums):
    """Windows that would end behind T = 5 are left out."""
    spikes = torch.tensor([1.0, 0, 1, 1, 1])[:, None, None]
    assert window_sums(spikes, window, stride).flatten().tolist() == sums


def test_spike_distillation_by_hand():
    """Two neurons, T = 4, windows of 2 with stride 1. Ours fires (1,0) in steps 1 and 2, the teacher's (0,1) in step 2.

    Window sums: ours (2,0) (1,0) (0,0), theirs (0,1) (0,1) (0,0): squares 4+1, 1+1, 0 over 3 windows x 2 neurons = 7/6.
    """
    ours, theirs = torch.zeros(4, 1, 2), torch.zeros(4, 1, 2)
    ours[:2, 0, 0], theirs[1, 0, 1] = 1, 1
    settings = settings_of("kd_spike", spike_kd={"weight": 0.25, "window": 2, "stride": 1})
    output = SimpleNamespace(currents=ours)
    above = lambda x: SimpleNamespace(currents=theirs)  # noqa: E731
    step = Step(Batch(None, torch.tensor([0])), output, ours.sum(0), above, 0.0, encoded=torch.zeros(4, 1, 3, 1, 1))
    terms = OBJECTIVES["kd_spike"](step, settings)
    assert terms["kd"].item() == pytest.approx(0.25 * 7 / 6 / 4)
    assert terms["ce"].item() == pytest.approx(0.75 * math.log(1 + math.exp(-2)))
    head = OBJECTIVES["kd_spike"](replace(step, teacher=None), settings)
    assert head == {"ce": pytest.approx(math.log(1 + math.exp(-2)))}


@pytest.mark.parametrize("method", LAYER_WISE)
def test_alpha_and_its_schedule(method):
    def pulled(progress=0.0, **update):
        return gradient(student(), method, settings_of(method, attention=update), progress)[0]["attention"].item()

    whole = pulled(alpha=2.0)  # α/2 = 1
    assert whole > 0.1
    assert pulled(alpha=0.9) == pytest.approx(0.45 * whole, rel=1e-12)
    assert pulled(alpha=0.9, progress=0.75) == pytest.approx(0.45 * whole, rel=1e-12)
    linear = {"alpha": 0.9, "alpha_schedule": "linear_to_zero"}
    assert pulled(**linear) == pytest.approx(0.45 * whole, rel=1e-12)
    assert pulled(progress=0.75, **linear) == pytest.approx(0.25 * 0.45 * whole, rel=1e-12)


# ---- the gradient of the whole student -------------------------------------------------------------------------------


def settings_for(method):
    """With weights that are not 1."""
    return settings_of(method, **({"saliency_kd": {"weight": 3.0, "logits": 0.5}} if method == "kd_saliency" else {}))


def naive_loss(method, net):
    """L of one batch, term by term, from the step-by-step simulation."""
    batch, x = batch_and_input(method=method)
    settings, trace = settings_for(method), simulate(net, x)
    z = trace.logits / STEPS
    entropy = -z.log_softmax(1)[range(3), LABELS].mean()
    if method == "kd_label":
        return 0.1 * entropy + 0.9 * divergence(teacher()(batch.x[None]).logits, z, 4.0).mean()
    if method == "kd_spike":
        kd = settings.spike_kd
        apart = [a - b for a, b in zip(trace.outputs, simulate(teacher(method=method), x).outputs, strict=True)]
        starts = range(0, STEPS - kd.window + 1, kd.stride)
        windows = torch.stack([sum(apart[start : start + kd.window]) for start in starts])
        return (1 - kd.weight) * entropy + kd.weight * (windows / kd.window).square().mean()
    if method == "kd_aligned":
        return aligned_loss(trace, batch.x, settings.aligned_kd)
    if method == "kd_blurred":
        return blurred_loss(trace, batch.x, entropy, settings.blurred)
    if method == "kd_head":
        above, made = teacher()(batch.x[None]), objective("kd_head")
        ours = above.readout((sum(trace.features) / STEPS @ made.align.weight.T)[None])[0]
        return entropy + settings.head_kd.weight * divergence(above.logits, ours, settings.head_kd.temperature).mean()
    if method == "kd_saliency":
        return saliency_loss(trace, batch.x, entropy, settings.saliency_kd)
    if method == "kd_features":
        return entropy + settings.features.weight * sum(projected_distances(trace, batch.x))
    if method in LAYER_WISE:
        entropy = entropy + 0.9 / 2 * attention(trace, teacher(), batch.x, LABELS, method, settings.attention)
    return entropy


def certainty(logits):
    """1 - H / ln K of one vector."""
    p = [math.exp(value) for value in logits.tolist()]
    p = [value / sum(p) for value in p]
    return 1 + sum(value * math.log(value) for value in p) / math.log(len(p))


def aligned_loss(trace, x, settings):
    """SeAl-KD image by image and step by step."""
    q, total = teacher(method="kd_aligned")(x[None]).logits, 0
    for b, label in enumerate(LABELS.tolist()):
        steps = [output[b] for output in trace.outputs]
        for t, z in enumerate(steps):
            ours, theirs, first = z.clone(), q[b].clone(), int(z.argmax())
            if first != label:
                ours[first] = z[label]
                theirs[first] = theirs[label] = min(q[b, first], q[b, label])
            others = [other.detach() for other in steps[:t] + steps[t + 1 :]]
            alike = [torch.cosine_similarity(z.detach(), other, 0) * certainty(other) for other in others]
            middle = sum(w * other for w, other in zip(torch.stack(alike).softmax(0), others, strict=True))
            entropy = -z.log_softmax(0)[label]
            kl = divergence(theirs[None], ours[None], settings.temperature).sum()
            among = divergence(middle[None], z[None], settings.temperature).sum()
            total = total + entropy + settings.weight * kl + settings.self_weight * among
    return total / len(LABELS) / STEPS


def blurred_loss(trace, x, entropy, settings):
    """BKDSNN from its parts; the channels that were drawn low are blurred."""
    made, above = objective("kd_blurred"), teacher()(x[None])
    rate = F.conv2d(sum(trace.stages["high"]) / STEPS, made.align.weight, made.align.bias)
    rate = rate * (drawn("blur", rate.shape[1]) >= settings.blur)[:, :, None, None]
    first, _, last = made.restore
    hidden = F.conv2d(rate, first.weight, first.bias, padding=1).clamp_min(0)
    found = F.conv2d(hidden, last.weight, last.bias, padding=1)
    wanted = above.stages["high"][0]
    side = min(found.shape[-1], wanted.shape[-1])
    found, wanted = (F.avg_pool2d(maps, maps.shape[-1] // side) for maps in (found, wanted))
    z, q, soft = trace.logits / STEPS, above.logits, 0
    for b, label in enumerate(LABELS.tolist()):
        ours, theirs = (-logits[b].detach().log_softmax(0)[label].item() for logits in (z, q))
        p = (q[b] / settings.temperature).softmax(0)
        cross = -(p * (z[b] / settings.temperature).log_softmax(0)).sum()
        soft = soft + (1 - math.exp(-ours / theirs)) * cross
    soft = settings.logits * settings.temperature**2 * soft / len(LABELS)
    return entropy + settings.weight * (found - wanted).square().mean() + soft


def saliency_loss(trace, x, entropy, settings):
    """CKDSNN image by image: a normal number of each class from the drawn uniform one, by the inverse of its law."""
    above, z, total = teacher(method="kd_saliency")(x[None]), trace.logits / STEPS, 0
    stage = above.stages["high"][0]
    rows = above.readout.weight[above.logits.argmax(1)][:, :, None, None]
    theirs = torch.stack([(row * a).sum(0) for row, a in zip(rows, stage, strict=True)])
    ours, theirs = sum(trace.stages["high"]).sum(1), theirs.clamp_min(0)
    side = min(ours.shape[-1], theirs.shape[-1])
    assert side > 1
    ours, theirs = (F.avg_pool2d(maps, maps.shape[-1] // side) for maps in (ours, theirs))
    p, wanted = (
        ((maps - maps.min()) / (maps.max() - maps.min() + 1e-3) / 2).flatten(1).softmax(1) for maps in (ours, theirs)
    )
    for b in range(len(LABELS)):
        total = total + settings.weight * (wanted[b] * (wanted[b] / p[b]).log()).sum()
        uniform = drawn("noise", z.shape[1])[b].double().clamp(1e-6, 1 - 1e-6).tolist()
        normal = torch.tensor([NormalDist().inv_cdf(u) for u in uniform], dtype=z.dtype)
        n = z[b].mean() + z[b].var() * normal
        tau = settings.temperature
        mixed = (1 - settings.noise) * (z[b] / tau).softmax(0) + settings.noise * (n / tau).softmax(0)
        q = (above.logits[b] / tau).softmax(0)
        total = total + settings.logits * tau**2 * (q * (q / mixed).log()).sum()
    return entropy + total / len(LABELS)


def test_a_method_or_an_encoder_without_its_code_is_one_line():
    """Named in the vocabulary alone: the line says which table of which file lacks it."""
    said = message_of(objective_of, "lasnn_x", {}, {})
    assert re.search("unknown objective .*OBJECTIVES.* in lasnn/distillation/objectives.py.* 'lasnn_x'", said)
    said = message_of(encode, "dither", torch.zeros(1, 3, 4, 4), 2, None)
    assert re.search("unknown encoder .*ENCODERS.* in lasnn/spiking/encoders.py.* 'dither'", said)


@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_saliency_distillation_takes_logits_of_any_size(share, spread):
    """Sums over 100 steps: both softmaxes are 0 in float32 where the other class wins."""
    z = (spread * torch.randn(8, 10, generator=torch.Generator().manual_seed(0))).requires_grad_()
    settings = settings_of("kd_saliency", saliency_kd={"noise": share})
    stages = {"high": torch.rand(1, 8, 6, 4, 4)}
    above = Output(torch.rand(1, 8, 6), stages, Linear(6, 10, bias=False))
    draw = lambda purpose, count: torch.rand(8, count, generator=torch.Generator().manual_seed(1))  # noqa: E731
    batch = Batch(torch.rand(8, 3, 4, 4), torch.zeros(8, dtype=torch.long))
    step = Step(batch, Output(torch.rand(4, 8, 6), stages, above.readout), z, lambda x: above, 0.0, draw=draw)
    term = saliency_distillation(step, settings)["kd"]
    term.backward()
    assert term.isfinite()
    assert z.grad.isfinite().all()
    assert z.grad.any()


def test_saliency_maps_by_hand():
    """Less the least of the batch, 1, over the greatest of that, 4, and 0.001."""
    maps = torch.tensor([[[1.0, 2.0], [3.0, 5.0]], [[5.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    expected = [0, 1 / 4.001, 2 / 4.001, 4 / 4.001, 4 / 4.001, 0, 0, 0]
    assert normed(maps).flatten().tolist() == pytest.approx(expected, rel=1e-12)


def projected_distances(trace, x):
    """Of each level: the mean rate convolved with the drawn kernel, each channel standardised over the batch, less the
    teacher's activation, squared; both at the smaller side.
    """
    above = teacher()(x[None]).stages
    for level, projection in objective("kd_features").projections.items():
        rate = sum(trace.stages[level]) / STEPS
        found = F.conv2d(rate, projection[0].weight, padding=1)
        mean = found.mean((0, 2, 3), keepdim=True)
        variance = (found - mean).square().mean((0, 2, 3), keepdim=True)
        ours, theirs = (found - mean) / (variance + 1e-5).sqrt(), above[level][0]
        side = min(ours.shape[-1], theirs.shape[-1])
        ours, theirs = (F.avg_pool2d(maps, maps.shape[-1] // side) for maps in (ours, theirs))
        yield (ours - theirs).square().mean()


@pytest.mark.parametrize("method", OBJECTIVES)
def test_gradient_of_the_whole_student_equals_the_oracle(method):
    net = student(method=method)
    terms, found = gradient(net, method, settings_for(method))
    loss = naive_loss(method, net)
    expected = torch.autograd.grad(loss, list(net.parameters()))
    assert sum(terms.values()).item() == pytest.approx(loss.item(), rel=1e-10)
    for (name, _), ours, theirs in zip(net.named_parameters(), found, expected, strict=True):
        assert close(ours, theirs, 1e-9), name
