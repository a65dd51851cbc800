"""What a stage hands on: which images, seed, leak, logit scale, mode and start its parts get. Values by hand."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chains import CONVERTED, LASNN
from oracle import quick, settings_of, small, small_snn
from torch import nn
from torch.nn import functional as F
from trainings import pictures

import lasnn
from lasnn.console import Console
from lasnn.distillation import objectives
from lasnn.distillation.attention import VARIANTS
from lasnn.errors import InputError
from lasnn.networks import TAPS, batch_norm, census
from lasnn.networks.quantised import quantise, set_clips
from lasnn.plan.config import read
from lasnn.plan.runs import ConvertedRun, SnnRun
from lasnn.spiking import conversion, kinds
from lasnn.spiking.conversion import neurons
from lasnn.spiking.evaluation import LayerSpikes, evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.training import choices, training_log
from lasnn.training.device import device_of
from lasnn.training.loop import Moment
from lasnn.training.reading import read as task_of
from lasnn.training.stages import converted, shown, snn, student
from lasnn.training.stages.assessment import assess
from lasnn.training.task import Parent, Task

RUN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 4, "vgg16bn")


def task(settings, images, **changes):
    return Task(replace(RUN, **changes), settings, (), images, images, 4, 8)


def tapped(*networks):
    for network in networks:
        network.taps = TAPS["resolution"](network.sides, network.side)
    return networks


# ---- what is chosen before a training, and on which images -----------------------------------------------------------


def chosen(monkeypatch, accuracy_of, entropy=None, analog=1.0, spikes=(), **spiking):
    """What `choose` decides where a network of threshold s and this leak has `accuracy_of(s, leak)` percent."""

    def look(net, images, encoder, steps, **_):
        first = next(iter(neurons(net).values()), None)
        at = 95.0 if first is None else accuracy_of(round(first.threshold.item(), 6), first.dynamics.leak)
        entropies = {"sum": analog, "mean": analog} if first is None else entropy or {"sum": 2.0, "mean": 1.0}
        return SimpleNamespace(accuracy=at, cross_entropy=entropies, spikes=dict(spikes))

    def ready(scale):
        net = small_snn("vgg5", Dynamics())
        for neuron in neurons(net).values():
            neuron.threshold.fill_(scale)
        return net

    monkeypatch.setattr("lasnn.training.task.evaluate", look)
    asked = task(settings_of("hybrid", spiking=spiking), pictures())
    return choices.choose(asked, small("vgg5"), ready, asked.train, Console())


@pytest.mark.parametrize(("leaky", "leak"), [(80.0, 1.0), (87.9, 1.0), (88.0, 0.99), (89.0, 0.99), (95.0, 0.99)])
def test_the_leak_is_used_unless_it_costs_more_than_the_guard(monkeypatch, leaky, leak):
    """Without it 90 %, a guard of 2 points."""
    found = chosen(monkeypatch, lambda _, leak: 90.0 if leak == 1 else leaky, scale=0.5, leak=0.99, leak_guard=2.0)
    assert (found.leak, found.start_accuracy) == (leak, 90.0 if leak == 1 else leaky)
    assert found.start_accuracy_without_leak == 90.0


@pytest.mark.parametrize(("best", "scale"), [({0.5: 90.0}, 0.5), ({0.5: 90.0, 0.7: 90.0}, 0.7), ({0.9: 91.0}, 0.9)])
def test_the_scale_search_takes_the_best_and_of_equals_the_larger(monkeypatch, best, scale):
    """All other scales of the grid have 50 %."""
    found = chosen(monkeypatch, lambda s, _: best.get(s, 50.0), scale="search", leak=1.0)
    assert (found.scale, found.start_accuracy) == (scale, max(best.values()))
    assert set(found.accuracy_by_scale.values()) == {50.0, *best.values()}


@pytest.mark.parametrize("entropy", [{"sum": 2.0, "mean": 1.0}, {"sum": 1.0, "mean": 2.0}])
def test_auto_takes_the_logits_of_the_lower_cross_entropy(monkeypatch, entropy):
    found = chosen(monkeypatch, lambda *_: 90.0, entropy, scale=0.5, logit_scale="auto")
    assert found.logit_scale == min(entropy, key=entropy.get)
    assert found.start_cross_entropy == 1.0


@pytest.mark.parametrize(("start", "analog", "warned"), [(3.0, 1.0, False), (3.1, 1.0, True), (3.1, 1.6, False)])
def test_logits_that_start_saturated_are_named(monkeypatch, capsys, start, analog, warned):
    """A cross-entropy above 3 and above twice the ANN's."""
    chosen(monkeypatch, lambda *_: 90.0, {"sum": 2 * start, "mean": start}, analog, scale=0.5)
    assert ("the logits start saturated" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(("total", "said"), [(0, ["dead"]), (1, []), (38, []), (39, ["saturated"])])
def test_a_layer_that_starts_dead_or_saturated_is_named(monkeypatch, capsys, total, said):
    """Ten neurons, one image, four steps: saturated are more than 0.95 x 40 = 38 spikes."""
    layer = LayerSpikes(neurons=10, total=total, images=1, silent=0)
    chosen(monkeypatch, lambda *_: 90.0, spikes={"c1": layer}, scale=0.5)
    assert re.findall(r"warning: layer c1 is (\w+) before training", capsys.readouterr().err) == said


@pytest.mark.parametrize(("init", "said"), [("converted", 2), ("scratch", 0), ("converted_weights", 0)])
def test_what_a_student_does_not_start_from_is_not_warned_of(monkeypatch, capsys, init, said):
    """The converted network is dead and its logits are saturated; random weights and thresholds 1 take its place."""
    dead = {"c1": LayerSpikes(neurons=10, total=0, images=1, silent=10)}
    chosen(monkeypatch, lambda *_: 90.0, {"sum": 9.0, "mean": 9.0}, spikes=dead, scale=0.5, init=init)
    err = capsys.readouterr().err
    assert err.count("warning: ") == said
    assert ("converted network, not its start: s 0.5" in err) == (not said)


@pytest.mark.parametrize(("threshold", "dead"), [(0.125, []), (1e6, ["c1", "c2", "c3", "f1", "f2"])])
def test_a_layer_without_a_spike_is_dead(capsys, threshold, dead):
    judged = task(settings_of("hybrid"), pictures())
    metrics, _ = assess(small_snn("vgg5", threshold=threshold), judged, Console())
    assert re.findall(r"warning: layer (\w+) is dead: no spike in 10 test images", capsys.readouterr().err) == dead
    assert all(layer["total"] > 0 for name, layer in metrics["spikes"].items() if name not in dead)


def test_the_train_accuracy_is_that_of_held_out_training_images(chain):
    """The first `choices.images` (16) of the last 32 of 96, under the first encoder seed, of the finished network."""
    preset, run = read(chain.config).locate(f"{chain.results}/quick/{LASNN}")
    made, _ = task_of(preset, run, preset.settings(run), device_of("cpu"))
    net = lasnn.load(str(chain.folder(LASNN))).net
    expected = evaluate(net, made.train.last(32).first(16), "poisson", 6, rows=made.settings.compute.rows)
    assert chain.metrics(LASNN)["train_accuracy"] == expected.accuracy


def test_batch_norm_behind_random_weights_norms_the_first_held_out_images():
    """gamma is 1, and the running statistics of the first layer are those of its currents, by numpy."""
    judged = task(settings_of("hybrid", spiking={"init": "scratch"}), pictures(), encoder="direct")
    net = small_snn("vgg5", Dynamics())
    first = net.layers["c1"].synapses
    x = judged.held_out.first(student.NORMED).pixels.float() / 127.5 - 1
    current = first(x[None])[0].detach().transpose(0, 1).flatten(1).double().numpy()
    student.normed(net, judged)
    assert first.batch_norm.weight.eq(1).all()
    np.testing.assert_allclose(first.batch_norm.running_mean, current.mean(1), atol=1e-5)
    np.testing.assert_allclose(first.batch_norm.running_var, current.var(1), rtol=1e-2)


def test_the_best_test_accuracy_is_that_of_any_epoch():
    log = [{"test_accuracy": accuracy, "seconds": 2.0} for accuracy in (50.0, 60.0, 55.0)]
    assert training_log.best(log) == {"accuracy_best_test": 60.0, "epochs": 3}
    assert training_log.cost(log) == {"training_seconds": 6.0}


# ---- the weight of the attention loss --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "method"), [("mean", "lasnn_act"), ("sum", "lasnn_act"), ("sum", "lasnn_grad")])
def test_alpha_gives_the_attention_loss_its_share_of_the_gradient(scale, method):
    """||dL_at/do|| is `share` times ||dL_ce/do|| at the level where the ratio is largest, by plain autograd; α for
    half the share is half of it; without a share α is as it was.
    """
    net, teacher = tapped(small_snn("vgg5", Dynamics(0.5), threshold=0.125), small("vgg16bn"))

    def weighted(**attention):
        asked = task(settings_of(method, attention=attention), pictures(8), method=method)
        return asked, shown.with_alpha(asked, net, teacher, scale)

    (_, made), norms = weighted(share=0.25), []
    found = made.settings
    for of_maps in (True, False):
        output, batch = shown.shown_to(made, net, made.train, 8)
        maps = VARIANTS[method].of_teacher(teacher, batch.x, batch.labels, found.attention)
        loss = F.cross_entropy(output.logits / (1 if scale == "sum" else RUN.steps), batch.labels)
        if of_maps:
            loss = found.attention.alpha / 2 * VARIANTS[method].loss(maps, output, found.attention)
        norms.append([grad.norm().item() for grad in torch.autograd.grad(loss, list(output.stages.values()))])
    ratios = [attention / rest for attention, rest in zip(*norms, strict=True)]
    assert max(ratios) == pytest.approx(0.25, rel=1e-4)
    weaker = weighted(share=0.125)[1].settings.attention
    assert weaker.alpha == pytest.approx(found.attention.alpha / 2)
    before, after = weighted()
    assert after is before


def test_alpha_goes_by_the_first_64_held_out_images(monkeypatch):
    """Of those the first ones are encoded."""
    shown_to, taken = [], []

    def share(task, net, teacher, images, logit_scale, count):
        shown_to.append((images.ids.tolist(), task.settings.attention.alpha, count))
        return {"low": 0.5, "high": 2.0}

    monkeypatch.setattr(shown, "gradient_share", share)
    asked = task(settings_of(attention={"share": 0.25}, data={"held_out": 70}), pictures(75))
    found = shown.with_alpha(asked, None, None, "mean")
    assert shown_to == [(list(range(5, 69)), 1.0, 64)]
    assert found.settings.attention.alpha == 0.125
    monkeypatch.setattr(shown, "encode", lambda encoder, x, *of: taken.append(x) or x[None])
    shown.shown_to(asked, small("vgg5"), asked.train, 5)
    torch.testing.assert_close(taken[0], asked.train.pixels[:5].float() / 127.5 - 1)


@pytest.mark.parametrize(("threshold", "silent"), [(0.125, 0.0), (1e6, 1.0)])
def test_the_log_counts_images_whose_maps_are_zero(threshold, silent):
    networks = tapped(small_snn("vgg5", threshold=threshold), small("vgg16bn"))
    found = shown.watched_maps(task(settings_of(), pictures(8)), *networks)["silent_maps"]
    assert found["low"] == silent


def test_the_log_has_the_mean_norm_of_each_networks_maps(monkeypatch):
    """Of two images, with norms 5 and 0 of the teacher's maps, and 10 and 0 of the student's."""
    maps = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]])
    monkeypatch.setattr(shown, "compared_maps", lambda *networks: [("low", maps, 2 * maps)])
    found = shown.watched_maps(task(settings_of(), pictures(2)), None, None)
    assert found == {"silent_maps": {"low": 0.5}, "map_norms": {"low": [2.5, 5.0]}}


def test_metrics_hold_the_warnings_of_a_run_that_has_any(chain):
    for path in (LASNN, CONVERTED):
        metrics = chain.metrics(path)
        warned = [line for line in metrics.get("warnings", []) if "weaker than its own ANN" in line]
        assert len(warned) == metrics.get("teacher_weaker", 0)
        assert metrics.get("warnings", ["none"])


def test_a_share_of_no_gradient_is_one_line():
    """A student that does not spike has no maps to pull at."""
    networks, asked = tapped(small_snn("vgg5", threshold=1e6), small("vgg16bn")), {"share": 0.25}
    with pytest.raises(InputError, match=r"attention.share is 0.25, but .* no gradient .*: set attention.alpha"):
        shown.with_alpha(task(settings_of(attention=asked), pictures(4)), *networks, "mean")


@pytest.mark.parametrize(("teacher", "weaker"), [(None, False), (69.99, True), (70.0, False)])
def test_a_teacher_below_the_students_own_ann_gets_a_warning(capsys, teacher, weaker):
    assert snn.compare(RUN, 70.0, teacher, Console()) is weaker
    assert ("the teacher is the weaker" in capsys.readouterr().err) is weaker


# ---- how many images of a batch are in memory at once, and what is trained beside weights ----------------------------


@pytest.mark.parametrize(
    ("room", "variant", "images"),
    [
        (16, "base", 16),
        (15.9, "base", 8),  # of a batch of 16 the next divisor
        (4, "base", 4),
        (0.5, "base", 1),  # one image at least
        (16, "double_first", 8),  # its first epochs have twice the steps
        (16, "per_step", 8),  # the running rate of each step and its gradient are kept as well
    ],
)
def test_micro_batches_by_hand(monkeypatch, room, variant, images):
    """An image takes 12 bytes for each neuron and step; there is room for `room` of them."""
    net = small_snn("vgg5", Dynamics())
    monkeypatch.setattr(student, "MICRO_BATCH_BYTES", int(room * 12 * RUN.steps * census(net).neurons))
    assert student.micro_batch(quick().settings(replace(RUN, variant=variant)), RUN, net) == images


@pytest.mark.parametrize("change", [conversion.train_leaks, conversion.train_thresholds, conversion.train_offsets])
def test_a_neuron_that_ignores_what_is_trained_is_named(monkeypatch, change):
    """A leak, a threshold or an offset without a gradient would be left as it was, silently."""

    class Stubborn:
        def step(self, layer, state, current):
            state["v"] = 0 * current.detach()
            return 0 * current.detach() + 1

    def check(kind):
        change(net := small_snn("vgg5", Dynamics(0.5, kind=kind), threshold=0.01))
        student.check_trained(net, task(settings_of("hybrid", spiking={"kind": kind}), pictures(1)))

    monkeypatch.setitem(kinds.KINDS, "stubborn", Stubborn())
    check("lif")
    check("alif")
    with pytest.raises(InputError, match="is to be trained, but neurons of the kind stubborn have no gradient"):
        check("stubborn")


def test_batches_of_a_normed_student_are_whole():
    """Statistics of batch norm are those of a batch: of the student, or of what its objective projects with."""
    net, settings = small_snn("vgg5", Dynamics()), settings_of()
    assert student.part_of_batch(net, 4, settings) == 4
    net.objective = objectives.objective_of("kd_features", {"low": (8, 4, 4)}, {"low": (16, 4, 4)})
    assert student.part_of_batch(net, 4, settings) == settings.training.batch
    net.objective = None
    assert student.part_of_batch(batch_norm.insert(net), 4, settings) == settings.training.batch


@pytest.mark.parametrize(
    ("method", "spiking", "whole"),
    [
        ("kd_saliency", {}, True),
        ("hybrid", {"consistency": 1.0, "loss": "every_step", "consistency_target": "weakest"}, True),
        ("hybrid", {"consistency": 1.0, "loss": "every_step", "consistency_target": "strongest"}, True),
        ("hybrid", {"consistency": 1.0, "loss": "every_step", "consistency_target": "correct"}, False),
        ("hybrid", {"consistency_target": "weakest"}, False),  # which is off
        ("lasnn_act", {}, False),
    ],
)
def test_a_loss_over_a_batch_gets_whole_ones(method, spiking, whole):
    """Extremes of a batch's maps, and the confidence of its steps, are no sums over its parts."""
    settings = settings_of(method, spiking=spiking)
    expected = settings.training.batch if whole else 4
    assert student.part_of_batch(small_snn("vgg5", Dynamics()), 4, settings) == expected


@pytest.mark.parametrize("repeated", [False, True])
def test_calibration_draws_each_step_anew_or_repeats_its_first_chunk(repeated):
    """Two chunks of three steps and one of two, the same at every pass; encoded at once where nothing is repeated."""
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    chunks = converted.in_chunks("poisson", x, 8, 15, 5, 1.0, repeated)
    first, second, rest = chunks()
    assert [len(first), len(second), len(rest)] == [3, 3, 2]
    assert all(torch.equal(one, two) for one, two in zip(chunks(), (first, second, rest), strict=True))
    assert torch.equal(first, second) == torch.equal(first[:2], rest) == repeated
    (whole,) = converted.in_chunks("poisson", x, 8, 32, 5, 1.0)()
    assert repeated or torch.equal(torch.cat([first, second, rest]), whole)


def test_a_clip_that_lets_nothing_pass_is_named():
    """As a threshold it would have every neuron spike at rest."""
    ann = quantise(small("vgg5"), 4)
    set_clips(ann, [1.0, 0.5, -0.25, 1.0, 1.0])
    net = conversion.spiking(ann, Dynamics())
    settings = settings_of("hybrid", network={"levels": 4}, balancing={"norm": "clip"})
    with pytest.raises(InputError, match=r"took the clip of layer c3 to -0\.25, where nothing passes"):
        converted.balanced_anew(task(settings, pictures(1)), net, ann, Console())


@pytest.mark.parametrize("levels", [None, 4])
def test_a_network_whose_readout_spikes_gives_its_weights_to_an_ann(levels):
    """Neurons of the readout, and their constant current, have no place in the ANN; clips are set afterwards."""
    ann = small("vgg5") if levels is None else quantise(small("vgg5"), levels)
    net = conversion.with_spiking_readout(conversion.spiking(ann, Dynamics()), Dynamics())
    net.readout.activation.offset = torch.ones(len(net.readout.weight))
    weights = {name: value + 1 for name, value in net.state_dict().items()}
    parent = Parent(RUN, None, settings_of(network={"levels": levels}).network, weights, {})
    ann.load_state_dict(snn.of_the_ann(parent))
    assert torch.equal(ann.readout.weight, net.readout.weight + 1)


@pytest.mark.parametrize("name", ["layers.c1.activation.offset", "readout.bias"])
def test_a_gain_is_refused_where_an_adopted_bias_would_not_shrink_with_the_input(name):
    run, weights = ConvertedRun("digits", "vgg5", "poisson"), {name: torch.ones(8)}
    converted.check_gain(run, 1.0, weights)
    converted.check_gain(replace(run, encoder="direct"), 0.5, weights)  # which it has no say in
    with pytest.raises(InputError, match=f"encoder.gain is 0.5, but vgg5 has constant currents .*{name}"):
        converted.check_gain(run, 0.5, weights)


class Weighted(nn.Module):
    """Two weights that are trained, one that isn't, and batch norm as a loss of its own."""

    def __init__(self):
        super().__init__()
        self.weight, self.fixed = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
        self.objective = nn.BatchNorm1d(1)


def test_what_is_added_to_cross_entropy_pulls_by_its_norm_over_all_weights():
    """Gradients (3, 4) of cross-entropy, (6, 0) and (0, 8) of two other terms: 10 / 5."""
    net, seen = Weighted(), []

    def losses(part, moment):
        seen.append((part.batch.x.tolist(), part.start, part.whole, moment))
        assert (net.training, net.objective.training) == (False, True)
        own = net.objective(torch.arange(8.0)[:, None]).sum()
        a, b = net.weight
        return {"ce": 3 * a + 4 * b, "kd": 6 * a + 100 * own, "self": 8 * b}

    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert shown.added_share(net, losses, pictures(9), 5) == pytest.approx(2.0)
    first = (pictures(9).pixels[:8].float() / 127.5 - 1).tolist()
    assert seen == [(first, 0, 8, Moment(5, 0, 0, 0.0))] * 2
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(("ce", "others"), [(3.0, {}), (0.0, {"kd": 1.0})])
def test_a_share_takes_both_terms(ce, others):
    net = Weighted()
    terms = {"ce": ce} | others
    losses = lambda *_: {name: factor * net.weight.sum() for name, factor in terms.items()}  # noqa: E731
    assert shown.added_share(net, losses, pictures(8), 0) is None
