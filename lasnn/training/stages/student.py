"""How a spiking network is trained by one of the methods, with what the training log says after each epoch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lasnn import seeding
from lasnn.datasets.batches import plain_batches
from lasnn.distillation.few_steps import added_terms, mean_rate
from lasnn.distillation.objectives import OBJECTIVES, objective_of
from lasnn.distillation.step import FEATURES, Objective, Shapes, Step
from lasnn.errors import InputError
from lasnn.networks import TAPS, Net, census
from lasnn.networks.batch_norm import insert, insert_unchanged, take_statistics
from lasnn.networks.recorded import Recorded
from lasnn.plan.runs import SnnRun
from lasnn.plan.settings import SnnSettings
from lasnn.plan.vocabulary import METHODS, given
from lasnn.spiking.conversion import settle, train_leaks, train_offsets, train_thresholds
from lasnn.spiking.encoders import batch_noise, encode, image_noise
from lasnn.storage import files
from lasnn.training import training_log
from lasnn.training.device import products_in, tf32
from lasnn.training.health import weight_norms
from lasnn.training.loop import Job, Losses, Moment, Part, fit
from lasnn.training.resume import Saves
from lasnn.training.stages.shown import added_share, gradient_share, watched_maps, with_alpha
from lasnn.training.task import Student

TRAINED_BY_NEURONS = ("leak_logit", "log_gain", "offset_change")
NORMED = 64  # images whose statistics norms behind random weights begin with
# What `micro_batch: auto` lets the currents, spikes and gradients of a step take. On a GPU small parts cost most: a
# step of VGG5 in four parts took twice the time (docs/performance.md).
MICRO_BATCH_BYTES, MICRO_BATCH_BYTES_GPU = 1 << 30, 6 << 30
# T of a training by `spiking.steps_schedule`, at a share of the epochs.
STEPS: dict[str, Callable[[int, float], int]] = {
    "const": lambda steps, progress: steps,
    "double_first": lambda steps, progress: 2 * steps if progress < 0.5 else steps,
}


def train(
    net: Net, teacher: Net | None, task: Student, logit_scale: str, saves: Saves
) -> tuple[files.Json, files.Json]:
    """Train by the method's objective, with a look at the test images after each epoch (for the training log only).

    Returns what metrics.json and what provenance.json is to say of it.
    """
    run, settings, test = task.run, task.settings, task.watched
    tap(net, teacher, settings)
    size = micro_batch(settings, run, net)
    if settings.network.batch_norm:
        normed(net, task)
    share = None
    if settings.attention:
        task = with_alpha(task, net, given(teacher), logit_scale)
        settings, share = task.settings, gradient_share(task, net, given(teacher), test, logit_scale)
        shares = ", ".join(f"{level} {value:.3g}" for level, value in share.items())
        saves.console.say(f"gradient of the attention loss, in terms of the other terms': {shares}")
    teacher_std = None
    if settings.label_kd:
        teacher_std = float(task.analog(given(teacher), test).logits.std(1).mean())

    @tf32(False)
    def look(epoch: int) -> dict:
        now = task.simulated(net, test)
        by_layer = {name: layer.per_neuron / run.steps for name, layer in now.spikes.items()}
        seen = {"test_accuracy": now.accuracy, "rates": by_layer, "weight_norms": weight_norms(net)}
        if settings.label_kd:
            divisor = run.steps if logit_scale == "mean" else 1
            seen |= {"logit_std": float(now.logits.std(1).mean()) / divisor, "logit_std_teacher": teacher_std}
        if settings.attention:
            seen |= watched_maps(task, net, given(teacher))
            seen["attention_share"] = gradient_share(task, net, given(teacher), test, logit_scale)
        added = added_share(net, losses, test.first(job.micro_batch), run.seed)
        return seen | ({} if added is None else {"added_share": added})

    losses = student_losses(net, teacher, run, settings, logit_scale)
    job = Job(given(settings.training), settings.data, run.seed, part_of_batch(net, size, settings), saves)
    if given(settings.spiking).train_thresholds:
        train_thresholds(net, given(settings.spiking).train_thresholds == "channel")
    if given(settings.spiking).train_offsets:
        train_offsets(net)
    if given(settings.spiking).train_leak:
        train_leaks(net)
    check_trained(net, task)
    added = added_share(net, losses, test.first(job.micro_batch), run.seed)
    with tf32(settings.compute.amp != "off" and task.device.type == "cuda"):
        log = fit(net, losses, task.train, job, look)
    net.objective = None
    settle(net)
    pulled: files.Json = {} if share is None else {"attention_share": share}
    if added is not None:
        pulled["added_share"] = {"start": added, "end": log[-1].get("added_share") if log else added}
    if settings.attention and settings.attention.share is not None:
        pulled["attention_alpha"] = settings.attention.alpha
    return training_log.best(log) | pulled, training_log.cost(log)


def tap(net: Net, teacher: Net | None, settings: SnnSettings) -> None:
    """Tap the layers that the method compares; what is not tapped need not be kept for the backward pass."""
    net.taps = {}
    if settings.taps:
        for network in (net, given(teacher)):
            network.taps = TAPS[settings.taps](network.sides, network.side)


def check_trained(net: Net, task: Student) -> None:
    """InputError for a leak, threshold or offset that is to be trained and has no gradient in these neurons."""
    trained = {name: parameter for name, parameter in net.named_parameters() if name.endswith(TRAINED_BY_NEURONS)}
    if not trained:
        return
    logits = net.eval()(task.train.first(1).pixels.new_zeros(2, 1, 3, task.side, task.side, dtype=torch.float32)).logits
    found = torch.autograd.grad(logits.sum(), list(trained.values()), allow_unused=True)
    if lacking := [name for name, gradient in zip(trained, found, strict=True) if gradient is None]:
        kind = given(task.settings.spiking).kind
        raise InputError(
            f"{lacking[0]} is to be trained, but neurons of the kind {kind} have no gradient for it: use it in their "
            "`step`, or leave spiking.train_leak and train_thresholds at false"
        )


def normed(net: Net, task: Student) -> None:
    """Give a student batch norm: γ = θ behind random weights, else norms that leave the network as it is at first."""
    run, settings = task.run, task.settings
    if given(settings.spiking).init == "scratch":
        insert(net)  # thresholds are 1
        batch = next(plain_batches(task.held_out.first(NORMED), NORMED))
        noise = image_noise(settings.evaluation.seeds[0], range(len(batch)), task.device)
        encoded = encode(run.encoder, batch.x, run.steps, noise, settings.encoder.gain)
        take_statistics(net, lambda: net(encoded))
        return
    shown = task.held_out.first(given(settings.choices).images)
    insert_unchanged(net, lambda: task.simulated(net, shown))


def objective_for(net: Net, teacher: Net | None, run: SnnRun) -> Objective:
    """The run's objective; its weights, if it has some, are drawn for the tapped layers of student and teacher."""
    if not isinstance(OBJECTIVES.get(run.method), type):
        return objective_of(run.method, {}, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeding.key(run.seed, "objective", run.method))
        made = objective_of(run.method, tapped_shapes(net), tapped_shapes(given(teacher)))
    assert isinstance(made, nn.Module)
    return made.to(memory_format=torch.channels_last).to(net.readout.weight.device)


@torch.no_grad()
def tapped_shapes(net: Net) -> Shapes:
    """(C, H, W) of each tapped layer, (F,) of what the readout sees, by observation of one image."""
    mode, image = net.training, torch.zeros(1, 1, 3, net.side, net.side, device=net.readout.weight.device)
    seen = net.eval()(image)
    net.train(mode)
    return {level: tuple(stage.shape[2:]) for level, stage in (seen.stages | {FEATURES: seen.features}).items()}


def student_losses(net: Net, teacher: Net | None, run: SnnRun, settings: SnnSettings, logit_scale: str) -> Losses:
    """Encode, simulate, and ask the method's objective, whose weights, if it has some, are among the student's."""
    objective = objective_for(net, teacher, run)
    net.objective = objective if isinstance(objective, nn.Module) else None
    gain, spiking = settings.encoder.gain, given(settings.spiking)
    steps_at = STEPS[spiking.steps_schedule]
    taught = teacher if teacher is None or METHODS[run.method].chained else Recorded(teacher)

    def losses(part: Part, moment: Moment) -> dict[str, Tensor]:
        steps, device = steps_at(run.steps, moment.progress), part.batch.x.device
        noise = batch_noise(moment.draws("encoder", device), part.start, part.whole)
        # Spikes are exact in bfloat16; potentials stay float32 (the neuron sees to that).
        with products_in(settings.compute.amp, device.type), mean_rate(net, spiking.firing_penalty > 0) as rate:
            encoded = encode(run.encoder, part.batch.x, steps, noise, gain)
            output = net(encoded)
        logits, by_step = output.logits.float() / (steps if logit_scale == "mean" else 1), None
        if spiking.loss == "every_step" or METHODS[run.method].by_step:
            # The prediction is the mean of z^t, or T times it where logits are sums.
            by_step = output.currents.float() * (1 if logit_scale == "mean" else steps)

        def draw(purpose: str, count: int) -> Tensor:
            drawn = torch.rand(part.whole, count, generator=moment.draws(purpose, device), device=device)
            return drawn[part.start : part.start + len(part.batch)]

        step = Step(part.batch, output, logits, taught, moment.progress, encoded, by_step, draw)
        return objective(step, settings) | added_terms(step, rate(), spiking)

    return losses


def part_of_batch(net: Net, size: int, settings: SnnSettings) -> int:
    """`size`, or the whole batch where batch norm, the student's or its objective's, or a loss looks at all of it."""
    normed = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    return given(settings.training).batch if normed or settings.of_a_batch else size


def micro_batch(settings: SnnSettings, run: SnnRun, net: Net) -> int:
    """Images of a batch that are in memory at once. `auto` depends on settings and the kind of device only."""
    batch, asked = given(settings.training).batch, settings.compute.micro_batch
    if asked != "auto":
        return asked
    longest = STEPS[given(settings.spiking).steps_schedule](run.steps, 0.0)
    per_image = 12 * longest * census(net).neurons  # current, spikes and their gradient in float32
    if settings.attention and settings.attention.student_act == "per_step":
        per_image *= 2  # the running rate of each step and its gradient as well
    room = MICRO_BATCH_BYTES_GPU if net.readout.weight.is_cuda else MICRO_BATCH_BYTES
    fits = max(1, room // per_image)
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= fits)
