"""What a run costs, by hand: multiply-adds counted pass by pass, and a timed call shared out among its own."""

from types import SimpleNamespace

import pytest
import torch
from oracle import quick, small_snn
from worlds import RUN, plan

from lasnn.networks import Census
from lasnn.plan.config import merged, read
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun, parse
from lasnn.training import diagnose, estimate
from lasnn.training.diagnose import Trial
from lasnn.training.estimate import Estimates, untrained

HYBRID = SnnRun("digits", "vgg5", "hybrid", "poisson", 10)
CALIBRATED = SnnRun("digits", "vgg5", "calibration", "direct", 4)
COUNTED = {  # few of each, and no two alike, so that no other product is the same
    "data": {"train_images": 100, "test_images": 30, "held_out": 20},
    "teacher": {"epochs": 2},
    "ann": {"epochs": 3},
    "balancing": {"images": 8, "batches": 3, "steps": 50, "norm": "tb"},
    "curve": {"images": 12, "steps": 40, "scales": [1.0, 0.7]},
    "choices": {"images": 16, "scale_grid": [0.5, 0.7, 1.0]},
    "student": {"epochs": 4},
    "evaluation": {"seeds": [0, 1, 2]},
    "calibration": {"images": 24, "weights": {"images": 6, "steps": 7, "batch": 5}},
}
PASS, TAUGHT = 1, 10**9  # multiply-adds of a pass of the network, and of its teacher's
LOOKED = (4 + 3) * 30 + 2 * 16  # 4 looks at the test images and 3 encoder seeds; s alone and with the leak


def estimates(preset, monkeypatch=None):
    if monkeypatch:
        macs = lambda run: TAUGHT if run.network_name == "vgg16bn" else PASS  # noqa: E731
        monkeypatch.setattr(Estimates, "sizes", lambda self, run: Census(0, 0, macs(run)))
    return Estimates(preset, torch.device("cpu"))


@pytest.mark.parametrize(
    ("run", "changed", "passes"),
    [
        (AnnRun("digits", "vgg5"), {}, 3 * (100 * 3 + 30) + 30),
        (AnnRun("digits", "vgg5"), {"data": {"watched": 7}}, 3 * (100 * 3 + 7) + 30),
        (AnnRun("digits", "vgg16bn"), {}, (2 * (100 * 3 + 30) + 30) * TAUGHT),
        (ConvertedRun("digits", "vgg5", "poisson"), {}, 2 * 8 * 3 * 50 + 2 * 12 * 40),
        (ConvertedRun("digits", "vgg5", "poisson"), {"curve": {"images": None}}, 2400 + 2 * 30 * 40),
        (
            ConvertedRun("digits", "vgg5", "poisson"),
            {"network": {"levels": 4}, "balancing": {"norm": "clip"}},
            2 * 12 * 40,  # thresholds are learned clips
        ),
        (HYBRID, {}, LOOKED * 10 + 4 * 100 * 3 * 10),
        (HYBRID, {"spiking": {"scale": "search"}}, (LOOKED + 2 * 16) * 10 + 4 * 100 * 3 * 10),
        (HYBRID, {"data": {"held_out": 11}}, (LOOKED - 2 * 5) * 10 + 4 * 100 * 3 * 10),
        (SnnRun("digits", "vgg5", "hybrid", "direct", 10), {}, (LOOKED - 2 * 30) * 10 + 4 * 100 * 3 * 10),
        (SnnRun("digits", "vgg5", "conversion", "poisson", 10), {}, (3 * 30 + 16) * 10),
        # an analog teacher passes once over each image, a spiking one in every step
        (parse("snn/digits/vgg5/kd_label/poisson-T10/vgg16bn/base/s0"), {}, LOOKED * 10 + 400 * (3 * 10 + TAUGHT)),
        (parse("snn/digits/vgg5/kd_spike/poisson-T10/snn_vgg5/base/s0"), {}, LOOKED * 10 + 400 * (3 + 1) * 10),
        # the test images; each of five layers before and after its correction, behind half of the network on average
        (CALIBRATED, {}, (30 + 5 * 24) * 4),
        (CALIBRATED, {"calibration": {"form": "advanced_weights"}}, (30 + 5 * 24 + 5 * 6 / 2) * 4 + 3 * 7 * 5),
    ],
)
def test_multiply_adds_by_hand(monkeypatch, run, changed, passes):
    of = estimates(plan(merged(COUNTED, changed)), monkeypatch)
    assert of.multiply_adds(run) == passes * PASS


def test_an_adopted_ann_is_only_measured(monkeypatch):
    preset = plan(COUNTED)
    settings = preset.settings(AnnRun("digits", "vgg5")).model_copy(update={"training": None})
    monkeypatch.setattr(type(preset), "settings", lambda self, run: settings)
    assert estimates(preset, monkeypatch).multiply_adds(AnnRun("digits", "vgg5")) == 30 * PASS


def test_the_rate_of_a_gpu_is_that_of_the_epoch_that_was_measured():
    """125 s for 50,000 images: three passes of VGG5 in each of 100 steps, one of VGG16 (docs/performance.md)."""
    of = estimates(read().preset("paper"))
    student, teacher = (of.sizes(AnnRun("cifar10", name)).macs for name in ("vgg5", "vgg16bn"))
    assert pytest.approx(125) == 50_000 * (300 * student + teacher) / estimate.H100


@pytest.mark.parametrize(
    ("run", "images", "passes"),
    [
        (AnnRun("digits", "vgg5"), 12, 3),  # an update of the whole batch
        (ConvertedRun("digits", "vgg5", "poisson"), 64, 100),  # a look at no more than 100 steps
        (SnnRun("digits", "vgg5", "conversion", "poisson", 10), 64, 10),
        (HYBRID, 24, 3 * 10),
        (parse("snn/digits/vgg5/kd_label/poisson-T10/vgg16bn/base/s0"), 24, 3 * 10 + TAUGHT),
    ],
)
def test_a_timed_call_is_shared_out_by_hand(monkeypatch, run, images, passes):
    """A call takes 6 s."""
    monkeypatch.setattr(estimate, "timed", lambda call, device: 6.0)
    monkeypatch.setattr(estimate, "LARGEST", 1e30)
    of = estimates(plan({}), monkeypatch)
    assert of.seconds_each(run) == pytest.approx(6 / (images * passes * PASS))


def test_of_a_large_network_fewer_images_are_timed(monkeypatch):
    """Of 12 images those that stay below the limit, or one: an update of an image takes three passes."""
    seen = []
    monkeypatch.setattr(estimate, "timed", lambda call, device: 6.0)
    monkeypatch.setattr(Estimates, "_call", lambda self, task, steps: seen.append(len(task.train)))
    for limit, rate in ((3 * 4 * PASS, 6 / (4 * 3)), (PASS, 6 / 3)):
        monkeypatch.setattr(estimate, "LARGEST", limit)
        assert estimates(plan({}), monkeypatch).seconds_each(AnnRun("digits", "vgg5")) == pytest.approx(rate / PASS)
    assert seen == [4, 1]


@pytest.mark.parametrize(
    ("name", "levels"), [*((name, None) for name in RUN), *((name, 4) for name in ("ANN", "DIRECT", "HYBRID", "ACT"))]
)
def test_every_kind_of_run_can_be_timed(monkeypatch, name, levels):
    """Its own update or look, on images of noise, without parents."""
    monkeypatch.setattr(estimate, "SECONDS", 0.001)
    quantised = {"network": {"levels": levels}, "balancing": {"norm": "clip"}} if levels else {}
    assert 0 < estimates(plan(quantised)).seconds_each(RUN[name]) < 1e-3


@pytest.mark.parametrize(
    ("name", "normed"), [("ANN", True), ("HYBRID", True), ("CONVERTED", False), ("TEACHER", False)]
)
def test_what_trains_with_batch_norm_is_timed_with_it(name, normed):
    """A teacher's is part of its definition, and a converted network has none."""
    network = untrained(estimates(plan({"network": {"batch_norm": True}}))._task(RUN[name], 2))
    assert any(getattr(module, "batch_norm", None) for module in network.modules()) == normed


def test_a_timed_training_can_not_diverge(monkeypatch):
    """At a rate at which the loss of a second update would be infinite."""
    monkeypatch.setattr(estimate, "SECONDS", 0.001)
    assert estimates(plan({"ann": {"lr": 1e30}})).seconds_each(RUN["ANN"]) > 0


@pytest.mark.parametrize("variant", ["base", "calibrated_start"])  # which starts from two other runs
def test_a_taught_run_is_timed_with_its_teacher(variant):
    taught = parse(f"snn/digits/vgg5/lasnn_act/direct-T10/vgg16bn/{variant}/s0")
    assert estimates(quick())._teacher(taught) == AnnRun("digits", "vgg16bn")
    assert estimates(quick())._teacher(HYBRID) is None


@pytest.mark.parametrize(("threads", "clock"), [(1, "process_time"), (2, "perf_counter")])
def test_a_call_is_timed_without_its_warm_up(monkeypatch, threads, clock):
    """The mean of calls of 1 s and 3 s after one of 9 s, by the clock of the work or of the wall."""
    now, left = [0.0], [9.0, 1.0, 3.0]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(estimate, "SECONDS", 2.0)
    monkeypatch.setattr(estimate.time, clock, lambda: now[0])

    def call():
        now[0] += left.pop(0)

    assert estimate.timed(call, torch.device("cpu")) == 2.0


SICK = SimpleNamespace(trained=True, scale=0.7, steps=8)
FOUND = SimpleNamespace(layers=[SimpleNamespace(leak=0.9)], cross_entropy={"sum": 9.0, "mean": 1.5})


@pytest.mark.parametrize(
    ("norm", "stat", "asked"), [("tb", "max", True), ("tb", "p99.7", False), ("max", None, False), (None, None, False)]
)
def test_another_statistic_is_proposed_to_thresholds_of_a_maximum(monkeypatch, norm, stat, asked):
    heard = []
    monkeypatch.setattr(diagnose.diagnosis, "advice", lambda found, trained, rebalance: heard.append(rebalance) or [])
    settings = {"balancing": {"norm": norm, "stat": stat}}
    sick = SimpleNamespace(trained=False, balanced=norm and HYBRID, settings=settings)
    assert diagnose.trials(sick, FOUND, False) == []
    assert heard == [asked]


PROPOSED = {  # and the value that is tried, with the steps at which it is judged
    "lower": (Trial("spiking.scale", "lower than now", "0.7", None), "0.35", 8),
    "higher": (Trial("spiking.scale", "higher than now", "0.7", None), "0.35", 8),
    "T": (Trial("T", "32", "8", None, "without training again"), "32", 32),
    "leak": (Trial("spiking.leak", "1.0", "0.9", None, "without training again"), "1.0", 8),
    "stat": (Trial("balancing.stat", "p99.7", "max", None), None, None),
}


@pytest.mark.parametrize("name", PROPOSED)
def test_what_a_diagnosis_proposes_and_judges_by_hand(monkeypatch, name):
    """Half the scale is the best; every network has 5 % for each step."""
    proposed, value, steps = PROPOSED[name]
    assert diagnose._trial(SICK, FOUND, name, False) == proposed
    if name == "stat":
        return
    seen = lambda net, images, encoder, steps, gain: SimpleNamespace(accuracy=5.0 * steps)  # noqa: E731
    monkeypatch.setattr(diagnose, "evaluate", seen)
    monkeypatch.setattr(diagnose.diagnosis, "best_factor", lambda net, direction, judge: (0.5, judge(net)))
    settings = {"training": {}, "encoder": {"gain": 1.0}}
    sick = diagnose.Patient(HYBRID, small_snn("vgg5"), 0.7, 8, None, settings, None, None)
    trial = diagnose._trial(sick, FOUND, name, True)
    assert (trial.value, trial.accuracy, trial.remark) == (value, 5.0 * steps, "without training again")
