"""The few numbers of a run that DVC compares: what they are, and that they follow metrics.json."""

import json
import shutil
from pathlib import Path

import pytest
from tiny import ANN, CONVERTED
from tiny import LASNN as STUDENT

from lasnn.plan.cells import Energy
from lasnn.plan.config import read
from lasnn.plan.runs import parse
from lasnn.results import scores

COUNTS = {"encoder_spikes": 10.0, "macs": 500, "macs_first": 100, "neurons": 30, "synops": 2000.0}
SPIKES = {"c1": {"total": 60, "neurons": 20, "images": 2}, "f1": {"total": 30, "neurons": 10, "images": 2}}
ENERGY = Energy(mac_pj=4.0, ac_pj=1.0, batch=16)


def student(encoder):
    return {
        "run": {"kind": "snn", "encoder": encoder, "steps": 4},
        "accuracy": 90.0,
        "ann_accuracy": 95,
        "teacher_accuracy": None,
        "choices": {"start_accuracy": 80.0, "scale": 0.7},
        "spikes": SPIKES,
        "operations": COUNTS,
    }


@pytest.mark.parametrize(("encoder", "microjoules"), [("poisson", 2000e-6), ("direct", 2400e-6)])
def test_of_a_student_and_a_converted_network_by_hand(encoder, microjoules):
    """An analog first layer costs its multiplications; a network's first curve is that at s = 1."""
    curve = {"scale": 1.0, "final": 70.0, "accuracy": {"20": 70.0}, "spikes": SPIKES, "operations": COUNTS}
    converted = {"run": {"kind": "converted", "encoder": encoder}, "accuracy": 70.0, "curves": [curve, {"scale": 0.5}]}
    # 45 spikes of each image on 30 neurons
    spent = {"spikes": 1.5, "synaptic_operations": 2000.0, "microjoules": pytest.approx(microjoules)}
    accuracies = {"accuracy": 90.0, "start_accuracy": 80.0, "ann_accuracy": 95.0}
    assert scores.scores(student(encoder), ENERGY) == accuracies | spent
    assert scores.scores(converted, ENERGY) == {"accuracy": 70.0} | spent


def test_random_weights_have_no_start_that_was_looked_at():
    begun = student("direct") | {"settings": {"spiking": {"init": "scratch"}}}
    assert "start_accuracy" not in scores.scores(begun, ENERGY)


def test_every_run_has_at_most_eight(finished):
    found = {path.parent: json.loads(path.read_text()) for path in finished.glob("results/tiny/**/scores.json")}
    assert set(found) == {path.parent for path in finished.glob("results/tiny/**/metrics.json")}
    assert max(map(len, found.values())) == 7
    assert list(found[finished / "results/tiny" / ANN]) == ["accuracy"]
    for folder, numbers in found.items():
        assert numbers["accuracy"] == json.loads((folder / "metrics.json").read_text())["accuracy"]


def test_they_are_written_where_they_are_missing_or_others_and_nowhere_else(project):
    preset, runs = read().preset(), [parse(path) for path in (ANN, CONVERTED, STUDENT)]
    assert scores.write(preset, runs) == 0
    paths = [Path(preset.folder(run), "scores.json") for run in runs]
    before = [path.read_bytes() for path in paths]
    paths[0].unlink()
    paths[1].write_text("{}")
    assert scores.write(preset, runs) == 2
    assert [path.read_bytes() for path in paths] == before
    paths[2].with_name("metrics.json").write_text("damaged")  # the judge says so
    shutil.rmtree(paths[0].parent)
    assert scores.write(preset, runs) == 0
    assert not paths[0].parent.exists()
    assert paths[2].read_bytes() == before[2]
