"""The first update of a training by hand, in float64: every term of its loss, and the gradient's norm.

The student is the step-by-step oracle with the parent's weights; losses are written as in docs/reading.md. Only the
images of the batch and the draws of the encoder are taken from the code.
"""

import math
from dataclasses import replace

import oracle
import torch
from torch.nn import functional as F

from lasnn import seeding
from lasnn.datasets.batches import training_batches
from lasnn.networks import TAPS
from lasnn.plan.runs import ConvertedRun, SnnRun
from lasnn.spiking.conversion import neurons, spiking, train_offsets, with_spiking_readout
from lasnn.spiking.encoders import batch_noise, encode
from lasnn.spiking.neurons import Dynamics


def first_update(found, monkeypatch):
    """Loss terms by name and the gradient's norm of a run that starts from converted weights."""
    task, settings, spiking_ = found.task, found.task.settings, found.task.settings.spiking
    monkeypatch.setattr(oracle, "GAMMA", spiking_.gamma)
    monkeypatch.setattr(oracle, "STDB", spiking_.stdb)
    monkeypatch.setattr(oracle, "WIDTH", spiking_.width)
    chosen, run = found.result.metrics["choices"], task.run
    batch = next(training_batches(task.train, settings.training.batch, settings.data, run.seed, 0))
    x, labels = batch.x.double(), batch.labels
    steps = 2 * run.steps if spiking_.steps_schedule == "double_first" else run.steps
    noise = batch_noise(seeding.generator(run.seed, "encoder", 0, 0))
    encoded = encode(run.encoder, batch.x, steps, noise, settings.encoder.gain).double()

    net = student(found, chosen)
    if settings.attention:
        net.taps = TAPS[settings.attention.taps](net.sides, net.side)
    seen = oracle.simulate(net, encoded, spiking_.surrogate)
    times = 1 if chosen["logit_scale"] == "mean" else steps
    z, each = seen.logits / steps * times, torch.stack(seen.outputs) * times  # [B, K], [T, B, K]
    judged = each if spiking_.loss == "every_step" else z[None]

    terms = {"ce": -judged.log_softmax(2)[:, range(len(labels)), labels].mean()}
    teacher = task.network_of(task.teacher()).eval().double() if settings.attention or settings.label_kd else None
    if kd := settings.label_kd:
        share = {"mix": (1 - kd.weight, kd.weight), "sum": (1, 1), "added": (1, kd.weight)}[kd.form]
        above = teacher(x[None]).logits.detach().expand_as(judged)
        terms = {"ce": share[0] * terms["ce"], "kd": share[1] * divergence(above, judged, kd.temperature).mean()}
        if kd.entropy:
            p = (judged / kd.temperature).softmax(2)
            terms["entropy"] = kd.entropy * (p * p.log()).sum(2).mean()
    if settings.attention:
        alpha = found.result.metrics.get("attention_alpha", settings.attention.alpha)
        pulled = attention(seen, teacher, x, labels, run.method, settings.attention)
        terms["attention"] = alpha / 2 * pulled
    if (kd := settings.spike_kd) and task.run.teacher != "none":
        with torch.no_grad():
            above = torch.stack(oracle.simulate(spiking_teacher(task), encoded).outputs)
        apart = [
            (torch.stack(seen.outputs)[t : t + kd.window] - above[t : t + kd.window]).sum(0) / kd.window
            for t in range(0, steps - kd.window + 1, kd.stride)
        ]
        terms = {"ce": (1 - kd.weight) * terms["ce"], "kd": kd.weight * torch.stack(apart).square().mean()}
    if spiking_.consistency and spiking_.consistency_target in ("strongest", "weakest"):
        sure = each.softmax(2).amax(2).mean(1).tolist()
        weak, strong = sure.index(min(sure)), sure.index(max(sure))
        taught, by = (weak, strong) if spiking_.consistency_target == "strongest" else (strong, weak)
        apart = divergence(each[by].detach(), each[taught], spiking_.consistency_temperature)
        terms["consistency"] = spiking_.consistency * apart.mean()
    elif spiking_.consistency:
        right = (
            (each.argmax(2) == labels).double()[..., None] if spiking_.consistency_target == "correct" else 1 + 0 * each
        )
        target = ((right * each).sum(0) / right.sum(0).clamp(min=1)).detach().expand_as(each)
        terms["consistency"] = spiking_.consistency * divergence(target, each, spiking_.consistency_temperature).mean()
    if spiking_.firing_penalty:
        spikes = sum(seen.totals.values()) / sum(spikes.numel() for spikes in seen.spikes.values())
        terms["firing"] = spiking_.firing_penalty * spikes
    gradient = torch.autograd.grad(sum(terms.values()), list(net.parameters()), allow_unused=True)
    norms = [part.norm().item() for part in gradient if part is not None]  # none of a layer that reached no logit yet
    return {name: term.item() for name, term in terms.items()}, math.hypot(*norms)


def student(found, chosen):
    """The converted network at the chosen scale, leak and potential, or with thresholds 1."""
    task, settings = found.task, found.task.settings
    (parent,) = (one for one in task.parents if isinstance(one.run, ConvertedRun))
    plain = {name: value for name, value in parent.weights.items() if not name.endswith(".threshold")}
    dynamics = Dynamics(
        chosen["leak"], settings.neuron.order, settings.neuron.reset, reset_grad=settings.spiking.reset_grad
    )
    net = spiking(task.network_of(parent, plain), dynamics)
    if settings.spike_kd:
        with_spiking_readout(net, dynamics)
    for name, neuron in neurons(net).items():
        balanced = parent.weights.get(f"layers.{name}.activation.threshold")
        if settings.spiking.init == "converted_weights":
            neuron.threshold.fill_(1)
        elif balanced is not None:
            neuron.threshold.copy_(chosen["scale"] * balanced)
        else:  # the readout's, which was balanced for this run
            neuron.threshold.copy_(found.state["readout.activation.threshold"])
        neuron.initial = settings.spiking.potential * neuron.threshold.double()
    if settings.spiking.train_offsets:
        train_offsets(net)
    return net.double()


def spiking_teacher(task):
    (parent,) = (one for one in task.parents if isinstance(one.run, SnnRun))
    plain = {name: value for name, value in parent.weights.items() if not name.endswith(".threshold")}
    dynamics = Dynamics(parent.meta["leak"], task.settings.neuron.order, task.settings.neuron.reset)
    net = with_spiking_readout(spiking(task.network_of(parent, plain), dynamics), replace(dynamics, leak=1.0))
    net.load_state_dict(parent.weights)
    return net.eval().double()


def divergence(target, logits, temperature):
    """τ² KL(softmax(target/τ) || softmax(logits/τ)) of each row."""
    wanted, found = (target / temperature).log_softmax(-1), (logits / temperature).log_softmax(-1)
    return temperature**2 * (wanted.exp() * (wanted - found)).sum(-1)


def attention(seen, teacher, x, labels, method, asked):
    """The sum over levels of the mean distance of maps (Eq. 5-8, 10-13)."""
    teacher.taps = TAPS[asked.taps](teacher.sides, teacher.side)
    x = x.clone().requires_grad_()
    above, total = teacher(x[None]), 0
    if method == "lasnn_grad":
        losses = {"ce": F.cross_entropy(above.logits, labels, reduction="sum")}
        losses["logit"] = above.logits[range(len(labels)), labels].sum()
        wanted = [x] if asked.teacher_grad == "input" else [above.stages[level] for level in asked.levels]
        slopes = torch.autograd.grad(losses[asked.teacher_grad_of], wanted)
        slopes = slopes * len(asked.levels) if asked.teacher_grad == "input" else [slope[0] for slope in slopes]
        theirs = {level: slope.abs().sum(1) for level, slope in zip(asked.levels, slopes, strict=True)}
    else:
        theirs = {level: above.stages[level][0].detach().square().mean(1) for level in asked.levels}
    for level in asked.levels:
        spikes, steps = seen.stages[level], len(seen.stages[level])
        if method == "lasnn_grad":
            ours = [trace_map(spikes, asked)]
        elif asked.student_act == "per_step":
            ours = [spikes[: t + 1].mean(0).square().mean(1) for t in range(steps)]
        else:
            ours = [spikes.mean(0).square().mean(1)]
        as_units = (asked.norm == "unit") if method == "lasnn_act" else (asked.grad_norm == "l2")
        total = total + sum(distance(theirs[level], map_, asked, as_units) for map_ in ours) / len(ours)
    return total


def trace_map(spikes, asked):
    """(1/T) Σ_t Σ_c o^t Σ_{t'<t} e^{-κ(t-t')} o^t' (Eq. 11), with o^t itself as well if the current spike counts."""
    total = spikes.sum(0) if asked.sam_include_self else torch.zeros_like(spikes[0])
    for t in range(len(spikes)):
        for before in range(t):
            earlier = spikes[before].detach() if asked.sam_detach_trace else spikes[before]
            total = total + math.exp(-asked.kappa * (t - before)) * spikes[t] * earlier
    return total.sum(1) / len(spikes)


def distance(theirs, ours, asked, as_units):
    """The mean over images; maps [B, h, w] at the smaller resolution."""
    if asked.map == "scalar":
        return (theirs.mean((1, 2)) - ours.mean((1, 2))).abs().mean()
    side = min(theirs.shape[-1], ours.shape[-1])
    pair = [F.adaptive_avg_pool2d(map_, side).flatten(1) for map_ in (theirs, ours)]
    if as_units:
        pair = [map_ / torch.where(map_.any(1), map_.norm(dim=1), 1.0)[:, None] for map_ in pair]
    squares = (pair[0] - pair[1]).square()
    by_image = {"l2": squares.sum(1).add(1e-12).sqrt(), "l2sq": squares.sum(1), "mse": squares.mean(1)}[asked.distance]
    return by_image.mean()
