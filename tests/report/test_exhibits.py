"""Every exhibit written for real, from a whole plan that is as small as every stage accepts."""

from pathlib import Path

import pandas as pd
import pytest
from made_up import NOTHING
from tiny import TINY, write_yaml

from lasnn.__main__ import main
from lasnn.plan.config import merged, read, whole
from lasnn.report import EXHIBITS, files_of, runs_of_target
from lasnn.report.exhibit import Figure

# One student, few images and steps; every method, encoder and control of `quick` that this student has, and one knob.
SCOPE = {
    "students": ["vgg5"],
    "teacher_of": {"vgg5": "vgg16bn"},
    "focus": "vgg5",
    "methods": ["conversion", "hybrid", "kd_label", "lasnn_act", "lasnn_grad", "calibration"],
    "ablations": ["hybrid+scratch", "lasnn_act+scratch", "lasnn_act+random_teacher", "lasnn_act+scalar_map"],
    "low_t": ["lasnn_act+train_thresholds"],
    "benchmark": {"rows": {"untaught": ["hybrid"], "taught": ["kd_label"]}, "steps": [1], "trials": "tiny"},
    "recipes": ["hybrid+calibrated_start"],
    "corners": {"base": {"lasnn_act": "alpha01"}},
    "steps": {"poisson-T30": 2, "direct-T2": 2, "direct-T4": 4, "direct-T8": 8, "direct-T16": 4, "direct-T30": 4}
    | dict.fromkeys(("direct-T32", "direct-T50", "direct-T64", "direct-T100")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A configuration whose whole plan has run."""
    folder = tmp_path_factory.mktemp("exhibits")
    tiny = merged(TINY, {"scope": SCOPE, "calibration": {"weights": {"steps": 20}}})
    content = merged(whole(), {"presets": {"tiny": tiny}})
    content |= {"preset": "tiny", "folders": {"results": str(folder / "results"), "data": str(folder / "data")}}
    path = folder / "config.yaml"
    write_yaml(path, content)
    config = read(path)
    assert main(["data", "digits", "--config", str(path)]) == 0
    for run in runs_of_target(config.preset(), "all"):
        assert main([run.kind, config.preset().folder(run), "--config", str(path)]) == 0
    return path


@pytest.mark.parametrize("name", EXHIBITS)
def test_an_exhibit_is_written(made, name):
    config = read(made)
    preset = config.preset()
    paths = files_of(preset, name)
    assert main(["exhibit", paths[0], "--config", str(made)]) == 0
    for path in paths:
        assert Path(path).stat().st_size > 100
    if isinstance(EXHIBITS[name], Figure):
        assert Path(preset.root, "exhibits", f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    assert len(pd.read_csv(Path(preset.root, "exhibits", f"{name}.csv"))) > 0


def test_an_exhibit_of_which_nothing_is_run_is_written_too(tmp_path):
    """The preset leaves out every network that the paper has there: dashes and no error."""
    for name, exhibit in EXHIBITS.items():
        assert exhibit.runs(NOTHING) == []
        exhibit.write(tmp_path / name, NOTHING)
        assert (tmp_path / f"{name}.csv").exists()
