"""What a stage hands on: which images, seed, leak, logit scale, mode and start its parts get. Values by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chains import CONVERTED, HEAD, LASNN
from oracle import quick, settings_of, small, small_snn
from torch.nn import functional as F
from trainings import pictures

import lasnn
from lasnn.console import Console
from lasnn.datasets.batches import Batch, Images
from lasnn.distillation.attention import VARIANTS
from lasnn.errors import InputError
from lasnn.networks import TAPS
from lasnn.plan.config import read
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun
from lasnn.spiking.conversion import neurons, thresholds
from lasnn.spiking.evaluation import evaluate
from lasnn.spiking.neurons import Dynamics
from lasnn.storage import files
from lasnn.training import choices
from lasnn.training.device import device_of
from lasnn.training.loop import Moment, Part
from lasnn.training.reading import read as task_of
from lasnn.training.stages import assessment, converted, shown, snn, student
from lasnn.training.task import Parent, Task
from lasnn.training.training_log import TrainingLog

RUN = SnnRun("digits", "vgg5", "lasnn_act", "poisson", 4, "vgg16bn")


# ---- what a loss is shown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["mean", "sum"])
@pytest.mark.parametrize("spiking", [{}, {"steps_schedule": "double_first"}, {"loss": "every_step"}])
def test_losses_see_logits_summed_over_the_steps_that_were_simulated_or_their_mean(monkeypatch, scale, spiking):
    """Eq. (3): z = sum_t z^t; `mean` divides by the T of this epoch; logits of single steps have z as their mean."""
    net, seen = small_snn("vgg5", Dynamics(0.5)), []
    monkeypatch.setitem(student.OBJECTIVES, "hybrid", lambda step, _: seen.append(step) or {"ce": step.logits.sum()})
    run, settings = replace(RUN, method="hybrid", teacher="none"), settings_of("hybrid", spiking=spiking)
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    losses = student.student_losses(net, None, run, settings, scale)
    with torch.no_grad():
        losses(Part(Batch(x, torch.tensor([0, 1])), 0, 2), Moment(0, 0, 0, 0.0))
    (step,) = seen
    steps = 8 if "steps_schedule" in spiking else 4
    assert len(step.encoded) == len(step.output.currents) == steps
    summed = step.output.currents.sum(0)
    assert summed.any()
    assert torch.allclose(step.logits, summed / (steps if scale == "mean" else 1), rtol=1e-4)
    if "loss" in spiking:
        assert torch.allclose(step.by_step.mean(0), step.logits, rtol=1e-4)
    else:
        assert step.by_step is None


# ---- what is chosen before a training, and on which images -----------------------------------------------------------


def chosen(monkeypatch, accuracy_of, entropy=None, **spiking):
    """What `choose` decides where a network of threshold s and this leak has `accuracy_of(s, leak)` percent."""

    def look(net, images, encoder, steps, **_):
        first = next(iter(neurons(net).values()), None)
        at = 95.0 if first is None else accuracy_of(round(first.threshold.item(), 6), first.dynamics.leak)
        return SimpleNamespace(accuracy=at, cross_entropy=entropy or {"sum": 2.0, "mean": 1.0}, spikes={})

    def ready(scale):
        net = small_snn("vgg5", Dynamics())
        for neuron in neurons(net).values():
            neuron.threshold.fill_(scale)
        return net

    monkeypatch.setattr(choices, "evaluate", look)
    settings = settings_of("hybrid", spiking=spiking)
    return choices.choose(small("vgg5"), ready, pictures(), "poisson", 4, settings, Console())


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


def task(run=RUN, **data):
    settings = quick().settings(run)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update=data)})
    test = Images(pictures(4).pixels, pictures(4).labels, torch.arange(100, 104))
    return Task(run, settings, (), pictures(10), test, 4, 8)


def test_the_log_watches_the_first_test_images():
    assert task(watched=2).watched.ids.tolist() == [100, 101]
    assert task().watched.ids.tolist() == [100, 101, 102, 103]


def test_automatic_choices_look_at_the_last_training_images():
    assert task(held_out=3).held_out.ids.tolist() == [7, 8, 9]


def test_the_train_accuracy_is_that_of_held_out_training_images(chain):
    """The first `choices.images` (16) of the last 32 of 96, under the first encoder seed, of the finished network."""
    preset, run = read(chain.config).locate(f"{chain.results}/quick/{LASNN}")
    made, _ = task_of(preset, run, preset.settings(run), device_of("cpu"))
    net = lasnn.load(str(chain.folder(LASNN))).net
    expected = evaluate(net, made.train.last(32).first(16), "poisson", 6, rows=made.settings.compute.rows)
    assert files.read_json(chain.folder(LASNN) / "metrics.json")["train_accuracy"] == expected.accuracy


# ---- which network a training starts from ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv3fc2", "vgg5"])
def test_each_seed_has_initial_weights_of_its_own(kind):
    nets = [task(AnnRun("digits", kind, seed=seed)).new_network().state_dict() for seed in (0, 1, 0)]
    for name, first in nets[0].items():
        assert torch.equal(first, nets[2][name])
        assert not first.is_floating_point() or not torch.equal(first, nets[1][name])


@pytest.mark.parametrize("init", ["converted", "converted_weights", "scratch"])
def test_a_student_has_the_chosen_leak_and_starts_at_its_potential(init):
    """v^0 = θ/2 in every layer for potential 0.5, with the converted thresholds or with thresholds 1."""
    start = snn.Start(small("vgg5"), 0.0, lambda scale: snn.start_at(small_snn("vgg5"), 0.5))
    decided = SimpleNamespace(scale=1.0, leak=0.9)
    settings = settings_of("hybrid", spiking={"init": init, "potential": 0.5})
    net = snn.student_from(start, decided, Dynamics(), RUN, settings)
    assert {neuron.dynamics.leak for neuron in neurons(net).values()} == {0.9}
    assert set(thresholds(net).values()) == {0.25 if init == "converted" else 1.0}
    assert all(neuron.initial.item() == neuron.threshold.item() / 2 for neuron in neurons(net).values())


def test_an_analog_teacher_is_frozen_in_evaluation_mode():
    """Batch norm by its running statistics, no dropout, no gradient."""
    parent = SimpleNamespace(meta={"accuracy": 90.0})
    made = SimpleNamespace(run=RUN, teacher=lambda: parent, network_of=lambda _: small("vgg16bn").train())
    teacher, accuracy = snn.teacher_of(made, Dynamics())
    assert accuracy == 90.0
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_spiking_teacher_is_frozen_with_the_leak_that_it_was_trained_with(chain):
    if not chain.folder(HEAD).exists():
        chain.run(HEAD)
    preset, run = read(chain.config).locate(f"{chain.results}/quick/{HEAD}")
    made, _ = task_of(preset, run, preset.settings(run), device_of("cpu"))
    weights = torch.load(chain.folder(HEAD) / "model.pt", weights_only=True)["weights"]
    arch = preset.config.networks.known["vgg5"]
    parent = Parent(run, arch, made.settings.network, weights, {"leak": 0.75, "accuracy": 50.0})
    taught = replace(run, student="conv3fc2", teacher="snn_vgg5")
    teacher, _ = snn.teacher_of(replace(made, run=taught, parents=(parent,)), Dynamics())
    leaks = {name: neuron.dynamics.leak for name, neuron in neurons(teacher).items()}
    assert leaks.pop("readout") == 1  # it counts
    assert set(leaks.values()) == {0.75}
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


# ---- conversion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stat", "combined"), [("max", [3.0, 5.0]), ("p99.7", [2.0, 4.5])])
def test_thresholds_over_calibration_batches(monkeypatch, stat, combined):
    """Two batches that give (1, 5) and (3, 4): the largest of each layer (`max`), or the mean (`p99.7`)."""
    found = iter([{"f1": 1.0, "f2": 5.0}, {"f1": 3.0, "f2": 4.0}])
    monkeypatch.setattr(converted, "balance", lambda *_: next(found))
    monkeypatch.setattr(converted, "set_thresholds", lambda net, values: net.extend(values))
    run = ConvertedRun("digits", "conv3fc2", "poisson")
    made = task(run)
    balancing = made.settings.balancing.model_copy(update={"batches": 2, "images": 4, "stat": stat})
    net = []
    settings = made.settings.model_copy(update={"balancing": balancing})
    assert converted.balance_batches(net, made.train, run, settings, Console()) == [[1.0, 5.0], [3.0, 4.0]]
    assert net == combined


@pytest.mark.parametrize("encoder", ["poisson", "direct"])
def test_calibration_batches_are_other_images_under_other_noise_at_the_gain(encoder):
    """The same at every pass; another batch: other images. A rate code's mean is gain x; direct input is x itself."""
    run = ConvertedRun("digits", "vgg5", encoder)
    made = task(run, crop_padding=0)
    update = {"images": 4, "steps": 400, "batches": 2}
    settings = made.settings.model_copy(
        update={
            "balancing": made.settings.balancing.model_copy(update=update),
            "encoder": made.settings.encoder.model_copy(update={"gain": 0.5}),
        }
    )
    x = [converted.calibration_images(made.train, run, settings, 4, batch) for batch in (0, 1)]
    first, second, again = (
        torch.cat(list(converted.calibration(made.train, run, settings, batch)())) for batch in (0, 1, 0)
    )
    assert first.shape == (400, 4, 3, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(x[0], x[1])
    gain = 0.5 if encoder == "poisson" else 1.0
    for spikes, images in ((first, x[0]), (second, x[1])):
        assert torch.allclose(spikes.mean(0), gain * images, atol=0.15 if encoder == "poisson" else 1e-6)


def test_encoder_noise_differs_between_calibration_batches(monkeypatch):
    """Of the same images, batch by batch."""
    run, plain = ConvertedRun("digits", "vgg5", "poisson"), torch.full((2, 3, 8, 8), 0.5)
    monkeypatch.setattr(converted, "calibration_images", lambda *_: plain)
    made = task(run)
    first, second = (next(converted.calibration(made.train, run, made.settings, batch)()) for batch in (0, 1))
    assert not torch.equal(first, second)


def test_a_curve_has_the_accuracy_of_the_predictions_at_each_moment(chain):
    """Classes after T steps against the labels, at T of the grid: 10 and 20."""
    metrics = files.read_json(chain.folder(CONVERTED) / "metrics.json")
    with (
        np.load(chain.folder(CONVERTED) / "predictions.npz") as kept,
        np.load(chain.folder(LASNN) / "predictions.npz") as trained,
    ):
        predicted, labels = kept["predicted"], trained["labels"][:20]
        assert kept["steps"].tolist() == [10, 20]
    for curve, classes in zip(metrics["curves"], predicted, strict=True):
        by_hand = [100 * float((row == labels).mean()) for row in classes]
        assert list(curve["accuracy"].values()) == pytest.approx(by_hand)
        assert curve["final"] == pytest.approx(by_hand[-1])


# ---- what a finished network is judged by ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "seeds", "accuracy"), [("poisson", ["0", "1", "2"], 60.0), ("direct", ["0"], 50.0)]
)
def test_the_accuracy_is_the_mean_over_encoder_seeds(monkeypatch, encoder, seeds, accuracy):
    """50, 60 and 70 % under seeds 0, 1 and 2; direct input has no noise and is looked at once."""

    def look(net, test, encoder, steps, seed=0, **_):
        predicted, logits = np.full((1, 2), seed, np.int16), np.zeros((2, 4), np.float32)
        return SimpleNamespace(
            accuracy=50.0 + 10 * seed, accuracy_by_step=np.array([0.0]), spikes={}, logits=logits, predicted=predicted
        )

    monkeypatch.setattr(assessment, "evaluate", look)
    monkeypatch.setattr(assessment, "operations", lambda *_: {})
    settings = settings_of("hybrid", evaluation={"seeds": (0, 1, 2)})
    metrics, kept = assessment.assess(None, pictures(2), replace(RUN, encoder=encoder), settings, Console())
    assert metrics["accuracy"] == accuracy
    assert metrics["accuracy_by_seed"] == {seed: 50.0 + 10 * int(seed) for seed in seeds}
    assert kept["predicted"].tolist() == [[int(seed)] * 2 for seed in seeds]
    assert kept["encoder_seeds"].tolist() == [int(seed) for seed in seeds]


def test_the_best_test_accuracy_is_that_of_any_epoch(tmp_path):
    log = TrainingLog(tmp_path / "log.jsonl")
    for accuracy in (50.0, 60.0, 55.0):
        log.add({"test_accuracy": accuracy, "seconds": 2.0})
    assert log.best() == {"accuracy_best_test": 60.0, "epochs": 3}
    assert log.cost() == {"training_seconds": 6.0}


# ---- the weight of the attention loss --------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "method"), [("mean", "lasnn_act"), ("sum", "lasnn_act"), ("sum", "lasnn_grad")])
def test_alpha_gives_the_attention_loss_its_share_of_the_gradient(scale, method):
    """||dL_at/do|| is `share` times ||dL_ce/do|| at the level where the ratio is largest, by plain autograd; α for
    half the share is half of it; without a share α is as it was.
    """
    run = replace(RUN, method=method)
    net, teacher = small_snn("vgg5", Dynamics(0.5), threshold=0.125), small("vgg16bn")
    settings = settings_of(method, attention={"share": 0.25})
    for network in (net, teacher):
        network.taps = TAPS["resolution"](network.sides, network.side)
    images = pictures(8)
    found = shown.with_alpha(net, teacher, images, run, settings, scale)
    norms = []
    for of_maps in (True, False):
        output, batch = shown.shown_to(net, images, run, settings, 8)
        maps = VARIANTS[method].of_teacher(teacher, batch.x, batch.labels, found.attention)
        loss = F.cross_entropy(output.logits / (1 if scale == "sum" else run.steps), batch.labels)
        if of_maps:
            loss = found.attention.alpha / 2 * VARIANTS[method].loss(maps, output, found.attention)
        norms.append([grad.norm().item() for grad in torch.autograd.grad(loss, list(output.stages.values()))])
    ratios = [attention / rest for attention, rest in zip(*norms, strict=True)]
    assert max(ratios) == pytest.approx(0.25, rel=1e-4)
    half = settings.model_copy(update={"attention": settings.attention.model_copy(update={"share": 0.125})})
    weaker = shown.with_alpha(net, teacher, images, run, half, scale).attention
    assert weaker.alpha == pytest.approx(found.attention.alpha / 2)
    plain = settings_of(method)
    assert shown.with_alpha(net, teacher, images, run, plain, scale) is plain


def test_alpha_goes_by_the_first_64_held_out_images(monkeypatch):
    shown_to = []

    def share(net, teacher, images, run, settings, logit_scale, count):
        shown_to.append((images.ids.tolist(), settings.attention.alpha, count))
        return {"low": 0.5, "high": 2.0}

    monkeypatch.setattr(shown, "gradient_share", share)
    images = pictures(70)
    found = shown.with_alpha(None, None, images, RUN, settings_of(attention={"share": 0.25}), "mean")
    assert shown_to == [(images.ids[:64].tolist(), 1.0, 64)]
    assert found.attention.alpha == 0.125


@pytest.mark.parametrize(("threshold", "silent"), [(0.125, 0.0), (1e6, 1.0)])
def test_the_log_counts_images_whose_maps_are_zero(threshold, silent):
    net, teacher = small_snn("vgg5", threshold=threshold), small("vgg16bn")
    for network in (net, teacher):
        network.taps = TAPS["resolution"](network.sides, network.side)
    found = shown.watched_maps(net, teacher, pictures(8), RUN, settings_of())["silent_maps"]
    assert found["low"] == silent


def test_metrics_hold_the_warnings_of_a_run_that_has_any(chain):
    for path in (LASNN, CONVERTED):
        metrics = files.read_json(chain.folder(path) / "metrics.json")
        warned = [line for line in metrics.get("warnings", []) if "weaker than its own ANN" in line]
        assert len(warned) == metrics.get("teacher_weaker", 0)
        assert metrics.get("warnings", ["none"])


def test_a_share_of_no_gradient_is_one_line():
    """A student that does not spike has no maps to pull at."""
    net, teacher = small_snn("vgg5", threshold=1e6), small("vgg16bn")
    for network in (net, teacher):
        network.taps = TAPS["resolution"](network.sides, network.side)
    with pytest.raises(InputError, match=r"attention.share is 0.25, but .* no gradient .*: set attention.alpha"):
        shown.with_alpha(net, teacher, pictures(4), RUN, settings_of(attention={"share": 0.25}), "mean")


@pytest.mark.parametrize(("teacher", "weaker"), [(None, False), (69.99, True), (70.0, False)])
def test_a_teacher_below_the_students_own_ann_gets_a_warning(capsys, teacher, weaker):
    assert snn.compare(RUN, 70.0, teacher, Console()) is weaker
    assert ("the teacher is the weaker" in capsys.readouterr().err) is weaker
