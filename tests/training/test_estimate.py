"""What a run will cost, by hand: made-up seconds of one image, counted as often as the run looks at images."""

from types import SimpleNamespace

import pytest
import torch
from oracle import small_snn
from worlds import plan

from lasnn.plan.config import merged
from lasnn.plan.runs import AnnRun, ConvertedRun, SnnRun
from lasnn.training import diagnose, estimate
from lasnn.training.diagnose import Trial
from lasnn.training.estimate import Estimate

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
LOOK, UPDATE, STEP, TAUGHT = 1.0, 1e3, 1e6, 1e9  # seconds of an image: ANN, ANN's update, a step of an SNN, its update


@pytest.mark.parametrize(
    ("run", "changed", "seconds"),
    [
        (AnnRun("digits", "vgg5"), {}, 3 * (100 * UPDATE + 30 * LOOK) + 30 * LOOK),
        (AnnRun("digits", "vgg16bn"), {}, 2 * (100 * UPDATE + 30 * LOOK) + 30 * LOOK),
        (ConvertedRun("digits", "vgg5", "poisson"), {}, (2 * 8 * 3 * 50 + 2 * 12 * 40) * STEP),
        (ConvertedRun("digits", "vgg5", "poisson"), {"curve": {"images": None}}, (2400 + 2 * 30 * 40) * STEP),
        (
            ConvertedRun("digits", "vgg5", "poisson"),
            {"network": {"levels": 4}, "balancing": {"norm": "clip"}},
            2 * 12 * 40 * STEP,  # thresholds are learned clips
        ),
        # 4 looks at the test images and 3 encoder seeds; s alone and with the leak; 4 epochs
        (HYBRID, {}, ((4 + 3) * 30 + 2 * 16) * 10 * STEP + 4 * 100 * TAUGHT),
        (HYBRID, {"spiking": {"scale": "search"}}, ((4 + 3) * 30 + 4 * 16) * 10 * STEP + 4 * 100 * TAUGHT),
        (HYBRID, {"data": {"held_out": 11}}, ((4 + 3) * 30 + 2 * 11) * 10 * STEP + 4 * 100 * TAUGHT),
        (
            SnnRun("digits", "vgg5", "hybrid", "direct", 10),
            {},
            ((4 + 1) * 30 + 2 * 16) * 10 * STEP + 4 * 100 * TAUGHT,
        ),
        (SnnRun("digits", "vgg5", "conversion", "poisson", 10), {}, (3 * 30 + 16) * 10 * STEP),
        # the test images; for each of five layers half of the network, ANN and SNN
        (CALIBRATED, {}, (30 + 2 * 24 * 5 / 2) * 4 * STEP),
        (
            CALIBRATED,
            {"calibration": {"form": "advanced_weights"}},
            (30 + 2 * 24 * 5 / 2 + 6 * 5 / 2) * 4 * STEP + 7 * 5 * UPDATE,
        ),
    ],
)
def test_seconds_by_hand(monkeypatch, run, changed, seconds):
    monkeypatch.setattr(Estimate, "_ann_look", lambda self, run: LOOK)
    monkeypatch.setattr(Estimate, "_ann_update", lambda self, run: UPDATE)
    monkeypatch.setattr(Estimate, "_spiking_look", lambda self: STEP)
    monkeypatch.setattr(Estimate, "_student_update", lambda self, *of: TAUGHT)
    preset = plan(merged(COUNTED, changed))
    assert Estimate(preset, run, torch.device("cpu")).seconds() == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    ("steps", "large", "measured"),
    [
        (10, False, {10}),  # of a small network up to 16 steps as they are
        (100, False, {8, 16}),
        (4, True, {4}),
        (100, True, {2, 4}),
    ],
)
def test_an_update_of_many_steps_is_drawn_on_from_fewer(monkeypatch, steps, large, measured):
    """An update of t steps takes 5 + 3 t ms: what does not grow with the steps, the teacher's, is counted once."""
    tried = set()

    def distilling(net, teacher, run, settings):
        tried.add(run.steps)
        return run.steps

    monkeypatch.setattr(estimate, "_remembered", lambda key, measure: measure())
    monkeypatch.setattr(Estimate, "_spiking_look", lambda self: 1e3 if large else 0.0)
    monkeypatch.setattr(estimate.probe, "distilling", distilling)
    monkeypatch.setattr(estimate.probe, "update_seconds", lambda net, steps, *of: 0.005 + 0.003 * steps)
    run = SnnRun("digits", "vgg5", "hybrid", "poisson", steps)
    of = Estimate(plan({}), run, torch.device("cpu"))
    found = of._student_update(run, of.settings, of.settings.training)
    assert found == pytest.approx(0.005 + 0.003 * steps)
    assert tried == measured


def test_an_update_of_an_adopted_ann_counts_as_three_looks(monkeypatch):
    preset = plan({})
    settings = preset.settings(AnnRun("digits", "vgg5")).model_copy(update={"training": None})
    monkeypatch.setattr(type(preset), "settings", lambda self, run: settings)
    monkeypatch.setattr(Estimate, "_ann_look", lambda self, run: 2.0)
    run = AnnRun("digits", "vgg5")
    of = Estimate(preset, run, torch.device("cpu"))
    assert (of._ann_update(run), of.seconds()) == (6.0, 10 * 2.0)


SICK = SimpleNamespace(trained=True, scale=0.7, steps=8)
FOUND = SimpleNamespace(layers=[SimpleNamespace(leak=0.9)], cross_entropy={"sum": 9.0, "mean": 1.5})


@pytest.mark.parametrize(
    ("name", "trial"),
    [
        ("lower", Trial("spiking.scale", "lower than now", "0.7", None)),
        ("higher", Trial("spiking.scale", "higher than now", "0.7", None)),
        ("T", Trial("T", "32", "8", None, "without training again")),
        ("leak", Trial("spiking.leak", "1.0", "0.9", None, "without training again")),
        ("stat", Trial("balancing.stat", "p99.7", "max", None)),
    ],
)
def test_what_a_diagnosis_proposes_by_hand(name, trial):
    assert diagnose._trial(SICK, FOUND, name, False) == trial


@pytest.mark.parametrize(("name", "value", "asked"), [("lower", "0.35", 8), ("T", "32", 32), ("leak", "1.0", 8)])
def test_what_a_diagnosis_tries_it_judges_at_its_steps(monkeypatch, name, value, asked):
    """Half the scale is the best; every network has 5 % for each step."""
    seen = lambda net, images, encoder, steps, gain: SimpleNamespace(accuracy=5.0 * steps)  # noqa: E731
    monkeypatch.setattr(diagnose, "evaluate", seen)
    monkeypatch.setattr(diagnose.diagnosis, "best_factor", lambda net, direction, judge: (0.5, judge(net)))
    settings = {"training": {}, "encoder": {"gain": 1.0}}
    sick = diagnose.Patient(HYBRID, small_snn("vgg5"), 0.7, 8, None, settings, None, None)
    trial = diagnose._trial(sick, FOUND, name, True)
    assert (trial.value, trial.accuracy, trial.remark) == (value, 5.0 * asked, "without training again")
