"""Warnings that a run's numbers carry, by hand."""

import pytest

from lasnn.report.columns import number
from lasnn.storage.marks import marks_of

TRAINED = {"settings": {"training": {"epochs": 3}, "spiking": {"init": "converted"}}, "epochs": 3, "run": {"steps": 10}}


def layer(total, per_neuron):
    return {"total": total, "per_neuron": per_neuron, "neurons": 4, "images": 2, "silent": 0}


def began(start, end, new=50.0):
    """Accuracies on training images before and after training, and on new ones after it."""
    return {"accuracy": new, "train_accuracy": end, "choices": {"start_accuracy": start}}


def watched(end, watched, judged):
    """The best epoch has 80 % of the images watched in training."""
    said = {"settings": TRAINED["settings"] | {"data": {"watched": watched}}, "data": {"test_images": judged}}
    return said | {"accuracy": end, "accuracy_best_test": 80.0}


@pytest.mark.parametrize(
    ("metrics", "marks"),
    [
        (began(97.0, 9.7), ["training ended at 9.7 % of training images, its start had 97.0 %"]),
        (began(97.0, 86.9), ["training ended at 86.9 % of training images, its start had 97.0 %"]),
        (began(97.0, 87.0), []),
        (began(97.0, 98.0), []),
        (began(84.0, 88.4, new=71.6), []),  # it overfits: its start was measured on images that its ANN had seen
        ({"accuracy": 71.6, "choices": {"start_accuracy": 84.0}}, []),  # of an earlier run: nothing to compare alike
        ({"accuracy": 60.0, "accuracy_best_test": 80.0}, ["training ended at 60.0 %, its best epoch had 80.0 %"]),
        ({"accuracy": 75.0, "accuracy_best_test": 80.0}, []),
        (watched(69.9, 100, 100), ["training ended at 69.9 %, its best epoch had 80.0 %"]),
        # Of 100 images 80 % has the standard error 4: 80 - 10 - 3 · 4 = 58.
        (watched(58.1, 100, 1000), []),
        (
            watched(57.9, 100, 1000),
            ["training ended at 57.9 % of 1000 images, its best epoch had 80.0 % of the first 100"],
        ),
        (watched(57.9, None, 1000), ["training ended at 57.9 %, its best epoch had 80.0 %"]),
        ({"accuracy": 50.0, "spikes": {"c1": layer(8, 1.0), "c2": layer(0, 0.0)}}, ["layer c2 is dead"]),
        ({"accuracy": 50.0, "spikes": {"c1": layer(80, 9.6), "c2": layer(8, 9.5)}}, ["layer c1 is saturated"]),
        (
            {"accuracy": 50.0, "teacher_weaker": True, "teacher_accuracy": 70.0, "ann_accuracy": 80.04},
            ["its teacher (70.0 %) is weaker than its own ANN (80.0 %)"],
        ),
        ({"accuracy": 50.0, "teacher_weaker": False, "teacher_accuracy": 90.0, "ann_accuracy": 80.0}, []),
        ({"accuracy": 50.0}, []),
    ],
)
def test_marks(metrics, marks):
    assert marks_of(TRAINED | metrics) == marks


@pytest.mark.parametrize(("init", "judged"), [("converted", True), ("calibrated", True), ("scratch", False)])
def test_only_a_start_from_the_anns_weights_is_one_to_fall_below(init, judged):
    low = TRAINED | began(63.45, 52.2)
    found = marks_of(low | {"settings": {"training": {"epochs": 30}, "spiking": {"init": init}}})
    assert found == ["training ended at 52.2 % of training images, its start had 63.5 %"] * judged
    assert marks_of(low | {"settings": {"training": None, "spiking": {"init": init}}}) == []


@pytest.mark.parametrize(("warnings", "shown"), [("", "50.00"), (None, "50.00"), ("x: layer c2 is dead", "50.00†")])
def test_a_number_with_a_warning_is_marked(warnings, shown):
    assert number(50.0, warnings=warnings) == shown
