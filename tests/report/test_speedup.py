"""T* and the speed-up, by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny import answering

from lasnn.plan.config import Config, merged
from lasnn.report import EXHIBITS
from lasnn.report.curves import converted_of
from lasnn.report.speedup import relative_spread, speed_up, steps_needed
from lasnn.storage.files import write_json

CURVE = {10: 50.0, 20: 91.0, 30: 89.0, 50: 92.0, 100: 90.0}


@pytest.mark.parametrize(
    ("target", "needed"),
    [
        (40, 10),  # reached from the first point on
        (50, 10),  # exactly
        (89, 20),
        (90, 50),  # at T = 20 it is reached and lost again
        (90.1, None),  # the last point is below
        (95, None),  # never
    ],
)
def test_steps_needed(target, needed):
    assert steps_needed(CURVE, target) == needed


def test_the_order_of_the_points_does_not_matter_and_rounding_does_not_count():
    assert steps_needed(dict(reversed(CURVE.items())), 90) == 50
    assert steps_needed({10: 100 * (0.1 + 0.2)}, 30.0) == 10
    assert steps_needed({10: 30.0}, 100 * (0.1 + 0.2)) == 10
    assert steps_needed({}, 90) is None


def test_speed_up():
    assert speed_up(2000, 100) == 20
    assert speed_up(50, 100) == 0.5  # conversion was the faster
    assert speed_up(None, 100) is None


def test_spread_of_thresholds():
    assert relative_spread([[1.0, 2.0]]) is None
    assert relative_spread([[1.0, 2.0], [1.0, 3.0]]) == pytest.approx(0.4)  # the second layer: 1 / 2.5


def test_table_s3_by_hand(tmp_path):
    """ANN 96; the curve reaches 94 for good at T = 50; LaSNN has 3 of 4 images right at T = 10."""
    content = yaml.safe_load(Path("config.yaml").read_text())
    scope = {"students": ["vgg5"], "seeds": [0]}
    folders = {"results": str(tmp_path / "results"), "data": str(tmp_path / "data")}
    preset = Config(merged(content, {"folders": folders, "presets": {"quick": {"scope": scope}}})).preset("quick")
    (lasnn,) = (run for run in EXHIBITS["table_s3"].runs(preset) if run.kind == "snn")
    data = {"title": "Digits", "subset": False, "train_images": 8, "test_images": 6, "assessed": "test"}
    common = {"revision": 1, "data": data, "accuracy": 83.3}
    curve = {"scale": 0.7, "accuracy": {"10": 60.0, "20": 95.0, "30": 93.0, "50": 94.5, "100": 94.0}}
    shared = {"curves": [curve], "curve_images": 4, "curve_ann_accuracy": 96.0, "thresholds_by_batch": [[1, 2], [1, 3]]}
    for run, more in ((lasnn, {}), (converted_of(lasnn, preset), shared)):
        write_json(Path(preset.folder(run), "metrics.json"), answering(preset, run, common | more))
    predicted, labels = np.array([[0, 1, 2, 9, 0, 0]]), np.array([0, 1, 2, 3, 4, 5])
    np.savez(Path(preset.folder(lasnn), "predictions.npz"), predicted=predicted, labels=labels)
    line = EXHIBITS["table_s3"].tidy(preset).query("n > 0").iloc[0]
    assert line["t_star_2"] == 50  # at T = 30 it is below 94 once more
    assert pd.isna(line["t_star_1"])  # it ends below 95
    assert line["curve_lasnn"] == 75  # on the first four images; the last two are not part of the curve
    assert (line["t_star_lasnn"], line["speed_up"], line["spread"]) == (20, 2.0, pytest.approx(0.4))
